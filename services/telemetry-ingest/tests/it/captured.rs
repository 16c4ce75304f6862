//! Somebody captured one signed request and sends it again and again (G7).

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use futures_util::{StreamExt as _, future::join_all, stream};
use jiff::Timestamp;
use seatpilot_domain_model::KeyScope;
use seatpilot_testkit::Effort;
use serde_json::json;

use crate::service::{Service, Signed, event, nonce};

const CONNECTIONS: usize = 50;
/// Above the key's own rate, a replay would be 429 before anybody looks at its nonce.
const RATE: [(&str, &str); 2] = [("INGEST_RATE_PER_SECOND", "1000000"), ("INGEST_RATE_BURST", "1000000")];

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_captured_request_is_stored_once_however_often_it_is_sent_over_fifty_connections() {
    let replays = match Effort::of_run() {
        Effort::Quick => 2_000,
        Effort::Full => 10_000,
    };
    let service = Service::start_with(seatpilot_runtime::Clock::system(), &RATE).await;
    let second = service.second().await;
    let signed = Signed::now(json!([event(), {"id": 1}, event()]).to_string());
    let first = service.send(&signed).await;
    assert_eq!((first.status, first.header("idempotent-replayed")), (202, None));
    let retention = service.db.owner().await;
    stream::iter(0..replays)
        .map(|turn| {
            let (service, signed, first, second, retention) =
                (&service, &signed, &first, &second, &retention);
            async move {
                // What lets go of old nonces runs meanwhile.
                if turn % 500 == 250 {
                    retention.query_one("select telemetry.retain()", &[]).await.unwrap();
                }
                let url = if turn % 2 == 0 { &service.url } else { second };
                let reply = service.send_to(url, signed).await;
                let said = (reply.status, reply.header("idempotent-replayed"), &reply.text);
                assert_eq!(said, (202, Some("true"), &first.text), "replay {turn}");
            }
        })
        .buffer_unordered(CONNECTIONS)
        .collect::<()>()
        .await;
    assert_eq!(service.rows().await, (2, 1, 1), "events, dead letters and nonces");
    println!(
        "guarantee: G7 | {replays} replays over {CONNECTIONS} connections to 2 instances: 1 set of rows, the first \
         answer each time"
    );
}

/// How long each request of another tenant takes, in seconds, one after the other for so long.
async fn measured(service: &Service, tenant: &[(String, Vec<u8>)], for_long: Duration) -> Vec<f64> {
    let mut times = Vec::new();
    let began = Instant::now();
    let mut pace = tokio::time::interval(Duration::from_millis(10));
    while began.elapsed() < for_long {
        pace.tick().await;
        let (key, secret) = &tenant[times.len() % tenant.len()];
        let now = Timestamp::now().as_second();
        let signed = Signed::with(event().to_string(), key, secret, now, &nonce());
        let sent = Instant::now();
        assert_eq!(service.send(&signed).await.status, 202);
        times.push(sent.elapsed().as_secs_f64());
    }
    times
}

fn p95(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() * 95 / 100]
}

/// Replays of one request, so many a second over [`CONNECTIONS`], while `on`.
async fn storm(
    service: Arc<Service>,
    per_second: u64,
    on: Arc<AtomicBool>,
    over: Arc<AtomicBool>,
    sent: Arc<AtomicUsize>,
) {
    let signed = Arc::new(Signed::now(json!([event(), event()]).to_string()));
    assert_eq!(service.send(&signed).await.status, 202);
    let every = Duration::from_secs(CONNECTIONS as u64) / u32::try_from(per_second).unwrap();
    let connections = (0..CONNECTIONS).map(|turn| {
        let (service, signed, on, over, sent) = (
            Arc::clone(&service),
            Arc::clone(&signed),
            Arc::clone(&on),
            Arc::clone(&over),
            Arc::clone(&sent),
        );
        async move {
            tokio::time::sleep(every * u32::try_from(turn).unwrap() / CONNECTIONS as u32).await;
            let mut pace = tokio::time::interval(every);
            while !over.load(Ordering::Relaxed) {
                pace.tick().await;
                if on.load(Ordering::Relaxed) {
                    let reply = service.send(&signed).await;
                    assert_eq!((reply.status, reply.header("idempotent-replayed")), (202, Some("true")));
                    sent.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
    });
    join_all(connections).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn replays_of_one_tenant_do_not_slow_the_others() {
    /// The machine's other work falls on both halves of a round, now more on one and now on the other.
    const ATTEMPTS_MAX: usize = 4;
    const STORM_PER_SECOND: u64 = 100;
    let (rounds, half) = match Effort::of_run() {
        Effort::Quick => (5, Duration::from_millis(700)),
        Effort::Full => (30, Duration::from_secs(2)),
    };
    let service = Arc::new(Service::start().await);
    let others: Vec<(String, Vec<u8>)> =
        (0..3).map(|n| (format!("other_gate_0{n}"), vec![40 + n as u8; 32])).collect();
    for (n, (key, secret)) in others.iter().enumerate() {
        service.add_key(&format!("other-{n}"), key, secret, &[KeyScope::Ingest]).await;
    }
    let (on, over) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let replayed = Arc::new(AtomicUsize::new(0));
    let (service_of, on_of, over_of, count) =
        (Arc::clone(&service), Arc::clone(&on), Arc::clone(&over), Arc::clone(&replayed));
    let storm = tokio::spawn(storm(service_of, STORM_PER_SECOND, on_of, over_of, count));
    measured(&service, &others, half).await;
    let mut seen = Vec::new();
    for _ in 0..ATTEMPTS_MAX {
        let mut ratios = Vec::new();
        for _ in 0..rounds {
            let quiet = p95(measured(&service, &others, half).await);
            on.store(true, Ordering::Relaxed);
            let stormy = p95(measured(&service, &others, half).await);
            on.store(false, Ordering::Relaxed);
            ratios.push(stormy / quiet);
        }
        ratios.sort_by(f64::total_cmp);
        seen.push(ratios[rounds / 2]);
        if ratios[rounds / 2] <= 2.0 {
            break;
        }
    }
    over.store(true, Ordering::Relaxed);
    storm.await.unwrap();
    let ratio = seen.last().copied().unwrap();
    assert!(ratio <= 2.0, "p95 of others with replays to without: {seen:.2?}");
    let replayed = replayed.load(Ordering::Relaxed);
    assert!(replayed > 100, "{replayed}");
    println!(
        "guarantee: G7 | p95 of 3 other tenants with {replayed} replays at {STORM_PER_SECOND} a second to without: {ratio:.2} \
         (median of {rounds} rounds, attempt {} of at most {ATTEMPTS_MAX})",
        seen.len()
    );
}
