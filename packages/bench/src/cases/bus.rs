//! Signed telemetry straight to the database, and over a bus before it: in one process that verifies and writes, and in
//! one of each; over a nats-server that syncs every message on the disk of the database, and one that does so every two
//! minutes, since no acknowledged event hangs on it.

use std::{os::unix::fs::PermissionsExt as _, path::Path, rc::Rc};

use anyhow::{Context as _, ensure};
use tokio::sync::Mutex;

use super::{Bench, costs, ingest::NO_RATE};
use crate::{
    drive::{Driver, Pace, Reading},
    house::{House, Service},
    report::{Aim, Figure},
    rounds::{Arm, Spread, interleaved},
    scripts::Events,
};
use seatpilot_testkit::{Nats, Syncs};

/// Events a request, and connections.
const LOADS: [(usize, usize); 3] = [(1, 64), (100, 64), (1, 1)];

/// A way that requests take: whom they are sent to, and who else has work by it.
struct Way<'a> {
    name: &'static str,
    front: &'a Service,
    others: Vec<(&'static str, u32)>,
}

/// A way under one load.
struct Side {
    name: &'static str,
    driver: Mutex<Driver>,
    script: Rc<Events>,
}

pub(super) async fn measure(bench: &Bench) -> anyhow::Result<Vec<Figure>> {
    ensure!(Nats::is_here(), "there is no nats-server on this machine");
    let house = House::build(&bench.target).await?;
    let keys = at_rest_keys(house.folder())?;
    let ingest = async |bus: Option<(&Nats, &str)>| {
        let url = bus.map(|(nats, _)| nats.url());
        let mut envs = NO_RATE.to_vec();
        if let (Some(url), Some((_, role))) = (&url, bus) {
            envs.extend([
                ("INGEST_BUS", "nats"),
                ("INGEST_BUS_ROLE", role),
                ("NATS_URL", url),
                ("SEATPILOT_SECRETS_KEY_FILE", &keys),
            ]);
        }
        house.service("telemetry-ingest", "seatpilot_ingest", &envs).await
    };
    // A bus each: a writer takes what is there, whoever handed it in.
    let bus = async |syncs| Nats::start_in(house.folder(), syncs).await.context("there is no nats-server");
    let synced = bus(Syncs::Always).await?;
    let (plain, apart) = (bus(Syncs::EveryTwoMinutes).await?, bus(Syncs::EveryTwoMinutes).await?);
    let straight = ingest(None).await?;
    let both_synced = ingest(Some((&synced, "both"))).await?;
    let both = ingest(Some((&plain, "both"))).await?;
    let writer = ingest(Some((&apart, "write"))).await?;
    let verifier = ingest(Some((&apart, "verify"))).await?;
    let ways = [
        Way { name: "straight", front: &straight, others: Vec::new() },
        Way {
            name: "over a bus that syncs each message",
            front: &both_synced,
            others: vec![("bus", synced.pid())],
        },
        Way { name: "over a bus", front: &both, others: vec![("bus", plain.pid())] },
        Way {
            name: "over a bus, a verifier and a writer",
            front: &verifier,
            others: vec![("bus", apart.pid()), ("writer", writer.pid())],
        },
    ];
    let mut figures = Vec::new();
    for (batch, connections) in LOADS {
        figures.extend(compare(bench, &house, &ways, batch, connections).await?);
    }
    Ok(figures)
}

async fn compare(
    bench: &Bench,
    house: &House,
    ways: &[Way<'_>],
    batch: usize,
    connections: usize,
) -> anyhow::Result<Vec<Figure>> {
    house
        .sql("truncate telemetry.events_raw, telemetry.event_ids, telemetry.ingest_nonces; truncate telemetry.ingest_nonce_floors; checkpoint")
        .await?;
    let mut sides = Vec::new();
    for way in ways {
        let (address, pid) = (way.front.address, way.front.pid());
        let driver = Driver::open(address, connections, pid, house.database_pid).await?;
        let driver = Mutex::new(driver.with_others(&way.others));
        sides.push(Side { name: way.name, driver, script: Rc::new(Events::new(&house.evening, batch)?) });
    }
    let mut arms: Vec<(&'static str, Arm<'_, Reading>)> = Vec::new();
    for side in &sides {
        arms.push((
            side.name,
            Box::new(move |lasting| {
                Box::pin(
                    async move { side.driver.lock().await.drive(&side.script, Pace::Closed, lasting).await },
                )
            }),
        ));
    }
    let (rounds, _) = interleaved(bench.plan, &bench.progress, &mut arms).await?;
    drop(arms);
    let stored = house.evening.count("select count(*) from telemetry.events_raw").await;
    let accepted: u64 = sides.iter().map(|side| side.script.accepted.get()).sum();
    ensure!(stored == i64::try_from(accepted)?, "{stored} events for {accepted} accepted");
    let mut figures = Vec::new();
    for (place, way) in ways.iter().enumerate().skip(1) {
        let of = |figure: fn(&Reading) -> f64, times: f64| -> Vec<(f64, f64)> {
            rounds.iter().map(|round| (figure(&round[place]) * times, figure(&round[0]) * times)).collect()
        };
        let connected =
            if connections == 1 { "one connection".to_owned() } else { format!("{connections} connections") };
        let case = format!("{}, {batch} signed a request, {connected}", way.name);
        let readings = || rounds.iter().map(|round| &round[place]);
        let mut note = format!("{} (of a request)", costs(readings()));
        for (who, _) in &way.others {
            let us = Spread::of(readings().map(|reading| reading.cost_us(who))).median;
            note.push_str(&format!(", {who} {us:.0}"));
        }
        if connections > 1 {
            let rates = of(Reading::rate, batch as f64);
            figures.push(Figure::compared(&case, "events/s", "straight", &rates, Aim::Told, note));
        } else {
            let waits = of(|reading| reading.ms(0.5), 1.0);
            figures.push(Figure::compared(&case, "ms, p50", "straight", &waits, Aim::Told, note));
        }
    }
    Ok(figures)
}

/// A file with a key, as the instances of one bus share it; only its owner reads it.
fn at_rest_keys(folder: &Path) -> anyhow::Result<String> {
    let file = folder.join("at-rest.keys");
    std::fs::write(&file, format!("{}=", "A".repeat(43)))?;
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600))?;
    Ok(file.to_str().context("a folder with a name in UTF-8")?.to_owned())
}
