//! Reads what the services say of themselves, every second: `/metrics` and `/ready`, over HTTP alone.

use std::time::Duration;

use futures_util::future::join_all;
use reqwest::Client;
use serde::Deserialize;
use tokio::{sync::mpsc, time::interval};

use super::{alerts::Alerts, sample::Sample};
use crate::failure::Failure;

/// How often.
const EVERY: Duration = Duration::from_secs(1);
/// A service that takes longer says nothing this time.
const ANSWERED_WITHIN: Duration = Duration::from_millis(900);
/// Prometheus judges its rules every fifteen seconds or so: every so many readings it is asked.
const ALERTS_EVERY: u32 = 5;
/// Largest answer that is read, in bytes: a scrape has some hundred thousand.
const ANSWER_BYTES_MAX: usize = 8 << 20;

/// What a service says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServiceState {
    /// Nobody asked yet.
    Unasked,
    /// It serves.
    Ready,
    /// It runs, but its database is away.
    Degraded,
    /// It has not reached its database yet.
    Starting,
    /// It serves what is under way, and ends.
    Draining,
    /// It does not answer.
    Gone,
    /// It answers something else.
    Strange,
}

impl ServiceState {
    /// In a word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Unasked => "asked",
            Self::Ready => "ready",
            Self::Degraded => "degraded",
            Self::Starting => "starting",
            Self::Draining => "draining",
            Self::Gone => "gone",
            Self::Strange => "strange",
        }
    }

    fn of(status: u16, body: &[u8]) -> Self {
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Ready {
            state: Option<String>,
            status: serde_json::Value,
        }
        let ready: Ready = serde_json::from_slice(body).unwrap_or_default();
        // A problem document's `status` is a number; its word stands in `state`.
        match (status, ready.state.as_deref().or(ready.status.as_str())) {
            (200, Some("ready")) => Self::Ready,
            (200, Some("degraded")) => Self::Degraded,
            (503, Some("starting")) => Self::Starting,
            (503, Some("draining")) => Self::Draining,
            (_, Some(_) | None) => Self::Strange,
        }
    }
}

/// One service, read once.
#[derive(Debug, Clone)]
pub struct ServiceReading {
    /// What it says of itself.
    pub state: ServiceState,
    /// Its scrape; none where it gave none.
    pub sample: Option<Sample>,
}

/// All of them, read once.
#[derive(Debug, Clone)]
pub struct Reading {
    /// In the order of the services.
    pub services: Vec<ServiceReading>,
    /// Where Prometheus was asked this time.
    pub alerts: Option<Alerts>,
}

/// Whom to ask.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Names and base URLs.
    pub services: Vec<(&'static str, String)>,
    /// Prometheus' base URL.
    pub prometheus: String,
}

/// Reads for as long as somebody listens.
///
/// # Errors
/// Where no HTTP client can be made.
pub(super) fn begin(asked: Asked) -> Result<mpsc::Receiver<Reading>, Failure> {
    // A proxy of the environment has no business between us and our own services.
    let client = Client::builder().timeout(ANSWERED_WITHIN).no_proxy().build().map_err(Failure::new)?;
    // One reading waits at most: an older one is nothing to look at.
    let (tell, readings) = mpsc::channel(1);
    tokio::spawn(async move {
        let mut every = interval(EVERY);
        every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        let mut nth = 0_u32;
        loop {
            every.tick().await;
            let services = join_all(asked.services.iter().map(|(_, url)| service(&client, url)));
            let alerts = async {
                if nth.is_multiple_of(ALERTS_EVERY) {
                    Some(super::alerts::ask(&client, &asked.prometheus).await)
                } else {
                    None
                }
            };
            let (services, alerts) = tokio::join!(services, alerts);
            nth = nth.wrapping_add(1);
            if tell.send(Reading { services, alerts }).await.is_err() {
                return;
            }
        }
    });
    Ok(readings)
}

async fn service(client: &Client, url: &str) -> ServiceReading {
    let (ready, metrics) = (format!("{url}/ready"), format!("{url}/metrics"));
    let (ready, metrics) = tokio::join!(bytes(client, &ready), bytes(client, &metrics));
    let state = ready.map_or(ServiceState::Gone, |(status, body)| ServiceState::of(status, &body));
    let sample = metrics
        .filter(|(status, _)| *status == 200)
        .and_then(|(_, body)| Some(Sample::read(std::str::from_utf8(&body).ok()?)));
    ServiceReading { state, sample }
}

/// An answer's status and bytes; none where there is none, or it is too large.
pub(super) async fn bytes(client: &Client, url: &str) -> Option<(u16, Vec<u8>)> {
    let mut answer = client.get(url).send().await.ok()?;
    let status = answer.status().as_u16();
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.ok()? {
        if body.len() + chunk.len() > ANSWER_BYTES_MAX {
            return None;
        }
        body.extend_from_slice(&chunk);
    }
    Some((status, body))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readiness_is_read_from_an_answer_and_from_a_problem() {
        assert_eq!(ServiceState::of(200, br#"{"status":"ready"}"#), ServiceState::Ready);
        assert_eq!(ServiceState::of(200, br#"{"status":"degraded"}"#), ServiceState::Degraded);
        let problem = br#"{"status":503,"code":"not_ready","state":"draining"}"#;
        assert_eq!(ServiceState::of(503, problem), ServiceState::Draining);
        assert_eq!(ServiceState::of(200, b"hello"), ServiceState::Strange);
    }
}
