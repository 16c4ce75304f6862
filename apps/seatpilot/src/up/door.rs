//! The services' doors, as a gate, a sign and a sender knock on them.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use reqwest::{Client, StatusCode};
use seatpilot_runtime::{Clock, SecretBytes};
use seatpilot_signing::{Key, sign_sp1};
use serde_json::Value;

use super::service::{Ports, Service};
use crate::failure::Failure;

/// Above every service's own deadline.
const ANSWERED_WITHIN: Duration = Duration::from_secs(10);
/// A service that starts beside a busy build takes seconds.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// Between two looks at `/ready`.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Where signed telemetry goes.
const EVENTS_PATH: &str = "/v1/events";

/// Whoever knocks, with the credentials of `state.json`.
pub(super) struct Doors {
    pub(super) ports: Ports,
    pub(super) device_token: String,
    pub(super) key_id: String,
    pub(super) key_secret: SecretBytes,
    pub(super) clock: Clock,
    client: Client,
}

impl Doors {
    /// # Errors
    /// Where no HTTP client can be made.
    pub(super) fn new(
        ports: Ports,
        device_token: &str,
        key_id: &str,
        key_secret: SecretBytes,
        clock: Clock,
    ) -> Result<Self, Failure> {
        // A proxy of the environment has no business on loopback.
        let client = Client::builder().timeout(ANSWERED_WITHIN).no_proxy().build().map_err(Failure::new)?;
        Ok(Self {
            ports,
            device_token: device_token.to_owned(),
            key_id: key_id.to_owned(),
            key_secret,
            clock,
            client,
        })
    }

    /// Waits until a service answers `/ready` with 200.
    ///
    /// # Errors
    /// Which one did not.
    pub(super) async fn ready(&self, service: Service) -> Result<(), Failure> {
        let url = format!("{}/ready", self.ports.url(service));
        let waiting = async {
            loop {
                if let Ok(answer) = self.client.get(&url).send().await
                    && answer.status() == StatusCode::OK
                {
                    return;
                }
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        tokio::time::timeout(READY_WITHIN, waiting).await.map_err(|_| {
            Failure::new(format!("{} was not ready within {} s", service.name(), READY_WITHIN.as_secs()))
        })
    }

    /// A device's POST: the answer's status and document.
    ///
    /// # Errors
    /// Where nothing, or no JSON, is answered.
    pub(super) async fn post(
        &self,
        service: Service,
        path: &str,
        body: &Value,
    ) -> Result<(StatusCode, Value), Failure> {
        let url = format!("{}{path}", self.ports.url(service));
        let asked = self.client.post(&url).bearer_auth(&self.device_token).json(body);
        answered(asked.send().await, &url).await
    }

    /// A sender's signed POST of telemetry.
    ///
    /// # Errors
    /// As [`Doors::post`].
    pub(super) async fn send_events(&self, events: &Value) -> Result<(StatusCode, Value), Failure> {
        let url = format!("{}{EVENTS_PATH}", self.ports.url(Service::TelemetryIngest));
        let body = events.to_string().into_bytes();
        let key = Key::new(self.key_secret.expose_secret()).map_err(Failure::new)?;
        let mut nonce = [0; 18];
        getrandom::fill(&mut nonce).map_err(Failure::new)?;
        let (nonce, ts) = (URL_SAFE_NO_PAD.encode(nonce), self.clock.now().as_second());
        let headers =
            sign_sp1(&key, "POST", EVENTS_PATH, &self.key_id, ts, &nonce, &body).map_err(Failure::new)?;
        let mut asked = self.client.post(&url).header("content-type", "application/json").body(body);
        for (name, value) in headers {
            asked = asked.header(name, value);
        }
        answered(asked.send().await, &url).await
    }

    /// The lines of a service's `/metrics`.
    ///
    /// # Errors
    /// Where it does not answer.
    pub(super) async fn metrics(&self, service: Service) -> Result<String, Failure> {
        let url = format!("{}/metrics", self.ports.url(service));
        let text = async { self.client.get(&url).send().await?.error_for_status()?.text().await };
        text.await.map_err(|error| Failure::new(format!("{url}: {}", error.without_url())))
    }
}

async fn answered(
    sent: Result<reqwest::Response, reqwest::Error>,
    url: &str,
) -> Result<(StatusCode, Value), Failure> {
    let failed = |error: reqwest::Error| Failure::new(format!("{url}: {}", error.without_url()));
    let answer = sent.map_err(failed)?;
    let status = answer.status();
    Ok((status, answer.json().await.map_err(failed)?))
}

/// The document, where the status is the one that was to be seen.
///
/// # Errors
/// What was answered instead.
pub(super) fn expect(what: &str, wanted: StatusCode, answer: (StatusCode, Value)) -> Result<Value, Failure> {
    let (status, document) = answer;
    if status == wanted {
        return Ok(document);
    }
    let detail = document["detail"].as_str().or(document["code"].as_str()).unwrap_or("no reason given");
    Err(Failure::new(format!("{what}: {status} instead of {wanted}: {detail}")))
}
