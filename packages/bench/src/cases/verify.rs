//! What it costs a server to verify events: its processor time for signed batches, less that of a server which only
//! reads and answers as many bytes.

use std::{hint::black_box, rc::Rc, time::Instant};

use anyhow::{Context as _, ensure};
use seatpilot_domain_model::{Bounds, Nonce, Submission, SubmitAnswer, TenantId, parse_items};
use seatpilot_runtime::Clock;
use seatpilot_signing::{Key, KeyRing, SignedHeaders, SignedRequest};
use seatpilot_store::{EventStore, MEMORY_BYTES_MAX, MemoryStore};
use tempfile::TempDir;

use super::{Bench, LONGEST};
use crate::{
    bare::BATCH,
    drive::{Driver, Pace},
    house::Service,
    report::{Aim, Figure},
    rounds::{Arm, Spread, interleaved},
    scripts::{AtMost, Events},
};

const KEY_ID: &str = "acme_gate_01";
const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";
/// The same, in base64.
const BOOTSTRAP: &str = "acme:acme_gate_01:MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
const CONNECTIONS: usize = 16;
/// Of a reading; the store in memory keeps all of them, and has room for some more.
const REQUESTS: u64 = 2_500;
/// Of a reading in this process.
const BATCHES: usize = 500;

/// The two servers.
#[derive(Debug, Clone, Copy)]
enum Served {
    Ingest,
    Bare,
}

/// Microseconds of one thread for an event.
#[derive(Debug, Clone, Copy)]
struct Parts {
    tag: f64,
    parse: f64,
    store: f64,
}

pub(super) async fn measure(bench: &Bench) -> anyhow::Result<Vec<Figure>> {
    std::fs::create_dir_all(&bench.target)?;
    let folder = tempfile::Builder::new().prefix("bench-").tempdir_in(&bench.target)?;
    let (folder, arms) = (&folder, [Served::Ingest, Served::Bare]);
    let arm = |served: Served| -> Arm<'_, f64> { Box::new(move |_| Box::pin(reading(folder, served))) };
    let mut arms = [("telemetry-ingest", arm(arms[0])), ("bare", arm(arms[1]))];
    let (rounds, _) = interleaved(bench.plan, &bench.progress, &mut arms).await?;
    drop(arms);
    let mut parts = Vec::new();
    for _ in 0..bench.plan.rounds {
        parts.push(in_process().await?);
    }
    let of = |part: fn(&Parts) -> f64| Spread::of(parts.iter().map(part)).median;
    let (tag, parse, store) = (of(|one| one.tag), of(|one| one.parse), of(|one| one.store));
    let less = |own: f64| -> Vec<f64> { rounds.iter().map(|round| round[0] - round[1] - own).collect() };
    let case = format!("verification, {BATCH} signed events a request");
    let median = |arm: usize| Spread::of(rounds.iter().map(|round| round[arm])).median;
    Ok(vec![
        Figure::alone(
            &case,
            "µs of a processor an event",
            &less(store),
            Aim::AtMost(2.5),
            format!(
                "telemetry-ingest with its store in memory ({:.2}), less a bare POST of the same bytes ({:.2}), less that store ({store:.2})",
                median(0),
                median(1)
            ),
        ),
        Figure::alone(
            &case,
            "µs with the store in memory",
            &less(0.0),
            Aim::Told,
            format!(
                "the parts by themselves, on one thread: tag {tag:.2}, parse and schema {parse:.2}, store {store:.2}"
            ),
        ),
    ])
}

/// Microseconds of the server's processors for an event. A server of its own each time: memory fills up.
async fn reading(folder: &TempDir, served: Served) -> anyhow::Result<f64> {
    let unlimited = [("INGEST_RATE_PER_SECOND", "1000000"), ("INGEST_RATE_BURST", "1000000")];
    let service = match served {
        Served::Ingest => {
            let mut envs = vec![("STORE", "memory"), ("HMAC_TENANT_SECRET", BOOTSTRAP)];
            envs.extend(unlimited);
            Service::start("telemetry-ingest", folder.path(), &envs).await?
        }
        Served::Bare => Service::start_with("seatpilot-bench", &["--serve-bare"], folder.path(), &[]).await?,
    };
    let events = Rc::new(Events::signed_with(KEY_ID, SECRET, "hall", BATCH)?);
    let mut driver = Driver::open(service.address, CONNECTIONS, service.pid(), service.pid()).await?;
    // Threads, pools and caches come to be with the first requests.
    let first = Rc::new(AtMost::new(Rc::clone(&events), CONNECTIONS as u64));
    driver.drive(&first, Pace::Closed, LONGEST).await?;
    let some = Rc::new(AtMost::new(events, REQUESTS));
    let reading = driver.drive(&some, Pace::Closed, LONGEST).await?;
    ensure!(reading.done == REQUESTS, "{} of {REQUESTS} were answered", reading.done);
    Ok(reading.cost_us("service") / BATCH as f64)
}

/// The same bytes without a server.
async fn in_process() -> anyhow::Result<Parts> {
    let clock = Clock::system();
    let tenant: TenantId = "acme".parse()?;
    let store = EventStore::Memory(MemoryStore::new(Some(tenant.clone()), MEMORY_BYTES_MAX, clock.clone()));
    let events = Events::signed_with(KEY_ID, SECRET, "hall", BATCH)?;
    let ring = KeyRing::new(Key::new(SECRET)?, None);
    let (mut tag, mut parse, mut kept) = (0.0, 0.0, 0.0);
    for _ in 0..BATCHES {
        let (headers, body) = events.signed()?;
        let values = |name: &'static str| {
            let found = headers.iter().filter(move |(given, _)| *given == name);
            found.map(|(_, value)| value.as_bytes())
        };
        let from = Instant::now();
        let headers = SignedHeaders::parse(values)?;
        let signed = SignedRequest::new("POST", "/v1/events", &headers, &body);
        ensure!(ring.verify(&signed), "a tag that is none");
        tag += from.elapsed().as_secs_f64();
        let nonce = Nonce {
            key_id: KEY_ID.to_owned(),
            ts: headers.ts(),
            nonce: headers.nonce().to_owned(),
            body_sha256: *signed.body_sha256(),
        };
        let received_at = clock.now();
        let from = Instant::now();
        let bounds = Bounds { tenant: &tenant, session: None };
        let batch = parse_items(black_box(&body), bounds, received_at).ok().context("no items")?;
        parse += from.elapsed().as_secs_f64();
        let submission = Submission {
            tenant: tenant.clone(),
            nonce,
            request_id: String::new(),
            received_at,
            items: batch.items,
        };
        let from = Instant::now();
        let answer = store.submit(submission).await?;
        kept += from.elapsed().as_secs_f64();
        ensure!(matches!(answer, SubmitAnswer::Stored(_)), "not stored");
    }
    let each = |seconds: f64| seconds * 1e6 / (BATCHES * BATCH) as f64;
    Ok(Parts { tag: each(tag), parse: each(parse), store: each(kept) })
}
