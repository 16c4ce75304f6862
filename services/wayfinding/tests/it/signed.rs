//! A sign that signs instead of carrying a token.

use seatpilot_domain_model::KeyScope;
use seatpilot_runtime::Clock;
use seatpilot_signing::{Key, sign_sp1};
use serde_json::Value;
use uuid::Uuid;

use crate::sign::{ARRIVE, Sign};

fn headers(secret: &[u8], key_id: &str, nonce: &str, body: &str) -> Vec<(String, String)> {
    let ts = Clock::system().now().as_second();
    sign_sp1(&Key::new(secret).unwrap(), "POST", ARRIVE, key_id, ts, nonce, body.as_bytes())
        .unwrap()
        .map(|(name, value)| (name.to_owned(), value))
        .into()
}

fn nonce(text: &str) -> String {
    format!("{text:_<22}")
}

#[tokio::test]
async fn a_signed_ping_is_an_arrival_and_its_repetition_is_told_as_one() {
    let sign = Sign::of(1).await;
    let session = sign.let_in(0, 5).await;
    let body = sign.ping(session).to_string();
    let secret = sign.evening.key_secret.expose_secret();
    let signed = headers(secret, &sign.evening.key_id, &nonce("one"), &body);
    let first = sign.post(body.clone(), &signed).await;
    assert_eq!((first.status, first.replayed), (201, false), "{first:?}");
    let again = sign.post(body.clone(), &signed).await;
    assert_eq!((again.status, again.replayed, &again.text), (201, true, &first.text));
    // Another body under the same key, second and nonce.
    let other = sign.ping(session).to_string();
    let ts = signed.iter().find(|(name, _)| name == "x-ts").unwrap().1.parse().unwrap();
    let reused: Vec<(String, String)> = sign_sp1(
        &Key::new(secret).unwrap(),
        "POST",
        ARRIVE,
        &sign.evening.key_id,
        ts,
        &nonce("one"),
        other.as_bytes(),
    )
    .unwrap()
    .map(|(name, value)| (name.to_owned(), value))
    .into();
    assert_eq!(sign.post(other, &reused).await.problem(), (409, "nonce_reused".into()));
}

#[tokio::test]
async fn a_used_nonce_is_said_before_what_is_wrong_with_the_body() {
    let sign = Sign::of(1).await;
    let session = sign.let_in(0, 5).await;
    let secret = sign.evening.key_secret.expose_secret();
    let ts = Clock::system().now().as_second();
    let signed = |nonce: &str, body: &str| -> Vec<(String, String)> {
        sign_sp1(&Key::new(secret).unwrap(), "POST", ARRIVE, &sign.evening.key_id, ts, nonce, body.as_bytes())
            .unwrap()
            .map(|(name, value)| (name.to_owned(), value))
            .into()
    };
    let body = sign.ping(session).to_string();
    assert_eq!(sign.post(body.clone(), &signed(&nonce("once"), &body)).await.status, 201);
    for (bad, fresh) in [("{", (400, "bad_json")), ("{}", (422, "schema_violation"))] {
        assert_eq!(
            sign.post(bad, &signed(&nonce("fresh"), bad)).await.problem(),
            (fresh.0, fresh.1.to_owned())
        );
        assert_eq!(
            sign.post(bad, &signed(&nonce("once"), bad)).await.problem(),
            (409, "nonce_reused".into())
        );
    }
}

#[tokio::test]
async fn whoever_cannot_sign_for_arrivals_is_refused() {
    let sign = Sign::of(1).await;
    let session = sign.let_in(0, 5).await;
    let body = sign.ping(session).to_string();
    let wrong = headers(&[9; 32], &sign.evening.key_id, &nonce("two"), &body);
    assert_eq!(sign.post(body.clone(), &wrong).await.problem(), (401, "unauthorized".into()));
    let unknown = headers(&[9; 32], "nobody_knows_me", &nonce("three"), &body);
    assert_eq!(sign.post(body.clone(), &unknown).await.problem(), (401, "unauthorized".into()));
    let mut admin = sign.evening.admin().await;
    let ingest_only =
        admin.add_key(&sign.evening.tenant, Some("only_ingest"), &[KeyScope::Ingest]).await.unwrap();
    let scoped = headers(ingest_only.secret.expose_secret(), "only_ingest", &nonce("four"), &body);
    assert_eq!(sign.post(body.clone(), &scoped).await.problem(), (403, "forbidden".into()));
    let secret = sign.evening.key_secret.expose_secret();
    let mut torn = headers(secret, &sign.evening.key_id, &nonce("five"), &body);
    torn.retain(|(name, _)| name != "x-nonce");
    assert_eq!(sign.post(body.clone(), &torn).await.problem(), (400, "malformed_header".into()));
    assert_eq!(sign.evening.count("select count(*) from telemetry.ingest_nonces").await, 0);
}

#[tokio::test]
async fn a_refused_ping_uses_up_no_nonce() {
    let sign = Sign::of(1).await;
    let secret = sign.evening.key_secret.expose_secret().clone();
    let early: Value = sign.ping(Uuid::now_v7());
    let body = early.to_string();
    let signed = headers(&secret, &sign.evening.key_id, &nonce("six"), &body);
    for _ in 0..2 {
        assert_eq!(sign.post(body.clone(), &signed).await.problem(), (404, "session_unknown".into()));
    }
}
