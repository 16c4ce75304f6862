//! A database with events of an evening in it, written as check-in and arrival write them.

use seatpilot_testkit::TestDb;
use serde_json::{Value, json};
use tokio_postgres::Client;
use uuid::Uuid;

pub(crate) const CHECK_INS: &str = "mv_kpi_checkin";
pub(crate) const ARRIVALS: &str = "mv_kpi_door2seat";

/// An event as it stands in `telemetry.events_raw`.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    pub(crate) id: Uuid,
    pub(crate) tenant: String,
    pub(crate) kind: &'static str,
    pub(crate) source: String,
    pub(crate) channel: Option<&'static str>,
    /// Seconds after 19:00 UTC of the evening.
    pub(crate) second: i32,
    pub(crate) data: Value,
}

/// A check-in at door `north` so many seconds into the evening.
pub(crate) fn check_in(second: i32, latency_ms: f64, party_size: u32) -> Event {
    Event {
        id: Uuid::now_v7(),
        tenant: "acme".into(),
        kind: "checkin.success",
        source: "service".into(),
        channel: Some("kiosk"),
        second,
        data: json!({ "event_id": "final", "door_id": "north", "party_size": party_size, "latency_ms": latency_ms }),
    }
}

/// An arrival in section `U12`.
pub(crate) fn arrival(second: i32, door_to_seat_seconds: f64) -> Event {
    Event {
        kind: "wayfinding.arrive_table",
        data: json!({
            "event_id": "final", "door_id": "north", "section": "U12",
            "door_to_seat_seconds": door_to_seat_seconds, "outlier": door_to_seat_seconds > 900.0,
        }),
        ..check_in(second, 0.0, 1)
    }
}

/// `count` events of both kinds at several doors, in several sections, from several channels; the same for the
/// same seed.
pub(crate) fn crowd(count: usize, seed: u64) -> Vec<Event> {
    let mut dice = Dice(seed);
    (0..count)
        .map(|_| {
            let second = i32::try_from(dice.below(600)).unwrap();
            let milliseconds = dice.below(900_000) as f64 / 1_000.0;
            let mut event = if dice.below(2) == 0 {
                check_in(second, milliseconds, 1 + u32::try_from(dice.below(6)).unwrap())
            } else {
                arrival(second, milliseconds * 1.2)
            };
            event.channel = [Some("mobile"), Some("kiosk"), Some("desk"), None][dice.below(4)];
            event.data["door_id"] = json!(format!("gate-{}", dice.below(3)));
            event.data["section"] = [json!("U12"), json!("L3"), Value::Null][dice.below(3)].clone();
            event
        })
        .collect()
}

/// Shuffles by its seed.
pub(crate) fn shuffled(mut events: Vec<Event>, seed: u64) -> Vec<Event> {
    let mut dice = Dice(seed);
    for at in (1..events.len()).rev() {
        events.swap(at, dice.below(at + 1));
    }
    events
}

/// SplitMix64: enough for a crowd.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn below(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % u64::try_from(sides).unwrap()).unwrap()
    }
}

/// What a refresh answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) outcome: String,
    pub(crate) events: i64,
    pub(crate) caught_up: bool,
    pub(crate) error: Option<String>,
}

/// A database of one test.
pub(crate) struct Evening {
    pub(crate) db: TestDb,
    /// Its superuser.
    pub(crate) owner: Client,
    /// The refresher's role.
    pub(crate) kpi: Client,
}

impl Evening {
    pub(crate) async fn new() -> Self {
        let db = TestDb::new().await;
        let owner = db.owner().await;
        let kpi = db.client_as("seatpilot_kpi").await;
        Self { owner, kpi, db }
    }

    /// Stores events in one transaction.
    pub(crate) async fn store(&self, events: &[Event]) {
        insert(&self.owner, events).await;
    }

    /// Refreshes one view as the service's role.
    pub(crate) async fn refresh(&self, view: &str) -> Answer {
        refresh(&self.kpi, view).await
    }

    /// Refreshes both views; neither may fail.
    pub(crate) async fn refresh_all(&self) {
        for view in [CHECK_INS, ARRIVALS] {
            let answer = self.refresh(view).await;
            assert_eq!(answer.outcome, "ok", "{answer:?}");
        }
    }

    /// Every row of both views, as text, in order.
    pub(crate) async fn rows(&self) -> Vec<String> {
        let mut rows = Vec::new();
        for view in [CHECK_INS, ARRIVALS] {
            rows.extend(self.rows_of(view).await);
        }
        rows
    }

    /// Every row of a view, as text, in order.
    pub(crate) async fn rows_of(&self, view: &str) -> Vec<String> {
        self.texts(&format!(
            "select '{view} ' || r::text from telemetry.{view} r order by r::text collate \"C\""
        ))
        .await
    }

    /// A statement's first column.
    pub(crate) async fn texts(&self, sql: &str) -> Vec<String> {
        self.owner.query(sql, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
    }

    /// A statement's one number.
    pub(crate) async fn number(&self, sql: &str) -> i64 {
        self.owner.query_one(sql, &[]).await.unwrap().get(0)
    }

    /// Check-ins that the view counts.
    pub(crate) async fn checked_in(&self) -> i64 {
        self.number("select coalesce(sum(checkins), 0)::bigint from telemetry.mv_kpi_checkin").await
    }

    /// Runs statements of the superuser.
    pub(crate) async fn run(&self, sql: &str) {
        self.owner.batch_execute(sql).await.unwrap();
    }
}

/// Stores events by any connection, in one statement.
pub(crate) async fn insert(client: &Client, events: &[Event]) {
    let rows: Vec<Value> = events
        .iter()
        .map(|event| {
            json!({
                "id": event.id, "tenant_id": event.tenant, "type": event.kind, "source": event.source,
                "channel": event.channel, "second": event.second, "data": event.data,
            })
        })
        .collect();
    client
        .execute(
            "insert into telemetry.events_raw (occurred_at, id, tenant_id, type, source, venue_id, channel, data)
             select '2026-11-22 19:00Z'::timestamptz + r.second * interval '1 second', r.id, r.tenant_id, r.type,
                 r.source, 'stadium', r.channel, r.data
             from jsonb_to_recordset($1::text::jsonb) as r
                 (id uuid, tenant_id text, type text, source text, channel text, second integer, data jsonb)",
            &[&Value::from(rows).to_string()],
        )
        .await
        .unwrap();
}

/// Refreshes one view by any connection.
pub(crate) async fn refresh(client: &Client, view: &str) -> Answer {
    let row = client
        .query_one("select outcome, rows_read, caught_up, error from telemetry.refresh_mv($1)", &[&view])
        .await
        .unwrap();
    Answer { outcome: row.get(0), events: row.get(1), caught_up: row.get(2), error: row.get(3) }
}
