//! What row level security, traces and the way in the answer cost a check-in: with and without, of the same binary.

use std::rc::Rc;

use anyhow::{Context as _, ensure};
use tokio::sync::Mutex;

use super::{Bench, costs};
use crate::{
    drive::{Driver, Pace, Reading},
    house::{House, Service, make_guests, run_sql},
    line::{Line, write_request},
    report::{Aim, Figure},
    rounds::{Arm, interleaved},
    scripts::{CheckIns, Numbers},
};

const MANY: usize = 64;
/// More than any machine here admits in a second.
const RATE_MAX: f64 = 20_000.0;

/// One way to run.
struct Side {
    name: &'static str,
    driver: Mutex<Driver>,
    script: Rc<CheckIns>,
}

pub(super) async fn measure(bench: &Bench) -> anyhow::Result<Vec<Figure>> {
    let house = House::build(&bench.target).await?;
    let seconds = (bench.plan.rounds + 4) as f64 * bench.plan.lasting.as_secs_f64();
    let guests = (seconds * RATE_MAX) as u32;
    bench.progress.say("making guests");
    house.guests(u64::from(guests) * 3).await?;
    // The last third has no place, so that there is no way to it.
    let first = guests * 2;
    house
        .sql(&format!(
            "update ops.tickets set section = null where substring(name from 'Guest ([0-9]+)')::bigint >= {first};
             analyze ops.tickets; checkpoint"
        ))
        .await?;
    let open = house.another().await;
    make_guests(&open, u64::from(guests)).await?;
    run_sql(&open, include_str!("../../sql/without_policies.sql")).await?;
    let left = open.count("select count(*) from pg_class where relrowsecurity or relforcerowsecurity").await;
    ensure!(left == 0, "{left} tables have row level security still");

    let role = "seatpilot_checkin";
    let sink = Service::start_with("seatpilot-bench", &["--serve-bare"], house.folder(), &[]).await?;
    let collector = format!("http://{}", sink.address);
    let plain = house.service("checkin", role, &[]).await?;
    let without = house.service_on(&open, "checkin", role, &[]).await?;
    let traced =
        house.service("checkin", role, &[("OTEL_EXPORTER_OTLP_ENDPOINT", collector.as_str())]).await?;
    let numbers = |third: u32| Numbers::shuffled(third * guests, guests);
    let side = async |name, service: &Service, script: CheckIns| -> anyhow::Result<Side> {
        let driver = Driver::open(service.address, MANY, service.pid(), house.database_pid).await?;
        Ok(Side { name, driver: Mutex::new(driver), script: Rc::new(script.that_wait()) })
    };
    let sides = [
        side("as it ships", &plain, CheckIns::new(&house.evening, numbers(0))).await?,
        side("without row level security", &without, CheckIns::new(&open, numbers(0))).await?,
        side("with traces", &traced, CheckIns::new(&house.evening, numbers(1))).await?,
        side("without a way", &plain, CheckIns::new(&house.evening, numbers(2))).await?,
    ];
    let mut arms: Vec<(&'static str, Arm<'_, Reading>)> = Vec::new();
    for side in &sides {
        arms.push((side.name, arm(side)));
    }
    let (rounds, _) = interleaved(bench.plan, &bench.progress, &mut arms).await?;
    drop(arms);
    let stored = house.evening.count("select count(*) from ops.checkin_sessions").await
        + open.count("select count(*) from ops.checkin_sessions").await;
    let admitted: u64 = sides.iter().map(|side| side.script.admitted.get()).sum();
    ensure!(stored == i64::try_from(admitted)?, "{stored} sessions for {admitted} that were answered");
    let spans = spans_sent(&traced).await?;
    ensure!(spans > 0.0, "no span was sent");
    let figure = |ours: usize, other: usize| {
        let pairs: Vec<(f64, f64)> =
            rounds.iter().map(|round| (round[ours].rate(), round[other].rate())).collect();
        let case = format!("check-in, {MANY} connections, {}", sides[ours].name);
        let put_off = sides[ours].script.put_off.get() + sides[other].script.put_off.get();
        let note = format!(
            "{}; {put_off} of both were sent again after a 503",
            costs(rounds.iter().map(|round| &round[ours]))
        );
        Figure::compared(&case, "check-ins/s", sides[other].name, &pairs, Aim::Told, note)
    };
    Ok(vec![figure(0, 1), figure(2, 0), figure(0, 3)])
}

fn arm(side: &Side) -> Arm<'_, Reading> {
    Box::new(move |lasting| {
        Box::pin(async move { side.driver.lock().await.drive(&side.script, Pace::Closed, lasting).await })
    })
}

/// Spans that a service has handed to its collector.
async fn spans_sent(service: &Service) -> anyhow::Result<f64> {
    let mut request = Vec::new();
    write_request(&mut request, "GET", "/metrics", &[], b"");
    let mut line = Line::open(service.address).await?;
    let text = String::from_utf8_lossy(line.ask(&request).await?.body).into_owned();
    let sent =
        text.lines().find_map(|line| line.strip_prefix(r#"seatpilot_trace_spans_total{outcome="sent"} "#));
    Ok(sent.context("no count of spans")?.parse()?)
}
