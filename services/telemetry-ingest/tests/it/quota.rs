//! The plan's hard limit, item by item.

use std::time::Duration;

use serde_json::{Value, json};
use uuid::Uuid;

use crate::service::{Service, Signed, event};

/// Limits a feature of tenant `acme`, and waits until the service has heard of it.
async fn limit(service: &Service, feature: &str, quantity: i64, kind: &str) {
    service
        .db
        .owner()
        .await
        .execute(
            "insert into app.entitlement_overrides (tenant_id, feature, limit_quantity, limit_kind, reason)
             values ('acme', $1, $2, $3, 'a test')
             on conflict (tenant_id, feature) do update
                set limit_quantity = excluded.limit_quantity, limit_kind = excluded.limit_kind",
            &[&feature, &quantity, &kind],
        )
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_millis(500)).await;
}

fn events(count: usize) -> Value {
    json!((0..count).map(|_| event()).collect::<Vec<_>>())
}

#[tokio::test]
async fn what_goes_over_the_hard_limit_is_rejected_item_by_item_and_kept() {
    let service = Service::start().await;
    limit(&service, "events", 5, "hard").await;
    assert_eq!(service.post_json(&events(3)).await.verdicts(), ["accepted", "accepted", "accepted"]);
    let mut mixed = events(4);
    mixed[1] = json!({ "id": Uuid::now_v7() });
    let reply = service.post_json(&mixed).await;
    // The bad one uses up nothing of the plan.
    assert_eq!(reply.verdicts(), ["accepted", "schema_violation", "accepted", "quota_exceeded"]);
    assert_eq!(service.rows().await, (5, 2, 2));
    let kept = "select encode(payload, 'escape') from telemetry.events_dlq where reason = 'quota_exceeded'";
    let payload: String = service.db.owner().await.query_one(kept, &[]).await.unwrap().get(0);
    assert_eq!(serde_json::from_str::<Value>(&payload).unwrap(), mixed[3]);
    assert_eq!(service.rejected("acme", "quota_exceeded").await, 1.0);

    // A single one is a 422 with that code; the same request again is the first answer.
    let signed = Signed::now(event().to_string());
    let first = service.send(&signed).await;
    assert_eq!(first.problem(), (422, "quota_exceeded".to_owned()));
    let again = service.send(&signed).await;
    assert_eq!((again.problem(), again.header("idempotent-replayed")), (first.problem(), Some("true")));

    limit(&service, "events", 6, "hard").await;
    assert_eq!(service.post_json(&events(2)).await.verdicts(), ["accepted", "quota_exceeded"]);
}

#[tokio::test]
async fn what_is_stored_already_and_what_is_not_stored_gives_its_unit_back() {
    let service = Service::start().await;
    limit(&service, "events", 3, "hard").await;
    let first = events(2);
    assert_eq!(service.post_json(&first).await.verdicts(), ["accepted", "accepted"]);
    // Two of the old ones would take more than is left, if they counted: one is asked for, and comes back.
    assert_eq!(service.post_json(&json!([first[0]])).await.verdicts(), ["duplicate"]);
    assert_eq!(service.post_json(&json!([first[1]])).await.verdicts(), ["duplicate"]);
    assert_eq!(service.post_json(&events(1)).await.verdicts(), ["accepted"]);
    assert_eq!(service.post_json(&events(1)).await.verdicts(), ["quota_exceeded"]);
}

#[tokio::test]
async fn a_soft_limit_refuses_nothing_and_seats_have_a_limit_of_their_own() {
    let service = Service::start().await;
    limit(&service, "events", 1, "soft").await;
    limit(&service, "seats", 1, "hard").await;
    let seat = || {
        let mut seat = event();
        seat["type"] = json!("seating.assigned");
        seat["data"] = json!({});
        seat
    };
    let reply = service.post_json(&json!([seat(), event(), seat(), event()])).await;
    assert_eq!(reply.verdicts(), ["accepted", "accepted", "quota_exceeded", "accepted"]);
}
