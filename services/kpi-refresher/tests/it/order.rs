//! The rows do not depend on the order in which events arrive, nor on how often somebody refreshed (G11).

use seatpilot_testkit::Effort;
use serde_json::Value;

use crate::evening::{CHECK_INS, Dice, Evening, check_in, crowd, shuffled};

/// Events, and the orders that they arrive in.
fn events_and_shuffles() -> (usize, u64) {
    match Effort::of_run() {
        Effort::Quick => (1_500, 3),
        Effort::Full => (6_000, 20),
    }
}

/// SHA-256 over the rows of both views, in their order, as the server hashes it.
async fn digest(evening: &Evening) -> String {
    let rows = evening.rows().await.join("\n");
    let sql = "select encode(sha256(convert_to($1, 'UTF8')), 'hex')";
    evening.owner.query_one(sql, &[&rows]).await.unwrap().get(0)
}

#[tokio::test]
async fn any_order_of_arrival_gives_the_same_rows() {
    let (events, shuffles) = events_and_shuffles();
    let crowd = crowd(events, 11);
    let at_once = Evening::new().await;
    at_once.store(&crowd).await;
    at_once.refresh_all().await;
    let (rows, hash) = (at_once.rows().await, digest(&at_once).await);
    assert!(rows.len() > 100, "{}", rows.len());

    for seed in 1..=shuffles {
        let live = Evening::new().await;
        let mut dice = Dice(seed);
        let mut events = shuffled(crowd.clone(), seed);
        while !events.is_empty() {
            let rest = events.split_off(events.len().min(1 + dice.below(200)));
            live.store(&events).await;
            events = rest;
            if dice.below(2) == 0 {
                live.refresh_all().await;
            }
        }
        live.refresh_all().await;
        assert_eq!(live.rows().await, rows, "shuffle {seed}");
        assert_eq!(digest(&live).await, hash, "shuffle {seed}");
    }
    println!(
        "guarantee: G11 | {events} events in {shuffles} other orders, refreshed meanwhile: {} rows with SHA-256 {}…",
        rows.len(),
        &hash[..16]
    );
}

#[tokio::test]
async fn a_fresh_database_with_the_same_events_has_the_same_rows() {
    let (events, _) = events_and_shuffles();
    let lived = Evening::new().await;
    for part in shuffled(crowd(events, 12), 7).chunks(170) {
        lived.store(part).await;
        lived.refresh_all().await;
    }
    // As they stand in the table, in no order that anybody chose; the transactions that wrote them are those of the copy.
    let stored = "select jsonb_agg(to_jsonb(e) order by md5(e.id::text)) from telemetry.events_raw e";
    let stored: Value = lived.owner.query_one(stored, &[]).await.unwrap().get(0);
    let fresh = Evening::new().await;
    let columns =
        "received_at, occurred_at, id, session_id, tenant_id, type, source, venue_id, channel, data";
    let copy = format!(
        "insert into telemetry.events_raw ({columns})
         select {columns} from jsonb_populate_recordset(null::telemetry.events_raw, $1)"
    );
    assert_eq!(fresh.owner.execute(&copy, &[&stored]).await.unwrap(), events as u64);
    fresh.kpi.execute("select from telemetry.rebuild_mv()", &[]).await.unwrap();
    fresh.refresh_all().await;
    assert_eq!(fresh.rows().await, lived.rows().await);
    assert_eq!(digest(&fresh).await, digest(&lived).await);
    println!("guarantee: G11 | {events} events copied to a fresh database and rebuilt there: the same rows");
}

#[tokio::test]
async fn a_rebuild_gives_the_same_rows() {
    let evening = Evening::new().await;
    for part in crowd(900, 5).chunks(250) {
        evening.store(part).await;
        evening.refresh_all().await;
    }
    let kept = "select k::text from telemetry.kpi_minutes k order by k::text collate \"C\"";
    let (rows, histograms) = (evening.rows().await, evening.texts(kept).await);
    let rebuilt = evening.kpi.query("select view from telemetry.rebuild_mv()", &[]).await.unwrap();
    assert_eq!(rebuilt.len(), 2);
    assert_eq!(evening.rows().await, rows);
    assert_eq!(evening.texts(kept).await, histograms);
    evening.refresh_all().await;
    assert_eq!(evening.rows().await, rows);
}

#[tokio::test]
async fn a_late_event_heals_its_minute() {
    let evening = Evening::new().await;
    evening.store(&[check_in(5, 10.0, 2), check_in(65, 20.0, 1)]).await;
    evening.refresh_all().await;
    evening.store(&[check_in(30, 90.0, 3)]).await;
    assert_eq!(evening.refresh(CHECK_INS).await.events, 1);
    let minutes = evening
        .texts(
            "select format('%s %s %s %s', to_char(minute at time zone 'UTC', 'HH24:MI'), checkins, guests, p99_ms)
             from telemetry.mv_kpi_checkin order by minute",
        )
        .await;
    assert_eq!(minutes, ["19:00 2 5 90", "19:01 1 1 20"]);
}

#[tokio::test]
async fn the_open_minute_is_in() {
    let evening = Evening::new().await;
    evening
        .run(
            "insert into telemetry.events_raw (occurred_at, id, tenant_id, type, source, venue_id, channel, data)
             values (now(), gen_random_uuid(), 'acme', 'checkin.success', 'service', 'stadium', 'desk',
                 '{\"event_id\":\"final\",\"door_id\":\"north\",\"party_size\":4,\"latency_ms\":12.345}')",
        )
        .await;
    evening.refresh_all().await;
    let row = evening
        .texts("select format('%s %s %s', checkins, guests, p50_ms) from telemetry.mv_kpi_checkin")
        .await;
    assert_eq!(row, ["1 4 12.345"]);
}

#[tokio::test]
async fn what_a_sender_says_is_not_counted() {
    let evening = Evening::new().await;
    let mut claimed = check_in(5, 10.0, 2);
    claimed.source = "key_12345678".into();
    let mut other = check_in(5, 10.0, 2);
    other.kind = "checkin.failed";
    evening.store(&[claimed, other, check_in(6, 10.0, 2)]).await;
    evening.refresh_all().await;
    assert_eq!(evening.checked_in().await, 1);
}
