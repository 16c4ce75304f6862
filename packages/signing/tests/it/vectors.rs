//! The contract's vectors, both ways: what they sign verifies, and signing it again gives their tag.

use base64::{Engine, engine::general_purpose::STANDARD};
use seatpilot_signing::{Key, KeyRing, SignedRequest, sign_sp1, sign_standard_webhooks};
use serde_json::Value;

use crate::wire::Wire;

fn vectors() -> Value {
    serde_json::from_str(include_str!("../vectors/signing.json")).unwrap()
}

fn text<'v>(case: &'v Value, member: &str) -> &'v str {
    case[member].as_str().expect("a text")
}

fn bytes(case: &Value, member: &str) -> Vec<u8> {
    STANDARD.decode(text(case, member)).unwrap()
}

#[test]
fn every_sp1_vector_verifies_and_is_what_we_sign() {
    let vectors = vectors();
    let cases = vectors["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 12);
    for case in cases {
        let name = text(case, "name");
        let (key, body) = (Key::new(&bytes(case, "secret_base64")).unwrap(), bytes(case, "body_base64"));
        let (method, path) = (text(case, "method"), text(case, "path"));
        let wire =
            Wire::of(["x-key", "x-ts", "x-nonce", "x-sig"].map(|n| (n, text(case, &n.replace('-', "_")))));

        let headers = wire.parse().unwrap();
        let request = SignedRequest::new(method, path, &headers, &body);
        assert!(KeyRing::new(key.clone(), None).verify(&request), "{name}");
        assert!(text(case, "signed_string").ends_with(&hex::encode(request.body_sha256())), "{name}");

        let ts = text(case, "x_ts").parse().unwrap();
        let signed =
            sign_sp1(&key, method, path, text(case, "x_key"), ts, text(case, "x_nonce"), &body).unwrap();
        for (header, value) in signed {
            assert_eq!(wire.get(header), value.as_bytes(), "{name}: {header}");
        }
    }
}

#[test]
fn every_standard_webhooks_vector_verifies_and_is_what_we_sign() {
    let vectors = vectors();
    let cases = vectors["standard_webhooks"].as_array().unwrap();
    assert_eq!(cases.len(), 2);
    for case in cases {
        let name = text(case, "name");
        let (key, body) = (Key::new(&bytes(case, "secret_base64")).unwrap(), bytes(case, "body_base64"));
        let names = ["x-key", "webhook-id", "webhook-timestamp", "webhook-signature"];
        let wire = Wire::of(names.map(|n| (n, text(case, &n.replace('-', "_")))));
        assert!(wire.verifies(&KeyRing::new(key.clone(), None), "POST", "/v1/events", &body), "{name}");

        let ts = text(case, "webhook_timestamp").parse().unwrap();
        let signed =
            sign_standard_webhooks(&key, text(case, "x_key"), text(case, "webhook_id"), ts, &body).unwrap();
        for (header, value) in signed {
            assert_eq!(wire.get(header), value.as_bytes(), "{name}: {header}");
        }
    }
}

#[test]
fn the_standard_webhooks_project_signs_the_same() {
    // From the tests of that project's own libraries; its secret reads whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD.
    let key = Key::new(&STANDARD.decode("C2FVsBQIhrscChlQIMV+b5sSYspob7oD").unwrap()).unwrap();
    let body = br#"{"email":"test@example.com","username":"test_user"}"#;
    let signed =
        sign_standard_webhooks(&key, "acme_gate_01", "msg_27UH4WbU6Z5A5EzD8u03UvzRbpk", 1_649_367_553, body);
    assert_eq!(signed.unwrap()[3].1, "v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw=");
}
