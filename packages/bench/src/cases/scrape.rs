//! `/metrics` of a process with five thousand series: as text, beside the library's own encoder, and as a scraper sees it.

use std::{hint::black_box, rc::Rc, time::Instant};

use anyhow::ensure;
use seatpilot_domain_model::{Channel, Stage, TenantId};
use seatpilot_metrics_api::Metrics;
use tokio::sync::Mutex;

use super::{Bench, LONGEST};
use crate::{
    drive::{Driver, Pace, Reading},
    house::House,
    report::{Aim, Figure},
    rounds::{Arm, Spread, interleaved},
    scripts::{AtMost, Scrapes},
};

const SERIES: usize = 5_000;
/// Of a reading.
const TIMES: u32 = 50;
const SCRAPES: u64 = 200;

pub(super) async fn measure(bench: &Bench) -> anyhow::Result<Vec<Figure>> {
    let (metrics, tenants) = filled()?;
    let (text, beside) = (metrics.render(), metrics.render_by_library());
    ensure!(without_process(&text) == without_process(&beside), "the two encoders do not say the same");
    let count = series(&text);
    let metrics = &metrics;
    let ours: Arm<'_, f64> = Box::new(|_| {
        let ms = each_ms(|| metrics.render());
        Box::pin(async move { Ok(ms) })
    });
    let theirs: Arm<'_, f64> = Box::new(|_| {
        let ms = each_ms(|| metrics.render_by_library());
        Box::pin(async move { Ok(ms) })
    });
    let mut arms = [("ours", ours), ("TextEncoder", theirs)];
    let (rounds, _) = interleaved(bench.plan, &bench.progress, &mut arms).await?;
    drop(arms);
    let pairs: Vec<(f64, f64)> = rounds.iter().map(|round| (round[0], round[1])).collect();
    let case = format!("/metrics with {count} series");
    let note = format!(
        "{} KiB of a check-in service with {} tenants, the same bytes",
        text.len() / 1024,
        tenants.len()
    );
    let beside = "the prometheus crate's TextEncoder, over the same registry";
    let mut figures = vec![Figure::compared(&case, "ms to render", beside, &pairs, Aim::AtMost(0.5), note)];
    figures.push(scraped(bench, &tenants).await?);
    Ok(figures)
}

/// As a check-in service has them, for as many tenants as it takes.
fn filled() -> anyhow::Result<(Metrics, Vec<TenantId>)> {
    let metrics = Metrics::new("checkin", env!("CARGO_PKG_VERSION"));
    metrics.http().add_routes([("POST", "/api/checkin/success", 201)]);
    let (checkin, mut tenants) = (metrics.checkin(), Vec::new());
    while series(&metrics.render()) < SERIES {
        tenants.push(format!("tenant-{}", tenants.len()).parse()?);
        metrics.set_tenants(&tenants);
    }
    for (number, tenant) in (1_u32..).zip(&tenants) {
        for channel in Channel::ALL {
            let series = checkin.of(tenant, *channel);
            for scan in 1..200 {
                let seconds = f64::from(number * scan) * 1.37e-5;
                Stage::ALL.iter().for_each(|stage| series.observe_stage(*stage, seconds));
                series.observe(seconds);
            }
        }
    }
    Ok((metrics, tenants))
}

/// By HTTP, from a service with so many tenants in its database.
async fn scraped(bench: &Bench, tenants: &[TenantId]) -> anyhow::Result<Figure> {
    let house = House::build(&bench.target).await?;
    let mut admin = house.evening.admin().await;
    for tenant in tenants {
        admin.ensure_tenant(tenant, tenant.as_str()).await?;
    }
    let service = house.service("checkin", "seatpilot_checkin", &[]).await?;
    let script = Rc::new(Scrapes::default());
    let driver = Mutex::new(Driver::open(service.address, 1, service.pid(), house.database_pid).await?);
    let (driver, read) = (&driver, &script);
    let arm: Arm<'_, Reading> = Box::new(move |_| {
        let some = Rc::new(AtMost::new(Rc::clone(read), SCRAPES));
        Box::pin(async move { driver.lock().await.drive(&some, Pace::Closed, LONGEST).await })
    });
    let mut arms = [("by HTTP", arm)];
    let (rounds, _) = interleaved(bench.plan, &bench.progress, &mut arms).await?;
    drop(arms);
    let count = series(&script.last.borrow());
    ensure!(count >= SERIES, "{count} series were scraped");
    let p50: Vec<f64> = rounds.iter().map(|round| round[0].ms(0.5)).collect();
    let cost = Spread::of(rounds.iter().map(|round| round[0].cost_us("service") / 1e3)).median;
    let case = format!("/metrics with {count} series, as a scraper sees it");
    let note = format!("one connection; {cost:.1} ms of the service's processors each");
    Ok(Figure::alone(&case, "p50, ms", &p50, Aim::Told, note))
}

/// Samples, which is what a scraper counts as series.
fn series(text: &str) -> usize {
    text.lines().filter(|line| !line.starts_with('#')).count()
}

/// What the process says of itself changes between two readings.
fn without_process(text: &str) -> String {
    text.lines().filter(|line| !line.contains("process_")).collect::<Vec<_>>().join("\n")
}

fn each_ms(render: impl Fn() -> String) -> f64 {
    let from = Instant::now();
    for _ in 0..TIMES {
        black_box(render());
    }
    from.elapsed().as_secs_f64() * 1e3 / f64::from(TIMES)
}
