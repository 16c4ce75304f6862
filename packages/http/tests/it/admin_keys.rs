//! Administrators' tokens by public keys: rotation, caching, an address that fails, and no way to forge.

use std::time::Duration;

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use seatpilot_http::admin::Database;
use seatpilot_runtime::AdminAccess;
use serde_json::{Value, json};

use crate::{
    admin_guard::{House, claims},
    issuer::{Answers, Issuer, SigningKey, hs256},
    server::problem,
};

async fn house(answers: Answers) -> (House, Issuer) {
    let issuer = Issuer::start(answers).await;
    (House::open(AdminAccess::Jwks(issuer.url.clone()), Database::Present), issuer)
}

async fn status(house: &House, token: &str) -> u16 {
    house.look(token).await.status().as_u16()
}

fn good() -> Value {
    claims(|_| {})
}

/// An hour in the manual clock is no hour for the token: it stays good.
fn lasting() -> Value {
    claims(|claims| claims["exp"] = json!(9_999_999_999_i64))
}

#[tokio::test]
async fn keys_of_both_algorithms_let_in_and_are_fetched_once() {
    let (ec, rsa) = (SigningKey::es256("ec-1"), SigningKey::rs256("rsa-1"));
    let (house, issuer) = house(Answers::Keys(vec![ec.public(), rsa.public()])).await;
    for _ in 0..3 {
        assert_eq!(status(&house, &ec.sign(&good())).await, 200);
        assert_eq!(status(&house, &rsa.sign(&good())).await, 200);
    }
    // Without an id, every key of the algorithm is tried.
    assert_eq!(status(&house, &ec.sign_as(&Header::new(Algorithm::ES256), &good())).await, 200);
    assert_eq!(issuer.asked(), 1);
    for bad in [
        SigningKey::es256("ec-1").sign(&good()),
        SigningKey::rs256("rsa-1").sign(&good()),
        ec.sign(&claims(|c| c["aud"] = json!("anon"))),
        ec.sign(&claims(|c| c["exp"] = json!(1))),
    ] {
        assert_eq!(status(&house, &bad).await, 401);
    }
}

#[tokio::test]
async fn a_public_key_is_no_shared_secret() {
    let rsa = SigningKey::rs256("rsa-1");
    // What an attacker has: the public key in every form that a careless verifier would take as a secret. A shared
    // key in the set is none of the issuer's doing.
    let shared = json!({ "kty": "oct", "kid": "oct-1", "alg": "HS256", "k": "c2VjcmV0" });
    let (house, issuer) = house(Answers::Keys(vec![rsa.public(), shared])).await;
    let modulus = rsa.public()["n"].as_str().unwrap().to_owned();
    for secret in [modulus.as_str(), &rsa.public().to_string(), "secret", ""] {
        assert_eq!(status(&house, &hs256(secret, &good())).await, 401);
    }
    let mut header = Header::new(Algorithm::HS256);
    header.kid = Some("oct-1".to_owned());
    let forged = encode(&header, &good(), &EncodingKey::from_secret(b"secret")).unwrap();
    assert_eq!(status(&house, &forged).await, 401);
    assert_eq!(issuer.asked(), 0, "and nobody is asked for the keys of an algorithm that is never taken");
    assert_eq!(status(&house, &rsa.sign(&good())).await, 200, "the control");
}

#[tokio::test]
async fn a_key_that_is_rotated_in_is_found_at_once_and_made_up_ids_ask_once_a_minute() {
    let (old, new) = (SigningKey::es256("old"), SigningKey::es256("new"));
    let (house, issuer) = house(Answers::Keys(vec![old.public()])).await;
    assert_eq!(status(&house, &old.sign(&lasting())).await, 200);
    issuer.now(Answers::Keys(vec![old.public(), new.public()]));
    house.hand.advance(Duration::from_secs(60));
    assert_eq!(status(&house, &new.sign(&lasting())).await, 200);
    assert_eq!(issuer.asked(), 2);
    for _ in 0..10 {
        assert_eq!(status(&house, &SigningKey::es256("made-up").sign(&lasting())).await, 401);
    }
    house.hand.advance(Duration::from_secs(59));
    assert_eq!(status(&house, &SigningKey::es256("made-up").sign(&lasting())).await, 401);
    assert_eq!(issuer.asked(), 2);
    house.hand.advance(Duration::from_secs(1));
    assert_eq!(status(&house, &SigningKey::es256("made-up").sign(&lasting())).await, 401);
    assert_eq!(issuer.asked(), 3);
}

#[tokio::test]
async fn a_key_that_is_taken_back_is_refused_after_ten_minutes() {
    let (old, new) = (SigningKey::es256("old"), SigningKey::es256("new"));
    let (house, issuer) = house(Answers::Keys(vec![old.public(), new.public()])).await;
    assert_eq!(status(&house, &old.sign(&lasting())).await, 200);
    issuer.now(Answers::Keys(vec![new.public()]));
    house.hand.advance(Duration::from_secs(599));
    assert_eq!(status(&house, &old.sign(&lasting())).await, 200);
    house.hand.advance(Duration::from_secs(1));
    assert_eq!(status(&house, &old.sign(&lasting())).await, 401);
    assert_eq!(status(&house, &new.sign(&lasting())).await, 200);
}

#[tokio::test]
async fn keys_outlive_their_address_for_an_hour() {
    let key = SigningKey::es256("k");
    let (house, issuer) = house(Answers::Keys(vec![key.public()])).await;
    assert_eq!(status(&house, &key.sign(&lasting())).await, 200);
    for broken in [Answers::Fails, Answers::Text("no JSON".to_owned()), Answers::Text("x".repeat(100_000))] {
        issuer.now(broken);
        house.hand.advance(Duration::from_secs(700));
        let asked = issuer.asked();
        for _ in 0..5 {
            assert_eq!(status(&house, &key.sign(&lasting())).await, 200);
        }
        assert_eq!(issuer.asked(), asked + 1, "asked again after ten seconds, not at every request");
    }
    house.hand.advance(Duration::from_secs(3600));
    let answer = house.look(&key.sign(&lasting())).await;
    assert_eq!(answer.headers()["retry-after"], "10");
    assert_eq!(problem(answer).await["code"], "not_ready");
    issuer.now(Answers::Keys(vec![key.public()]));
    house.hand.advance(Duration::from_secs(10));
    assert_eq!(status(&house, &key.sign(&lasting())).await, 200, "and is asked again");
}

#[tokio::test]
async fn many_at_once_ask_once() {
    let key = SigningKey::es256("k");
    let (house, issuer) = house(Answers::Keys(vec![key.public()])).await;
    let token = key.sign(&good());
    let all = futures_util::future::join_all((0..50).map(|_| status(&house, &token))).await;
    assert!(all.iter().all(|status| *status == 200), "{all:?}");
    assert_eq!(issuer.asked(), 1);
}

#[tokio::test]
async fn an_address_that_hangs_holds_nobody_for_long() {
    let (house, _issuer) = house(Answers::Hangs).await;
    let began = std::time::Instant::now();
    let answer = house.look(&SigningKey::es256("k").sign(&good())).await;
    assert_eq!(problem(answer).await["code"], "not_ready");
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

#[tokio::test]
async fn keys_for_other_uses_are_none() {
    let key = SigningKey::es256("k");
    let with = |name: &str, value: Value| {
        let mut key = key.public();
        key[name] = value;
        key
    };
    for other in [
        with("use", json!("enc")),
        with("key_ops", json!(["sign"])),
        with("alg", json!("ES384")),
        with("crv", json!("P-384")),
        json!({ "kty": "EC", "kid": "k" }),
        json!(7),
    ] {
        let (house, _issuer) = house(Answers::Keys(vec![other.clone()])).await;
        assert_eq!(status(&house, &key.sign(&good())).await, 401, "{other}");
    }
    let (house, _issuer) = house(Answers::Keys(vec![json!(7), with("use", json!("sig"))])).await;
    assert_eq!(status(&house, &key.sign(&good())).await, 200, "the others stand");
}
