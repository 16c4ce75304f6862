//! `/admin/dlq` over HTTP.

use seatpilot_domain_model::RejectReason;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    access::{JWT_SECRET, token},
    service::{Reply, Service, event, reply},
};
use seatpilot_runtime::Clock;

/// With letters of every kind that ingest itself made: too much for the plan, of an unknown type, no JSON.
async fn with_letters() -> Service {
    let service = Service::start_with(Clock::system(), &[("SUPABASE_JWT_SECRET", JWT_SECRET)]).await;
    limit(&service, 1).await;
    let mut strange = event();
    strange["type"] = json!("no.such.type");
    let sent = service.post_json(&json!([event(), event(), strange])).await;
    assert_eq!(sent.verdicts(), ["accepted", "quota_exceeded", "schema_unknown_type"]);
    assert_eq!(service.post("\u{7f}").await.status, 422);
    service
}

async fn limit(service: &Service, quantity: i64) {
    let sql = "insert into app.entitlement_overrides (tenant_id, feature, limit_quantity, limit_kind, reason)
        values ('acme', 'events', $1, 'hard', 'a test')
        on conflict (tenant_id, feature) do update set limit_quantity = excluded.limit_quantity";
    service.db.owner().await.execute(sql, &[&quantity]).await.unwrap();
    // Until the service has heard of it.
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
}

async fn get(service: &Service, path: &str) -> Reply {
    reply(service.client.get(format!("{}{path}", service.url)).bearer_auth(token("acme", "admin"))).await
}

async fn post(service: &Service, path: &str, body: &Value) -> Reply {
    let request = service.client.post(format!("{}{path}", service.url)).bearer_auth(token("acme", "admin"));
    reply(request.json(body)).await
}

fn id_of(list: &Value, reason: RejectReason) -> String {
    let items = list["items"].as_array().unwrap();
    let found = items.iter().find(|item| item["reason"] == reason.as_str()).unwrap();
    found["dlq_id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn letters_are_listed_page_by_page_and_shown_with_their_bytes() {
    let service = with_letters().await;
    let list = get(&service, "/admin/dlq").await.json();
    assert_eq!((list["items"].as_array().unwrap().len(), &list["next_after"]), (3, &Value::Null), "{list}");
    let first = get(&service, "/admin/dlq?limit=2").await.json();
    let rest =
        get(&service, &format!("/admin/dlq?limit=2&after={}", first["next_after"].as_str().unwrap())).await;
    assert_eq!(rest.json()["items"][0], list["items"][2]);
    for (query, count) in [
        ("reason=quota_exceeded", 1),
        ("type=device.heartbeat", 1),
        ("key=acme_gate_01", 3),
        ("key=another", 0),
        ("state=parked", 3),
        ("state=redriven", 0),
        ("received_before=2026-01-01T00:00:00Z", 0),
        ("received_from=2026-01-01T00:00:00Z", 3),
    ] {
        let found = get(&service, &format!("/admin/dlq?{query}")).await.json();
        assert_eq!(found["items"].as_array().unwrap().len(), count, "{query}: {found}");
    }
    for query in
        ["reason=mood", "state=lost", "limit=0", "limit=1001", "after=x", "received_from=today", "key=%00"]
    {
        let refused = get(&service, &format!("/admin/dlq?{query}")).await;
        assert_eq!(refused.problem(), (422, "schema_violation".to_owned()), "{query}");
    }
    let shown = get(&service, &format!("/admin/dlq/{}", id_of(&list, RejectReason::JsonSyntax))).await.json();
    assert_eq!((&shown["payload_text"], &shown["payload_base64"]), (&json!("\u{7f}"), &json!("fw==")));
    for unknown in [Uuid::now_v7().to_string(), "none".to_owned()] {
        let refused = get(&service, &format!("/admin/dlq/{unknown}")).await;
        assert_eq!(refused.problem(), (404, "not_found".to_owned()));
    }
}

#[tokio::test]
async fn a_letter_of_the_plan_is_stored_once_when_the_plan_allows_it() {
    let service = with_letters().await;
    let all = json!({ "filter": {} });
    let dry = post(&service, "/admin/dlq/dry-run", &all).await.json();
    let counts = |told: &Value| {
        ["accepted", "duplicates", "rejected", "skipped"].map(|name| told[name].as_i64().unwrap())
    };
    assert_eq!(
        (counts(&dry), &dry["dry_run"], &dry["next_after"]),
        ([0, 0, 3, 0], &json!(true), &Value::Null)
    );
    assert_eq!(counts(&post(&service, "/admin/dlq/redrive", &all).await.json()), [0, 0, 3, 0]);
    // The plan's refusal cost nothing, the others' an attempt each.
    let attempts = "select sum(attempts) from telemetry.events_dlq";
    assert_eq!(service.number(attempts).await, 2);
    limit(&service, 2).await;
    let dry = post(&service, "/admin/dlq/dry-run", &all).await.json();
    assert_eq!(counts(&dry), [1, 0, 2, 0], "{dry}");
    let list = get(&service, "/admin/dlq").await.json();
    let letter = json!({ "ids": [id_of(&list, RejectReason::QuotaExceeded)] });
    let done = post(&service, "/admin/dlq/redrive", &letter).await.json();
    assert_eq!(counts(&done), [1, 0, 0, 0], "{done}");
    assert_eq!(service.rows().await.0, 2);
    let again = post(&service, "/admin/dlq/redrive", &letter).await.json();
    assert_eq!((counts(&again), &again["items"][0]["reason"]), ([0, 0, 0, 1], &json!("redriven")));
    // It used up the plan: live events are over it again.
    assert_eq!(service.post_json(&event()).await.problem().1, "quota_exceeded");
    let acts =
        "select count(*) from audit.log where action = 'dlq.redrive' and result = 'ok' and actor_id = 'u-1'
        and role = 'admin' and ip is not null and request_id is not null";
    assert_eq!(service.number(acts).await, 1);
}

#[tokio::test]
async fn letters_are_given_up_with_a_reason_and_once() {
    let service = with_letters().await;
    let list = get(&service, "/admin/dlq").await.json();
    let letter = id_of(&list, RejectReason::JsonSyntax);
    let body = json!({ "ids": [letter, letter, Uuid::nil()], "why": "a sender's test" });
    let done = post(&service, "/admin/dlq/discard", &body).await.json();
    assert_eq!((&done["discarded"], &done["skipped"]), (&json!(1), &json!(1)), "{done}");
    let again = post(&service, "/admin/dlq/discard", &json!({ "ids": [letter], "why": "x" })).await.json();
    assert_eq!(again["items"], json!([{ "dlq_id": letter, "outcome": "was_discarded" }]));
    let shown = get(&service, &format!("/admin/dlq/{letter}")).await.json();
    assert_eq!((&shown["state"], &shown["discard_reason"]), (&json!("discarded"), &json!("a sender's test")));
    let rest =
        post(&service, "/admin/dlq/discard", &json!({ "filter": {}, "why": "all of it" })).await.json();
    assert_eq!(rest["discarded"], 2);
    assert_eq!(service.number("select count(*) from audit.log where action = 'dlq.discard'").await, 3);
}

#[tokio::test]
async fn a_body_that_is_not_what_is_asked_for_is_refused_by_name() {
    let service = with_letters().await;
    let id = Uuid::nil();
    let many: Vec<Uuid> = (0..101).map(Uuid::from_u128).collect();
    for (path, body, pointer) in [
        ("redrive", json!({}), "/ids"),
        ("redrive", json!({ "ids": [] }), "/ids"),
        ("redrive", json!({ "ids": many }), "/ids"),
        ("redrive", json!({ "ids": [id], "filter": {} }), "/ids"),
        ("redrive", json!({ "ids": [1] }), "/ids/0"),
        ("redrive", json!({ "ids": [id], "after": "x" }), "/after"),
        ("dry-run", json!({ "filter": {}, "after": "x" }), "/after"),
        ("dry-run", json!({ "filter": { "state": "parked" } }), "/filter/state"),
        ("discard", json!({ "ids": [id] }), "/why"),
        ("discard", json!({ "ids": [id], "why": "  " }), "/why"),
        ("discard", json!({ "ids": [id], "why": "two\nlines" }), "/why"),
        ("discard", json!({ "ids": [id], "why": "x".repeat(501) }), "/why"),
    ] {
        let refused = post(&service, &format!("/admin/dlq/{path}"), &body).await;
        assert_eq!(refused.problem(), (422, "schema_violation".to_owned()), "{path} {body}: {refused:?}");
        assert_eq!(refused.json()["errors"][0]["pointer"], pointer, "{path} {body}: {}", refused.text);
    }
    assert_eq!(service.number("select count(*) from telemetry.events_dlq where state = 'parked'").await, 3);
}

#[tokio::test]
async fn a_change_by_cookie_comes_from_a_page_of_ours() {
    let service = with_letters().await;
    let cookie = format!("seatpilot_admin={}", token("acme", "admin"));
    let url = format!("{}/admin/dlq/discard", service.url);
    let body = json!({ "filter": {}, "why": "another site's button" });
    for origin in [&service.url, "https://example.com"] {
        let request =
            service.client.post(&url).header("cookie", &cookie).header("origin", origin).json(&body);
        assert_eq!(reply(request).await.problem(), (403, "forbidden".to_owned()), "{origin}");
    }
    assert_eq!(service.number("select count(*) from telemetry.events_dlq where state = 'parked'").await, 3);
}
