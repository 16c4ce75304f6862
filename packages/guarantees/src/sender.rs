//! A sender of telemetry with a key, over HTTP.

use std::sync::Arc;
use std::time::Duration;

use seatpilot_runtime::{Clock, SecretBytes};
use seatpilot_signing::{Key, sign_sp1};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::Traffic;

/// Where events go.
const PATH: &str = "/v1/events";

/// A sender; clones share its key.
#[derive(Clone)]
pub struct Sender {
    inner: Arc<Inner>,
}

struct Inner {
    client: reqwest::Client,
    telemetry_ingest: String,
    key_id: String,
    secret: SecretBytes,
    venue: String,
    clock: Clock,
}

impl Sender {
    /// With a key, to the service at that address.
    pub fn new(telemetry_ingest: &str, key_id: &str, secret: &SecretBytes, venue: &str) -> Self {
        let client = reqwest::Client::builder().timeout(Duration::from_secs(10)).build();
        Self {
            inner: Arc::new(Inner {
                client: client.expect("a client"),
                telemetry_ingest: telemetry_ingest.to_owned(),
                key_id: key_id.to_owned(),
                secret: secret.clone(),
                venue: venue.to_owned(),
                clock: Clock::system(),
            }),
        }
    }

    /// One signed batch, some of it of a type that no schema knows. Answers the status; 0 where no answer came.
    pub async fn send(&self, good: usize, bad: usize) -> u16 {
        let kinds =
            std::iter::repeat_n("device.heartbeat", good).chain(std::iter::repeat_n("door.opened", bad));
        let events: Vec<Value> = kinds.map(|kind| self.event(kind)).collect();
        self.send_bytes(Value::Array(events).to_string().into_bytes()).await
    }

    /// Signed bytes, whatever they are.
    pub async fn send_bytes(&self, body: Vec<u8>) -> u16 {
        self.send_prepared(self.signed(body)).await
    }

    /// A batch of so many events, signed and ready to be sent: what it costs to make is not the server's time.
    pub fn prepared(&self, good: usize) -> reqwest::Request {
        let events: Vec<Value> = (0..good).map(|_| self.event("device.heartbeat")).collect();
        self.signed(Value::Array(events).to_string().into_bytes())
    }

    /// Sends what was prepared. Answers the status; 0 where no answer came.
    pub fn send_prepared(&self, request: reqwest::Request) -> impl Future<Output = u16> + Send + use<> {
        let sent = self.inner.client.execute(request);
        async move {
            match sent.await {
                Ok(answer) => {
                    let status = answer.status().as_u16();
                    // To its end: an answer that breaks off is none.
                    answer.bytes().await.map_or(0, |_| status)
                }
                Err(_) => 0,
            }
        }
    }

    fn signed(&self, body: Vec<u8>) -> reqwest::Request {
        let sender = &self.inner;
        let key = Key::new(sender.secret.expose_secret()).expect("a key");
        let (ts, nonce) = (sender.clock.now().as_second(), Uuid::now_v7().simple().to_string());
        let signed =
            sign_sp1(&key, "POST", PATH, &sender.key_id, ts, &nonce, &body).expect("it can be signed");
        let mut request = sender.client.post(format!("{}{PATH}", sender.telemetry_ingest)).body(body);
        for (name, value) in signed {
            request = request.header(name, value);
        }
        request.build().expect("a request")
    }

    /// Such a batch every so often, until the traffic is dropped.
    pub fn every(&self, pause: Duration, good: usize, bad: usize) -> Traffic {
        let sender = self.clone();
        Traffic::of(async move {
            let mut ticks = tokio::time::interval(pause);
            loop {
                ticks.tick().await;
                sender.send(good, bad).await;
            }
        })
    }

    fn event(&self, kind: &str) -> Value {
        let now = self.inner.clock.now().round(jiff::Unit::Millisecond).expect("a time of this century");
        json!({
            "id": Uuid::now_v7(), "type": kind, "occurred_at": now.to_string(),
            "venue_id": self.inner.venue, "data": {},
        })
    }
}
