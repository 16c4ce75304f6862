//! Five times of what a service can do.
//!
//! The database is slow, by a line of 150 ms a chunk: so it, and not the two cores that this test shares with what it tests, sets
//! what can be done.

use std::sync::Mutex;
use std::time::Duration;

use seatpilot_guarantees::{Load, Process, Sender, Service, Vitals};
use seatpilot_testkit::{Effort, Evening};

use super::{Tried, has_vitals, ms, prove};

const DELAY: Duration = Duration::from_millis(150);
/// Events of a batch; ten of these are as many items as a statement takes.
const EVENTS: usize = 100;
/// As many as the two writers take at once, and as many who wait.
const CLIENTS: usize = 40;
const PEAK_LASTS: Duration = Duration::from_secs(4);
/// What comes before is the queue's filling.
const FROM: Duration = Duration::from_secs(2);
const MEMORY_MAX: u64 = 256 << 20;
/// The deadline of a request for its writer.
const ACCEPTED_WITHIN: Duration = Duration::from_millis(4_500);
const REFUSED_WITHIN: Duration = Duration::from_millis(500);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_five_times_its_peak_a_service_does_what_it_can_and_refuses_the_rest_at_once() {
    if !has_vitals("G28") {
        return;
    }
    let (rounds, lasting) = match Effort::of_run() {
        Effort::Quick => (1, Duration::from_secs(9)),
        Effort::Full => (10, Duration::from_secs(60)),
    };
    for _ in 0..rounds {
        prove("G28", async || one(lasting).await).await;
    }
}

async fn one(lasting: Duration) -> Tried {
    let evening = Evening::of(0).await;
    let ingest = Process::start(Service::TelemetryIngest, &evening, &[]).await;
    let sender = Sender::new(ingest.url(), &evening.key_id, &evening.key_secret, evening.venue.as_str());
    let vitals = Vitals::of(ingest.binary().pid());
    ingest.wire.slow(DELAY);

    let closed = sender.clone();
    let at_peak =
        Load::closed(CLIENTS, PEAK_LASTS, move |_| closed.send_prepared(closed.prepared(EVENTS))).await;
    let stored_at_peak = at_peak.answered(202);
    let peak = pace(&stored_at_peak);
    hold!(peak >= 2.0, "a peak of {peak}/s is none: {:?}", at_peak.statuses());

    let rate = 5.0 * peak;
    let count = (rate * lasting.as_secs_f64()).ceil() as usize + 1;
    let prepared = Mutex::new((0..count).map(|_| sender.prepared(EVENTS)).collect::<Vec<_>>());
    let load = Load::open(rate, lasting, |_| {
        let request = prepared.lock().unwrap().pop().unwrap();
        sender.send_prepared(request)
    })
    .await;
    let (stored, refused) = (load.answered(202), load.answered(503));
    hold!(stored.count() + refused.count() == load.count(), "answers were {:?}", load.statuses());
    let goodput = pace(&stored.only(|shot| shot.ended() >= FROM && shot.ended() < lasting));
    hold!(
        goodput >= 0.8 * peak,
        "of a peak of {peak:.1}/s {goodput:.1}/s were left at five times of it: {:?}",
        load.statuses()
    );
    hold!(stored.took(0.95) <= ACCEPTED_WITHIN, "stored within {:?} at p95", stored.took(0.95));
    hold!(refused.took(0.5) <= REFUSED_WITHIN, "refused within {:?} in the middle", refused.took(0.5));
    let memory = vitals.peak_memory();
    hold!(memory <= MEMORY_MAX, "{} MiB", memory >> 20);
    let rows = evening.count("select count(*) from telemetry.events_raw").await;
    let told = (stored.count() + stored_at_peak.count()) * EVENTS;
    assert!(usize::try_from(rows).unwrap() >= told, "{rows} events are stored, and {told} were said to be");
    Ok(format!(
        "peak {peak:.1} batches/s of {EVENTS}, at {rate:.1}/s for {} s: {goodput:.1}/s stored, p95 {} ms; refused in {} ms; {} MiB",
        lasting.as_secs(),
        ms(stored.took(0.95)),
        ms(refused.took(0.5)),
        memory >> 20,
    ))
}

/// How many were answered a second, from the first answers to the last: they come in batches.
fn pace(load: &Load) -> f64 {
    let ended = || load.shots.iter().map(seatpilot_guarantees::Shot::ended);
    let (Some(first), Some(last)) = (ended().min(), ended().max()) else { return 0.0 };
    let later = ended().filter(|end| *end > first + Duration::from_millis(100)).count();
    later as f64 / (last - first).as_secs_f64().max(0.1)
}
