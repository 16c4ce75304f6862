//! `seatpilot sign`: the headers of a signed request, for whoever tries the telemetry door by hand.

use std::io::{self, Read};

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use clap::ValueEnum;
use seatpilot_runtime::Clock;
use seatpilot_signing::{Key, Signature, sign_sp1, sign_standard_webhooks};
use serde_json::{Map, Value};

use crate::{
    failure::Failure,
    global::Global,
    key_args::{FoundState, KeyArgs},
    output::Style,
    running::not_running,
    state::State,
};

/// Largest body that is signed, in bytes; the telemetry door takes 256 KiB.
const BODY_BYTES_MAX: usize = 16 << 20;
/// Longest body that a curl line carries as text; longer ones, and those with control characters, go as
/// base64 through a pipe, which has no limit on an argument's length.
const BODY_IN_LINE_MAX: usize = 64 << 10;
/// Random bytes of a nonce: 144 bits, 24 characters.
const NONCE_BYTES: usize = 18;
/// Where signed telemetry goes.
pub(crate) const EVENTS_PATH: &str = "/v1/events";

/// What to sign with, and for what.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// With which key.
    #[command(flatten)]
    key: KeyArgs,
    /// How to sign.
    #[arg(long, value_enum, default_value_t = Scheme::Sp1)]
    scheme: Scheme,
    /// The request's method.
    #[arg(long, default_value = "POST")]
    method: String,
    /// The request's path [default: --curl's, else /v1/events].
    #[arg(long)]
    path: Option<String>,
    /// Unix seconds to sign for [default: now].
    #[arg(long, value_name = "SECONDS")]
    ts: Option<i64>,
    /// The nonce, or the id of a webhook [default: a random one].
    // Its alphabet has the hyphen, and so may its first character be one.
    #[arg(long, allow_hyphen_values = true)]
    nonce: Option<String>,
    /// Print a curl line that sends the body, to this URL [default: the running telemetry door].
    #[arg(long, value_name = "URL", num_args = 0..=1, default_missing_value = "")]
    curl: Option<String>,
}

/// The contract's two ways to sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Scheme {
    /// x-key, x-ts, x-nonce, x-sig.
    Sp1,
    /// x-key with webhook-id, webhook-timestamp, webhook-signature.
    StandardWebhooks,
}

/// Signs standard input and prints.
///
/// # Errors
/// Where there is no key to sign with, or no server would take what would be signed.
pub fn run(args: &Args, global: &Global, clock: &Clock) -> Result<(), Failure> {
    let state = State::read(&global.data_dir());
    let (key_id, secret) = args.key.read(global, &state)?;
    let target = args.curl.as_deref().map(|url| target(url, global, &state)).transpose()?;
    let path = match (&args.path, &target) {
        (Some(path), _) => path.as_str(),
        (None, Some(target)) => target.path(),
        (None, None) => EVENTS_PATH,
    };
    let mut body = Vec::new();
    io::stdin().lock().take(BODY_BYTES_MAX as u64 + 1).read_to_end(&mut body)?;
    if body.len() > BODY_BYTES_MAX {
        return Err(Failure::new(format!("the body has more than {} MiB", BODY_BYTES_MAX >> 20)));
    }
    let key = Key::new(secret.expose_secret()).map_err(Failure::new)?;
    let ts = args.ts.unwrap_or_else(|| clock.now().as_second());
    let nonce = args.nonce.clone().map_or_else(random_nonce, Ok)?;
    let headers = match args.scheme {
        Scheme::Sp1 => sign_sp1(&key, &args.method, path, &key_id, ts, &nonce, &body),
        Scheme::StandardWebhooks => sign_standard_webhooks(&key, &key_id, &nonce, ts, &body),
    }
    .map_err(Failure::new)?;
    let output = global.output();
    match (output.style(), target) {
        (Style::Json, _) => {
            let object: Map<String, Value> =
                headers.into_iter().map(|(name, value)| (name.to_owned(), Value::String(value))).collect();
            output.result("", &object)
        }
        (_, Some(target)) => output.line(curl_line(&args.method, target.as_str(), &headers, &body)),
        (_, None) => headers.iter().try_for_each(|(name, value)| output.line(format!("{name}: {value}"))),
    }
}

/// Where a curl line sends: a base URL is completed to the telemetry door.
fn target(url: &str, global: &Global, state: &FoundState) -> Result<reqwest::Url, Failure> {
    let base = match (url, state) {
        ("", Ok(Some(state))) => state.urls.telemetry_ingest.as_str(),
        ("", _) => return Err(not_running(global, "give --curl its URL")),
        (url, _) => url,
    };
    let mut target: reqwest::Url =
        base.parse().map_err(|error| Failure::new(format!("--curl: {error}: {base}")))?;
    if !matches!(target.scheme(), "http" | "https") {
        return Err(Failure::new("--curl: the URL must begin with http:// or https://"));
    }
    if target.query().is_some() || target.fragment().is_some() {
        return Err(Failure::new("--curl: a signed request has no query string"));
    }
    if target.path() == "/" {
        target.set_path(EVENTS_PATH);
    }
    Ok(target)
}

pub(crate) fn random_nonce() -> Result<String, Failure> {
    let mut bytes = [0; NONCE_BYTES];
    getrandom::fill(&mut bytes).map_err(Failure::new)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

/// One line for a POSIX shell.
fn curl_line(method: &str, url: &str, headers: &Signature, body: &[u8]) -> String {
    let headers: String =
        headers.iter().map(|(name, value)| format!(" -H {}", quoted(&format!("{name}: {value}")))).collect();
    let curl = format!(
        "curl -sS -X {} {} -H 'content-type: application/json'{headers}",
        quoted(method),
        quoted(url)
    );
    match std::str::from_utf8(body) {
        Ok(text) if text.len() <= BODY_IN_LINE_MAX && !text.chars().any(char::is_control) => {
            format!("{curl} --data-raw {}", quoted(text))
        }
        _ => format!("printf %s {} | base64 -d | {curl} --data-binary @-", STANDARD.encode(body)),
    }
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers() -> Signature {
        let key = Key::new(&[7; 32]).expect("long enough");
        sign_sp1(&key, "POST", "/v1/events", "acme_gate_01", 1_795_305_600, &"n".repeat(22), b"{}")
            .expect("signed")
    }

    #[test]
    fn a_body_with_quotes_stays_one_argument() {
        let line = curl_line("POST", "http://127.0.0.1:3300/v1/events", &headers(), br#"{"a":"it's"}"#);
        assert!(line.ends_with(r#"--data-raw '{"a":"it'\''s"}'"#), "{line}");
        assert!(!line.contains('\n'));
    }

    #[test]
    fn a_body_that_is_no_single_line_of_text_goes_through_a_pipe() {
        for body in [&b"{\n}"[..], b"\xff", b"a\0b", &[b'x'; BODY_IN_LINE_MAX + 1]] {
            let line = curl_line("POST", "http://127.0.0.1:3300/v1/events", &headers(), body);
            assert!(line.starts_with("printf %s ") && line.ends_with("--data-binary @-"), "{line:.80}");
            assert!(!line.contains('\n'));
        }
    }

    #[test]
    fn a_base_url_is_completed_and_a_query_is_refused() {
        let nothing: FoundState = Ok(None);
        let global = Global { data_dir: None, tenant: None, json: false };
        let path = |url: &str| target(url, &global, &nothing).map(|url| url.path().to_owned());
        assert_eq!(path("http://127.0.0.1:3300").expect("fine"), "/v1/events");
        assert_eq!(path("http://127.0.0.1:3300/x/y").expect("fine"), "/x/y");
        for bad in ["http://h/v1/events?x=1", "ftp://h/", "no url", ""] {
            assert!(path(bad).is_err(), "{bad}");
        }
    }
}
