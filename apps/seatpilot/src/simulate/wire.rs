//! The HTTP side of a simulated evening: gates, signs and senders, each with a credential of its own.
//!
//! What was not answered, or answered 503 or 429, is sent again as it was, as a gate does it (contract sections 1 and
//! 4): the same scan, the same ping, the same signed bytes. At most [`UNDER_WAY_MAX`] requests are under way; whoever
//! finds no place waits, and how long is said in the report.

use std::{collections::HashMap, time::Duration};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use reqwest::{Client, RequestBuilder, header::HeaderMap};
use seatpilot_domain_model::{DoorId, Lang};
use seatpilot_runtime::{Clock, SecretString};
use seatpilot_signing::{Key, sign_sp1};
use serde_json::Value;
use tokio::{
    sync::Semaphore,
    time::{Instant, sleep},
};

use super::{plan::Ask, tally::Tally};
use crate::failure::Failure;

/// Requests under way at a time: a stadium has fewer gates.
const UNDER_WAY_MAX: usize = 256;
/// Above every service's own deadline.
const ANSWERED_WITHIN: Duration = Duration::from_secs(10);
/// How often a request is sent at most: with the pauses, some twenty seconds.
const TRIES_MAX: u32 = 12;
/// The pause before the second time; doubled up to [`PAUSE_MAX`].
const PAUSE_FIRST: Duration = Duration::from_millis(100);
/// See [`PAUSE_FIRST`].
const PAUSE_MAX: Duration = Duration::from_secs(3);
/// Random bytes of a nonce: 24 characters.
const NONCE_BYTES: usize = 18;

/// Where the services are, without a slash at the end.
#[derive(Debug, Clone)]
pub(super) struct Doors {
    pub(super) checkin: String,
    pub(super) wayfinding: String,
    pub(super) telemetry_ingest: String,
}

/// What a simulated evening knocks with.
pub(super) struct Credentials {
    /// A device's token for each door.
    pub(super) gates: HashMap<DoorId, SecretString>,
    /// The token of the signs and phones inside.
    pub(super) inside: SecretString,
    /// The sender's key.
    pub(super) key_id: String,
    pub(super) key: Key,
}

/// An answer, its status and document.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    pub(super) status: u16,
    /// `Idempotent-Replayed: true`.
    pub(super) replayed: bool,
    /// Whether it is the answer to the first sending.
    pub(super) tries: u32,
    pub(super) document: Value,
}

impl Answer {
    /// For the report: `403 wrong_door`.
    pub(super) fn said(&self) -> String {
        match self.document["code"].as_str() {
            Some(code) => format!("{} {code}", self.status),
            None => self.status.to_string(),
        }
    }

    /// Right, or what was said.
    pub(super) fn is(&self, status: u16, code: Option<&str>) -> Result<(), String> {
        if self.status == status && self.document["code"].as_str() == code {
            Ok(())
        } else {
            Err(self.said())
        }
    }
}

/// A signed request, to be sent any number of times.
#[derive(Debug, Clone)]
pub(super) struct Signed {
    url: String,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

/// The client of all of them.
pub(super) struct Wire {
    client: Client,
    doors: Doors,
    credentials: Credentials,
    clock: Clock,
    under_way: Semaphore,
}

impl Wire {
    /// # Errors
    /// Where no HTTP client can be made.
    pub(super) fn new(doors: Doors, credentials: Credentials, clock: Clock) -> Result<Self, Failure> {
        // Load goes where we were told, never through a proxy of the environment.
        let client = Client::builder().timeout(ANSWERED_WITHIN).no_proxy();
        let client = client.pool_max_idle_per_host(UNDER_WAY_MAX).build().map_err(Failure::new)?;
        Ok(Self { client, doors, credentials, clock, under_way: Semaphore::new(UNDER_WAY_MAX) })
    }

    /// The clock of ids and times.
    pub(super) fn clock(&self) -> &Clock {
        &self.clock
    }

    /// A gate's scan.
    pub(super) async fn scan(&self, door: &DoorId, scan: &Value, tally: &Tally) -> Result<Answer, String> {
        let url = format!("{}/api/checkin/success", self.doors.checkin);
        let Some(token) = self.credentials.gates.get(door) else { return Err("no such gate".to_owned()) };
        let asked = self.client.post(url).bearer_auth(token.expose_secret()).json(scan);
        self.answer(asked, tally).await
    }

    /// A device's ping.
    pub(super) async fn ping(&self, ping: &Value, tally: &Tally) -> Result<Answer, String> {
        let url = format!("{}{ARRIVE_PATH}", self.doors.wayfinding);
        let token = self.credentials.inside.expose_secret();
        self.answer(self.client.post(url).bearer_auth(token).json(ping), tally).await
    }

    /// A question for the way.
    pub(super) async fn route(
        &self,
        venue: &str,
        ask: &Ask,
        lang: Lang,
        tally: &Tally,
    ) -> Result<Answer, String> {
        let url = format!("{}/api/wayfinding/route", self.doors.wayfinding);
        let query = [
            ("venue_id", venue),
            ("from", &ask.from),
            ("to", &ask.to),
            ("profile", ask.profile.as_str()),
            ("lang", lang.as_str()),
        ];
        let mut url: reqwest::Url = url.parse().map_err(|_| "no URL".to_owned())?;
        url.query_pairs_mut().extend_pairs(query);
        let token = self.credentials.inside.expose_secret();
        self.answer(self.client.get(url).bearer_auth(token), tally).await
    }

    /// Signs a ping.
    pub(super) fn signed_ping(&self, ping: &Value) -> Result<Signed, String> {
        self.signed(&self.doors.wayfinding, ARRIVE_PATH, ping)
    }

    /// Signs a batch of events.
    pub(super) fn signed_events(&self, events: &Value) -> Result<Signed, String> {
        self.signed(&self.doors.telemetry_ingest, EVENTS_PATH, events)
    }

    fn signed(&self, base: &str, path: &str, document: &Value) -> Result<Signed, String> {
        let mut nonce = [0; NONCE_BYTES];
        getrandom::fill(&mut nonce).map_err(|error| error.to_string())?;
        let (nonce, ts) = (URL_SAFE_NO_PAD.encode(nonce), self.clock.now().as_second());
        let body = document.to_string().into_bytes();
        let Credentials { key_id, key, .. } = &self.credentials;
        let headers =
            sign_sp1(key, "POST", path, key_id, ts, &nonce, &body).map_err(|error| error.to_string())?;
        Ok(Signed { url: format!("{base}{path}"), headers: headers.to_vec(), body })
    }

    /// Sends what was signed.
    pub(super) async fn send(&self, signed: &Signed, tally: &Tally) -> Result<Answer, String> {
        let mut asked = self.client.post(&signed.url).header("content-type", "application/json");
        for (name, value) in &signed.headers {
            asked = asked.header(*name, value);
        }
        self.answer(asked.body(signed.body.clone()), tally).await
    }

    /// The answer, asked for again where there was none or it says to.
    async fn answer(&self, asked: RequestBuilder, tally: &Tally) -> Result<Answer, String> {
        let mut pause = PAUSE_FIRST;
        let mut tries = 0;
        loop {
            tries += 1;
            // A body that cannot be copied does not exist here: all are in memory.
            let Some(request) = asked.try_clone() else { return Err("cannot be sent again".to_owned()) };
            let wished = Instant::now();
            let place = self.under_way.acquire().await;
            tally.behind(wished.elapsed());
            let answered = once(request).await;
            drop(place);
            let (said, after) = match answered {
                Ok((status @ (503 | 429), headers, _)) => (status.to_string(), retry_after(&headers)),
                Ok((status, headers, document)) => {
                    let replayed = headers.get("idempotent-replayed").is_some_and(|value| value == "true");
                    return Ok(Answer { status, replayed, tries, document });
                }
                Err(error) => (error, None),
            };
            if tries == TRIES_MAX {
                return Err(said);
            }
            tally.asked_again();
            sleep(after.unwrap_or(pause).min(PAUSE_MAX)).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }
}

/// Where an arrival goes; it is part of what is signed.
const ARRIVE_PATH: &str = "/api/wayfinding/arrive-table";
/// Where telemetry goes.
const EVENTS_PATH: &str = "/v1/events";

async fn once(request: RequestBuilder) -> Result<(u16, HeaderMap, Value), String> {
    let answer = request.send().await.map_err(|error| reason(&error))?;
    let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
    let document = answer.json().await.map_err(|error| reason(&error))?;
    Ok((status, headers, document))
}

/// Why there was no answer, in few words: they are counted by their text.
fn reason(error: &reqwest::Error) -> String {
    let words = if error.is_timeout() {
        "no answer in time"
    } else if error.is_connect() {
        "not reached"
    } else if error.is_decode() {
        "an answer that is no JSON"
    } else {
        "cut off"
    };
    words.to_owned()
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get("retry-after")?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds))
}
