//! A view that cannot be refreshed.

use crate::evening::{ARRIVALS, CHECK_INS, Evening, arrival, check_in};

#[tokio::test]
async fn a_broken_view_stops_no_other_and_catches_up_when_it_is_mended() {
    let evening = Evening::new().await;
    evening.store(&[check_in(1, 5.0, 1), arrival(2, 40.0)]).await;
    evening.run("alter table telemetry.mv_kpi_checkin rename to broken").await;

    let rows = evening.kpi.query("select outcome, error from telemetry.refresh_mv()", &[]).await.unwrap();
    let outcomes: Vec<(&str, Option<&str>)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    assert_eq!(outcomes[0].0, "failed");
    assert!(outcomes[0].1.is_some_and(|error| error.starts_with("42P01: ")), "{outcomes:?}");
    assert_eq!(outcomes[1], ("ok", None));
    assert_eq!(evening.rows_of(ARRIVALS).await.len(), 1);
    let logged = evening
        .texts("select format('%s %s %s', view, outcome, error is not null) from telemetry.mv_refresh_log order by refresh_id")
        .await;
    assert_eq!(logged, ["mv_kpi_checkin failed t", "mv_kpi_door2seat ok f"]);

    evening.run("alter table telemetry.broken rename to mv_kpi_checkin").await;
    let healed = evening.refresh(CHECK_INS).await;
    assert_eq!((healed.outcome.as_str(), healed.events, healed.error), ("ok", 1, None));
    assert_eq!(evening.checked_in().await, 1);
}

#[tokio::test]
async fn a_view_that_nobody_knows_is_an_error() {
    let evening = Evening::new().await;
    let error = evening.kpi.query("select telemetry.refresh_mv('mv_kpi_weather')", &[]).await.unwrap_err();
    let error = error.as_db_error().unwrap();
    assert_eq!(error.code().code(), "22023");
    assert_eq!(error.message(), "no KPI view is called 'mv_kpi_weather'");
}

#[tokio::test]
async fn the_log_keeps_seven_days() {
    let evening = Evening::new().await;
    evening.refresh_all().await;
    evening.run("update telemetry.mv_refresh_log set started_at = now() - interval '8 days'").await;
    evening.refresh_all().await;
    assert_eq!(evening.number("select count(*) from telemetry.mv_refresh_log").await, 2);
}
