//! Session keys: what their ids say, what their secrets are made of, and that a change to either is another key.

use base64::{Engine, engine::general_purpose::STANDARD};
use seatpilot_signing::{
    Key, KeyRing, SESSION_PARENT_MAX, SessionKeyId, SessionScopes, SignedHeaders, SignedRequest, sign_sp1,
};
use serde_json::Value;

const PARENT: &str = "acme_gate_01";
const ORIGIN: &[u8] = b"https://tickets.example";
const ENDS: i64 = 1_795_306_500;
const SESSION: [u8; 16] = [7; 16];

fn ring(byte: u8) -> KeyRing {
    KeyRing::new(Key::new(&[byte; 32]).unwrap(), None)
}

fn id() -> SessionKeyId {
    SessionKeyId::new(PARENT, ENDS, SESSION, SessionScopes::Ingest).unwrap()
}

/// Whether a ring takes what was signed by a key that goes by an id.
fn takes(ring: &KeyRing, key_id: &str, secret: &[u8]) -> bool {
    let nonce = "0123456789abcdefghijkl";
    let key = Key::new(secret).unwrap();
    let signed = sign_sp1(&key, "POST", "/v1/events", key_id, 1_795_305_600, nonce, b"{}").unwrap();
    let values = |wanted: &'static str| {
        signed.iter().filter(move |(name, _)| *name == wanted).map(|(_, value)| value.as_bytes())
    };
    let headers = SignedHeaders::parse(values).unwrap();
    ring.verify(&SignedRequest::new("POST", "/v1/events", &headers, b"{}"))
}

#[test]
fn every_vector_has_its_id_and_its_secret() {
    let vectors: Value = serde_json::from_str(include_str!("../vectors/session_keys.json")).unwrap();
    let cases = vectors["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 4);
    for case in cases {
        let text = |member: &str| case[member].as_str().unwrap();
        let scopes = match case["scopes"].as_u64().unwrap() {
            1 => SessionScopes::Ingest,
            2 => SessionScopes::Arrive,
            _ => SessionScopes::IngestAndArrive,
        };
        let session = hex::decode(text("session_id").replace('-', "")).unwrap().try_into().unwrap();
        let ends = case["expires_at"].as_i64().unwrap();
        let id = SessionKeyId::new(text("parent"), ends, session, scopes).unwrap();
        assert_eq!(id.as_str(), text("key_id"), "{}", text("name"));
        let read = SessionKeyId::parse(text("key_id")).unwrap();
        assert_eq!(read, id);
        assert_eq!((read.parent(), read.expires_at()), (text("parent"), ends));
        assert_eq!((read.session(), read.scopes()), (session, scopes));
        let parent = Key::new(&STANDARD.decode(text("parent_secret_base64")).unwrap()).unwrap();
        let secret = KeyRing::new(parent, None).session_secret(&id, text("origin").as_bytes()).unwrap();
        assert_eq!(STANDARD.encode(&secret), text("secret_base64"), "{}", text("name"));
    }
}

#[test]
fn a_session_key_verifies_of_its_parent_and_its_origin_and_of_nothing_else() {
    let (id, parent) = (id(), ring(1));
    let secret = parent.session_secret(&id, ORIGIN).unwrap();
    assert!(takes(&parent.session(&id, ORIGIN), id.as_str(), &secret));
    for (ring, why) in [
        (parent.session(&id, b"https://other.example"), "another origin"),
        (parent.session(&id, b""), "no origin"),
        (parent.session(&id, b"https://tickets.example "), "an origin and a space"),
        (ring(2).session(&id, ORIGIN), "another parent"),
        (KeyRing::dummy().session(&id, ORIGIN), "no parent"),
        (parent.clone(), "the parent itself"),
    ] {
        assert!(!takes(&ring, id.as_str(), &secret), "{why}");
    }
    assert!(
        !takes(&parent.session(&id, ORIGIN), id.as_str(), &[1; 32]),
        "the parent's secret is not its own"
    );
    assert!(KeyRing::dummy().session_secret(&id, ORIGIN).is_none());
}

#[test]
fn each_character_of_an_id_that_is_changed_makes_it_another_key() {
    let (id, parent) = (id(), ring(1));
    let secret = parent.session_secret(&id, ORIGIN).unwrap();
    let mut others = 0;
    for at in 0..id.as_str().len() {
        for letter in "ABab19_-".chars() {
            let mut forged = id.as_str().to_owned();
            forged.replace_range(at..=at, &letter.to_string());
            if forged == id.as_str() {
                continue;
            }
            // One that is no session key any more is looked up as it stands, and nobody has it.
            let Some(other) = SessionKeyId::parse(&forged) else { continue };
            others += 1;
            assert_eq!(other.as_str(), forged);
            assert!(!takes(&parent.session(&other, ORIGIN), &forged, &secret), "{forged}");
        }
    }
    assert!(others > 200, "{others}");
}

#[test]
fn while_its_parent_rotates_a_key_of_either_secret_verifies_and_a_new_one_is_of_the_current() {
    let id = id();
    let (old, new) = (ring(1), ring(2));
    let both = KeyRing::new(Key::new(&[2; 32]).unwrap(), Some(Key::new(&[1; 32]).unwrap()));
    for parent in [&old, &new] {
        let secret = parent.session_secret(&id, ORIGIN).unwrap();
        assert!(takes(&both.session(&id, ORIGIN), id.as_str(), &secret));
    }
    assert_eq!(both.session_secret(&id, ORIGIN), new.session_secret(&id, ORIGIN));
    assert!(!takes(&new.session(&id, ORIGIN), id.as_str(), &old.session_secret(&id, ORIGIN).unwrap()));
}

#[test]
fn a_key_is_good_until_its_end_and_not_of_a_time_that_no_server_mints() {
    for (now, good) in [
        (ENDS - 1, true),
        (ENDS - 900, true),
        (ENDS - 1_200, true),
        (ENDS - 1_201, false),
        (ENDS, false),
        (ENDS + 1, false),
        (i64::MAX, false),
        (i64::MIN, false),
    ] {
        assert_eq!(id().is_good_at(now), good, "{}", now.wrapping_sub(ENDS));
    }
}

#[test]
fn an_id_fits_the_grammar_of_a_key_and_no_session_key_has_children() {
    let of = |parent: &str, ends| SessionKeyId::new(parent, ends, SESSION, SessionScopes::Arrive);
    let longest = "k".repeat(SESSION_PARENT_MAX);
    assert_eq!(of(&longest, ENDS).unwrap().as_str().len(), 64);
    for parent in ["", "short_7", &format!("{longest}k"), "acme gate 01", id().as_str(), "ses1_acme_gate"] {
        assert!(of(parent, ENDS).is_none(), "{parent}");
    }
    assert!(of(PARENT, -1).is_none() && of(PARENT, i64::from(u32::MAX) + 1).is_none());
    let fixed = &id().as_str()[..33].to_owned();
    for bad in [
        PARENT,
        "ses1_",
        fixed,
        &format!("{fixed}short_7"),
        &format!("{fixed}{longest}k"),
        &format!("{fixed}{fixed}"),
        &format!("ses2_{}{PARENT}", &fixed[5..]),
        // Scopes of none, and of more than there are.
        &format!("ses1_AA{}{PARENT}", &fixed[7..]),
        &format!("ses1_BA{}{PARENT}", &fixed[7..]),
        "ses1_éééééééééééééééééééééééééééé",
    ] {
        assert!(SessionKeyId::parse(bad).is_none(), "{bad}");
    }
}
