//! G37, G38: whoever floods a service with made-up methods, paths, hosts, tenants and text makes no series, no memory and
//! no scrape that Prometheus could not read. Judged by the real promtool.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use seatpilot_guarantees::{METRICS_KEY, monitoring};
use seatpilot_testkit::Effort;
use serde_json::json;

use crate::doors::{Doors, exchange, get, resident_kib, status_of};

/// Most series of a process, and most bytes of its exposition (G37).
const SERIES_MAX: usize = 5_000;
const EXPOSITION_BYTES_MAX: usize = 1 << 20;
/// Most that the flood may make a process grow by, in KiB.
const GROWTH_MAX_KIB: u64 = 16 * 1024;
const PATIENCE: Duration = Duration::from_secs(10);
/// Requests before the first measurement: what a process needs for any traffic at all it has then.
const WARM_UP: usize = 1_000;

/// Text that breaks what escapes by hand.
const HOSTILE: [&str; 6] = ["a\"} 1\n", "a\\", "\\\"", "{a=\"b\"}", "# TYPE x counter\n", "席\u{0}\u{202e}"];

/// One request of the flood: to a service, unsigned, signed or with the key.
fn request(doors: &Doors, service: &str, number: usize) -> Vec<u8> {
    let hostile = HOSTILE[number % HOSTILE.len()];
    let unique = format!("t{number}-{}", number.wrapping_mul(2_654_435_761));
    let (head, body) = match (service, number % 5) {
        ("metrics-api", 0 | 1) => {
            let what = ["checkin", "ingest", "door-to-seat", "assign"][number / 5 % 4];
            // Every other one is a slug, and so would be counted; under what is the question.
            let tenant = if number.is_multiple_of(2) { unique.clone() } else { format!("{unique}{hostile}") };
            let body = match what {
                "checkin" => json!({ "tenant": tenant, "channel": "desk", "latency_ms": 1 }),
                "ingest" => json!({ "tenant": tenant, "outcome": "accepted" }),
                "door-to-seat" => json!({ "tenant": tenant, "channel": "desk", "seconds": 1 }),
                _ => json!({ "tenant": tenant, "channel": "desk", "duration_ms": 1, "feasible": true }),
            };
            (format!("POST /observe/{what} HTTP/1.1\r\nx-metrics-key: {METRICS_KEY}\r\n"), body.to_string())
        }
        ("telemetry-ingest", 0 | 1) => {
            let body =
                json!({ "id": unique, "type": unique, "tenant_id": unique, "channel": hostile, "data": {} })
                    .to_string();
            let signed = doors.signed("/v1/events", body.as_bytes());
            (format!("POST /v1/events HTTP/1.1\r\n{signed}"), body)
        }
        ("telemetry-ingest", 2) => {
            let sig = "0".repeat(64);
            (
                format!(
                    "POST /v1/events HTTP/1.1\r\nx-key: {unique}\r\nx-ts: 1800000000\r\nx-nonce: {unique}-aaaaaaaaaaaaaaaaaaaa\r\nx-sig: v1={sig}\r\n"
                ),
                "{}".to_owned(),
            )
        }
        (_, 3) => (
            format!("M{number} /{unique} HTTP/1.1\r\nx-request-id: {unique}\r\nuser-agent: {unique}\r\n"),
            String::new(),
        ),
        _ => (
            format!(
                "GET /api/{unique}/%22%7D%0A?tenant={unique} HTTP/1.1\r\nauthorization: Bearer {unique}\r\n"
            ),
            String::new(),
        ),
    };
    format!("{head}host: {}.example\r\ncontent-length: {}\r\n", number, body.len())
        .into_bytes()
        .into_iter()
        .chain(*b"\r\n")
        .chain(body.into_bytes())
        .collect()
}

/// Sends the requests of these numbers over connections that carry fifty each.
fn flood(doors: &Doors, service: &str, address: SocketAddr, numbers: std::ops::Range<usize>) {
    let numbers: Vec<usize> = numbers.collect();
    std::thread::scope(|scope| {
        for half in numbers.chunks(numbers.len().div_ceil(2)) {
            scope.spawn(|| {
                for fifty in half.chunks(50) {
                    let mut bytes: Vec<u8> =
                        fifty.iter().flat_map(|number| request(doors, service, *number)).collect();
                    bytes.extend_from_slice(b"GET /health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
                    let answer = exchange(address, &bytes, PATIENCE);
                    let text = String::from_utf8_lossy(&answer);
                    assert!(status_of(&answer).is_some_and(|status| status < 500), "{service}: {text}");
                    // All of them were answered, the last one too.
                    assert_eq!(text.matches("HTTP/1.1 ").count(), fifty.len() + 1, "{service}: {text}");
                }
            });
        }
    });
}

/// Whether Prometheus' own parser reads it; its words where it does not. What promtool thinks of names is no matter.
fn readable(promtool: &Path, exposition: &str) -> Result<(), String> {
    let mut judge = Command::new(promtool)
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = judge.stdin.take().unwrap();
    let text = exposition.to_owned();
    let writing = std::thread::spawn(move || stdin.write_all(text.as_bytes()));
    let said = judge.wait_with_output().unwrap();
    let _ = writing.join();
    // 3: it was read, and lints were found.
    match said.status.code() {
        Some(0 | 3) => Ok(()),
        code => Err(format!("{code:?}: {}", String::from_utf8_lossy(&said.stderr))),
    }
}

fn series(exposition: &str) -> usize {
    exposition.lines().filter(|line| !line.starts_with('#')).count()
}

/// What requests themselves move is no observation.
fn observed(exposition: &str) -> Vec<String> {
    let moves = |line: &&str| !line.contains("http_request_duration") && !line.contains("process_");
    exposition.lines().filter(moves).map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_made_up_names_makes_no_series_and_breaks_no_scrape() {
    let Some(tools) = monitoring() else { return };
    let promtool = tools.promtool();
    // The judge tells good from bad.
    assert_eq!(readable(&promtool, "# TYPE a counter\na{b=\"c\"} 1\n"), Ok(()));
    assert!(readable(&promtool, "# TYPE a counter\na{b=\"c\"} 1\"} 1\n").is_err());

    let count = match Effort::of_run() {
        Effort::Quick => 10_000,
        Effort::Full => 100_000,
    };
    let mut doors = Doors::open(1).await;
    // kpi-refresher has no door but the probes'.
    let flooded: Vec<_> = doors.all().filter(|(name, ..)| *name != "kpi-refresher").collect();
    let (mut worst, mut grown_most, mut slowest) = (0, 0, Duration::ZERO);
    for (name, address, pid) in flooded {
        flood(&doors, name, address, 0..WARM_UP);
        let before = resident_kib(pid);
        flood(&doors, name, address, WARM_UP..WARM_UP + count / 4);
        let grown = resident_kib(pid).saturating_sub(before);
        let began = Instant::now();
        let exposition = get(address, "/metrics");
        slowest = slowest.max(began.elapsed());
        let found = series(&exposition);
        assert!(found <= SERIES_MAX, "{name}: {found} series");
        assert!(exposition.len() <= EXPOSITION_BYTES_MAX, "{name}: {} bytes", exposition.len());
        assert!(grown <= GROWTH_MAX_KIB, "{name} grew by {grown} KiB");
        assert_eq!(readable(&promtool, &exposition), Ok(()), "{name}");
        for made_up in ["t7", "M13", "example", "-aaaa"] {
            let named = exposition.lines().find(|line| line.contains(&format!("\"{made_up}")));
            assert_eq!(named, None, "{name}");
        }
        (worst, grown_most) = (worst.max(found), grown_most.max(grown));
    }
    doors.assert_unharmed().await;
    println!(
        "guarantee: G37 | {count} hostile names at four services: at most {worst} series, {grown_most} KiB more, /metrics in {slowest:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_key_nothing_is_observed_and_no_text_breaks_the_scrape() {
    let Some(tools) = monitoring() else { return };
    let mut doors = Doors::open(1).await;
    let address = doors.address("metrics-api");
    let before = observed(&get(address, "/metrics"));
    let long = "x".repeat(10_000);
    let old_and_wrong = [
        "",
        "x-metrics-key: wrong\r\n",
        "x-metrics-key: \r\n",
        "x-metrics-key: metrics-key-of-the-test\r\n",
        "authorization: Bearer metrics-key-of-the-tests\r\n",
    ];
    let mut sent = 0;
    for key in old_and_wrong {
        for what in ["checkin", "checkin-stage", "door-to-seat", "ingest", "mv-lag", "assign"] {
            let body = json!({ "tenant": "acme", "channel": "desk", "latency_ms": 1, "view": "mv_kpi_checkin", "seconds": 1 }).to_string();
            let head = format!(
                "POST /observe/{what} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{key}content-length: {}\r\n\r\n{body}",
                body.len()
            );
            assert_eq!(status_of(&exchange(address, head.as_bytes(), PATIENCE)), Some(401), "{what} {key:?}");
            sent += 1;
        }
    }
    assert_eq!(observed(&get(address, "/metrics")), before, "nothing moved");
    for text in HOSTILE.iter().copied().chain([long.as_str()]) {
        for (what, member) in [
            ("checkin", "tenant"),
            ("checkin", "channel"),
            ("checkin-stage", "stage"),
            ("mv-lag", "view"),
            ("ingest", "reason"),
        ] {
            let mut body = json!({ "tenant": "acme", "channel": "desk", "latency_ms": 1 });
            body[member] = text.into();
            let body = body.to_string();
            let head = format!(
                "POST /observe/{what} HTTP/1.1\r\nhost: x\r\nconnection: close\r\nx-metrics-key: {METRICS_KEY}\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            );
            let status = status_of(&exchange(address, head.as_bytes(), PATIENCE));
            assert!(status.is_some_and(|status| (400..500).contains(&status)), "{what} {member} {status:?}");
            sent += 1;
        }
    }
    let exposition = get(address, "/metrics");
    assert_eq!(observed(&exposition), before, "nothing hostile was counted");
    assert_eq!(readable(&tools.promtool(), &exposition), Ok(()));
    doors.assert_unharmed().await;
    println!(
        "guarantee: G38 | {sent} requests without the key or with hostile text: no series moved, promtool reads the scrape"
    );
}
