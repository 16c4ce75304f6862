//! Minutes whose events are gone.

use crate::evening::{CHECK_INS, Evening, check_in};

#[tokio::test]
async fn a_rebuild_keeps_the_minutes_whose_events_retention_has_dropped() {
    let evening = Evening::new().await;
    evening.store(&[check_in(1, 5.0, 1), check_in(2, 7.0, 1)]).await;
    // An evening of three days ago, received as it happened; one of its events came two days late.
    let old = |second| check_in(second - 3 * 86_400, 5.0, 1);
    evening.store(&[old(1), old(2), old(3)]).await;
    evening
        .run(
            "update telemetry.events_raw set received_at = occurred_at;
             update telemetry.events_raw set received_at = received_at + interval '3 days'
             where occurred_at = '2026-11-19 19:00:03Z'",
        )
        .await;
    evening.refresh_all().await;
    let rows = evening.rows_of(CHECK_INS).await;
    assert_eq!(evening.checked_in().await, 5);

    evening.run("delete from telemetry.events_raw where received_at < '2026-11-22Z'").await;
    evening.kpi.query("select telemetry.rebuild_mv()", &[]).await.unwrap();
    assert_eq!(evening.rows_of(CHECK_INS).await, rows);
    // Whoever is later still is counted on top.
    evening.store(&[old(4)]).await;
    assert_eq!(evening.refresh(CHECK_INS).await.events, 1);
    assert_eq!(evening.checked_in().await, 6);
    evening.refresh_all().await;
    assert_eq!(evening.checked_in().await, 6);
}

#[tokio::test]
async fn a_rebuild_of_nothing_is_nothing() {
    let evening = Evening::new().await;
    evening.store(&[check_in(1, 5.0, 1)]).await;
    evening.refresh_all().await;
    evening.run("delete from telemetry.events_raw").await;
    evening.kpi.query("select telemetry.rebuild_mv()", &[]).await.unwrap();
    assert_eq!(evening.checked_in().await, 0);
}
