//! A nonce is used once: the same request again gives the first outcome, another body is refused.

use futures_util::future::join_all;
use serde_json::json;

use crate::service::{KEY_ID, Kind, SECRET, Service, Signed, event, on_every_store};

on_every_store!(
    the_same_request_again_is_answered_as_the_first_time_and_not_counted,
    the_422_of_an_item_is_remembered_too,
    a_nonce_with_another_body_is_refused_and_stores_nothing,
    what_never_reached_the_store_uses_up_no_nonce,
    one_request_sent_a_hundred_times_at_once_makes_one_set_of_rows,
);

async fn the_same_request_again_is_answered_as_the_first_time_and_not_counted(kind: Kind) {
    let service = Service::on(kind).await;
    let second = service.second().await;
    let signed = Signed::now(json!([event(), {"id": 1}, event()]).to_string());
    let first = service.send(&signed).await;
    assert_eq!((first.status, first.header("idempotent-replayed")), (202, None));
    for url in [&service.url, &second] {
        let again = service.send_to(url, &signed).await;
        assert_eq!((again.status, again.header("idempotent-replayed")), (202, Some("true")));
        assert_eq!(again.text, first.text);
    }
    assert_eq!(service.rows().await, (2, 1, 1));
    assert_eq!(service.series(r#"seatpilot_ingest_accepted_total{tenant="acme"}"#).await, 2.0);
    assert_eq!(service.rejected("acme", "schema_violation").await, 1.0);
}

async fn the_422_of_an_item_is_remembered_too(kind: Kind) {
    let service = Service::on(kind).await;
    let signed = Signed::now("{\"id\":");
    let first = service.send(&signed).await;
    let again = service.send(&signed).await;
    assert_eq!(again.problem(), (422, "json_syntax".to_owned()));
    assert_eq!(
        (first.header("idempotent-replayed"), again.header("idempotent-replayed")),
        (None, Some("true"))
    );
    let (mut one, mut other) = (first.json(), again.json());
    one["instance"] = json!(null);
    other["instance"] = json!(null);
    assert_eq!(one, other);
    assert_eq!(service.rows().await, (0, 1, 1));
}

async fn a_nonce_with_another_body_is_refused_and_stores_nothing(kind: Kind) {
    let service = Service::on(kind).await;
    let first = Signed::now(event().to_string());
    assert_eq!(service.send(&first).await.status, 202);
    let (ts, nonce) = (first.header("x-ts").parse().unwrap(), first.header("x-nonce"));
    for body in [event().to_string(), "not json".to_owned(), "[]".to_owned()] {
        let other = Signed::with(body, KEY_ID, &SECRET, ts, nonce);
        assert_eq!(service.send(&other).await.problem(), (409, "nonce_reused".to_owned()));
    }
    assert_eq!(service.rows().await, (1, 0, 1));
    assert_eq!(service.rejected("acme", "nonce_reused").await, 3.0);
    // The next second is another use of it.
    let next = Signed::with(event().to_string(), KEY_ID, &SECRET, ts + 1, nonce);
    assert_eq!(service.send(&next).await.status, 202);
}

async fn what_never_reached_the_store_uses_up_no_nonce(kind: Kind) {
    let service = Service::on(kind).await;
    let good = Signed::now(event().to_string());
    let (ts, nonce) = (good.header("x-ts").parse().unwrap(), good.header("x-nonce"));
    let empty = Signed::with("[]", KEY_ID, &SECRET, ts, nonce);
    assert_eq!(service.send(&empty).await.problem(), (422, "schema_violation".to_owned()));
    assert_eq!(service.send(&good.altered("x-sig", format!("v1={}", "0".repeat(64)))).await.status, 401);
    let reply = service.send(&good).await;
    assert_eq!((reply.status, reply.header("idempotent-replayed")), (202, None));
}

async fn one_request_sent_a_hundred_times_at_once_makes_one_set_of_rows(kind: Kind) {
    let service = Service::on(kind).await;
    let second = service.second().await;
    let signed = Signed::now(json!([event(), event(), 3]).to_string());
    let sends = (0..100).map(|turn| {
        let (service, signed, second) = (&service, &signed, &second);
        async move { service.send_to(if turn % 2 == 0 { &service.url } else { second }, signed).await }
    });
    let replies = join_all(sends).await;
    assert!(replies.iter().all(|reply| reply.status == 202 && reply.text == replies[0].text));
    assert_eq!(replies.iter().filter(|reply| reply.header("idempotent-replayed").is_none()).count(), 1);
    assert_eq!(service.rows().await, (2, 1, 1));
}
