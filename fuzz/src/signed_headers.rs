//! The grammar of the signed headers: what it lets through is inside it, and is refused by no key but the one that signed.

use seatpilot_signing::{HEADERS, Key, KeyRing, SignedHeaders, SignedRequest, is_fresh};

/// Bytes are lines `name: value` of a head; the rest, behind an empty line, is the body.
pub fn hold(bytes: &[u8]) {
    let end = bytes.windows(2).position(|two| two == b"\n\n");
    let (head, body) = end.map_or((bytes, &[][..]), |end| (&bytes[..end], &bytes[end + 2..]));
    let sent: Vec<(&[u8], &[u8])> = head
        .split(|byte| *byte == b'\n')
        .filter_map(|line| {
            let colon = line.iter().position(|byte| *byte == b':')?;
            Some((&line[..colon], line[colon + 1..].trim_ascii()))
        })
        .collect();
    let values = |name: &'static str| -> Vec<&[u8]> {
        sent.iter().filter(|(sent, _)| *sent == name.as_bytes()).map(|(_, value)| *value).collect()
    };
    match SignedHeaders::parse(values) {
        Ok(headers) => {
            let word =
                |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
            assert!(
                word(headers.key_id()) && (8..=64).contains(&headers.key_id().len()),
                "the key's grammar"
            );
            assert!(
                word(headers.nonce()) && (8..=64).contains(&headers.nonce().len()),
                "the nonce's grammar"
            );
            assert!((0..10_000_000_000).contains(&headers.ts()), "ten digits");
            for name in HEADERS {
                assert!(values(name).len() <= 1, "{name} is there once");
            }
            // Any time of any clock: nothing overflows.
            for now in [i64::MIN, -1, 0, headers.ts(), i64::MAX] {
                let fresh = is_fresh(headers.ts(), now);
                assert!(!fresh || headers.ts().abs_diff(now) <= 300, "{now}");
            }
            let request = SignedRequest::new("POST", "/v1/events", &headers, body);
            assert!(!KeyRing::dummy().verify(&request), "nobody has the dummy's key");
            if let Ok(key) = Key::new(&[7; 32]) {
                // The corpus has no tag of this key, and nobody finds one.
                assert!(!KeyRing::new(key, None).verify(&request), "a tag that was guessed");
            }
        }
        Err(fault) => assert!(HEADERS.contains(&fault.header()), "the fault names a header"),
    }
}
