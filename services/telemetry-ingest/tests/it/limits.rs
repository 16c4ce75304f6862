//! Sizes, counts, rates, and what is refused by its head.

use seatpilot_runtime::Clock;
use serde_json::json;
use uuid::Uuid;

use crate::service::{Kind, PATH, Service, Signed, event, event_with, on_every_store};

on_every_store!(
    a_body_of_256_kib_is_read_and_one_byte_more_is_too_large,
    an_event_of_32_kib_is_stored_and_one_byte_more_is_too_large,
    an_array_has_1_to_500_items_or_leaves_no_trace,
    a_key_over_its_rate_is_told_how_long_to_wait_and_uses_up_no_nonce,
    an_encoded_body_is_refused_by_its_head,
);

async fn a_body_of_256_kib_is_read_and_one_byte_more_is_too_large(kind: Kind) {
    let service = Service::on(kind).await;
    let mut body = json!([event()]).to_string();
    body.push_str(&" ".repeat(256 * 1024 - body.len()));
    assert_eq!(service.post(body.clone()).await.status, 202);
    body.push(' ');
    assert_eq!(service.post(body).await.problem(), (413, "body_too_large".to_owned()));
    assert_eq!(service.rejected("other", "body_too_large").await, 1.0);
    assert_eq!(service.rows().await, (1, 0, 1));
}

async fn an_event_of_32_kib_is_stored_and_one_byte_more_is_too_large(kind: Kind) {
    let service = Service::on(kind).await;
    let filled = |len: usize| {
        let bare = event_with(Uuid::now_v7(), json!({"a": ""})).to_string();
        bare.replace(r#""a":"""#, &format!(r#""a":"{}""#, "x".repeat(len - bare.len())))
    };
    assert_eq!(service.post(filled(32 * 1024)).await.verdicts(), ["accepted"]);
    assert_eq!(service.post(filled(32 * 1024 + 1)).await.problem(), (422, "event_too_large".to_owned()));
}

async fn an_array_has_1_to_500_items_or_leaves_no_trace(kind: Kind) {
    let service = Service::on(kind).await;
    let events = |count: usize| json!((0..count).map(|_| event()).collect::<Vec<_>>());
    for body in [json!([]), events(501)] {
        let reply = service.post_json(&body).await;
        assert_eq!(reply.problem(), (422, "schema_violation".to_owned()));
        assert!(reply.json().get("items").is_none());
    }
    assert_eq!(service.rows().await, (0, 0, 0));
    let reply = service.post_json(&events(500)).await;
    assert_eq!((reply.status, &reply.json()["accepted"]), (202, &json!(500)));
    assert_eq!(service.rows().await, (500, 0, 1));
}

async fn a_key_over_its_rate_is_told_how_long_to_wait_and_uses_up_no_nonce(kind: Kind) {
    let limits = [("INGEST_RATE_PER_SECOND", "1"), ("INGEST_RATE_BURST", "3")];
    let service = Service::start_on(kind, Clock::system(), &limits).await;
    for _ in 0..3 {
        assert_eq!(service.post(event().to_string()).await.status, 202);
    }
    let signed = Signed::now(event().to_string());
    let mut reply = service.send(&signed).await;
    assert_eq!(reply.problem(), (429, "rate_limited".to_owned()));
    assert_eq!(reply.header("retry-after"), Some("1"));
    assert_eq!(reply.header("ratelimit-policy"), Some("\"ingest\";q=60;w=60"));
    assert_eq!(reply.header("ratelimit"), Some("\"ingest\";r=0;t=1"));
    assert_eq!(service.rejected("acme", "rate_limited").await, 1.0);
    assert_eq!(service.rows().await, (3, 0, 3));
    while reply.status == 429 {
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        reply = service.send(&signed).await;
    }
    assert_eq!((reply.status, reply.header("idempotent-replayed")), (202, None));
}

async fn an_encoded_body_is_refused_by_its_head(kind: Kind) {
    let service = Service::on(kind).await;
    let signed = Signed::now(event().to_string());
    let mut encoded = signed.clone();
    encoded.headers.push(("content-encoding".into(), "gzip".into()));
    assert_eq!(service.send(&encoded).await.problem(), (415, "unsupported_encoding".to_owned()));
    assert_eq!(service.send(&signed).await.status, 202);
}

#[tokio::test]
async fn other_paths_and_methods_are_problems() {
    let service = Service::start().await;
    for path in ["/", "/v1/event", "/v1/events/", "/admin/billing/", "/admin/billing/pdf"] {
        assert_eq!(service.get(path).await.problem(), (404, "not_found".to_owned()), "{path}");
    }
    let reply = service.get(PATH).await;
    assert_eq!(reply.problem(), (405, "method_not_allowed".to_owned()));
    assert_eq!(reply.header("allow"), Some("POST, OPTIONS"));
}

#[tokio::test]
async fn without_a_database_requests_are_answered_503_and_nothing_is_lost() {
    let service = Service::start().await;
    let signed = Signed::now(event().to_string());
    let owner = service.db.owner().await;
    let name = service.db.name();
    // Holds for all but the superuser, who asks.
    owner.batch_execute(&format!("alter database {name} connection limit 0")).await.unwrap();
    owner
        .batch_execute("select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()")
        .await
        .unwrap();
    let reply = service.send(&signed).await;
    assert_eq!(reply.problem().0, 503, "{reply:?}");
    assert!(reply.header("retry-after").is_some());
    owner.batch_execute(&format!("alter database {name} connection limit -1")).await.unwrap();
    let began = std::time::Instant::now();
    let mut reply = service.send(&signed).await;
    while reply.status != 202 {
        assert!(began.elapsed() < std::time::Duration::from_secs(10), "{reply:?}");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        reply = service.send(&signed).await;
    }
    assert_eq!(service.rows().await, (1, 0, 1));
}
