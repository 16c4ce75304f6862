//! metrics-api hangs, or is gone: check-in does not know it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rustix::process::Signal;
use seatpilot_guarantees::{Gate, Load, Process, Service};
use seatpilot_testkit::{Effort, Evening};
use tokio::net::TcpListener;

use super::{Tried, ms, p95_over, prove};

const SCANS_PER_SECOND: f64 = 60.0;
const ROUND: Duration = Duration::from_secs(1);
const NOISE: Duration = Duration::from_millis(20);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_metrics_api_that_hangs_or_is_gone_costs_no_guest_anything() {
    let rounds = match Effort::of_run() {
        Effort::Quick => 3,
        Effort::Full => 20,
    };
    prove("G32", async || one(rounds).await).await;
}

async fn one(rounds: usize) -> Tried {
    let each = (SCANS_PER_SECOND * ROUND.as_secs_f64()) as usize + 1;
    let evening = Evening::of(each * (3 * rounds + 1)).await;
    let metrics_api = Process::start(Service::MetricsApi, &evening, &[]).await;
    let told = [("METRICS_API_BASE_URL", metrics_api.url().to_owned())];
    let checkin = Process::start(Service::Checkin, &evening, &told).await;
    let gate = Gate::at(&evening, checkin.url(), Duration::from_secs(10));
    let mut begun = 0;
    let mut round = async || {
        let (gate, first) = (gate.clone(), begun * each);
        begun += 1;
        Load::open(SCANS_PER_SECOND, ROUND, move |n| gate.scan(first + n)).await
    };
    // The first scans warm up.
    round().await;
    let (mut well, mut hung, mut gone) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds {
        well.push(round().await);
        metrics_api.signal(Signal::STOP);
        hung.push(round().await);
        metrics_api.signal(Signal::CONT);
    }
    metrics_api.kill9();
    for _ in 0..rounds {
        gone.push(round().await);
    }
    for load in well.iter().chain(&hung).chain(&gone) {
        hold!(load.answered(201).count() == load.count(), "answers were {:?}", load.statuses());
    }
    let middle = |loads: &[Load]| {
        let mut p95: Vec<Duration> = loads.iter().map(|load| p95_over(load, NOISE)).collect();
        p95.sort_unstable();
        p95[p95.len() / 2]
    };
    let [well, hung, gone] = [&well, &hung, &gone].map(|loads| middle(loads));
    hold!(hung * 2 <= well * 3, "p95 {hung:?} while it hangs, {well:?} while it is well");
    hold!(gone * 2 <= well * 3, "p95 {gone:?} while it is gone, {well:?} while it is well");

    // And the reason: nobody ever calls it.
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let listening = tokio::spawn(async move {
        while listener.accept().await.is_ok() {
            counted.fetch_add(1, Ordering::Relaxed);
        }
    });
    let told = [("METRICS_API_BASE_URL", url)];
    let evening = Evening::of(each).await;
    let mut asked = 0;
    for service in [Service::Checkin, Service::Wayfinding, Service::TelemetryIngest, Service::KpiRefresher] {
        let process = Process::start(service, &evening, &told).await;
        if service == Service::Checkin {
            let gate = Gate::at(&evening, process.url(), Duration::from_secs(10));
            for n in 0..each {
                asked += usize::from(gate.scan(n).await == 201);
            }
        }
    }
    listening.abort();
    let calls = calls.load(Ordering::Relaxed);
    assert_eq!(
        (asked, calls),
        (each, 0),
        "scans that were admitted, and calls of the address of metrics-api"
    );
    Ok(format!(
        "{rounds} rounds of {SCANS_PER_SECOND}/s each: p95 {} ms while it is well, {} ms hung, {} ms gone; 0 calls",
        ms(well),
        ms(hung),
        ms(gone),
    ))
}
