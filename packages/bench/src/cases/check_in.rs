//! A durable check-in: device, decision, session, telemetry event and way, beside the same writes by pgbench.

use std::{rc::Rc, time::Duration};

use anyhow::ensure;
use tokio::sync::Mutex;

use super::{Bench, costs};
use crate::{
    drive::{Driver, Pace, Reading},
    house::{House, Service},
    pair::{Pairs, beside_pgbench},
    report::{Aim, Figure},
    rounds::{Arm, Spread, interleaved},
    scripts::{CheckIns, Numbers},
};

/// Connections of the comparison at full load.
const MANY: usize = 64;
/// Keep-alive connections of a whole stadium's gates.
const CROWD: usize = 1_000;
/// The part of the peak that the crowd sends.
const CROWD_LOAD: f64 = 0.7;
/// More than any machine here admits in a second.
const RATE_MAX: f64 = 25_000.0;

pub(super) async fn measure(bench: &Bench) -> anyhow::Result<Vec<Figure>> {
    let house = House::build(&bench.target).await?;
    house.sql(include_str!("../../sql/functions.sql")).await?;
    // Warm-up, rounds and repeats of both comparisons; half of the guests are ours, half are pgbench's.
    let seconds = (bench.plan.rounds + 4) as f64 * bench.plan.lasting.as_secs_f64();
    let guests = (seconds * RATE_MAX) as u32;
    bench.progress.say("making guests");
    house.guests(u64::from(guests) * 2).await?;
    let service = house.service("checkin", "seatpilot_checkin", &[]).await?;
    let script = Rc::new(CheckIns::new(&house.evening, Numbers::shuffled(0, guests)));
    let sql = include_str!("../../sql/check_in.sql").replace("DOOR", house.evening.door.as_str());
    let sql = sql.replace(":first", &guests.to_string()).replace(":tickets", &guests.to_string());

    let many = beside_pgbench(bench, &house, &service, &script, MANY, &sql, 0).await?;
    let one = beside_pgbench(bench, &house, &service, &script, 1, &sql, many.rows).await?;
    let peak = Spread::of(many.ours().map(Reading::rate)).median;
    let mut figures: Vec<Figure> = at_full_load(&many).into();
    figures.push(by_itself(&one));
    figures.extend(log(bench, &house, &service, &script).await?);
    figures.extend(crowd(bench, &house, &service, &script, peak * CROWD_LOAD).await?);

    let stored = house.evening.count("select count(*) from ops.checkin_sessions").await;
    let told =
        house.evening.count("select count(*) from telemetry.events_raw where type = 'checkin.success'").await;
    let wanted = i64::try_from(script.admitted.get() + many.by_other + one.by_other)?;
    ensure!(
        stored == wanted && told == wanted,
        "{stored} sessions and {told} events for {wanted} that were answered"
    );
    Ok(figures)
}

fn at_full_load(pairs: &Pairs) -> [Figure; 2] {
    let (case, beside) = ("durable check-in, 64 connections", "pgbench, the same writes, 64 clients");
    [
        Figure::compared(
            case,
            "check-ins/s",
            beside,
            &pairs.of(Reading::rate),
            Aim::AtLeast(3.0),
            costs(pairs.ours()),
        ),
        Figure::compared(
            case,
            "p99, ms",
            beside,
            &pairs.of(|one| one.ms(0.99)),
            Aim::AtMost(0.4),
            String::new(),
        ),
    ]
}

fn by_itself(pairs: &Pairs) -> Figure {
    let (case, beside) = ("durable check-in, 1 connection", "pgbench, the same writes, 1 client");
    Figure::compared(
        case,
        "p50, ms",
        beside,
        &pairs.of(|one| one.ms(0.5)),
        Aim::AtMost(1.4),
        costs(pairs.ours()),
    )
}

/// What Postgres writes ahead for it: bytes a check-in, and how many share a flush.
async fn log(
    bench: &Bench,
    house: &House,
    service: &Service,
    script: &Rc<CheckIns>,
) -> anyhow::Result<[Figure; 2]> {
    let mut driver = Driver::open(service.address, MANY, service.pid(), house.database_pid).await?;
    // Backends tell of it once a second.
    let told = Duration::from_millis(1_500);
    tokio::time::sleep(told).await;
    let before = (house.log_bytes().await, house.log_flushes().await);
    let reading = driver.drive(script, Pace::Closed, bench.plan.lasting).await?;
    tokio::time::sleep(told).await;
    let after = (house.log_bytes().await, house.log_flushes().await);
    let done = reading.done as f64;
    let (bytes, flushes) = ((after.0 - before.0) as f64 / done, done / (after.1 - before.1).max(1) as f64);
    let case = "durable check-in, 64 connections";
    Ok([
        Figure::alone(case, "WAL, bytes for each", &[bytes], Aim::Told, "pg_stat_wal".to_owned()),
        Figure::alone(case, "check-ins a flush of the WAL", &[flushes], Aim::Told, "pg_stat_wal".to_owned()),
    ])
}

/// A thousand gates, each at its own times.
async fn crowd(
    bench: &Bench,
    house: &House,
    service: &Service,
    script: &Rc<CheckIns>,
    rate: f64,
) -> anyhow::Result<Vec<Figure>> {
    let driver = Mutex::new(Driver::open(service.address, CROWD, service.pid(), house.database_pid).await?);
    let driver = &driver;
    let ours: Arm<'_, Reading> = Box::new(move |lasting| {
        Box::pin(async move { driver.lock().await.drive(script, Pace::Open(rate), lasting).await })
    });
    let mut arms = [("1,000 connections", ours)];
    let (rounds, _) = interleaved(bench.plan, &bench.progress, &mut arms).await?;
    drop(arms);
    let all: Vec<Reading> = rounds.into_iter().flatten().collect();
    let of = |figure: &dyn Fn(&Reading) -> f64| all.iter().map(figure).collect::<Vec<f64>>();
    let case = "check-ins at 1,000 connections, open loop at 70 % of the peak";
    let note = format!("{rate:.0} a second; from the intended start; {}", costs(&all));
    Ok(vec![
        Figure::alone(case, "p99, ms", &of(&|one| one.ms(0.99)), Aim::AtMost(10.0), note),
        Figure::alone(
            case,
            "slowest, ms",
            &of(&|one| one.ms(1.0)),
            Aim::AtMost(100.0),
            "0 errors, or the run fails".to_owned(),
        ),
    ])
}
