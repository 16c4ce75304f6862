//! Resident memory of each service: idle, under a thousand connections, and of check-in after a long evening.

use std::{rc::Rc, time::Duration};

use anyhow::ensure;

use super::{Bench, LONGEST, start::SERVICES};
use crate::{
    drive::{Driver, Pace},
    house::{House, Service},
    line::{Line, write_request},
    machine::resident_mib,
    report::{Aim, Figure},
    scripts::{AtMost, CheckIns, Numbers},
};

/// Connections that the check-ins come by.
const MANY: usize = 64;
/// Keep-alive connections of a whole stadium's gates.
const CROWD: usize = 1_000;
/// What starts in a service goes on a moment after it is ready: maps, series, the first connections.
const SETTLED: Duration = Duration::from_secs(2);

pub(super) async fn measure(bench: &Bench) -> anyhow::Result<Vec<Figure>> {
    let house = House::build(&bench.target).await?;
    let guests: u32 = if bench.quick { 100_000 } else { 1_000_000 };
    bench.progress.say("making guests");
    house.guests(u64::from(guests)).await?;
    let mut figures = Vec::new();
    for (name, role) in SERVICES {
        bench.progress.say(name);
        let service = house.service(name, role, &[]).await?;
        tokio::time::sleep(SETTLED).await;
        let idle = resident_mib(service.pid());
        figures.push(figure(name, "idle, MiB resident", idle, Aim::AtMost(40.0), String::new()));
        if name == "checkin" {
            figures.extend(evening(bench, &house, &service, guests).await?);
        }
        let lines = crowd(&service).await?;
        let crowded = resident_mib(service.pid());
        let note = if name == "checkin" { "and after those check-ins" } else { "each asked for /ready once" };
        figures.push(figure(name, "1,000 connections, MiB", crowded, Aim::AtMost(128.0), note.to_owned()));
        drop(lines);
    }
    Ok(figures)
}

/// All guests come in.
async fn evening(
    bench: &Bench,
    house: &House,
    service: &Service,
    guests: u32,
) -> anyhow::Result<[Figure; 2]> {
    let script = Rc::new(CheckIns::new(&house.evening, Numbers::shuffled(0, guests)).that_wait());
    let mut driver = Driver::open(service.address, MANY, service.pid(), house.database_pid).await?;
    let mut after = [0.0; 2];
    for (half, mib) in after.iter_mut().enumerate() {
        bench.progress.say(&format!("half {} of {guests} check-ins", half + 1));
        let some = Rc::new(AtMost::new(Rc::clone(&script), u64::from(guests / 2)));
        driver.drive(&some, Pace::Closed, LONGEST).await?;
        *mib = resident_mib(service.pid());
    }
    let stored = house.evening.count("select count(*) from ops.checkin_sessions").await;
    ensure!(stored == i64::from(guests), "{stored} sessions for {guests} guests");
    let [half, all] = after;
    let done = format!(
        "after {guests} check-ins over {MANY} connections, {} sent again after a 503; after half of them {half:.1}",
        script.put_off.get()
    );
    Ok([
        figure("checkin", "after check-ins, MiB", all, Aim::AtMost(96.0), done),
        figure(
            "checkin",
            "growth over the second half, %",
            (all - half) / half * 100.0,
            Aim::AtMost(3.0),
            String::new(),
        ),
    ])
}

/// A thousand connections that were used once and stay open.
async fn crowd(service: &Service) -> anyhow::Result<Vec<Line>> {
    let mut request = Vec::new();
    write_request(&mut request, "GET", "/ready", &[], b"");
    let mut lines = Vec::with_capacity(CROWD);
    for _ in 0..CROWD {
        let mut line = Line::open(service.address).await?;
        ensure!(line.ask(&request).await?.status == 200, "not ready");
        lines.push(line);
    }
    Ok(lines)
}

fn figure(service: &str, measure: &'static str, value: f64, aim: Aim, note: String) -> Figure {
    Figure::alone(&format!("memory of {service}"), measure, &[value], aim, note)
}
