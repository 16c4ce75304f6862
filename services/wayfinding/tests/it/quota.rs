//! The plan's limits at the sign, and routes as they come on the bill.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::sign::{Reply, Sign};

/// A route from the door to the guests' section.
async fn route(sign: &Sign) -> Reply {
    let (from, to) = (format!("door:{}", sign.evening.door), format!("section:{}", sign.evening.section));
    sign.ask(&[("venue_id", "hall"), ("from", &from), ("to", &to)]).await
}

/// Limits the tenant's feature, and waits until the service has heard of it.
async fn limit(sign: &Sign, feature: &str, quantity: i64, kind: &str) {
    sign.evening
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
    // It is told; until then the old limit holds.
    tokio::time::sleep(Duration::from_millis(500)).await;
}

async fn served(sign: &Sign) -> i64 {
    sign.evening
        .count(
            "select coalesce(sum((data ->> 'count')::bigint), 0)::bigint from telemetry.events_raw
             where type = 'wayfinding.routes_served' and source = 'service' and venue_id = 'hall'",
        )
        .await
}

#[tokio::test]
async fn routes_over_a_hard_limit_are_429_with_usage_and_reset_and_a_higher_limit_is_heard_of() {
    let sign = Sign::of(0).await;
    limit(&sign, "routes", 3, "hard").await;
    for _ in 0..3 {
        assert_eq!(route(&sign).await.status, 200);
    }
    let refused = route(&sign).await;
    assert_eq!(refused.problem(), (429, "quota_exceeded".to_owned()));
    let usage = &refused.json()["usage"];
    assert_eq!(
        (&usage["feature"], &usage["used"], &usage["limit"]),
        (&json!("routes"), &json!(3), &json!(3))
    );
    assert!(usage["resets_at"].is_string() && usage["period"].is_string(), "{usage}");
    limit(&sign, "routes", 4, "hard").await;
    assert_eq!(route(&sign).await.status, 200);
    assert_eq!(route(&sign).await.status, 429);
    limit(&sign, "routes", 4, "soft").await;
    assert_eq!(route(&sign).await.status, 200);
}

#[tokio::test]
async fn each_route_that_was_answered_is_written_down_once_and_a_refused_one_is_not() {
    let sign = Sign::of(0).await;
    for _ in 0..7 {
        assert_eq!(route(&sign).await.status, 200);
    }
    let door = format!("door:{}", sign.evening.door);
    assert_eq!(
        sign.ask(&[("venue_id", "hall"), ("from", &door), ("to", "section:nowhere")]).await.status,
        404
    );
    let began = Instant::now();
    while served(&sign).await == 0 && began.elapsed() < Duration::from_secs(20) {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(served(&sign).await, 7);
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert_eq!(served(&sign).await, 7);
}

#[tokio::test]
async fn arrivals_over_a_hard_limit_are_429_and_a_repeat_uses_up_nothing() {
    let sign = Sign::of(3).await;
    limit(&sign, "arrivals", 2, "hard").await;
    for guest in 0..2 {
        let session = sign.let_in(guest, 30).await;
        assert_eq!(sign.send(&sign.ping(session)).await.status, 201);
        // The same guest again is no second arrival.
        if guest == 0 {
            assert_eq!(sign.send(&sign.ping(session)).await.status, 200);
        }
    }
    let third = sign.let_in(2, 30).await;
    assert_eq!(sign.send(&sign.ping(third)).await.problem(), (429, "quota_exceeded".to_owned()));
}
