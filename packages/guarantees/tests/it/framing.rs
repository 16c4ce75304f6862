//! G35: requests whose framing can be read in two ways. Each gets one answer and leaves nothing behind that could be
//! taken for another request, straight at the service and through nginx.
//!
//! What was smuggled would carry an id of its own, which every answer echoes: so nothing is guessed from statuses.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::time::Duration;

use seatpilot_guarantees::nginx;
use seatpilot_testkit::Binary;

use crate::doors::{Doors, exchange, status_of};

const PATIENCE: Duration = Duration::from_millis(1_200);
/// What must never be answered.
const SMUGGLED: &str = "GET /health HTTP/1.1\r\nHost: x\r\nx-request-id: smuggled\r\n\r\n";
/// What follows on the same connection: it is answered as itself, or not at all.
const FOLLOWING: &str =
    "GET /openapi.json HTTP/1.1\r\nHost: x\r\nx-request-id: following\r\nConnection: close\r\n\r\n";

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// 400 or the like, and the connection closes: nothing after it is answered.
    Refused,
    /// One reading only: it is answered, and so is what follows.
    Understood,
}
use Fate::{Refused, Understood};

/// The requests: what is odd about it, its bytes, what becomes of it.
fn requests() -> Vec<(String, Vec<u8>, Fate)> {
    let mut all: Vec<(String, Vec<u8>, Fate)> = Vec::new();
    let length = SMUGGLED.len();
    let post = "POST /nowhere HTTP/1.1\r\nHost: x\r\nx-request-id: first\r\n";
    // Heads after which the body could be empty, chunked, or what is smuggled.
    for head in [
        format!("Content-Length: {length}\r\nTransfer-Encoding: chunked\r\n"),
        format!("Transfer-Encoding: chunked\r\nContent-Length: {length}\r\n"),
        format!("Content-Length: {length}\r\nTransfer-Encoding: identity\r\n"),
        format!("Content-Length: {length}\r\nContent-Length: 0\r\n"),
        format!("Content-Length: 0\r\nContent-Length: {length}\r\n"),
        format!("Content-Length: {length}\r\nContent-Length: {length}\r\n"),
        format!("Content-Length: {length}, {length}\r\n"),
        "Content-Length: +5\r\n".to_owned(),
        "Content-Length: -1\r\n".to_owned(),
        "Content-Length: 0x5\r\n".to_owned(),
        "Content-Length: 5 5\r\n".to_owned(),
        "Content-Length: 5;\r\n".to_owned(),
        "Content-Length: five\r\n".to_owned(),
        "Content-Length: \r\n".to_owned(),
        "Content-Length: 99999999999999999999\r\n".to_owned(),
        "Content-Length : 5\r\n".to_owned(),
        "Content-Length\t: 5\r\n".to_owned(),
        "Transfer-Encoding : chunked\r\n".to_owned(),
        "Transfer-Encoding: xchunked\r\n".to_owned(),
        "Transfer-Encoding: chunkedx\r\n".to_owned(),
        "Transfer-Encoding: \"chunked\"\r\n".to_owned(),
        "Transfer-Encoding: chunked, identity\r\n".to_owned(),
        "Transfer-Encoding: identity, chunked\r\n".to_owned(),
        "Transfer-Encoding: gzip, chunked\r\n".to_owned(),
        "Transfer-Encoding: chunked, chunked\r\n".to_owned(),
        "Transfer-Encoding: chunked;q=1\r\n".to_owned(),
        "Transfer-Encoding: \r\n".to_owned(),
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n".to_owned(),
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n".to_owned(),
        "Transfer-Encoding:\x0bchunked\r\n".to_owned(),
        "Transfer\u{2010}Encoding: chunked\r\n".to_owned(),
        "X-Folded: a\r\n Transfer-Encoding: chunked\r\n".to_owned(),
        "X-Folded: a\r\n\tb\r\n".to_owned(),
        "X-Nul: a\0b\r\n".to_owned(),
        "X-Nul\0: a\r\n".to_owned(),
        "X-Bell: a\x07b\r\n".to_owned(),
        "X-Cr: a\rTransfer-Encoding: chunked\r\n".to_owned(),
        "No colon\r\n".to_owned(),
        ": no name\r\n".to_owned(),
        " Leading: space\r\n".to_owned(),
        "Sp ace: in name\r\n".to_owned(),
        "Host: y\r\n".to_owned(),
    ] {
        let bytes = format!("{post}{head}\r\n0\r\n\r\n{SMUGGLED}");
        all.push((format!("{head:?}"), bytes.into_bytes(), Refused));
    }
    // Chunks.
    let chunked = format!("{post}Transfer-Encoding: chunked\r\n\r\n");
    for (chunks, fate) in [
        ("zz\r\n".to_owned(), Refused),
        ("-1\r\n".to_owned(), Refused),
        ("+0\r\n\r\n".to_owned(), Refused),
        ("0x0\r\n\r\n".to_owned(), Refused),
        ("fffffffffffffffff\r\n".to_owned(), Refused),
        ("\r\n0\r\n\r\n".to_owned(), Refused),
        ("1\r\naXX".to_owned(), Refused),
        ("1;ext\nGET\r\na\r\n0\r\n\r\n".to_owned(), Refused),
        // Extensions are HTTP's own (RFC 9112, section 7.1.1), and mean nothing.
        ("1;a=b\r\na\r\n0;c=\"d\"\r\n\r\n".to_owned(), Understood),
        (format!("{length:x}\r\n{SMUGGLED}\r\n0\r\n\r\n"), Understood),
    ] {
        let name = format!("chunks {:?}", chunks.get(..chunks.len().min(24)).unwrap_or_default());
        let tail = if fate == Refused { SMUGGLED } else { "" };
        all.push((name, format!("{chunked}{chunks}{tail}").into_bytes(), fate));
    }
    // First lines, versions, ends of lines.
    for (line, fate) in [
        ("GET  /health HTTP/1.1\r\nHost: x\r\n", Refused),
        ("GET /health  HTTP/1.1\r\nHost: x\r\n", Refused),
        ("GET /health HTTP/1.1 \r\nHost: x\r\n", Refused),
        ("GET /health HTTP/9.9\r\nHost: x\r\n", Refused),
        ("GET /health HTTP/1.10\r\nHost: x\r\n", Refused),
        ("GET /health http/1.1\r\nHost: x\r\n", Refused),
        ("G\0T /health HTTP/1.1\r\nHost: x\r\n", Refused),
        ("GET /hea\0lth HTTP/1.1\r\nHost: x\r\n", Refused),
        ("GET /health HTTP/1.1\r\n", Refused),
        ("POST /nowhere HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n", Refused),
    ] {
        all.push((format!("{line:?}"), format!("{line}\r\n{SMUGGLED}").into_bytes(), fate));
    }
    for (what, bytes, fate) in [
        (
            "absolute form",
            "GET http://x/health HTTP/1.1\r\nHost: x\r\nx-request-id: first\r\n\r\n".to_owned(),
            Understood,
        ),
        (
            "a body that looks like a request",
            format!("{post}Content-Length: {length}\r\n\r\n{SMUGGLED}"),
            Understood,
        ),
        (
            "a body with GET",
            format!(
                "GET /health HTTP/1.1\r\nHost: x\r\nx-request-id: first\r\nContent-Length: {length}\r\n\r\n{SMUGGLED}"
            ),
            Understood,
        ),
        (
            "97 headers",
            format!("{post}{}\r\n", (0..97).map(|n| format!("x-{n}: 1\r\n")).collect::<String>()),
            Refused,
        ),
        ("a header of 200 KiB", format!("{post}x-long: {}\r\n\r\n", "x".repeat(200 * 1024)), Refused),
    ] {
        all.push((what.to_owned(), bytes.into_bytes(), fate));
    }
    all
}

/// How often an answer with this id came.
fn answers_with(answer: &str, id: &str) -> usize {
    answer.to_ascii_lowercase().matches(&format!("\r\nx-request-id: {id}\r\n")).count()
}

fn judge(what: &str, answer: &[u8], fate: Fate) -> Result<(), String> {
    let text = String::from_utf8_lossy(answer);
    let shown = text.get(..text.len().min(600)).unwrap_or_default();
    let (smuggled, following) = (answers_with(&text, "smuggled"), answers_with(&text, "following"));
    let answers = text.matches("HTTP/1.1 ").count() + text.matches("HTTP/1.0 ").count();
    if smuggled > 0 {
        return Err(format!("{what}: what was smuggled was answered: {shown}"));
    }
    let status = status_of(answer);
    let fits = match fate {
        // A connection that is cut without a word is as good as a refusal.
        Refused => following == 0 && answers <= 1 && status.is_none_or(|status| (400..500).contains(&status)),
        Understood => following == 1 && answers == 2 && status.is_some_and(|status| status < 500),
    };
    if fits {
        Ok(())
    } else {
        Err(format!("{what}: {fate:?}, {answers} answers, {following} of what follows: {shown}"))
    }
}

/// Sends each, with another request behind it, and says which were misread.
fn misread(address: SocketAddr) -> Vec<String> {
    let judged = requests().into_iter().map(|(what, mut bytes, fate)| {
        bytes.extend_from_slice(FOLLOWING.as_bytes());
        judge(&what, &exchange(address, &bytes, PATIENCE), fate)
    });
    judged.filter_map(Result::err).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_framing_makes_a_service_misread_what_follows() {
    let mut doors = Doors::open(1).await;
    for service in ["checkin", "telemetry-ingest"] {
        let wrong = misread(doors.address(service));
        assert!(wrong.is_empty(), "{service}: {wrong:#?}");
    }
    doors.assert_unharmed().await;
    println!(
        "guarantee: G35 | {} ambiguous requests straight at two services, each with another behind it",
        requests().len()
    );
}

/// Behind a proxy the connection to the service is shared: what is left on it would be another caller's answer.
#[tokio::test(flavor = "multi_thread")]
async fn no_framing_reaches_another_caller_through_nginx() {
    let Some(nginx) = nginx() else { return };
    let mut doors = Doors::open(1).await;
    let folder = tempfile::tempdir().unwrap();
    let held = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let front = held.local_addr().unwrap();
    drop(held);
    let (place, upstream) = (folder.path().display(), doors.address("checkin"));
    // The shortest way to shared connections: one worker, one connection kept to the service.
    let configuration = format!(
        "daemon off; worker_processes 1; pid {place}/pid; error_log stderr crit;
events {{ worker_connections 256; }}
http {{
  access_log off; client_body_temp_path {place}/body; proxy_temp_path {place}/proxy;
  fastcgi_temp_path {place}/fastcgi; uwsgi_temp_path {place}/uwsgi; scgi_temp_path {place}/scgi;
  upstream service {{ server {upstream}; keepalive 1; }}
  server {{
    listen {front};
    location / {{ proxy_pass http://service; proxy_http_version 1.1; proxy_set_header Connection \"\"; proxy_request_buffering off; }}
  }}
}}
"
    );
    let file = folder.path().join("nginx.conf");
    std::fs::write(&file, configuration).unwrap();
    let port = front.port().to_string();
    let arguments = ["-e", "stderr", "-c", file.to_str().unwrap()];
    let mut proxy = Binary::spawn_with(&nginx.join("nginx"), &arguments, &[("PORT", &port)]);
    proxy.answers("/health").await;

    let mut wrong = Vec::new();
    for (what, mut bytes, _) in requests() {
        bytes.extend_from_slice(FOLLOWING.as_bytes());
        // nginx has a mind of its own on what is odd; what counts is that nothing smuggled is answered, to whomever.
        let answer = String::from_utf8_lossy(&exchange(front, &bytes, PATIENCE)).into_owned();
        let bystander =
            "GET /health HTTP/1.1\r\nHost: x\r\nx-request-id: bystander\r\nConnection: close\r\n\r\n";
        let other = String::from_utf8_lossy(&exchange(front, bystander.as_bytes(), Duration::from_secs(5)))
            .into_owned();
        // nginx forgives a space too many in a first line. Behind a GET there is no body: what follows it is the same
        // caller's next request, and no ambiguity.
        let own = if bytes.starts_with(b"POST") { 0 } else { 1 };
        let theirs = answers_with(&other, "bystander") == 1 && status_of(other.as_bytes()) == Some(200);
        if answers_with(&answer, "smuggled") > own || answers_with(&answer, "following") > 1 || !theirs {
            wrong.push(format!("{what}: {answer} / a bystander: {other}"));
        }
    }
    proxy.terminate();
    assert!(wrong.is_empty(), "{wrong:#?}");
    doors.assert_unharmed().await;
    println!(
        "guarantee: G35 | {} ambiguous requests through nginx, a bystander after each",
        requests().len()
    );
}
