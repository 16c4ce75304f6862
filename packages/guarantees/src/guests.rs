//! Guests at the doors, over HTTP, as gates and signs do it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use seatpilot_runtime::Clock;
use seatpilot_testkit::Evening;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use uuid::Uuid;

/// A walk that the objective allows.
const WALK: Duration = Duration::from_secs(20);

/// The guests of an evening, each let in once. Clones share the list.
#[derive(Clone)]
pub struct Guests {
    inner: Arc<Inner>,
}

struct Inner {
    client: reqwest::Client,
    checkin: String,
    wayfinding: String,
    device_token: String,
    venue: String,
    event: String,
    door: String,
    section: String,
    next: AtomicUsize,
    count: usize,
    clock: Clock,
}

impl Guests {
    /// The guests of `evening`, with the addresses of the two services.
    pub(crate) fn of(evening: &Evening, count: usize, checkin: &str, wayfinding: &str) -> Self {
        // A gate gives up before the server does in no fault of ours: 5 s is over every deadline.
        let client = reqwest::Client::builder().timeout(Duration::from_secs(5)).build();
        Self {
            inner: Arc::new(Inner {
                client: client.expect("a client"),
                checkin: checkin.to_owned(),
                wayfinding: wayfinding.to_owned(),
                device_token: evening.device_token.clone(),
                venue: evening.venue.to_string(),
                event: evening.event.to_string(),
                door: evening.door.to_string(),
                section: evening.section.clone(),
                next: AtomicUsize::new(0),
                count,
                clock: Clock::system(),
            }),
        }
    }

    /// The next guest's ticket is scanned, as if so long ago. Answers status and body; 0 where no answer came.
    pub async fn check_in(&self, before: Duration) -> (u16, Value) {
        let guests = &self.inner;
        let n = guests.next.fetch_add(1, Ordering::Relaxed);
        assert!(n < guests.count, "all {} guests are in: the evening needs more", guests.count);
        let scanned_at = guests.clock.now() - jiff::SignedDuration::try_from(before).expect("a short time");
        let body = json!({
            "scan_id": Uuid::now_v7(), "venue_id": guests.venue, "event_id": guests.event,
            "door_id": guests.door, "ticket": Evening::ticket(n), "channel": "kiosk",
            "scanned_at": scanned_at.to_string(),
        });
        self.post(&format!("{}/api/checkin/success", guests.checkin), &body).await
    }

    /// A guest who came in sits down.
    pub async fn arrive(&self, session_id: &str) -> (u16, Value) {
        let guests = &self.inner;
        let body = json!({
            "ping_id": Uuid::now_v7(), "session_id": session_id, "section": guests.section,
        });
        self.post(&format!("{}/api/wayfinding/arrive-table", guests.wayfinding), &body).await
    }

    /// A guest from door to seat in so long a walk. Answers the statuses of check-in and arrival; 0 where there
    /// was none.
    pub async fn walk(&self, walk: Duration) -> (u16, u16) {
        let (status, admitted) = self.check_in(walk).await;
        match admitted["session_id"].as_str() {
            Some(session_id) => (status, self.arrive(session_id).await.0),
            None => (status, 0),
        }
    }

    /// The way from the door to the section.
    pub async fn route(&self) -> u16 {
        let guests = &self.inner;
        let url = format!(
            "{}/api/wayfinding/route?venue_id={}&from=door:{}&to=section:{}",
            guests.wayfinding, guests.venue, guests.door, guests.section
        );
        let sent = guests.client.get(url).bearer_auth(&guests.device_token).send().await;
        sent.map_or(0, |answer| answer.status().as_u16())
    }

    /// One guest every so often, each walking so long, until the traffic is dropped. Nobody waits for the one
    /// before.
    pub fn every(&self, pause: Duration, walk: Duration) -> Traffic {
        let guests = self.clone();
        Traffic::of(async move {
            let mut ticks = tokio::time::interval(pause);
            loop {
                ticks.tick().await;
                let one = guests.clone();
                tokio::spawn(async move {
                    one.walk(walk).await;
                });
            }
        })
    }

    /// One guest every so often who comes in and is not seen to sit down, until the traffic is dropped.
    pub fn entering(&self, pause: Duration) -> Traffic {
        let guests = self.clone();
        Traffic::of(async move {
            let mut ticks = tokio::time::interval(pause);
            loop {
                ticks.tick().await;
                let one = guests.clone();
                tokio::spawn(async move {
                    one.check_in(Duration::ZERO).await;
                });
            }
        })
    }

    /// As [`every`](Self::every), at a walk that the objective allows, each asking for the way as well.
    pub fn at_ease(&self, pause: Duration) -> Traffic {
        let guests = self.clone();
        Traffic::of(async move {
            let mut ticks = tokio::time::interval(pause);
            loop {
                ticks.tick().await;
                let one = guests.clone();
                tokio::spawn(async move {
                    one.walk(WALK).await;
                    one.route().await;
                });
            }
        })
    }

    async fn post(&self, url: &str, body: &Value) -> (u16, Value) {
        let request = self.inner.client.post(url).bearer_auth(&self.inner.device_token).json(body);
        match request.send().await {
            Ok(answer) => (answer.status().as_u16(), answer.json().await.unwrap_or(Value::Null)),
            Err(_) => (0, Value::Null),
        }
    }
}

/// Requests that go on until this is dropped.
#[must_use = "the requests end when this is dropped"]
pub struct Traffic {
    tasks: Vec<JoinHandle<()>>,
}

impl Traffic {
    /// Work that never ends by itself.
    pub fn of(work: impl Future<Output = ()> + Send + 'static) -> Self {
        Self { tasks: vec![tokio::spawn(work)] }
    }

    /// Both, as one.
    pub fn and(mut self, mut other: Self) -> Self {
        self.tasks.append(&mut other.tasks);
        self
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}
