//! One tenant sends twenty times its rate beside one that keeps to it.

use std::sync::Mutex;
use std::time::Duration;

use seatpilot_domain_model::KeyScope;
use seatpilot_guarantees::{Load, Process, Sender, Service};
use seatpilot_testkit::{Effort, Evening};

use super::{Tried, ms, p95_over, prove};

/// What the process allows a key: so many a second, and as many at once.
const RATE: f64 = 10.0;
const GREEDY_PER_SECOND: f64 = 20.0 * RATE;
const POLITE_PER_SECOND: f64 = 0.8 * RATE;
const ALONE: Duration = Duration::from_secs(4);
const NOISE: Duration = Duration::from_millis(20);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenant_at_twenty_times_its_rate_gets_its_rate_and_another_feels_nothing() {
    let lasting = match Effort::of_run() {
        Effort::Quick => Duration::from_secs(12),
        Effort::Full => Duration::from_secs(200),
    };
    prove("G33", async || one(lasting).await).await;
}

async fn one(lasting: Duration) -> Tried {
    let evening = Evening::of(0).await;
    let mut admin = evening.admin().await;
    let rival = "rival".parse().unwrap();
    admin.ensure_tenant(&rival, "Rival").await.unwrap();
    let key = admin.add_key(&rival, Some("rival_gate_01"), &[KeyScope::Ingest]).await.unwrap();
    let limits = [("INGEST_RATE_PER_SECOND", RATE.to_string()), ("INGEST_RATE_BURST", RATE.to_string())];
    let ingest = Process::start(Service::TelemetryIngest, &evening, &limits).await;
    let polite = Sender::new(ingest.url(), &evening.key_id, &evening.key_secret, evening.venue.as_str());
    let greedy = Sender::new(ingest.url(), &key.key_id, &key.secret, evening.venue.as_str());

    let sends = |sender: &Sender, count: f64| {
        let ready =
            Mutex::new((0..count.ceil() as usize + 1).map(|_| sender.prepared(1)).collect::<Vec<_>>());
        let sender = sender.clone();
        move |_| {
            let request = ready.lock().unwrap().pop().unwrap();
            sender.send_prepared(request)
        }
    };
    let seconds = lasting.as_secs_f64();
    let alone = sends(&polite, POLITE_PER_SECOND * ALONE.as_secs_f64());
    let alone = Load::open(POLITE_PER_SECOND, ALONE, alone).await;
    let (polite, greedy) =
        (sends(&polite, POLITE_PER_SECOND * seconds), sends(&greedy, GREEDY_PER_SECOND * seconds));
    let (beside, flood) = tokio::join!(
        Load::open(POLITE_PER_SECOND, lasting, polite),
        Load::open(GREEDY_PER_SECOND, lasting, greedy)
    );

    let (let_in, limited) = (flood.answered(202), flood.answered(429));
    hold!(let_in.count() + limited.count() == flood.count(), "answers were {:?}", flood.statuses());
    // The bucket is full at first and fills at its rate: from the first request to the last, as they were answered.
    let ended = |load: &Load, pick: fn(Duration, Duration) -> Duration| {
        load.shots.iter().map(seatpilot_guarantees::Shot::ended).reduce(pick).unwrap_or_default()
    };
    let open = ended(&flood, Duration::max) - ended(&flood, Duration::min);
    let due = RATE + RATE * open.as_secs_f64();
    let got = let_in.count() as f64;
    // One more or less is where the first and the last request fall.
    hold!((got - due).abs() <= due * 0.02 + 1.0, "{got} were let in where {due:.1} are due");
    for (load, when) in [(&alone, "alone"), (&beside, "beside it")] {
        hold!(load.answered(202).count() == load.count(), "{when}: {:?}", load.statuses());
    }
    let (calm, busy) = (p95_over(&alone, NOISE), p95_over(&beside, NOISE));
    hold!(busy <= calm * 2, "the other tenant's p95 is {busy:?}, alone {calm:?}");
    let sql = "select count(*) from telemetry.events_raw where tenant_id = 'rival'";
    assert_eq!(evening.count(sql).await, i64::try_from(let_in.count()).unwrap(), "stored and said so");
    Ok(format!(
        "{GREEDY_PER_SECOND}/s for {seconds} s at a rate of {RATE}/s: {got} let in, {due:.1} due, {} refused; \
         the other's p95 {} ms, alone {} ms",
        limited.count(),
        ms(beside.took(0.95)),
        ms(alone.took(0.95)),
    ))
}
