//! Whatever is changed in a signed request, it no longer verifies.

use hmac::{Hmac, KeyInit, Mac};
use proptest::prelude::*;
use seatpilot_signing::{Key, KeyRing};
use sha2::{Digest, Sha256};

use crate::wire::{SECRET, Wire, key, ring, sp1, webhook};

const PATH: &str = "/v1/events";
const BODY: &[u8] = b"{}";

/// Changes one byte of a field to another one.
fn flip(bytes: &mut [u8], at: prop::sample::Index, by: u8) {
    if !bytes.is_empty() {
        bytes[at.index(bytes.len())] ^= by;
    }
}

proptest! {
    #[test]
    fn one_changed_byte_in_any_header_fails(
        body in prop::collection::vec(any::<u8>(), 0..300),
        webhooks: bool,
        field: prop::sample::Index,
        at: prop::sample::Index,
        by in 1u8..,
    ) {
        let mut wire = if webhooks { webhook(&body) } else { sp1(PATH, &body) };
        prop_assert!(wire.verifies(&ring(), "POST", PATH, &body));
        let field = field.index(wire.0.len());
        let name = wire.0[field].0;
        flip(&mut wire.0[field].1, at, by);
        // Standard Webhooks does not sign who signs: the key is looked up by that name, so another name is
        // another secret (or none).
        prop_assume!(!(webhooks && name == "x-key"));
        prop_assert!(!wire.verifies(&ring(), "POST", PATH, &body), "{name}");
    }

    #[test]
    fn one_changed_added_or_missing_byte_of_the_body_fails(
        body in prop::collection::vec(any::<u8>(), 1..300),
        webhooks: bool,
        at: prop::sample::Index,
        by in 1u8..,
    ) {
        let wire = if webhooks { webhook(&body) } else { sp1(PATH, &body) };
        let mut changed = body.clone();
        flip(&mut changed, at, by);
        prop_assert!(!wire.verifies(&ring(), "POST", PATH, &changed));
        let mut longer = body.clone();
        longer.insert(at.index(body.len() + 1), by);
        prop_assert!(!wire.verifies(&ring(), "POST", PATH, &longer));
        prop_assert!(!wire.verifies(&ring(), "POST", PATH, &body[..body.len() - 1]));
        prop_assert!(!wire.verifies(&ring(), "POST", PATH, &body[1..]));
    }

    #[test]
    fn another_method_or_path_fails(path in "/[ -~]{0,40}", method in "[A-Z]{1,8}") {
        let wire = sp1(PATH, BODY);
        prop_assume!(path != PATH && method != "POST");
        prop_assert!(!wire.verifies(&ring(), "POST", &path, BODY));
        prop_assert!(!wire.verifies(&ring(), &method, PATH, BODY));
    }

    #[test]
    fn a_byte_moved_over_the_border_of_two_fields_fails(
        nonce in "[A-Za-z0-9_-]{23,63}",
        key_id in "[A-Za-z0-9_-]{9,63}",
    ) {
        let signature = seatpilot_signing::sign_sp1(&key(), "POST", PATH, &key_id, 1_795_305_600, &nonce, BODY);
        let wire = Wire(signature.unwrap().map(|(name, value)| (name, value.into_bytes())).to_vec());
        prop_assert!(wire.verifies(&ring(), "POST", PATH, BODY));
        // The key's last byte to the path's end or the nonce's front, and back.
        let (shorter, moved) = key_id.split_at(key_id.len() - 1);
        let glued = wire.clone().with("x-key", shorter);
        let (long_path, long_nonce) = (format!("{PATH}\n{moved}"), format!("{moved}{nonce}"));
        prop_assert!(!glued.verifies(&ring(), "POST", &long_path, BODY));
        prop_assert!(!glued.with("x-nonce", long_nonce).verifies(&ring(), "POST", PATH, BODY));
        // A method that swallows the path's line and one of its own.
        let long_method = format!("POST\n{PATH}");
        prop_assert!(!wire.verifies(&ring(), &long_method, "", BODY));
        prop_assert!(!wire.verifies(&ring(), &long_method, &key_id, BODY));
    }
}

#[test]
fn a_method_or_path_with_a_line_of_its_own_never_verifies_even_if_signed() {
    // Two requests that share this string: where the method ends is open.
    let key_line = "acme_gate_01\n1795305600\nnonce-0123456789abcdef";
    let signed = format!("SP1\nPOST\n/a\n/b\n{key_line}\n{}", hex::encode(Sha256::digest(BODY)));
    let mut mac = Hmac::<Sha256>::new_from_slice(&SECRET).unwrap();
    mac.update(signed.as_bytes());
    let wire = sp1(PATH, BODY).with("x-sig", format!("v1={}", hex::encode(mac.finalize().into_bytes())));
    assert!(wire.parse().is_ok());
    assert!(!wire.verifies(&ring(), "POST\n/a", "/b", BODY));
    assert!(!wire.verifies(&ring(), "POST", "/a\n/b", BODY));
}

#[test]
fn two_secrets_of_a_key_verify_and_a_third_does_not() {
    let wire = sp1(PATH, BODY);
    let other = || Key::new(&[9; 32]).unwrap();
    assert!(wire.verifies(&KeyRing::new(key(), Some(other())), "POST", PATH, BODY));
    assert!(wire.verifies(&KeyRing::new(other(), Some(key())), "POST", PATH, BODY));
    assert!(!wire.verifies(&KeyRing::new(other(), Some(other())), "POST", PATH, BODY));
    assert!(!wire.verifies(&KeyRing::new(other(), None), "POST", PATH, BODY));
}

#[test]
fn nothing_verifies_by_a_key_that_nobody_has() {
    for secret in [vec![0; 64], vec![0; 32], SECRET.to_vec()] {
        let key = Key::new(&secret).unwrap();
        let signature = seatpilot_signing::sign_sp1(
            &key,
            "POST",
            PATH,
            "acme_gate_01",
            1,
            "nonce-0123456789abcdef",
            BODY,
        );
        let wire = Wire(signature.unwrap().map(|(name, value)| (name, value.into_bytes())).to_vec());
        assert!(wire.verifies(&KeyRing::new(key.clone(), None), "POST", PATH, BODY));
        assert!(!wire.verifies(&KeyRing::dummy(), "POST", PATH, BODY));
        // Nor by the empty place of a ring without a previous secret.
        assert!(!wire.verifies(&KeyRing::new(Key::new(&[9; 32]).unwrap(), None), "POST", PATH, BODY));
    }
}

#[test]
fn a_tag_of_one_scheme_is_nothing_in_the_other() {
    let id = "nonce-0123456789abcdef";
    let sp1_tag = String::from_utf8(sp1(PATH, BODY).get("x-sig").to_vec()).unwrap();
    let bytes = hex::decode(&sp1_tag[3..]).unwrap();
    let as_webhook = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, bytes);
    let wire = webhook(BODY).with("webhook-id", id).with("webhook-signature", format!("v1,{as_webhook}"));
    assert!(wire.parse().is_ok());
    assert!(!wire.verifies(&ring(), "POST", PATH, BODY));
}
