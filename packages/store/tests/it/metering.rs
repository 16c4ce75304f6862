//! Counting: each committed event once, in the month that it is billed in, whoever counts and however it ends.

use std::time::Duration;

use futures_util::future::join_all;
use jiff::{Timestamp, ToSpan, tz::TimeZone};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use seatpilot_testkit::Evening;
use tokio_postgres::Client;
use uuid::Uuid;

/// An event, as its transaction stored it.
pub(crate) struct Stored {
    pub(crate) id: Uuid,
    pub(crate) kind: &'static str,
    pub(crate) source: &'static str,
    pub(crate) venue: &'static str,
    pub(crate) session: Option<Uuid>,
    pub(crate) occurred_at: Timestamp,
    pub(crate) received_at: Timestamp,
    pub(crate) data: &'static str,
}

pub(crate) fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// A telemetry event of a sender, received as it happened.
pub(crate) fn heartbeat(occurred_at: Timestamp) -> Stored {
    Stored {
        id: Uuid::now_v7(),
        kind: "device.heartbeat",
        source: "acme_gate_01",
        venue: "hall",
        session: None,
        occurred_at,
        received_at: occurred_at,
        data: "{}",
    }
}

pub(crate) async fn store(client: &Client, events: &[Stored]) {
    for event in events {
        client
            .execute(
                "insert into telemetry.events_raw
                    (id, tenant_id, type, source, venue_id, session_id, occurred_at, received_at, data)
                 values ($1, 'acme', $2, $3, $4, $5, $6, $7, $8::text::jsonb)",
                &[
                    &event.id,
                    &event.kind,
                    &event.source,
                    &event.venue,
                    &event.session,
                    &event.occurred_at,
                    &event.received_at,
                    &event.data,
                ],
            )
            .await
            .unwrap();
    }
}

/// Counts as kpi-refresher does; the events that were read.
pub(crate) async fn count(evening: &Evening) -> i64 {
    let kpi = evening.db.client_as("seatpilot_kpi").await;
    let row = kpi
        .query_one("select outcome, rows_read from app.metering_tick('kpi-refresher')", &[])
        .await
        .unwrap();
    assert_eq!(row.get::<_, &str>(0), "counted");
    row.get(1)
}

/// The counters that are not 0: month billed in, feature, month it happened in, venue, units.
pub(crate) async fn counters(evening: &Evening) -> Vec<(String, String, String, String, i64)> {
    let rows = evening
        .db
        .owner()
        .await
        .query(
            "select period::text, feature, for_period::text, venue_id, quantity from app.monthly_counters
             where quantity <> 0 order by 1, 2, 3, 4",
            &[],
        )
        .await
        .unwrap();
    rows.iter().map(|row| (row.get(0), row.get(1), row.get(2), row.get(3), row.get(4))).collect()
}

fn counter(
    period: &str,
    feature: &str,
    for_period: &str,
    venue: &str,
    quantity: i64,
) -> (String, String, String, String, i64) {
    (period.into(), feature.into(), for_period.into(), venue.into(), quantity)
}

/// Every month's counters are those of the stored events.
pub(crate) async fn assert_recounts(evening: &Evening) {
    let wrong = "select count(*) from (select distinct period::text as month from app.monthly_counters) m
        cross join lateral app.metering_recount(m.month) r";
    assert_eq!(evening.count(wrong).await, 0);
}

#[tokio::test]
async fn each_committed_event_counts_once_while_many_write_and_many_count() {
    let evening = Evening::of(0).await;
    let month = at("2026-03-15T12:00:00Z");
    let writing = join_all((0..4_u64).map(|writer| {
        let db = &evening.db;
        async move {
            let client = db.owner().await;
            let mut dice = StdRng::seed_from_u64(writer);
            let mut committed = 0;
            for _ in 0..40 {
                let events: Vec<_> = (0..dice.random_range(1..6)).map(|_| heartbeat(month)).collect();
                client.batch_execute("begin").await.unwrap();
                store(&client, &events).await;
                tokio::time::sleep(Duration::from_millis(dice.random_range(0..8))).await;
                if dice.random_range(0..4) == 0 {
                    client.batch_execute("rollback").await.unwrap();
                } else {
                    client.batch_execute("commit").await.unwrap();
                    committed += i64::try_from(events.len()).unwrap();
                }
            }
            committed
        }
    }));
    let counting = join_all((0..3).map(|_| async {
        let kpi = evening.db.client_as("seatpilot_kpi").await;
        let mut read = 0;
        for _ in 0..40 {
            let row =
                kpi.query_one("select rows_read from app.metering_tick('kpi-refresher')", &[]).await.unwrap();
            read += row.get::<_, Option<i64>>(0).unwrap_or(0);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        read
    }));
    let (written, read) = tokio::join!(writing, counting);
    let (written, read): (i64, i64) = (written.iter().sum(), read.iter().sum());
    assert!(read > 0, "nobody counted while they wrote");
    let left = count(&evening).await;
    assert_eq!(read + left, written);
    assert_eq!(counters(&evening).await, [counter("2026-03", "events", "2026-03", "hall", written)]);
    assert_recounts(&evening).await;
}

#[tokio::test]
async fn a_counter_that_dies_before_its_commit_has_counted_nothing() {
    let evening = Evening::of(0).await;
    let owner = evening.db.owner().await;
    store(&owner, &[heartbeat(at("2026-03-15T12:00:00Z")), heartbeat(at("2026-03-15T12:00:01Z"))]).await;
    let dying = evening.db.client_as("seatpilot_kpi").await;
    dying.batch_execute("begin").await.unwrap();
    dying.query_one("select rows_read from app.metering_tick('kpi-refresher')", &[]).await.unwrap();
    // Another one finds it busy.
    let kpi = evening.db.client_as("seatpilot_kpi").await;
    let busy = kpi.query_one("select outcome from app.metering_tick('kpi-refresher')", &[]).await.unwrap();
    assert_eq!(busy.get::<_, &str>(0), "busy");
    owner
        .query(
            "select pg_terminate_backend(pid) from pg_stat_activity
             where usename = 'seatpilot_kpi' and datname = current_database() and state = 'idle in transaction'",
            &[],
        )
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(count(&evening).await, 2);
    assert_eq!(count(&evening).await, 0);
    assert_recounts(&evening).await;
}

#[tokio::test]
async fn an_open_transaction_is_neither_skipped_nor_holds_up_the_others() {
    let evening = Evening::of(0).await;
    let slow = evening.db.owner().await;
    slow.batch_execute("begin").await.unwrap();
    store(&slow, &[heartbeat(at("2026-03-15T12:00:00Z"))]).await;
    store(&evening.db.owner().await, &[heartbeat(at("2026-03-15T12:00:00Z"))]).await;
    assert_eq!(count(&evening).await, 1);
    store(&slow, &[heartbeat(at("2026-03-15T12:00:00Z"))]).await;
    slow.batch_execute("commit").await.unwrap();
    assert_eq!(count(&evening).await, 2);
    assert_recounts(&evening).await;
}

#[tokio::test]
async fn what_each_event_counts_for_is_what_the_bill_says() {
    let evening = Evening::of(0).await;
    let owner = evening.db.owner().await;
    let when = at("2026-03-15T12:00:00Z");
    let of = |kind, source, data| Stored { kind, source, data, ..heartbeat(when) };
    store(
        &owner,
        &[
            of("checkin.success", "service", "{}"),
            // A sender's word for it counts as telemetry, never as an admission.
            of("checkin.success", "acme_gate_01", "{}"),
            of("wayfinding.arrive_table", "service", "{}"),
            of("wayfinding.arrive_table", "acme_gate_01", "{}"),
            of("wayfinding.routes_served", "service", r#"{"count":41}"#),
            of("wayfinding.routes_served", "service", r#"{"count":"many"}"#),
            of("wayfinding.routes_served", "acme_gate_01", r#"{"count":1000}"#),
            of("seating.assigned", "acme_gate_01", "{}"),
            Stored { venue: "nowhere", ..heartbeat(when) },
        ],
    )
    .await;
    assert_eq!(count(&evening).await, 9);
    assert_eq!(
        counters(&evening).await,
        [
            counter("2026-03", "arrivals", "2026-03", "hall", 1),
            counter("2026-03", "checkins", "2026-03", "hall", 1),
            counter("2026-03", "events", "2026-03", "", 1),
            counter("2026-03", "events", "2026-03", "hall", 4),
            counter("2026-03", "routes", "2026-03", "hall", 41),
            counter("2026-03", "seats", "2026-03", "hall", 1),
        ]
    );
    assert_recounts(&evening).await;
}

#[tokio::test]
async fn the_event_decides_the_month_and_its_receipt_whether_it_is_late() {
    let evening = Evening::of(0).await;
    let owner = evening.db.owner().await;
    let received =
        |occurred: &str, received: &str| Stored { received_at: at(received), ..heartbeat(at(occurred)) };
    store(
        &owner,
        &[
            // March ends in Madrid at 22:00 UTC: summer time began on the 29th.
            received("2026-03-31T21:59:59.999999Z", "2026-03-31T22:00:01Z"),
            received("2026-03-31T22:00:00Z", "2026-03-31T22:00:01Z"),
            // In time for 72 hours, to the microsecond.
            received("2026-03-31T21:00:00Z", "2026-04-03T21:59:59.999999Z"),
            received("2026-03-31T21:00:00Z", "2026-04-03T22:00:00Z"),
            // Very late: in the month that it came.
            received("2026-03-31T21:00:00Z", "2026-05-31T21:59:59Z"),
            received("2026-03-31T21:00:00Z", "2026-05-31T22:00:00Z"),
        ],
    )
    .await;
    count(&evening).await;
    assert_eq!(
        counters(&evening).await,
        [
            counter("2026-03", "events", "2026-03", "hall", 2),
            counter("2026-04", "events", "2026-03", "hall", 1),
            counter("2026-04", "events", "2026-04", "hall", 1),
            counter("2026-05", "events", "2026-03", "hall", 1),
            counter("2026-06", "events", "2026-03", "hall", 1),
        ]
    );
    assert_recounts(&evening).await;
}

/// The rule, told by another library than the database's own.
fn months(zone: &TimeZone, occurred: Timestamp, received: Timestamp) -> (String, String) {
    let local = occurred.to_zoned(zone.clone());
    let month = |when: &jiff::Zoned| format!("{:04}-{:02}", when.year(), when.month());
    let next = local.date().first_of_month().checked_add(1.month()).unwrap();
    let ends = next.to_zoned(zone.clone()).unwrap().timestamp();
    let for_month = month(&local);
    let due = if received < ends + 72.hours() {
        for_month.clone()
    } else {
        month(&received.to_zoned(zone.clone()))
    };
    (for_month, due)
}

#[tokio::test]
async fn months_agree_with_another_calendar_in_every_kind_of_time_zone() {
    let evening = Evening::of(0).await;
    let owner = evening.db.owner().await;
    let zones = [
        "UTC",
        "Europe/Madrid",
        "America/Sao_Paulo",
        "America/Asuncion",
        "America/Havana",
        "Asia/Beirut",
        "Asia/Kolkata",
        "Asia/Tokyo",
        "Australia/Lord_Howe",
        "Pacific/Kiritimati",
        "Pacific/Pago_Pago",
        "Africa/Cairo",
        "America/St_Johns",
    ];
    let mut dice = StdRng::seed_from_u64(29);
    for zone in zones {
        let rules = TimeZone::get(zone).unwrap();
        owner.execute("update ops.venues set time_zone = $1", &[&zone]).await.unwrap();
        owner.batch_execute("truncate telemetry.events_raw").await.unwrap();
        let mut wanted = Vec::new();
        let mut events = Vec::new();
        for year in 2024..2027_i16 {
            for month in 1..=12_i8 {
                let opens = jiff::civil::date(year, month, 1).to_zoned(rules.clone()).unwrap().timestamp();
                for _ in 0..3 {
                    // Close to where it matters: the month's first hours, and 72 h after its end.
                    let occurred =
                        opens + dice.random_range(-7_200_000_000..7_200_000_000_i64).microseconds();
                    let late = if dice.random_range(0..2) == 0 { 0 } else { 72 * 3_600_000_000_i64 };
                    let received = occurred
                        + (late + dice.random_range(-7_200_000_000..7_200_000_000_i64)).microseconds();
                    let id = Uuid::now_v7();
                    wanted.push((id, months(&rules, occurred, received)));
                    events.push(Stored { id, received_at: received, ..heartbeat(occurred) });
                }
            }
        }
        owner.batch_execute("begin").await.unwrap();
        store(&owner, &events).await;
        owner.batch_execute("commit").await.unwrap();
        let rows =
            owner.query("select id, for_period, due_period from app.v_metered_events", &[]).await.unwrap();
        assert_eq!(rows.len(), wanted.len());
        let found: std::collections::HashMap<Uuid, (String, String)> =
            rows.iter().map(|row| (row.get(0), (row.get(1), row.get(2)))).collect();
        for ((id, months), event) in wanted.iter().zip(&events) {
            assert_eq!(found.get(id), Some(months), "{zone} {} {}", event.occurred_at, event.received_at);
        }
    }
}

async fn session(owner: &Client, device: Uuid) -> Uuid {
    let session = Uuid::now_v7();
    owner
        .execute(
            "insert into ops.checkin_sessions (session_id, scan_id, ticket_id, device_id, checked_in_at, tenant_id, venue_id,
                event_id, door_id, channel, party_size, fingerprint)
             values ($1, gen_random_uuid(), gen_random_uuid(), $2, now(), 'acme', 'hall', 'gala', 'd', 'kiosk', 1, '')",
            &[&session, &device],
        )
        .await
        .unwrap();
    session
}

#[tokio::test]
async fn a_device_counts_once_a_month_in_whatever_order_its_guests_are_counted() {
    let (first, second) = (Uuid::now_v7(), Uuid::now_v7());
    let mut seen = Vec::new();
    for order in [[0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1]] {
        let evening = Evening::of(0).await;
        let owner = evening.db.owner().await;
        let mut events = Vec::new();
        for (device, occurred, received) in [
            (first, "2026-03-10T20:00:00Z", "2026-03-10T20:00:00Z"),
            (first, "2026-03-11T20:00:00Z", "2026-03-11T20:00:00Z"),
            // Came late for March, after the other one had been there in time.
            (first, "2026-03-12T20:00:00Z", "2026-04-20T20:00:00Z"),
            (second, "2026-03-12T20:00:00Z", "2026-04-20T20:00:00Z"),
        ] {
            events.push(Stored {
                kind: "checkin.success",
                source: "service",
                session: Some(session(&owner, device).await),
                received_at: at(received),
                ..heartbeat(at(occurred))
            });
        }
        for which in order {
            store(&owner, &events[which..=which]).await;
            count(&evening).await;
        }
        assert_recounts(&evening).await;
        seen.push(
            counters(&evening).await.into_iter().filter(|counter| counter.1 == "devices").collect::<Vec<_>>(),
        );
    }
    assert_eq!(
        seen[0],
        [counter("2026-03", "devices", "2026-03", "", 1), counter("2026-04", "devices", "2026-03", "", 1)]
    );
    assert_eq!(seen[0], seen[1]);
    assert_eq!(seen[0], seen[2]);
}

#[tokio::test]
async fn in_another_cluster_the_open_months_are_counted_again() {
    let evening = Evening::of(0).await;
    let owner = evening.db.owner().await;
    let early = at("2026-03-15T12:00:00Z");
    store(
        &owner,
        &[
            heartbeat(early),
            heartbeat(early),
            Stored { received_at: at("2026-04-20T00:00:00Z"), ..heartbeat(early) },
        ],
    )
    .await;
    count(&evening).await;
    let before = counters(&evening).await;
    // What a restored dump looks like: progress of a cluster that this one is not.
    owner.batch_execute("update app.metering_progress set system_identifier = 1").await.unwrap();
    store(&owner, &[heartbeat(at("2026-05-01T12:00:00Z"))]).await;
    assert_eq!(count(&evening).await, 4);
    let after = counters(&evening).await;
    assert_eq!(after[..before.len()], before[..]);
    assert_eq!(after.len(), before.len() + 1);
    assert_eq!(count(&evening).await, 0);
    assert_recounts(&evening).await;
}

#[tokio::test]
async fn kpi_refresher_leaves_the_counting_to_pg_cron_while_that_is_alive() {
    let evening = Evening::of(0).await;
    let owner = evening.db.owner().await;
    let driven = owner.query_one("select outcome from app.metering_tick('pg_cron')", &[]).await.unwrap();
    assert_eq!(driven.get::<_, &str>(0), "counted");
    let kpi = evening.db.client_as("seatpilot_kpi").await;
    let tick = "select outcome from app.metering_tick('kpi-refresher')";
    assert_eq!(kpi.query_one(tick, &[]).await.unwrap().get::<_, &str>(0), "left_to_pg_cron");
    owner
        .batch_execute("update app.metering_progress set cron_seen_at = now() - interval '301 seconds'")
        .await
        .unwrap();
    assert_eq!(kpi.query_one(tick, &[]).await.unwrap().get::<_, &str>(0), "counted");
}

#[tokio::test]
async fn the_daily_job_runs_once_a_day_and_makes_every_counter_of_the_month() {
    let evening = Evening::of(0).await;
    let owner = evening.db.owner().await;
    let first = owner.query_one("select app.ops_metering_seed_daily()", &[]).await.unwrap();
    let second = owner.query_one("select app.ops_metering_seed_daily()", &[]).await.unwrap();
    assert_eq!((first.get(0), second.get(0)), (true, false));
    let made = "select count(*) from app.monthly_counters where tenant_id = 'acme' and quantity = 0";
    assert_eq!(evening.count(made).await, 6);
}
