//! Nothing that signs is ever printed.

use seatpilot_signing::{Key, KeyRing, SECRET_BYTES_MIN, WeakSecret};

use crate::wire::sp1;

#[test]
fn a_secret_is_not_in_any_debug_text() {
    let secret = *b"canary-7f3a-canary-7f3a-canary-7";
    let key = Key::new(&secret).unwrap();
    let ring = KeyRing::new(key.clone(), Some(key.clone()));
    assert_eq!(format!("{key:?} {ring:?}"), "Key(..) KeyRing(..)");
}

#[test]
fn neither_tag_nor_nonce_is_in_the_debug_text_of_headers() {
    let wire = sp1("/v1/events", b"{}");
    let shown = format!("{:?}", wire.parse().unwrap());
    assert!(shown.contains("acme_gate_01"), "{shown}");
    assert!(!shown.contains("nonce-0123456789abcdef") && !shown.contains("tags"), "{shown}");
}

#[test]
fn a_malformed_value_is_not_repeated() {
    let fault = sp1("/v1/events", b"{}").with("x-key", "canary 7f3a").parse().unwrap_err();
    assert!(!format!("{fault} {fault:?}").contains("canary"));
}

#[test]
fn a_secret_under_128_bits_is_refused() {
    for len in 0..SECRET_BYTES_MIN {
        assert_eq!(Key::new(&vec![1; len]).unwrap_err(), WeakSecret);
    }
    for len in [SECRET_BYTES_MIN, 24, 32, 64, 65, 4096] {
        assert!(Key::new(&vec![1; len]).is_ok(), "{len}");
    }
}
