//! Quantiles: near enough, and of the right events.

use serde_json::json;

use crate::evening::{ARRIVALS, CHECK_INS, Evening, arrival, check_in, crowd};

#[tokio::test]
async fn a_quantile_is_at_most_a_128th_off_the_nearest_rank() {
    let evening = Evening::new().await;
    evening.store(&crowd(4_000, 23)).await;
    evening.refresh_all().await;
    let worst = evening
        .owner
        .query_one(
            "with exact as (
                 select date_trunc('minute', occurred_at, 'UTC') as minute, coalesce(channel, '') as channel,
                     data ->> 'door_id' as door_id, count(*) as n,
                     percentile_disc(array[0.5, 0.95, 0.99]) within group (order by (data ->> 'latency_ms')::float8) as q
                 from telemetry.events_raw where type = 'checkin.success' group by 1, 2, 3)
             select count(*) filter (where m.checkins = e.n), count(*),
                 max(greatest(abs(m.p50_ms - q[1]) / q[1], abs(m.p95_ms - q[2]) / q[2], abs(m.p99_ms - q[3]) / q[3]))
             from exact e full join telemetry.mv_kpi_checkin m using (minute, channel, door_id)",
            &[],
        )
        .await
        .unwrap();
    assert_eq!(worst.get::<_, i64>(0), worst.get::<_, i64>(1));
    let off: f64 = worst.get(2);
    assert!(off > 0.0 && off <= 1.0 / 128.0 + 1e-9, "{off}");
}

#[tokio::test]
async fn outliers_are_counted_apart_and_kept_out() {
    let evening = Evening::new().await;
    evening.store(&[arrival(5, 30.0), arrival(6, 900.0), arrival(7, 900.001), arrival(65, 4_000.0)]).await;
    assert_eq!(evening.refresh(ARRIVALS).await.events, 4);
    let minutes = evening
        .texts(
            "select format('%s %s %s %s', arrivals, outliers, p50_seconds, p95_seconds)
             from telemetry.mv_kpi_door2seat order by minute",
        )
        .await;
    assert_eq!(minutes, ["2 1 30 900", "0 1  "]);
}

#[tokio::test]
async fn an_event_without_a_usable_number_is_counted_and_stops_nobody() {
    let evening = Evening::new().await;
    let mut events = vec![check_in(5, 10.0, 2); 5];
    for (event, latency) in
        events.iter_mut().zip([json!("fast"), json!(null), json!(1e100), json!(-3), json!(7)])
    {
        event.id = uuid::Uuid::now_v7();
        event.data["latency_ms"] = latency;
        event.data["party_size"] = json!("many");
    }
    evening.store(&events).await;
    assert_eq!(evening.refresh(CHECK_INS).await.outcome, "ok");
    let row = evening
        .texts("select format('%s %s %s', checkins, guests, p50_ms) from telemetry.mv_kpi_checkin")
        .await;
    assert_eq!(row, ["5 5 7.008"]);
}
