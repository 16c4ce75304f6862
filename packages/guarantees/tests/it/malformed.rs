//! G34: malformed requests by the thousand, made from good ones by rules that a number decides. No answer is a 5xx, none
//! is missing, no process panics, ends or grows.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _, seq::IndexedRandom as _};
use seatpilot_guarantees::METRICS_KEY;
use seatpilot_testkit::Effort;

use crate::doors::{Doors, exchange, resident_kib, status_of};

/// The same requests in every run.
const SEED: u64 = 20_261_122;
/// Requests before the first measurement: pools, caches and buffers have their size then.
const WARM_UP: usize = 300;
/// Most that a process may grow by, in KiB (G34).
const GROWTH_MAX_KIB: u64 = 32 * 1024;
const PATIENCE: Duration = Duration::from_secs(20);
/// Each waits most of the time for its connection to close.
const SENDERS: usize = 16;

/// How a request is let in.
#[derive(Debug, Clone, Copy)]
enum Credential {
    Device,
    Signature,
    Owner,
    MetricsKey,
    None,
}

/// A door: service, method, path, credential, a good body.
type Door = (&'static str, &'static str, &'static str, Credential, &'static str);

const DOORS: &[Door] = &[
    (
        "checkin",
        "POST",
        "/api/checkin/success",
        Credential::Device,
        r#"{"scan_id":"01900000-0000-7000-8000-00000000000N","venue_id":"hall","event_id":"gala","door_id":"DOOR","ticket":"ticket-N","channel":"kiosk","party_size":2,"lang":"es"}"#,
    ),
    (
        "checkin",
        "PUT",
        "/admin/faults/stage-delay",
        Credential::Owner,
        r#"{"stage":"lookup","delay_ms":0,"for_seconds":1}"#,
    ),
    (
        "wayfinding",
        "POST",
        "/api/wayfinding/arrive-table",
        Credential::Device,
        r#"{"ping_id":"01900000-0000-7000-8000-00000000000N","session_id":"01900000-0000-7000-8000-000000000001","table_id":"T1"}"#,
    ),
    (
        "wayfinding",
        "POST",
        "/api/wayfinding/arrive-table",
        Credential::Signature,
        r#"{"ping_id":"01900000-0000-7000-8000-00000000000N","session_id":"01900000-0000-7000-8000-000000000001","section":"A"}"#,
    ),
    (
        "wayfinding",
        "GET",
        "/api/wayfinding/route?venue_id=hall&from=door:DOOR&to=amenity:toilets&lang=es",
        Credential::Device,
        "",
    ),
    (
        "telemetry-ingest",
        "POST",
        "/v1/events",
        Credential::Signature,
        r#"[{"id":"01900000-0000-7000-8000-00000000000N","type":"checkin.success","occurred_at":"NOW","venue_id":"hall","data":{"latency_ms":12.5}},{"id":"01900000-0000-7000-8000-00000000001N","type":"device.heartbeat","occurred_at":"NOW","venue_id":"hall","data":{"a":[1,2,{"b":null}]}}]"#,
    ),
    (
        "telemetry-ingest",
        "POST",
        "/v1/events",
        Credential::Signature,
        r#"{"id":"01900000-0000-7000-8000-00000000002N","type":"device.heartbeat","occurred_at":"NOW","venue_id":"hall","tenant_id":"acme","data":{}}"#,
    ),
    (
        "telemetry-ingest",
        "POST",
        "/v1/events",
        Credential::None,
        r#"{"id":"01900000-0000-7000-8000-00000000003N"}"#,
    ),
    ("telemetry-ingest", "GET", "/admin/billing?period=2026-11&tenant=acme", Credential::Owner, ""),
    ("telemetry-ingest", "GET", "/admin/billing/csv?period=2026-11", Credential::Owner, ""),
    ("telemetry-ingest", "GET", "/admin/audit?limit=10&before=99", Credential::Owner, ""),
    ("telemetry-ingest", "POST", "/admin/login", Credential::None, "token=abc&next=%2Fadmin"),
    (
        "metrics-api",
        "POST",
        "/observe/ingest",
        Credential::MetricsKey,
        r#"[{"tenant":"acme","outcome":"rejected","reason":"stale","count":3}]"#,
    ),
    (
        "metrics-api",
        "POST",
        "/observe/checkin",
        Credential::MetricsKey,
        r#"{"tenant":"acme","channel":"desk","latency_ms":12.5}"#,
    ),
    ("kpi-refresher", "GET", "/ready?a=b", Credential::None, ""),
];

/// What is put where something else was.
const NASTY: &[&str] = &[
    "null",
    "true",
    "-1",
    "1e400",
    "-0.0",
    "1e100000",
    "NaN",
    "99999999999999999999999999",
    "\"\"",
    "\"\\u0000\"",
    "\"\\ud800\"",
    "\"\\uD83D\\uDE00\"",
    "[[[[[[[[[[",
    "]]]]",
    "{\"a\":",
    "}",
    "\"a\":1,\"a\":2,",
    "\\",
    "\"",
    ",,",
    "\u{feff}",
    "\0",
    "\r\n",
    "2026-13-45T99:99:99Z",
    "\"+999999-01-01T00:00:00Z\"",
    "infinity",
    "'; drop table x; --",
    "%00",
    "%ff%fe",
    "&&&==",
    "../../..",
    "\u{202e}",
    "席",
    "\u{10ffff}",
    "=cmd()",
    "<script>",
    "${jndi:x}",
    "a\u{300}\u{300}\u{300}",
];
/// Heads that nobody needs, one of them for each reader of a header.
const HEADS: &[&str] = &[
    "x-request-id: \u{e9}\u{e9}",
    "x-request-id: a\r\nx-request-id: b",
    "traceparent: 00-zz",
    "traceparent: \u{ff}",
    "authorization: Bearer",
    "authorization: Bearer \u{e9}",
    "authorization: Basic Og==",
    "cookie: seatpilot_admin=\u{e9}; seatpilot_admin=x",
    "cookie: ====;;;,",
    "content-type: \u{e9}/\u{e9}",
    "content-type: application/json; charset=utf-7",
    "idempotency-key: \"",
    "idempotency-key: \u{e9}",
    "x-key: \u{e9}",
    "x-ts: 9999999999",
    "x-ts: -1",
    "x-sig: v1=",
    "x-sig: v1=zz,v1=",
    "x-nonce: \u{e9}",
    "webhook-id: \u{e9}",
    "webhook-signature: v1, v1,",
    "expect: 100-continue",
    "expect: \u{e9}",
    "range: bytes=0-",
    "accept: \u{e9}",
    "accept: */*;q=9",
    "origin: null",
    "origin: \u{e9}",
    "x-metrics-key: \u{e9}",
    "if-none-match: *",
    "upgrade: h2c",
    "content-encoding: gzip",
    "te: trailers",
    "host: \u{e9}",
];

/// One request: to whom, and its bytes.
fn request(doors: &Doors, number: usize) -> (&'static str, Vec<u8>) {
    let mut dice = StdRng::seed_from_u64(SEED + number as u64);
    let (service, method, path, credential, good) = *DOORS.choose(&mut dice).unwrap();
    let now = seatpilot_runtime::Clock::system().now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let fill = |text: &str| {
        let digit = (number % 10).to_string();
        text.replace("DOOR", doors.evening.door.as_str()).replace("NOW", &now).replace('N', &digit)
    };
    let (mut path, mut body) = (fill(path), fill(good).into_bytes());
    for _ in 0..dice.random_range(1..4) {
        spoil(&mut body, &mut dice);
    }
    if dice.random_ratio(1, 4) && !path.is_empty() {
        let at = dice.random_range(1..=path.len());
        let long = "a".repeat(300);
        let junk = *["%00", "%ff", "%zz", "&&", "=", "%2e%2e/", "?", "%F0%9F", "+", long.as_str()]
            .choose(&mut dice)
            .unwrap();
        path.insert_str(at, junk);
    }
    let method = if dice.random_ratio(1, 12) {
        *["GET", "POST", "DELETE", "PATCH", "OPTIONS", "HEAD", "QUERY", "X"].choose(&mut dice).unwrap()
    } else {
        method
    };
    let route = path.split('?').next().unwrap_or_default();
    let credential = match credential {
        Credential::Device => {
            format!("authorization: Bearer {}\r\n", doors.devices[number % doors.devices.len()])
        }
        Credential::Signature => doors.signed(route, &body),
        Credential::Owner => format!("authorization: Bearer {}\r\n", doors.owner_token),
        Credential::MetricsKey => format!("x-metrics-key: {METRICS_KEY}\r\n"),
        Credential::None => String::new(),
    };
    let odd = if dice.random_ratio(1, 4) {
        format!("{}\r\n", HEADS.choose(&mut dice).unwrap())
    } else {
        String::new()
    };
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\n{credential}{odd}content-length: {}\r\n\r\n",
        body.len()
    );
    // Latin-1 on the wire, as a careless sender has it.
    let mut bytes: Vec<u8> = head.chars().map(|char| u8::try_from(u32::from(char)).unwrap_or(b'?')).collect();
    bytes.extend_from_slice(&body);
    (service, bytes)
}

/// One thing wrong more.
fn spoil(body: &mut Vec<u8>, dice: &mut StdRng) {
    let at = if body.is_empty() { 0 } else { dice.random_range(0..body.len()) };
    match dice.random_range(0..8) {
        0 if !body.is_empty() => body[at] ^= 1 << dice.random_range(0..8),
        1 => body.truncate(at),
        2 => {
            let nasty = NASTY.choose(dice).unwrap().bytes();
            body.splice(at..at, nasty);
        }
        3 | 4 => {
            // In place of a value: where JSON would have one.
            let colons: Vec<usize> =
                body.iter().enumerate().filter(|(_, byte)| **byte == b':').map(|(at, _)| at).collect();
            if let Some(colon) = colons.choose(dice) {
                let end = body[*colon..]
                    .iter()
                    .position(|byte| matches!(byte, b',' | b'}'))
                    .map_or(body.len(), |end| colon + end);
                body.splice(colon + 1..end, NASTY.choose(dice).unwrap().bytes());
            }
        }
        5 => {
            let deep = dice.random_range(1..40_000);
            body.splice(at..at, std::iter::repeat_n(b'[', deep));
        }
        6 => {
            let long = dice.random_range(1..300_000);
            body.splice(at..at, std::iter::repeat_n(b'7', long));
        }
        _ => {
            let copy = body.clone();
            body.extend_from_slice(&copy);
        }
    }
}

/// Sends the requests of these numbers; what was wrong with the answers.
async fn send_all(doors: &Doors, numbers: std::ops::Range<usize>) -> Vec<String> {
    let (next, wrong) = (AtomicUsize::new(numbers.start), std::sync::Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..SENDERS {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= numbers.end {
                        return;
                    }
                    let (service, bytes) = request(doors, number);
                    let answer = exchange(doors.address(service), &bytes, PATIENCE);
                    if status_of(&answer).is_none_or(|status| status >= 500) {
                        let text = |bytes: &[u8]| {
                            String::from_utf8_lossy(&bytes[..bytes.len().min(700)]).into_owned()
                        };
                        wrong.lock().unwrap().push(format!(
                            "{number}: {}\n-> {}",
                            text(&bytes),
                            text(&answer)
                        ));
                    }
                }
            });
        }
    });
    wrong.into_inner().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_requests_are_answered_and_leave_nothing_behind() {
    let count = match Effort::of_run() {
        Effort::Quick => 2_000,
        Effort::Full => 10_000,
    };
    let mut doors = Doors::open(10).await;
    let mut wrong = send_all(&doors, 0..WARM_UP).await;
    let before: Vec<u64> = doors.all().map(|(.., pid)| resident_kib(pid)).collect();
    wrong.extend(send_all(&doors, WARM_UP..WARM_UP + count).await);
    assert!(wrong.is_empty(), "{} answers: {:#?}", wrong.len(), wrong.iter().take(5).collect::<Vec<_>>());
    let mut most = 0;
    for ((name, _, pid), before) in doors.all().zip(before) {
        let grown = resident_kib(pid).saturating_sub(before);
        assert!(grown <= GROWTH_MAX_KIB, "{name} grew by {grown} KiB from {before}");
        most = most.max(grown);
    }
    doors.assert_unharmed().await;
    println!("guarantee: G34 | {count} malformed requests: no 5xx, none unanswered, most growth {most} KiB");
}

/// A gzip member that says a great deal of nothing: one zero, then matches of 258 at distance 1, 13 bits each.
fn deflated(matches: usize) -> Vec<u8> {
    let (mut bytes, mut held, mut count) = (Vec::new(), 0u32, 0u32);
    let mut put = |value: u32, bits: u32| {
        held |= value << count;
        count += bits;
        while count >= 8 {
            bytes.push(held as u8);
            held >>= 8;
            count -= 8;
        }
    };
    // The last block, fixed codes; the literal 0, which is 00110000 from its top bit.
    put(0b011, 3);
    put(0b0000_1100, 8);
    for _ in 0..matches {
        // 285 is 11000101 from its top bit, distance 1 is 00000.
        put(0b1010_0011, 8);
        put(0, 5);
    }
    // The end, 0000000, and to the byte's edge.
    put(0, 7 + 7);
    bytes
}

/// A zstd frame of blocks that each repeat one zero 128 KiB times.
fn zstandard(blocks: u32) -> Vec<u8> {
    let mut bytes = vec![0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x58];
    for block in 1..=blocks {
        let head = u32::from(block == blocks) | (1 << 1) | ((128 * 1024) << 3);
        bytes.extend_from_slice(&head.to_le_bytes()[..3]);
        bytes.push(0);
    }
    bytes
}

#[tokio::test(flavor = "multi_thread")]
async fn bombs_are_refused_by_their_heading_and_never_unpacked() {
    let mut doors = Doors::open(1).await;
    let _ = send_all(&doors, 0..WARM_UP).await;
    let before: Vec<u64> = doors.all().map(|(.., pid)| resident_kib(pid)).collect();
    let raw = deflated(150_000);
    let gzip = [&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3][..], &raw, &[0; 8]].concat();
    let zlib = [&[0x78, 0x9c][..], &raw, &[0; 4]].concat();
    // 1 GiB of zeros in 809 bytes, by the reference encoder.
    let brotli = include_bytes!("zeros.br").to_vec();
    let zstd = zstandard(8_192);
    let bombs: [(&str, &[u8]); 7] = [
        ("gzip", &gzip),
        ("x-gzip", &gzip),
        ("deflate", &zlib),
        ("br", &brotli),
        ("zstd", &zstd),
        ("gzip, br", &gzip),
        ("identity", &gzip),
    ];
    // At the same time: a connection whose body is not read takes a second to close.
    let sent: usize = std::thread::scope(|scope| {
        let throwing: Vec<_> =
            bombs.iter().map(|(encoding, bomb)| scope.spawn(|| thrown(&doors, encoding, bomb))).collect();
        throwing.into_iter().map(|thrown| thrown.join().expect("every bomb is refused")).sum()
    });
    for ((name, _, pid), before) in doors.all().zip(before) {
        let grown = resident_kib(pid).saturating_sub(before);
        assert!(grown <= GROWTH_MAX_KIB, "{name} grew by {grown} KiB");
    }
    doors.assert_unharmed().await;
    println!("guarantee: G34 | {sent} bombs of four compressions, 37 MiB to 1 GiB each: 415");
}

/// Throws a bomb at every door that takes a body; how many.
fn thrown(doors: &Doors, encoding: &str, bomb: &[u8]) -> usize {
    let open: Vec<&Door> = DOORS.iter().filter(|(_, method, ..)| *method == "POST").collect();
    std::thread::scope(|scope| {
        for door in &open {
            scope.spawn(|| throw(doors, encoding, bomb, door));
        }
    });
    open.len()
}

fn throw(doors: &Doors, encoding: &str, bomb: &[u8], (service, _, path, credential, _): &Door) {
    let credential = match credential {
        Credential::Device => format!("authorization: Bearer {}\r\n", doors.devices[0]),
        Credential::Signature => doors.signed(path, bomb),
        Credential::Owner => format!("authorization: Bearer {}\r\n", doors.owner_token),
        Credential::MetricsKey => format!("x-metrics-key: {METRICS_KEY}\r\n"),
        Credential::None => String::new(),
    };
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-encoding: {encoding}\r\n{credential}content-length: {}\r\n\r\n",
        bomb.len()
    );
    let answer = exchange(doors.address(service), &[head.as_bytes(), bomb].concat(), PATIENCE);
    let said = String::from_utf8_lossy(&answer).into_owned();
    assert_eq!(status_of(&answer), Some(415), "{encoding} {path}: {said}");
    assert!(said.contains("unsupported_encoding"), "{encoding} {path}: {said}");
}
