//! One body to the server and its answer: signed, sent again while that can help, and the clock set right once.

use std::time::{Duration, Instant};

use jiff::SignedDuration;
use reqwest::{Client, Response};
use seatpilot_signing::Signature;
use serde::Deserialize;
use tokio::sync::watch;
use uuid::Uuid;

use crate::{
    key::SigningKey,
    retry::{Budget, Pace, is_retryable},
};

const PATH: &str = "/v1/events";
/// The server takes a signature for 300 s: until then the same bytes are sent again, and find their first answer.
const FRESH_SECONDS: i64 = 240;
/// A clock that is off by less is not why a signature was refused.
const SKEW: SignedDuration = SignedDuration::from_secs(60);
/// No server is waited for longer because it asks for it.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(3_600);

/// What became of a body.
#[derive(Debug)]
pub(crate) enum Delivered {
    /// Each item has its outcome, in the order sent.
    Answered(Vec<Item>),
    /// The server refuses this body, today and tomorrow.
    Refused(String),
    /// Not for what is in it: the key is not good, or the address takes no events.
    Unwelcome { status: u16, code: String },
    /// Nobody answered, or only with "not now". It may be stored all the same.
    Unreachable { status: Option<u16> },
}

/// One item of an answer.
#[derive(Debug, Deserialize)]
pub(crate) struct Item {
    pub(crate) status: ItemStatus,
    pub(crate) reason: Option<String>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ItemStatus {
    Accepted,
    Duplicate,
    Rejected,
}

#[derive(Debug, Default, Deserialize)]
struct Answer {
    items: Option<Vec<Item>>,
    code: Option<String>,
}

struct Signed {
    headers: Signature,
    ts: i64,
}

/// Sends bodies to one address with one key.
#[derive(Debug)]
pub(crate) struct Delivery {
    client: Client,
    url: String,
    key: SigningKey,
    pace: Pace,
    budget: Budget,
    offset: SignedDuration,
    corrected: bool,
}

impl Delivery {
    pub(crate) fn new(client: Client, url: &str, key: SigningKey, pace: Pace) -> Self {
        Self {
            client,
            url: format!("{url}{PATH}"),
            key,
            pace,
            budget: Budget::new(Instant::now()),
            offset: SignedDuration::ZERO,
            corrected: false,
        }
    }

    /// How far the server's clock is ahead, as far as it is known.
    pub(crate) fn offset(&self) -> SignedDuration {
        self.offset
    }

    fn signed(&self, body: &[u8]) -> Option<Signed> {
        let ts = crate::sender::now(self.offset).as_second();
        let nonce = Uuid::new_v4().simple().to_string();
        self.key.sign(PATH, ts, &nonce, body).ok().map(|headers| Signed { headers, ts })
    }

    /// Sends it until there is an answer that lasts, the tries are used up, or `stop` says so.
    pub(crate) async fn deliver(&mut self, body: &[u8], stop: &mut watch::Receiver<bool>) -> Delivered {
        let mut sent: Option<Signed> = None;
        let mut last = None;
        self.budget.sent();
        let mut attempt = 0;
        loop {
            attempt += 1;
            // The same bytes while they are fresh, so that what is stored already is answered and not stored again; then
            // signed anew, with the same ids in them.
            let now = crate::sender::now(self.offset).as_second();
            let fresh = sent.take().filter(|signed| (now - signed.ts).abs() <= FRESH_SECONDS);
            let Some(signed) = fresh.or_else(|| self.signed(body)) else {
                return Delivered::Unwelcome { status: 0, code: "the request cannot be signed".to_owned() };
            };
            let mut wait = Duration::ZERO;
            let answered = tokio::select! {
                answered = self.post(body, &signed) => answered,
                () = stopped(stop) => return Delivered::Unreachable { status: last },
            };
            sent = Some(signed);
            match answered {
                Err(_) => last = None,
                Ok(response) => {
                    let status = response.status().as_u16();
                    last = Some(status);
                    if status == 401 && self.set_clock(&response) {
                        sent = None;
                        continue;
                    }
                    wait = retry_after(&response);
                    if !is_retryable(status) {
                        match read(response).await {
                            // Not an answer of ours, or a nonce that was used: another one next time.
                            Delivered::Unreachable { .. } => sent = None,
                            lasting => return lasting,
                        }
                    }
                }
            }
            if attempt >= self.pace.tries {
                return Delivered::Unreachable { status: last };
            }
            let pause = self.pace.pause(attempt, wait, random()).max(self.budget.take(Instant::now()));
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = stopped(stop) => return Delivered::Unreachable { status: last },
            }
        }
    }

    async fn post(&self, body: &[u8], signed: &Signed) -> Result<Response, reqwest::Error> {
        let mut request = self.client.post(&self.url).timeout(self.pace.answer);
        request = request.header("content-type", "application/json");
        for (name, value) in &signed.headers {
            request = request.header(*name, value);
        }
        request.body(body.to_vec()).send().await
    }

    /// Sets the clock by the answer's `Date`, once: a server that is wrong twice is not believed. Whether it did.
    fn set_clock(&mut self, response: &Response) -> bool {
        let date = response.headers().get("date").and_then(|date| date.to_str().ok());
        let Some(date) = date.and_then(|date| jiff::fmt::rfc2822::parse(date).ok()) else { return false };
        let off = date.timestamp().duration_since(crate::sender::now(self.offset));
        if self.corrected || off.abs() <= SKEW {
            return false;
        }
        self.corrected = true;
        self.offset += off;
        true
    }
}

async fn stopped(stop: &mut watch::Receiver<bool>) {
    // A sender that is gone stops its worker too.
    let _ = stop.wait_for(|stop| *stop).await;
}

async fn read(response: Response) -> Delivered {
    let status = response.status().as_u16();
    let answer = response.json::<Answer>().await.unwrap_or_default();
    match (status, answer) {
        (202, Answer { items: Some(items), .. }) => Delivered::Answered(items),
        (413 | 422, Answer { code: Some(code), .. }) => Delivered::Refused(code),
        // A nonce that was used for something else: the next round has another.
        (409, _) => Delivered::Unreachable { status: Some(status) },
        (400..=499, Answer { code: Some(code), .. }) => Delivered::Unwelcome { status, code },
        // Not one of ours: a page of the wireless network, a proxy's. Nothing is known of the events.
        _ => Delivered::Unreachable { status: Some(status) },
    }
}

/// `Retry-After`, as seconds or as a date.
fn retry_after(response: &Response) -> Duration {
    let header = response.headers().get("retry-after").and_then(|header| header.to_str().ok());
    let wait = header.and_then(|header| match header.parse::<u64>() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => {
            let date = jiff::fmt::rfc2822::parse(header).ok()?.timestamp();
            date.duration_since(crate::sender::now(SignedDuration::ZERO)).try_into().ok()
        }
    });
    wait.unwrap_or_default().min(RETRY_AFTER_MAX)
}

/// In 0..1.
fn random() -> f64 {
    let bits = u32::try_from(Uuid::new_v4().as_u128() >> 96).unwrap_or_default();
    f64::from(bits) / (f64::from(u32::MAX) + 1.0)
}
