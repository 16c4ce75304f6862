//! What a check-in pays for knowing its device and place, and for everything that it is counted by: nanoseconds, on one
//! thread, with nobody beside it.

use std::{hint::black_box, sync::Arc, time::Instant};

use anyhow::ensure;
use seatpilot_domain_model::{Channel, Stage, TokenHash};
use seatpilot_metrics_api::Metrics;
use seatpilot_store::Writes;
use seatpilot_testkit::Evening;

use super::Bench;
use crate::{
    desk,
    house::House,
    report::{Aim, Figure},
    rounds::{Arm, interleaved},
};

/// Under a second of it: devices are looked up anew every four.
const TIMES: u32 = 1_000_000;
const ROUTE: &str = "/api/checkin/success";
/// As a durable check-in takes here.
const SECONDS: f64 = 0.002;

pub(super) async fn measure(bench: &Bench) -> anyhow::Result<Vec<Figure>> {
    let house = House::build(&bench.target).await?;
    let metrics = Arc::new(Metrics::new("checkin", env!("CARGO_PKG_VERSION")));
    let store = desk::open(&house.evening, "seatpilot_checkin", Writes::CheckIns, &metrics).await?;
    let Evening { tenant, venue, event, door, device_token, .. } = &house.evening;
    let token = TokenHash::of(device_token.as_bytes());
    ensure!(store.device(token).await?.is_some(), "an unknown device");
    ensure!(store.knows_place(tenant, venue, event, door).await?, "an unknown place");
    // As they come with a request: the same words, and not the same memory as what is remembered.
    let (venue, event, door) = (&venue.as_str().parse()?, &event.as_str().parse()?, &door.as_str().parse()?);
    metrics.http().add_routes([("POST", ROUTE, 201)]);
    let series = metrics.checkin();

    let store = &store;
    let known: Arm<'_, f64> = Box::new(|_| {
        Box::pin(async move {
            let from = Instant::now();
            for _ in 0..TIMES {
                let device = store.device(black_box(token)).await?;
                let place = store.knows_place(tenant, black_box(venue), event, door).await?;
                black_box((device, place));
            }
            Ok(from.elapsed().as_secs_f64() * 1e9 / f64::from(TIMES))
        })
    });
    let counted: Arm<'_, f64> = Box::new(|_| {
        let from = Instant::now();
        for _ in 0..TIMES {
            let series = series.of(black_box(tenant), Channel::Kiosk);
            series.observe_scan(
                black_box(from),
                black_box([SECONDS; Stage::ALL.len()]),
                black_box(Some(SECONDS)),
            );
            metrics.http().observe("POST", black_box(Some(ROUTE)), 201, SECONDS);
        }
        let ns = from.elapsed().as_secs_f64() * 1e9 / f64::from(TIMES);
        Box::pin(async move { Ok(ns) })
    });
    let mut arms = [("device and place", known), ("metrics", counted)];
    let (rounds, _) = interleaved(bench.plan, &bench.progress, &mut arms).await?;
    drop(arms);
    let times = u64::from(TIMES) * (rounds.len() as u64 + 1);
    let counts = metrics.render();
    let counted = counts.lines().find_map(|line| {
        let series = r#"seatpilot_checkin_latency_seconds_count{channel="kiosk",tenant="acme"} "#;
        line.strip_prefix(series)?.parse::<u64>().ok()
    });
    ensure!(counted >= Some(times), "{counted:?} check-ins were counted of {times}");
    let column = |of: fn(&[f64]) -> f64| -> Vec<f64> { rounds.iter().map(|round| of(round)).collect() };
    let case = "of a check-in, on one thread";
    Ok(vec![
        Figure::alone(
            case,
            "cache hits and metrics, ns",
            &column(|round| round[0] + round[1]),
            Aim::AtMost(200.0),
            "the two below together".to_owned(),
        ),
        Figure::alone(
            case,
            "device and place known, ns",
            &column(|round| round[0]),
            Aim::Told,
            "as Store::device and Store::knows_place do it".to_owned(),
        ),
        Figure::alone(
            case,
            "metrics, ns",
            &column(|round| round[1]),
            Aim::Told,
            "series found, 4 stages, latency in histogram and summary, the request by its route; the clock was read for them".to_owned(),
        ),
    ])
}
