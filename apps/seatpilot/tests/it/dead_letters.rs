//! `seatpilot dlq` against a real database.

use serde_json::{Value, json};

use crate::house::House;

/// A house with a letter that is good today, one that is not, and one that nobody understands.
async fn with_letters() -> House {
    let house = House::empty().await;
    let sql = r#"
        insert into ops.tenants (tenant_id, name) values ('demo', 'Demo') on conflict do nothing;
        insert into telemetry.events_dlq (dlq_id, tenant_id, reason, reason_detail, received_at, source_key_id, request_id,
            payload, payload_len, payload_sha256, truncated, event_type)
        select id::uuid, 'demo', reason, 'a test', now() - age::interval, 'demo_gate_01', 'req-1', p, length(p), sha256(p),
            false, 'device.heartbeat'
        from (values
            ('019aa0c4-7a00-7000-8000-000000000001', 'quota_exceeded', '2 days', convert_to(json_build_object(
                'id', '019aa0c4-7a00-7000-8000-0000000000a1', 'type', 'device.heartbeat', 'venue_id', 'hall', 'data', json_build_object(),
                'occurred_at', to_char(now() at time zone 'UTC' - interval '2 days', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'))::text, 'UTF8')),
            ('019aa0c4-7a00-7000-8000-000000000002', 'schema_violation', '1 day', '{"id":1}'::bytea),
            ('019aa0c4-7a00-7000-8000-000000000003', 'invalid_utf8', '1 hour', '\xff00'::bytea)) as l (id, reason, age, p)"#;
    house.db.owner().await.batch_execute(sql).await.unwrap();
    house
}

const GOOD: &str = "019aa0c4-7a00-7000-8000-000000000001";
const BAD: &str = "019aa0c4-7a00-7000-8000-000000000002";
const BYTES: &str = "019aa0c4-7a00-7000-8000-000000000003";

fn ids(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|item| item["dlq_id"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn letters_are_found_by_what_is_wrong_with_them_and_shown_with_their_bytes() {
    let house = with_letters().await;
    assert_eq!(ids(&house.json(&["dlq", "list"])), [BYTES, BAD, GOOD]);
    assert_eq!(ids(&house.json(&["dlq", "list", "--reason", "schema_violation"])), [BAD]);
    assert_eq!(ids(&house.json(&["dlq", "list", "--older-than", "12h"])), [BAD, GOOD]);
    assert_eq!(ids(&house.json(&["dlq", "list", "--newer-than", "12h"])), [BYTES]);
    assert_eq!(ids(&house.json(&["dlq", "list", "--state", "discarded"])), Vec::<&str>::new());
    assert_eq!(ids(&house.json(&["dlq", "list", "--key", "demo_gate_01", "--limit", "2"])), [BYTES, BAD]);

    let shown = house.json(&["dlq", "show", BAD]);
    assert_eq!(
        (&shown["payload_text"], &shown["payload_base64"]),
        (&json!(r#"{"id":1}"#), &json!("eyJpZCI6MX0="))
    );
    let shown = house.json(&["dlq", "show", BYTES]);
    assert_eq!((&shown["payload_text"], &shown["payload_base64"]), (&json!(null), &json!("/wA=")));
    // In a pipe: a line a member, whatever was sent.
    let run = house.run(&["dlq", "show", BAD]);
    assert!(run.stdout.contains("\npayload_text\t{\"id\":1}\n"), "{run:?}");
    let run = house.run(&["dlq", "show", BAD, "--tenant", "other"]);
    assert_eq!((run.code, run.stderr.contains("has no dead letter")), (1, true), "{run:?}");
}

#[tokio::test]
async fn what_a_dry_run_tells_is_what_sending_again_does() {
    let house = with_letters().await;
    let told = house.json(&["dlq", "redrive", "--all", "--dry-run"]);
    assert_eq!(told["dry_run"], true);
    let counts = |told: &Value| {
        ["accepted", "duplicates", "rejected", "skipped"].map(|name| told[name].as_i64().unwrap())
    };
    assert_eq!(counts(&told), [1, 0, 2, 0], "{told}");
    assert_eq!(house.count("select count(*) from telemetry.events_raw").await, 0);
    let items: Vec<_> = told["items"].as_array().unwrap().iter().map(|item| &item["reason"]).collect();
    assert_eq!(items, [&json!(null), &json!("schema_violation"), &json!("invalid_utf8")], "oldest first");

    let run = house.run(&["dlq", "redrive", "--all"]);
    assert_eq!(run.code, 0, "{run:?}");
    assert!(run.stdout.ends_with("1 accepted, 0 duplicates, 2 rejected, 0 skipped\n"), "{run:?}");
    assert_eq!(house.count("select count(*) from telemetry.events_raw").await, 1);
    let again = house.json(&["dlq", "redrive", GOOD, GOOD]);
    assert_eq!((counts(&again), &again["items"][0]["reason"]), ([0, 0, 0, 1], &json!("redriven")));
    let who = "select count(*) from audit.log where action = 'dlq.redrive' and actor_type = 'operator' and result = 'ok'";
    assert_eq!(house.count(who).await, 1);
}

#[tokio::test]
async fn what_is_given_up_has_its_reason_and_stays_readable() {
    let house = with_letters().await;
    let told = house.json(&[
        "dlq",
        "discard",
        "--reason",
        "invalid_utf8",
        "--why",
        "a test of a sender",
        "--dry-run",
    ]);
    assert_eq!(ids(&told["items"]), [BYTES]);
    let done = house.json(&["dlq", "discard", "--reason", "invalid_utf8", "--why", " a test of a sender "]);
    assert_eq!((&done["discarded"], &done["items"][0]["outcome"]), (&json!(1), &json!("discarded")));
    let again = house.json(&["dlq", "discard", BYTES, "--why", "another"]);
    assert_eq!((&again["discarded"], &again["items"][0]["outcome"]), (&json!(0), &json!("was_discarded")));
    let shown = house.json(&["dlq", "show", BYTES]);
    assert_eq!(
        (&shown["state"], &shown["discard_reason"]),
        (&json!("discarded"), &json!("a test of a sender"))
    );
    assert_eq!(house.json(&["dlq", "redrive", BYTES])["items"][0]["reason"], "discarded");
    assert_eq!(house.count("select count(*) from audit.log where action = 'dlq.discard'").await, 1);
}
