//! A gate that scans as fast as it is told, for the tests that need load and no story.

use std::time::Duration;

use seatpilot_testkit::Evening;
use serde_json::json;
use uuid::Uuid;

/// A gate of the evening; clones share its connections.
#[derive(Clone)]
pub struct Gate {
    client: reqwest::Client,
    url: String,
    token: String,
    venue: String,
    event: String,
    door: String,
}

impl Gate {
    /// A gate that asks the check-in service at this address, and gives up after so long.
    pub fn at(evening: &Evening, checkin: &str, patience: Duration) -> Self {
        let client = reqwest::Client::builder().timeout(patience).pool_max_idle_per_host(1_024).build();
        Self {
            client: client.expect("a client"),
            url: format!("{checkin}/api/checkin/success"),
            token: evening.device_token.clone(),
            venue: evening.venue.to_string(),
            event: evening.event.to_string(),
            door: evening.door.to_string(),
        }
    }

    /// The body of a scan of guest `n`.
    pub fn body(&self, n: usize, scan: Uuid) -> Vec<u8> {
        let body = json!({
            "scan_id": scan, "venue_id": self.venue, "event_id": self.event, "door_id": self.door,
            "ticket": Evening::ticket(n), "channel": "kiosk",
        });
        body.to_string().into_bytes()
    }

    /// Scans guest `n`: 201, 409 where the guest is in, 0 where no answer came.
    pub fn scan(&self, n: usize) -> impl Future<Output = u16> + Send + use<> {
        self.scan_as(n, Uuid::now_v7())
    }

    /// The same with a scan's id of the caller's.
    pub fn scan_as(&self, n: usize, scan: Uuid) -> impl Future<Output = u16> + Send + use<> {
        let request = self.client.post(&self.url).bearer_auth(&self.token);
        let request = request.header("content-type", "application/json").body(self.body(n, scan));
        async move {
            match request.send().await {
                Ok(answer) => {
                    let status = answer.status().as_u16();
                    // To its end: an answer that breaks off is none.
                    answer.bytes().await.map_or(0, |_| status)
                }
                Err(_) => 0,
            }
        }
    }

    /// What stands in the head of its requests.
    pub fn authorization(&self) -> String {
        format!("Bearer {}", self.token)
    }
}
