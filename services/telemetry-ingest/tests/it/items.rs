//! What becomes of items: each its own outcome, the good ones rows, the bad ones dead letters.

use std::{fs, path::Path};

use seatpilot_domain_model::KeyScope;
use seatpilot_runtime::Clock;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::service::{
    Behind, KEY_ID, Kind, Letter, SECRET, Service, Signed, event, event_with, nonce, on_every_store,
};

on_every_store!(
    one_event_is_accepted_with_its_receipt_and_stored_whole,
    a_single_event_that_is_rejected_is_a_problem_with_its_receipt_and_a_dead_letter,
    a_body_that_is_no_event_at_all_is_one_rejected_item_without_id,
    every_fixture_of_the_event_suite_has_its_outcome_alone_and_in_a_batch,
    the_bad_items_of_a_batch_are_dead_letters_and_the_rest_is_stored,
    an_array_is_answered_202_even_if_all_of_it_was_rejected,
    an_id_is_stored_once_within_a_batch_across_batches_and_at_any_instance,
    the_same_id_with_another_body_is_an_id_conflict,
);

async fn one_event_is_accepted_with_its_receipt_and_stored_whole(kind: Kind) {
    let service = Service::on(kind).await;
    let id = Uuid::now_v7();
    let mut sent = event_with(id, json!({"latency_ms": 41.5, "more": [1, "席"]}));
    sent["type"] = json!("checkin.success");
    sent["channel"] = json!("kiosk");
    sent["session_id"] = json!(Uuid::now_v7());
    sent["tenant_id"] = json!("acme");
    let reply = service.post_json(&sent).await;
    assert_eq!(reply.status, 202);
    assert_eq!(
        reply.text,
        format!(
            r#"{{"accepted":1,"duplicates":0,"rejected":0,"items":[{{"id":"{id}","status":"accepted"}}]}}"#
        )
    );
    if let Behind::Memory(memory) = &service.store {
        let kept = memory.events();
        let [event] = &kept[..] else { panic!("{kept:?}") };
        assert_eq!((event.tenant.as_str(), event.id, event.kind), ("acme", id, "checkin.success"));
        assert_eq!((&*event.key_id, &*event.raw), (KEY_ID, sent.to_string().as_bytes()));
        return;
    }
    let row = service
        .db
        .owner()
        .await
        .query_one("select tenant_id, type, source, venue_id, channel, session_id, data, id from telemetry.events_raw", &[])
        .await
        .unwrap();
    assert_eq!(row.get::<_, &str>("tenant_id"), "acme");
    assert_eq!(row.get::<_, &str>("type"), "checkin.success");
    assert_eq!(row.get::<_, &str>("source"), KEY_ID);
    assert_eq!(row.get::<_, &str>("venue_id"), "arena");
    assert_eq!(row.get::<_, &str>("channel"), "kiosk");
    assert_eq!(row.get::<_, Uuid>("session_id").to_string(), sent["session_id"].as_str().unwrap());
    assert_eq!(row.get::<_, Value>("data"), sent["data"]);
    assert_eq!(row.get::<_, Uuid>("id"), id);
}

async fn a_single_event_that_is_rejected_is_a_problem_with_its_receipt_and_a_dead_letter(kind: Kind) {
    let service = Service::on(kind).await;
    let mut bad = event();
    bad["type"] = json!("checkin.success");
    bad["data"] = json!({"latency_ms": -3});
    let reply = service.post_json(&bad).await;
    assert_eq!(reply.problem(), (422, "schema_violation".to_owned()));
    let body = reply.json();
    assert_eq!(
        (&body["accepted"], &body["duplicates"], &body["rejected"]),
        (&json!(0), &json!(0), &json!(1))
    );
    assert_eq!(body["items"], json!([{"id": bad["id"], "status": "rejected", "reason": "schema_violation"}]));
    assert_eq!(body["errors"][0]["pointer"], "/data/latency_ms");
    let letters = service.letters().await;
    let [letter] = &letters[..] else { panic!("{letters:?}") };
    assert!(letter.detail.starts_with("/data/latency_ms: "), "{letter:?}");
    let wanted = Letter {
        tenant: "acme".to_owned(),
        reason: "schema_violation".to_owned(),
        detail: letter.detail.clone(),
        payload: bad.to_string().into_bytes(),
        payload_len: bad.to_string().len(),
        key_id: KEY_ID.to_owned(),
        request_id: reply.header("x-request-id").unwrap().to_owned(),
        event_type: Some("checkin.success".to_owned()),
        event_id: Some(bad["id"].as_str().unwrap().parse().unwrap()),
    };
    assert_eq!(*letter, wanted);
    assert_eq!(service.rows().await, (0, 1, 1));
}

async fn a_body_that_is_no_event_at_all_is_one_rejected_item_without_id(kind: Kind) {
    let service = Service::on(kind).await;
    let cases: [(&[u8], &str); 8] = [
        (b"", "json_syntax"),
        (b"not json", "json_syntax"),
        (b"[{},", "json_syntax"),
        (b"{} {}", "json_syntax"),
        (b"{\"a\":\"\xff\"}", "invalid_utf8"),
        (b"[{\"a\":\"\xed\xa0\x80\"}]", "invalid_utf8"),
        (b"42", "schema_violation"),
        (b"null", "schema_violation"),
    ];
    for (body, reason) in cases {
        let reply = service.post(body).await;
        assert_eq!(reply.problem(), (422, reason.to_owned()));
        assert_eq!(reply.json()["items"], json!([{"id": null, "status": "rejected", "reason": reason}]));
        // Byte for byte, what is no text included.
        let letters = service.letters().await;
        assert!(
            letters.iter().any(|letter| letter.payload == body && letter.reason == reason),
            "{letters:?}"
        );
    }
    assert_eq!(service.rows().await, (0, 8, 8));
}

async fn every_fixture_of_the_event_suite_has_its_outcome_alone_and_in_a_batch(kind: Kind) {
    let now: jiff::Timestamp = "2026-11-22T12:00:00Z".parse().unwrap();
    let (clock, _hand) = Clock::manual(now);
    let service = Service::start_on(kind, clock, &[]).await;
    let sign = |body: Vec<u8>| Signed::with(body, KEY_ID, &SECRET, now.as_second(), &nonce());
    let folder =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../packages/domain-model/tests/fixtures/events");
    let read = |kind: &str| {
        let mut files: Vec<_> =
            fs::read_dir(folder.join(kind)).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        files
    };
    for path in read("invalid") {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let reason = name.split("--").next().unwrap().to_owned();
        let bytes = fs::read(&path).unwrap();
        let reply = service.send(&sign(bytes.clone())).await;
        assert_eq!(reply.problem(), (422, reason.clone()), "{name}");
        assert_eq!(reply.verdicts(), [&*reason], "{name}");
        // In an array, what is not JSON spoils all of it, and everything else only itself.
        let good = |turn: u128| {
            let id = Uuid::from_u128(Uuid::now_v7().as_u128() ^ turn);
            let mut event = event_with(id, json!({}));
            event["occurred_at"] = json!(now);
            event.to_string().into_bytes()
        };
        let body = [b"[", &good(1)[..], b",", &bytes[..], b",", &good(2)[..], b"]"].concat();
        let reply = service.send(&sign(body)).await;
        if reply.status == 202 {
            assert_eq!(reply.verdicts(), ["accepted", &reason, "accepted"], "{name}");
        } else {
            assert!(["json_syntax", "invalid_utf8"].contains(&&*reason), "{name}: {reply:?}");
            assert_eq!(reply.problem(), (422, reason.clone()), "{name}");
        }
    }
    for path in read("valid") {
        let mut event: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        event["id"] = json!(Uuid::now_v7());
        let reply = service.send(&sign(event.to_string().into_bytes())).await;
        assert_eq!((reply.status, reply.verdicts()), (202, vec!["accepted".to_owned()]), "{path:?}");
    }
}

async fn the_bad_items_of_a_batch_are_dead_letters_and_the_rest_is_stored(kind: Kind) {
    let service = Service::on(kind).await;
    let id = Uuid::now_v7();
    let items = [
        event().to_string(),
        r#"{"id":"x"}"#.to_owned(),
        event_with(id, json!({"n": 1})).to_string(),
        event().to_string().replace("{}", r#"{"a":"\u0000"}"#),
        event().to_string().replace("{}", r#"{"a":1e400}"#),
        event().to_string().replace("{}", r#"{"a":"\ud800"}"#),
        event().to_string().replace("{}", r#"{"a":1,"a":2}"#),
        event().to_string().replace("{}", &format!("{}1{}", "[".repeat(50_000), "]".repeat(50_000))),
        event().to_string().replace("device.heartbeat", "device.explosion"),
        event().to_string().replace("{}", &format!(r#"{{"a":"{}"}}"#, "x".repeat(33 * 1024))),
        "7".to_owned(),
        event().to_string(),
    ];
    let reply = service.post(format!("[{}]", items.join(","))).await;
    assert_eq!(reply.status, 202);
    assert_eq!(
        reply.verdicts(),
        [
            "accepted",
            "schema_violation",
            "accepted",
            "nul_char",
            "json_number_range",
            "json_syntax",
            "json_duplicate_key",
            "json_too_deep",
            "schema_unknown_type",
            "event_too_large",
            "schema_violation",
            "accepted"
        ]
    );
    let body = reply.json();
    assert_eq!((&body["accepted"], &body["rejected"]), (&json!(3), &json!(9)));
    assert_eq!(body["items"][1]["id"], Value::Null);
    assert_eq!(body["items"][2]["id"], json!(id));
    assert_eq!(service.rows().await, (3, 9, 1));
    assert_eq!(service.series(r#"seatpilot_ingest_accepted_total{tenant="acme"}"#).await, 3.0);
    assert_eq!(service.rejected("acme", "schema_violation").await, 2.0);
    assert_eq!(service.rejected("acme", "nul_char").await, 1.0);
}

async fn an_array_is_answered_202_even_if_all_of_it_was_rejected(kind: Kind) {
    let service = Service::on(kind).await;
    let reply = service.post("[1,{}]").await;
    assert_eq!((reply.status, reply.verdicts()), (202, vec!["schema_violation".to_owned(); 2]));
}

async fn an_id_is_stored_once_within_a_batch_across_batches_and_at_any_instance(kind: Kind) {
    let service = Service::on(kind).await;
    let second = service.second().await;
    let sent = event();
    let reply = service.post_json(&json!([sent, event(), sent])).await;
    assert_eq!(reply.verdicts(), ["accepted", "accepted", "duplicate"]);
    let again = service.send_to(&second, &Signed::now(sent.to_string())).await;
    assert_eq!((again.status, again.verdicts()), (202, vec!["duplicate".to_owned()]));
    assert_eq!(again.json()["duplicates"], 1);
    assert_eq!(service.rows().await.0, 2);
    // The second instance counts its own; of memory there is only the first.
    let own = if kind == Kind::Memory { 2.0 } else { 1.0 };
    assert_eq!(service.series(r#"seatpilot_ingest_duplicate_total{tenant="acme"}"#).await, own);
}

async fn the_same_id_with_another_body_is_an_id_conflict(kind: Kind) {
    let service = Service::on(kind).await;
    let id = Uuid::now_v7();
    let mut first = event_with(id, json!({"n": 1}));
    assert_eq!(service.post_json(&first).await.status, 202);
    first["data"]["n"] = json!(2);
    let reply = service.post_json(&first).await;
    assert_eq!(reply.problem(), (422, "id_conflict".to_owned()));
    assert_eq!(reply.verdicts(), ["id_conflict"]);
    assert_eq!(service.rows().await, (1, 1, 2));
    assert_eq!(service.rejected("acme", "id_conflict").await, 1.0);
}

#[tokio::test]
async fn the_same_id_of_two_tenants_is_two_events() {
    let service = Service::start().await;
    service.add_key("other", "other_key_01", &[9; 32], &[KeyScope::Ingest]).await;
    let sent = event();
    assert_eq!(service.post_json(&sent).await.verdicts(), ["accepted"]);
    let now = jiff::Timestamp::now().as_second();
    let signed = Signed::with(sent.to_string(), "other_key_01", &[9; 32], now, &nonce());
    assert_eq!(service.send(&signed).await.verdicts(), ["accepted"]);
    let mut named = event();
    named["tenant_id"] = json!("other");
    assert_eq!(service.post_json(&named).await.verdicts(), ["tenant_mismatch"]);
}
