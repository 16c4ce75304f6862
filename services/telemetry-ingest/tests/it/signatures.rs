//! Who is let in: keys, tags, times, scopes, and that a refused request leaves no row.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::STANDARD};
use jiff::Timestamp;
use seatpilot_domain_model::KeyScope;
use seatpilot_runtime::Clock;
use seatpilot_signing::{Key, sign_standard_webhooks};
use seatpilot_store::admin::{DEFAULT_GRACE, PreviousSecret, Rotation};
use serde_json::{Value, json};

use crate::service::{KEY_ID, PATH, SECRET, Service, Signed, event, nonce};

fn unauthorized() -> (u16, String) {
    (401, "unauthorized".to_owned())
}

#[tokio::test]
async fn every_vector_is_let_in_and_no_vector_with_a_changed_tag_is() {
    let text = include_str!("../../../../packages/signing/tests/vectors/signing.json");
    let vectors: Value = serde_json::from_str(text).unwrap();
    let (clock, hand) = Clock::manual("2026-11-22T00:00:00Z".parse().unwrap());
    let service = Service::start_with(clock, &[]).await;
    let mut known = vec![KEY_ID.to_owned()];
    let mut seen = 0;
    for case in vectors["cases"].as_array().unwrap() {
        let text = |name: &str| case[name].as_str().unwrap().to_owned();
        if text("path") != PATH {
            continue;
        }
        seen += 1;
        if !known.contains(&text("x_key")) {
            let secret = STANDARD.decode(text("secret_base64")).unwrap();
            service.add_key("acme", &text("x_key"), &secret, &[KeyScope::Ingest]).await;
            known.push(text("x_key"));
        }
        let headers = ["x_key", "x_ts", "x_nonce", "x_sig"].map(|name| (name.replace('_', "-"), text(name)));
        let signed = Signed { headers: headers.into(), body: STANDARD.decode(text("body_base64")).unwrap() };
        hand.set(Timestamp::from_second(text("x_ts").parse::<i64>().unwrap() + 1).unwrap());

        let sig = text("x_sig");
        let last = if sig.ends_with('0') { '1' } else { '0' };
        let changed = signed.altered("x-sig", format!("{}{last}", &sig[..sig.len() - 1]));
        assert_eq!(service.send(&changed).await.problem(), unauthorized(), "{case}");

        let reply = service.send(&signed).await;
        let expected = match case["name"].as_str().unwrap() {
            "one small event" | "64 KiB body" => (202, Value::Null),
            "empty array" => (422, json!("schema_violation")),
            "empty body" | "CRLF in the body" => (422, json!("json_syntax")),
            "bytes that are no utf-8" => (422, json!("invalid_utf8")),
            _ => (422, json!("schema_violation")),
        };
        let expected = if reply.json()["errors"][0]["detail"] == "must be an event or an array of 1 to 500" {
            (422, json!("schema_violation"))
        } else {
            expected
        };
        assert_eq!((reply.status, reply.json()["code"].clone()), expected, "{case} {reply:?}");
    }
    assert!(seen >= 10);
    assert_eq!(service.number("select count(*) from telemetry.events_raw").await, 1);
}

#[tokio::test]
async fn unknown_key_revoked_key_bad_tag_and_stale_time_are_one_and_the_same_answer() {
    let service = Service::start().await;
    service.add_key("acme", "acme_gone_01", &SECRET, &[KeyScope::Ingest]).await;
    let mut admin = service.admin().await;
    admin.revoke_key(&"acme".parse().unwrap(), "acme_gone_01").await.unwrap();
    let (body, now) = (event().to_string(), Timestamp::now().as_second());
    let refused = [
        ("other", "unknown_key", Signed::with(&*body, "nobody_knows_me", &SECRET, now, &nonce())),
        ("other", "revoked_key", Signed::with(&*body, "acme_gone_01", &SECRET, now, &nonce())),
        ("other", "bad_signature", Signed::with(&*body, KEY_ID, &[7; 32], now, &nonce())),
        ("acme", "stale", Signed::with(&*body, KEY_ID, &SECRET, now - 302, &nonce())),
        ("acme", "stale", Signed::with(&*body, KEY_ID, &SECRET, now + 302, &nonce())),
    ];
    let mut bodies = Vec::new();
    for (tenant, reason, signed) in &refused {
        let before = service.rejected(tenant, reason).await;
        let reply = service.send(signed).await;
        assert_eq!(reply.problem(), unauthorized(), "{reason}");
        assert_eq!(service.rejected(tenant, reason).await, before + 1.0, "{reason}");
        let mut body = reply.json();
        body["instance"] = Value::Null;
        bodies.push(body);
    }
    assert!(bodies.iter().all(|body| *body == bodies[0]));
    assert_eq!(service.rows().await, (0, 0, 0));
    // None of it has used up a nonce or a key.
    assert_eq!(service.post(body).await.status, 202);
}

#[tokio::test]
async fn a_time_300_s_off_is_fresh_either_way_and_301_s_is_not() {
    let start: Timestamp = "2026-11-22T12:00:00.9Z".parse().unwrap();
    let (clock, _hand) = Clock::manual(start);
    let service = Service::start_with(clock, &[]).await;
    let body = json!({
        "id": "019aa0c4-7a00-7000-8000-000000000001", "type": "device.heartbeat",
        "occurred_at": start, "venue_id": "arena", "data": {},
    });
    for (off, status) in
        [(300, 202), (-300, 202), (301, 401), (-301, 401), (8_000_000_000, 401), (-700_000_000, 401)]
    {
        let signed = Signed::with(body.to_string(), KEY_ID, &SECRET, start.as_second() + off, &nonce());
        assert_eq!(service.send(&signed).await.status, status, "{off}");
    }
}

#[tokio::test]
async fn headers_outside_their_grammar_are_malformed() {
    let service = Service::start().await;
    let good = Signed::now(event().to_string());
    let sig = good.header("x-sig").to_owned();
    let mut bad = vec![
        good.altered("x-key", "short"),
        good.altered("x-key", "has a space"),
        good.altered("x-ts", "179530560"),
        good.altered("x-ts", "17953056000"),
        good.altered("x-ts", "-795305600"),
        good.altered("x-nonce", "x".repeat(21)),
        good.altered("x-nonce", "x".repeat(65)),
        good.altered("x-sig", ""),
        good.altered("x-sig", "v1="),
        good.altered("x-sig", sig.to_uppercase()),
        good.altered("x-sig", &sig[..sig.len() - 1]),
        good.altered("x-sig", format!("{sig}0")),
        good.altered("x-sig", sig.replace("v1=", "v2=")),
        good.altered("x-sig", format!("{sig}, {sig}")),
        good.altered("x-sig", format!("{sig},{sig},{sig}")),
    ];
    for at in 0..4 {
        let mut without = good.clone();
        without.headers.remove(at);
        let mut twice = good.clone();
        twice.headers.push(twice.headers[at].clone());
        bad.extend([without, twice]);
    }
    let mut both = good.clone();
    both.headers.push(("webhook-id".into(), "msg_12345678".into()));
    bad.push(both);
    for signed in &bad {
        let reply = service.send(signed).await;
        assert_eq!(reply.problem(), (400, "malformed_header".to_owned()), "{signed:?}");
    }
    for query in ["?", "?a=1"] {
        let reply = service.send_to(&service.url, &good).await;
        assert_eq!(reply.status, 202);
        let mut request =
            service.client.post(format!("{}{PATH}{query}", service.url)).body(good.body.clone());
        for (name, value) in &good.headers {
            request = request.header(name, value);
        }
        assert_eq!(request.send().await.unwrap().status(), 400, "{query}");
    }
    assert_eq!(service.rejected("other", "malformed_header").await, bad.len() as f64 + 2.0);
    assert_eq!(service.rows().await, (1, 0, 1));
}

#[tokio::test]
async fn every_change_to_a_signed_request_is_refused_and_nothing_is_stored() {
    let service = Service::start().await;
    let good = Signed::now(json!([event()]).to_string());
    service.add_key("other", "other_key_01", &[9; 32], &[KeyScope::Ingest]).await;
    let later = good.header("x-ts").parse::<i64>().unwrap() + 1;
    let mut changed = vec![
        good.altered("x-key", "other_key_01"),
        good.altered("x-ts", later.to_string()),
        good.altered("x-nonce", nonce()),
        good.altered("x-nonce", format!("{}-", good.header("x-nonce"))),
    ];
    for at in [0, good.body.len() / 2, good.body.len() - 1] {
        let (mut flipped, mut longer) = (good.clone(), good.clone());
        flipped.body[at] ^= 1;
        longer.body.insert(at, b' ');
        changed.extend([flipped, longer]);
    }
    for signed in &changed {
        assert_eq!(service.send(signed).await.problem(), unauthorized(), "{signed:?}");
    }
    assert_eq!(service.rows().await, (0, 0, 0));
    assert_eq!(service.send(&good).await.status, 202);
}

#[tokio::test]
async fn a_sender_that_rotates_offers_two_tags_and_one_match_is_enough() {
    let service = Service::start().await;
    let signed = Signed::now(event().to_string());
    let sig = signed.header("x-sig").to_owned();
    let other = format!("v1={}", "0".repeat(64));
    assert_eq!(service.send(&signed.altered("x-sig", format!("{other},{other}"))).await.status, 401);
    assert_eq!(service.send(&signed.altered("x-sig", format!("{other},{sig}"))).await.status, 202);
}

#[tokio::test]
async fn a_rotated_key_verifies_by_both_secrets_until_the_old_ones_grace_is_over() {
    let (clock, hand) = Clock::manual(Timestamp::now());
    let service = Service::start_with(clock.clone(), &[]).await;
    let send = async |secret: &[u8]| {
        let signed = Signed::with(event().to_string(), KEY_ID, secret, clock.now().as_second(), &nonce());
        service.send(&signed).await.status
    };
    assert_eq!(send(&SECRET).await, 202);
    let acme = "acme".parse().unwrap();
    let rotation =
        service.admin().await.rotate_key(&acme, KEY_ID, DEFAULT_GRACE, PreviousSecret::Kept).await.unwrap();
    let Rotation::Done(rotated) = rotation else { panic!("{rotation:?}") };
    let (new, until) = (rotated.secret.expose_secret().clone(), rotated.previous_until.unwrap());
    // At once, whether or not anybody told: the key is looked up again before a tag is refused.
    assert_eq!((send(&new).await, send(&SECRET).await), (202, 202));
    // 23:59:59, 24:00:00 and 24:00:01 after the rotation, by the service's clock.
    for (seconds, old) in [(-1, 202), (0, 401), (1, 401)] {
        hand.set(until + jiff::SignedDuration::from_secs(seconds));
        assert_eq!((send(&SECRET).await, send(&new).await), (old, 202), "{seconds}");
    }
}

#[tokio::test]
async fn a_revoked_key_is_refused_within_5_seconds() {
    let service = Service::start().await;
    assert_eq!(service.post(event().to_string()).await.status, 202);
    service.admin().await.revoke_key(&"acme".parse().unwrap(), KEY_ID).await.unwrap();
    let began = std::time::Instant::now();
    while service.post(event().to_string()).await.status != 401 {
        assert!(began.elapsed() < Duration::from_secs(5));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_key_that_may_only_arrive_is_forbidden() {
    let service = Service::start().await;
    service.add_key("acme", "sign_north-1", &[3; 32], &[KeyScope::Arrive]).await;
    let signed =
        Signed::with(event().to_string(), "sign_north-1", &[3; 32], Timestamp::now().as_second(), &nonce());
    assert_eq!(service.send(&signed).await.problem(), (403, "forbidden".to_owned()));
    assert_eq!(service.rows().await, (0, 0, 0));
}

#[tokio::test]
async fn standard_webhooks_are_let_in_and_their_id_is_the_nonce() {
    let service = Service::start().await;
    let key = Key::new(&SECRET).unwrap();
    let sign = |id: &str, body: &str| {
        let headers =
            sign_standard_webhooks(&key, KEY_ID, id, Timestamp::now().as_second(), body.as_bytes()).unwrap();
        Signed { headers: headers.map(|(name, value)| (name.to_owned(), value)).into(), body: body.into() }
    };
    let signed = sign("msg_00000001", &event().to_string());
    assert_eq!(service.send(&signed).await.status, 202);
    assert_eq!(service.send(&signed).await.header("idempotent-replayed"), Some("true"));
    let mut changed = signed.clone();
    changed.body.push(b' ');
    assert_eq!(service.send(&changed).await.problem(), unauthorized());
    let sig = signed.header("webhook-signature");
    let two = signed.altered("webhook-signature", format!("v1,{} {sig}", STANDARD.encode([0; 32])));
    assert_eq!(service.send(&two).await.status, 202);
    assert_eq!(service.send(&signed.altered("webhook-signature", "v1,AAAA")).await.status, 400);
}

#[tokio::test]
async fn the_bootstrap_key_of_a_box_signs_for_its_tenant_and_the_database_goes_before_it() {
    let secret = STANDARD.encode([8; 32]);
    let variable = format!("acme:box_key_0001:{secret}");
    let service = Service::start_with(Clock::system(), &[("HMAC_TENANT_SECRET", &variable)]).await;
    let send = async |secret: &[u8]| {
        let now = Timestamp::now().as_second();
        service.send(&Signed::with(event().to_string(), "box_key_0001", secret, now, &nonce())).await.status
    };
    assert_eq!(send(&[8; 32]).await, 202);
    assert_eq!(service.number("select count(*) from telemetry.events_raw where tenant_id = 'acme'").await, 1);
    service.add_key("acme", "box_key_0001", &[4; 32], &[KeyScope::Ingest]).await;
    assert_eq!(send(&[8; 32]).await, 401);
    assert_eq!(send(&[4; 32]).await, 202);
}
