//! What the tests hand in, and who says what of it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use seatpilot_bus::{Bus, BusFault, BusSettings, Refusal, Writing};
use seatpilot_domain_model::{Nonce, Outcome, Receipt, Submission, SubmitAnswer, TraceParent, parse_items};
use seatpilot_metrics_api::Metrics;
use seatpilot_runtime::{AT_REST_KEY_BYTES, AtRestKey, BusConfig, BusRole, BusState, Clock, SecretString};
use seatpilot_testkit::Nats;

/// A bus of one process, and its metrics.
pub(crate) struct Desk {
    pub(crate) bus: Bus,
    metrics: Arc<Metrics>,
}

/// How a bus is reached.
pub(crate) fn config(nats: &Nats, role: BusRole, key: u8) -> BusConfig {
    BusConfig {
        role,
        servers: vec![nats.url()],
        login: None,
        ca_file: None,
        keys: vec![AtRestKey::new([key; AT_REST_KEY_BYTES])],
    }
}

/// The same, with a login.
pub(crate) fn config_as(nats: &Nats, role: BusRole, user: &str, password: &str) -> BusConfig {
    BusConfig { login: Some((user.to_owned(), SecretString::from(password))), ..config(nats, role, 1) }
}

impl Desk {
    pub(crate) fn open(config: &BusConfig) -> Self {
        let metrics = Arc::new(Metrics::new("test", "1"));
        let bus = Bus::open(BusSettings::of(config, "a test"), metrics.bus()).unwrap();
        Self { bus, metrics }
    }

    /// In that role with the first key, when it is connected.
    pub(crate) async fn ready(nats: &Nats, role: BusRole) -> Self {
        let desk = Self::open(&config(nats, role, 1));
        desk.is(BusState::Connected).await;
        desk
    }

    /// Waits until the bus is in that state.
    pub(crate) async fn is(&self, wanted: BusState) {
        let mut state = self.bus.state();
        let reached = state.wait_for(|state| *state == wanted);
        tokio::time::timeout(Duration::from_secs(20), reached).await.unwrap().unwrap();
    }

    /// A series of its metrics.
    pub(crate) fn series(&self, name: &str) -> f64 {
        let text = self.metrics.render();
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.unwrap_or_else(|| panic!("{name} is not there")).parse().unwrap()
    }

    /// Waits until a series has so much.
    pub(crate) async fn comes_to(&self, name: &str, wanted: f64) {
        let began = Instant::now();
        while self.series(name) < wanted {
            assert!(began.elapsed() < Duration::from_secs(20), "{name} is {}", self.series(name));
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// A writer that says of every request that it is stored, and counts.
    pub(crate) fn writes(&self) -> (Writing, Arc<AtomicUsize>) {
        let stored = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&stored);
        let writing = self.bus.write_with(move |request| {
            count.fetch_add(1, Ordering::SeqCst);
            async move { Ok::<_, Refusal>(accepted(&request)) }
        });
        (writing, stored)
    }

    /// Hands in a request in a task of its own.
    pub(crate) fn hands_in(&self, number: usize) -> tokio::task::JoinHandle<Result<SubmitAnswer, BusFault>> {
        let bus = self.bus.clone();
        tokio::spawn(async move { bus.submit(&request(number), trace()).await })
    }
}

/// The trace of a request, which nobody records.
pub(crate) fn trace() -> TraceParent {
    seatpilot_runtime::traces::continued(None)
}

/// A request of three items, the last one bad.
pub(crate) fn request(number: usize) -> Submission {
    let now = Clock::system().now();
    let event = |n: usize| {
        format!(
            r#"{{"id":"0190b6a0-0000-7000-8000-{n:012}","type":"device.heartbeat","occurred_at":"{now}","venue_id":"arena","data":{{}}}}"#
        )
    };
    let body = format!("[{},{},3]", event(2 * number), event(2 * number + 1));
    let tenant = "acme".parse().unwrap();
    Submission {
        items: parse_items(body.as_bytes(), &tenant, now).unwrap().items,
        tenant,
        nonce: Nonce {
            key_id: "acme_gate_01".into(),
            ts: now.as_second(),
            nonce: format!("nonce-{number:020}"),
            body_sha256: [7; 32],
        },
        request_id: format!("request-{number}"),
        received_at: now,
    }
}

/// That all of it was stored.
pub(crate) fn accepted(request: &Submission) -> SubmitAnswer {
    let receipt = |item: &seatpilot_domain_model::Item| Receipt { id: item.id(), outcome: Outcome::Accepted };
    SubmitAnswer::Stored(request.items.iter().map(receipt).collect())
}
