//! Signed telemetry, one event a request and a hundred, beside a binary COPY of the same rows by one connection.

use std::{rc::Rc, time::Duration};

use anyhow::ensure;
use tokio::sync::Mutex;

use super::{Bench, costs};
use crate::{
    copy::Copier,
    drive::{Driver, Pace, Reading},
    house::{House, Service},
    report::{Aim, Figure},
    rounds::{Arm, interleaved},
    scripts::Events,
};

/// So fast that no sender is held back: what is measured is the path, not its limit.
pub(super) const NO_RATE: [(&str, &str); 2] =
    [("INGEST_RATE_PER_SECOND", "1000000"), ("INGEST_RATE_BURST", "1000000")];

pub(super) async fn measure(bench: &Bench) -> anyhow::Result<Vec<Figure>> {
    let house = House::build(&bench.target).await?;
    let service = house.service("telemetry-ingest", "seatpilot_ingest", &NO_RATE).await?;
    let mut figures = compare(bench, &house, &service, 1, Aim::AtLeast(0.45)).await?;
    figures.extend(compare(bench, &house, &service, 100, Aim::AtLeast(0.9)).await?);
    Ok(figures)
}

async fn compare(
    bench: &Bench,
    house: &House,
    service: &Service,
    batch: usize,
    aim: Aim,
) -> anyhow::Result<Vec<Figure>> {
    house
        .sql("truncate telemetry.events_raw, telemetry.event_ids, telemetry.ingest_nonces; truncate telemetry.ingest_nonce_floors; checkpoint")
        .await?;
    let connections = if batch == 1 { 64 } else { 16 };
    let script = Rc::new(Events::new(&house.evening, batch)?);
    let driver =
        Mutex::new(Driver::open(service.address, connections, service.pid(), house.database_pid).await?);
    let copier = Mutex::new(Copier::open(house).await?);
    let ours: Arm<'_, Reading> = Box::new(|lasting| {
        let (driver, script) = (&driver, &script);
        Box::pin(async move { driver.lock().await.drive(script, Pace::Closed, lasting).await })
    });
    let copied = |tables| -> Arm<'_, Reading> {
        let copier = &copier;
        Box::new(move |lasting: Duration| {
            Box::pin(async move { copier.lock().await.copy(house, tables, lasting).await })
        })
    };
    let mut arms = [
        ("SeatPilot", ours),
        ("COPY of the events", copied(crate::copy::Tables::Events)),
        ("COPY of events and ids", copied(crate::copy::Tables::EventsAndIds)),
    ];
    let (rounds, _) = interleaved(bench.plan, &bench.progress, &mut arms).await?;
    drop(arms);
    let stored =
        house.evening.count("select count(*) from telemetry.events_raw where source <> 'copy'").await;
    ensure!(
        stored == i64::try_from(script.accepted.get())?,
        "{stored} events for {} accepted",
        script.accepted.get()
    );
    let pairs = |other: usize| -> Vec<(f64, f64)> {
        rounds.iter().map(|round| (round[0].rate() * batch as f64, round[other].rate())).collect()
    };
    let case = format!("ingest, {batch} signed a request, {connections} connections");
    let note = format!("{} (of a request)", costs(rounds.iter().map(|round| &round[0])));
    Ok(vec![
        Figure::compared(
            &case,
            "events/s",
            "COPY of the events alone, 1,000 a transaction",
            &pairs(1),
            aim,
            note,
        ),
        Figure::compared(
            &case,
            "events/s",
            "COPY of events and their ids",
            &pairs(2),
            Aim::Told,
            String::new(),
        ),
    ])
}
