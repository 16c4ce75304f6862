//! `seatpilot doctor`: what is wrong between a sender and its telemetry door, asked from outside as the sender would.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use reqwest::{Client, Response};
use seatpilot_runtime::Clock;
use seatpilot_signing::{FRESH_SECONDS, Key, sign_sp1};
use serde::Serialize;
use serde_json::{Value, json};

use crate::{
    failure::Failure,
    global::Global,
    key_args::KeyArgs,
    output::columns,
    running::not_running,
    sign::{EVENTS_PATH, random_nonce},
    state::State,
};

/// A server that takes longer does not answer.
const ANSWER_MAX: Duration = Duration::from_secs(10);
/// A clock that is off by more will be off by too much before long.
const SKEW_WARNED_SECONDS: u64 = 30;
/// A body that is taken apart only where key, tag, time, scope and rate are right, and leaves no trace: no events.
const NOTHING: &[u8] = b"[]";

/// What to look at.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Where telemetry-ingest is [default: the running one].
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// With which key.
    #[command(flatten)]
    key: KeyArgs,
}

/// How a part of the way is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    Ok,
    Warning,
    Wrong,
}

/// One part of the way.
#[derive(Debug, Serialize)]
struct Finding {
    what: &'static str,
    verdict: Verdict,
    detail: String,
}

impl Finding {
    fn new(what: &'static str, verdict: Verdict, detail: impl Into<String>) -> Self {
        Self { what, verdict, detail: detail.into() }
    }
}

/// Asks, and says what it found.
///
/// # Errors
/// Where something is wrong, or there is nothing to look at.
pub async fn run(args: &Args, global: &Global, clock: &Clock) -> Result<(), Failure> {
    let state = State::read(&global.data_dir());
    let url = match (&args.url, &state) {
        (Some(url), _) => url.trim_end_matches('/').to_owned(),
        (None, Ok(Some(state))) => state.urls.telemetry_ingest.clone(),
        (None, _) => return Err(not_running(global, "give --url")),
    };
    let (key_id, secret) = args.key.read(global, &state)?;
    let key = Key::new(secret.expose_secret()).map_err(Failure::new)?;
    let client = Client::builder().timeout(ANSWER_MAX).build().map_err(Failure::new)?;

    let mut findings = Vec::new();
    match client.get(format!("{url}/ready")).send().await {
        Err(error) => findings.push(Finding::new("reach", Verdict::Wrong, reason(&error))),
        Ok(ready) => {
            let skew = skew(&ready, clock.now());
            findings.push(reached(ready).await);
            findings.push(clock_of(skew));
            let ts = clock.now().as_second();
            let headers = sign_sp1(&key, "POST", EVENTS_PATH, &key_id, ts, &random_nonce()?, NOTHING);
            let mut request = client.post(format!("{url}{EVENTS_PATH}")).body(NOTHING);
            for (name, value) in headers.map_err(Failure::new)? {
                request = request.header(name, value);
            }
            match request.send().await {
                Err(error) => findings.push(Finding::new("key", Verdict::Wrong, reason(&error))),
                Ok(answer) => findings.push(signed(answer, &key_id, skew).await),
            }
        }
    }
    let rows: Vec<Value> = findings.iter().map(|finding| json!(finding)).collect();
    let names = ["what", "verdict", "detail"];
    global.output().list(&names, &rows, columns(&names))?;
    match findings.iter().find(|finding| finding.verdict == Verdict::Wrong) {
        Some(wrong) => Err(Failure::new(format!("{}: {}", wrong.what, wrong.detail))),
        None => Ok(()),
    }
}

/// Without the address: it stands on the command line.
fn reason(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    if error.is_timeout() { "no answer within 10 s".to_owned() } else { cause.to_string() }
}

/// How far the server's clock is ahead of ours.
fn skew(answer: &Response, now: Timestamp) -> Option<SignedDuration> {
    let date = answer.headers().get("date")?.to_str().ok()?;
    let theirs = jiff::fmt::rfc2822::parse(date).ok()?.timestamp();
    Some(theirs.duration_since(now))
}

async fn reached(answer: Response) -> Finding {
    let status = answer.status().as_u16();
    let body: Value = answer.json().await.unwrap_or_default();
    let word = |member: &str| body[member].as_str().unwrap_or("?").to_owned();
    match (status, body["service"].as_str()) {
        (200, Some("telemetry-ingest")) if body["status"] == "ready" => {
            Finding::new("reach", Verdict::Ok, format!("telemetry-ingest, store {}", word("store")))
        }
        (200, Some("telemetry-ingest")) => {
            let detail =
                format!("telemetry-ingest is {}: its database is away, events are 503", word("status"));
            Finding::new("reach", Verdict::Warning, detail)
        }
        (200, Some(other)) => {
            Finding::new("reach", Verdict::Wrong, format!("that is {other}, and takes no telemetry"))
        }
        (503, _) if body["code"] == "not_ready" => Finding::new(
            "reach",
            Verdict::Warning,
            format!("telemetry-ingest is {}: events are 503", word("state")),
        ),
        _ => Finding::new("reach", Verdict::Wrong, format!("/ready answered {status}, and is not ours")),
    }
}

fn clock_of(skew: Option<SignedDuration>) -> Finding {
    let Some(skew) = skew else {
        return Finding::new("clock", Verdict::Warning, "the answer has no Date to hold ours against");
    };
    let seconds = skew.as_secs();
    let off = seconds.unsigned_abs();
    let side = if seconds < 0 { "ahead of" } else { "behind" };
    let verdict = match off {
        ..SKEW_WARNED_SECONDS => Verdict::Ok,
        SKEW_WARNED_SECONDS..=FRESH_SECONDS => Verdict::Warning,
        _ => Verdict::Wrong,
    };
    let detail = match verdict {
        Verdict::Ok => format!("{off} s off"),
        Verdict::Warning | Verdict::Wrong => {
            format!(
                "{off} s {side} the server's: over {FRESH_SECONDS} s no signature is taken; set it by NTP"
            )
        }
    };
    Finding::new("clock", verdict, detail)
}

async fn signed(answer: Response, key_id: &str, skew: Option<SignedDuration>) -> Finding {
    let status = answer.status().as_u16();
    let body: Value = answer.json().await.unwrap_or_default();
    let code = body["code"].as_str().unwrap_or("no problem of ours");
    let stale = skew.is_some_and(|skew| skew.as_secs().unsigned_abs() > FRESH_SECONDS);
    match (status, code) {
        // As it should be: nothing was in it.
        (422, "schema_violation") => {
            Finding::new("key", Verdict::Ok, format!("{key_id} signs, and may send events"))
        }
        (401, _) if stale => Finding::new(
            "key",
            Verdict::Wrong,
            "refused, as the clock explains; a look at the key comes after it",
        ),
        (401, _) => {
            let detail = format!("{key_id} is unknown or revoked there, or the secret is another one");
            Finding::new("key", Verdict::Wrong, detail)
        }
        (403, _) => Finding::new("key", Verdict::Wrong, format!("{key_id} has not the scope `ingest`")),
        (429, _) => Finding::new("key", Verdict::Warning, "the key's rate is used up just now"),
        (503, _) => Finding::new("key", Verdict::Warning, format!("not known: the server says {code}")),
        (_, code) => Finding::new("key", Verdict::Wrong, format!("the server answered {status}, {code}")),
    }
}
