//! Whether it becomes slower as the evenings add up: a check-in beside more and more sessions, a refresh beside more and
//! more events.

use std::{rc::Rc, sync::Arc, time::Instant};

use anyhow::ensure;
use seatpilot_metrics_api::Metrics;
use seatpilot_store::{Store, Writes};
use seatpilot_testkit::Evening;
use tokio::sync::Mutex;

use super::{
    Bench,
    refresh::{insert_events, refresh},
};
use crate::{
    desk,
    drive::{Driver, Pace, Reading},
    house::{House, Service, make_guests, run_sql},
    report::{Aim, Figure},
    rounds::{Arm, interleaved},
    scripts::{CheckIns, Numbers},
};

/// More than one connection here checks in in a second.
const RATE_MAX: f64 = 8_000.0;
/// Events that are new at each refresh.
const NEW: u64 = 1_000;
const SLOWER_MAX: f64 = 1.3;

/// A database with so many sessions, and its service.
struct Stage {
    sessions: u64,
    evening: Evening,
    service: Service,
    script: Rc<CheckIns>,
}

pub(super) async fn measure(bench: &Bench) -> anyhow::Result<Vec<Figure>> {
    let (sessions, events): (&[u64], &[u64]) = if bench.quick {
        (&[10_000, 100_000, 1_000_000], &[100_000, 1_000_000])
    } else {
        (&[10_000, 1_000_000, 10_000_000], &[1_000_000, 10_000_000])
    };
    let mut figures = check_ins(bench, sessions).await?;
    figures.extend(refreshes(bench, events).await?);
    Ok(figures)
}

async fn check_ins(bench: &Bench, sizes: &[u64]) -> anyhow::Result<Vec<Figure>> {
    let house = House::build(&bench.target).await?;
    let mut stages = Vec::new();
    for sessions in sizes {
        bench.progress.say(&format!("making {sessions} sessions"));
        stages.push(stage(bench, &house, *sessions).await?);
    }
    // Connections that nobody uses are closed before ten million sessions are made.
    let mut drivers = Vec::new();
    for stage in &stages {
        let service = &stage.service;
        drivers.push(Mutex::new(Driver::open(service.address, 1, service.pid(), house.database_pid).await?));
    }
    let mut arms: Vec<(&'static str, Arm<'_, Reading>)> = Vec::new();
    for (stage, driver) in stages.iter().zip(&drivers) {
        arms.push(("check-ins", arm(stage, driver)));
    }
    let (rounds, _) = interleaved(bench.plan, &bench.progress, &mut arms).await?;
    drop(arms);
    for stage in &stages {
        let stored = stage.evening.count("select count(*) from ops.checkin_sessions").await;
        let wanted = i64::try_from(stage.sessions + stage.script.admitted.get())?;
        ensure!(stored == wanted, "{stored} sessions, not {wanted}");
    }
    let mut figures = Vec::new();
    for (arm, sessions) in sizes.iter().enumerate().skip(1) {
        let pairs: Vec<(f64, f64)> =
            rounds.iter().map(|round| (round[arm].ms(0.5), round[0].ms(0.5))).collect();
        let aim = if arm + 1 == sizes.len() { Aim::AtMost(SLOWER_MAX) } else { Aim::Told };
        let (case, beside) =
            (format!("check-in with {sessions} sessions stored"), format!("with {}", sizes[0]));
        figures.push(Figure::compared(&case, "p50, ms", &beside, &pairs, aim, "1 connection".to_owned()));
    }
    Ok(figures)
}

fn arm<'a>(stage: &'a Stage, driver: &'a Mutex<Driver>) -> Arm<'a, Reading> {
    Box::new(move |lasting| {
        Box::pin(async move { driver.lock().await.drive(&stage.script, Pace::Closed, lasting).await })
    })
}

async fn stage(bench: &Bench, house: &House, sessions: u64) -> anyhow::Result<Stage> {
    let evening = house.another().await;
    let (door, section) = (&evening.door, &evening.section);
    // In the order of their ids, so that making them takes minutes and not hours; the guests' ids fall anywhere between.
    run_sql(
        &evening,
        &format!(
            "set session_replication_role = replica;
             insert into ops.checkin_sessions (
                 session_id, scan_id, ticket_id, device_id, checked_in_at, tenant_id, venue_id, event_id, door_id, channel,
                 party_size, section, fingerprint)
             select i.id, i.id, i.id, gen_random_uuid(), now() - interval '30 days', 'acme', 'hall', 'gala', '{door}',
                 'kiosk', 2, '{section}', sha256(int8send(n))
             from generate_series(0, {sessions} - 1) n,
                 lateral (select encode(int8send((n * {step} - (1::bigint << 62)) * 2) || int8send(n), 'hex')::uuid as id) i;
             analyze ops.checkin_sessions; checkpoint",
            step = (1_u64 << 63) / sessions
        ),
    )
    .await?;
    let seconds = (bench.plan.rounds + 4) as f64 * bench.plan.lasting.as_secs_f64();
    let guests = (seconds * RATE_MAX) as u32;
    make_guests(&evening, u64::from(guests)).await?;
    let service = house.service_on(&evening, "checkin", "seatpilot_checkin", &[]).await?;
    let script = Rc::new(CheckIns::new(&evening, Numbers::shuffled(0, guests)));
    Ok(Stage { sessions, evening, service, script })
}

async fn refreshes(bench: &Bench, sizes: &[u64]) -> anyhow::Result<Vec<Figure>> {
    let house = House::build(&bench.target).await?;
    let mut stages = Vec::new();
    for events in sizes {
        bench.progress.say(&format!("making {events} events"));
        let evening = house.another().await;
        insert_events(&evening, *events, 86_400).await?;
        let metrics = Arc::new(Metrics::new("kpi-refresher", env!("CARGO_PKG_VERSION")));
        let store = desk::open(&evening, "seatpilot_kpi", Writes::Nothing, &metrics).await?;
        refresh(&store).await?;
        stages.push((evening, store));
    }
    let mut pairs = Vec::new();
    for round in 0..=bench.plan.rounds {
        bench.progress.say(&format!("refresh {round} of {}", bench.plan.rounds));
        let mut took = Vec::new();
        for (evening, store) in &stages {
            took.push(refresh_ms(evening, store).await?);
        }
        if let (true, [first, last]) = (round > 0, took.as_slice()) {
            pairs.push((*last, *first));
        }
    }
    let case = format!("refresh with {} events stored, 1,000 new", sizes[1]);
    let beside = format!("with {}", sizes[0]);
    Ok(vec![Figure::compared(&case, "ms", &beside, &pairs, Aim::AtMost(SLOWER_MAX), String::new())])
}

async fn refresh_ms(evening: &Evening, store: &Store) -> anyhow::Result<f64> {
    insert_events(evening, NEW, 60).await?;
    let from = Instant::now();
    let added = refresh(store).await?;
    let ms = from.elapsed().as_secs_f64() * 1e3;
    ensure!(added == NEW, "{added} events were added for {NEW}");
    Ok(ms)
}
