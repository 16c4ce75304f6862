//! SIGTERM to each binary: at work, in its start, and twice.

use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt as _;
use std::time::Duration;

use futures_util::future::join_all;
use rustix::process::Signal;
use seatpilot_guarantees::{METRICS_KEY, Service};
use seatpilot_testkit::{Binary, Effort, Evening};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep, timeout};
use uuid::Uuid;

use super::{Tried, free_port, prove};

/// How long it goes on serving.
const DRAIN: Duration = Duration::from_millis(400);
/// The rest of a request that is under way comes so long after the signal: nobody listens by then.
const REST_AFTER: Duration = Duration::from_millis(1_000);
const ENDED_WITHIN: Duration = Duration::from_secs(15);
const SECOND_ENDS_WITHIN: Duration = Duration::from_secs(1);
const AT_ONCE: Duration = Duration::from_millis(300);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_binary_ends_in_good_order_when_it_is_told_to() {
    let rounds = match Effort::of_run() {
        Effort::Quick => 2,
        Effort::Full => 100,
    };
    let evening = Evening::of(rounds * super::TRIES).await;
    let mut guest = 0..;
    for _ in 0..rounds {
        prove("G31", async || {
            let n = guest.next().unwrap();
            let ends = join_all(Service::ALL.map(|service| at_work(service, &evening, n))).await;
            let longest = ends.into_iter().collect::<Result<Vec<_>, _>>()?.into_iter().max().unwrap();
            let twice = join_all(Service::ALL.map(|service| told_twice(service, &evening))).await;
            twice.into_iter().collect::<Result<Vec<_>, _>>()?;
            Ok(format!("5 binaries at work and told twice; the longest end took {} ms", longest.as_millis()))
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_binary_ends_in_its_start_too_whether_or_not_the_database_answers() {
    let after: &[u64] = match Effort::of_run() {
        Effort::Quick => &[0, 10, 60],
        Effort::Full => &[0, 1, 2, 5, 10, 15, 20, 30, 40, 60, 80, 100, 150, 200, 300],
    };
    let evening = Evening::of(0).await;
    // Accepts, and never says a word.
    let silent = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let databases = [
        "postgres://seatpilot_checkin@127.0.0.1:1/none".to_owned(),
        format!("postgres://seatpilot_checkin@{}/none", silent.local_addr().unwrap()),
        evening.db.url_as("seatpilot_checkin"),
    ];
    prove("G31", async || in_their_starts(&databases, after).await).await;
}

async fn in_their_starts(databases: &[String], after: &[u64]) -> Tried {
    let mut starts = 0;
    for pause in after {
        let (mut ends, databases) = (Vec::new(), databases.iter());
        for (service, database) in databases.flat_map(|database| Service::ALL.map(|each| (each, database))) {
            ends.push(in_its_start(service, database, Duration::from_millis(*pause)));
        }
        starts += ends.len();
        for end in join_all(ends).await {
            end?;
        }
    }
    // Serving, and still waiting for a database that is away.
    let waiting = databases.iter().take(2);
    let waiting = waiting.flat_map(|database| Service::ALL.map(|service| (service, database)));
    let waits = join_all(waiting.map(|(service, database)| waiting_for(service, database))).await;
    starts += waits.len();
    waits.into_iter().collect::<Result<Vec<_>, _>>()?;
    Ok(format!("{starts} starts broken off"))
}

fn spawn(service: Service, database: &str) -> Binary {
    let (port, drain) = (free_port().to_string(), DRAIN.as_millis().to_string());
    let variables = [
        ("PORT", &*port),
        ("DATABASE_URL", database),
        ("SEATPILOT_DRAIN_MS", &*drain),
        ("METRICS_INGEST_KEY", METRICS_KEY),
    ];
    Binary::spawn(service.name(), &variables)
}

fn role(service: Service) -> &'static str {
    match service {
        Service::Checkin => "seatpilot_checkin",
        Service::Wayfinding => "seatpilot_wayfinding",
        Service::TelemetryIngest => "seatpilot_ingest",
        Service::KpiRefresher => "seatpilot_kpi",
        Service::MetricsApi => "seatpilot_metrics",
    }
}

/// A request of which the head and the first byte are sent, what is left of it, and how its answer begins.
struct Halved {
    first: String,
    rest: String,
    answer: &'static str,
}

/// What a service has under way while it is told to end; none where it takes no bodies.
fn halved(service: Service, evening: &Evening, guest: usize) -> Option<Halved> {
    let key = "x".repeat(22);
    let (path, headers, body, answer) = match service {
        Service::Checkin => {
            let body = serde_json::json!({
                "scan_id": Uuid::now_v7(), "venue_id": evening.venue.as_str(), "event_id": evening.event.as_str(),
                "door_id": evening.door.as_str(), "ticket": Evening::ticket(guest), "channel": "kiosk",
            });
            let bearer = format!("Authorization: Bearer {}\r\n", evening.device_token);
            ("/api/checkin/success", bearer, body.to_string(), "HTTP/1.1 201 ")
        }
        Service::Wayfinding => {
            let body = serde_json::json!({
                "ping_id": Uuid::now_v7(), "session_id": Uuid::now_v7(), "section": evening.section,
            });
            let bearer = format!("Authorization: Bearer {}\r\n", evening.device_token);
            ("/api/wayfinding/arrive-table", bearer, body.to_string(), "HTTP/1.1 404 ")
        }
        Service::TelemetryIngest => {
            let headers = format!(
                "x-key: unknown-key\r\nx-ts: 1700000000\r\nx-nonce: {key}\r\nx-sig: v1={}\r\n",
                "0".repeat(64)
            );
            ("/v1/events", headers, "[ 1 ]".to_owned(), "HTTP/1.1 401 ")
        }
        Service::MetricsApi => {
            let body = serde_json::json!({ "tenant": "acme", "channel": "kiosk", "latency_ms": 12 });
            (
                "/observe/checkin",
                format!("x-metrics-key: {METRICS_KEY}\r\n"),
                body.to_string(),
                "HTTP/1.1 204 ",
            )
        }
        Service::KpiRefresher => return None,
    };
    let first = format!(
        "POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {}\r\n{headers}\r\n{}",
        body.len(),
        &body[..1],
    );
    Some(Halved { first, rest: body[1..].to_owned(), answer })
}

async fn send(stream: &mut TcpStream, bytes: &str) {
    let _ = stream.write_all(bytes.as_bytes()).await;
}

/// What came until the connection was closed.
async fn to_its_end(mut stream: TcpStream) -> String {
    let mut heard = Vec::new();
    let _ = timeout(ENDED_WITHIN, stream.read_to_end(&mut heard)).await;
    String::from_utf8_lossy(&heard).into_owned()
}

/// Answers how long the end took.
async fn at_work(service: Service, evening: &Evening, guest: usize) -> Result<Duration, String> {
    let name = service.name();
    let mut binary = spawn(service, &evening.db.url_as(role(service)));
    binary.ready().await;
    let at: SocketAddr = super::address(binary.url());
    // Idle after an answer, half open, half a head, and a request whose body is on its way.
    let mut idle = TcpStream::connect(at).await.unwrap();
    send(&mut idle, "GET /health HTTP/1.1\r\nHost: x\r\n\r\n").await;
    let mut greeted = [0; 15];
    idle.read_exact(&mut greeted).await.unwrap();
    let half_open = TcpStream::connect(at).await.unwrap();
    let mut half_head = TcpStream::connect(at).await.unwrap();
    send(&mut half_head, "GET /heal").await;
    let halved = halved(service, evening, guest);
    let mut under_way = TcpStream::connect(at).await.unwrap();
    if let Some(halved) = &halved {
        send(&mut under_way, &halved.first).await;
    }
    sleep(Duration::from_millis(100)).await;

    binary.terminate();
    let told = Instant::now();
    let client = reqwest::Client::new();
    let mut status = 200;
    while status == 200 && told.elapsed() < AT_ONCE {
        let asked = client.get(format!("{}/ready", binary.url())).send().await;
        status = asked.map_or(0, |answer| answer.status().as_u16());
    }
    hold!(status == 503, "{name}: /ready said {status} {:?} after the signal", told.elapsed());
    let served = client.get(format!("{}/health", binary.url())).send().await;
    let served = served.map_or(0, |answer| answer.status().as_u16());
    // Only where the machine let us ask in time.
    hold!(served == 200 || told.elapsed() > DRAIN, "{name}: nobody was served while balancers take notice");
    tokio::time::sleep_until(told + REST_AFTER).await;
    if let Some(halved) = &halved {
        hold!(TcpStream::connect(at).await.is_err(), "{name}: it still listens");
        send(&mut under_way, &halved.rest).await;
        let heard = to_its_end(under_way).await;
        hold!(heard.starts_with(halved.answer), "{name}: what was under way heard {heard:?}");
    }
    let ended = binary.wait(ENDED_WITHIN).await;
    let took = told.elapsed();
    let code = ended.and_then(|status| status.code());
    hold!(code == Some(0), "{name} ended with {ended:?} after {took:?}: {}", binary.output());
    for (stream, what) in [(idle, "idle"), (half_open, "half open"), (half_head, "half a head")] {
        let heard = to_its_end(stream).await;
        let fine = what != "half open" || heard.is_empty() || heard.starts_with("HTTP/1.1 408");
        hold!(fine, "{name}: a connection that was {what} heard {heard:?}");
    }
    Ok(took)
}

async fn told_twice(service: Service, evening: &Evening) -> Result<(), String> {
    let name = service.name();
    let mut binary = spawn(service, &evening.db.url_as(role(service)));
    binary.ready().await;
    let mut under_way = TcpStream::connect(super::address(binary.url())).await.unwrap();
    let first = halved(service, evening, 0).map_or("GET /heal".to_owned(), |halved| halved.first);
    send(&mut under_way, &first).await;
    sleep(Duration::from_millis(100)).await;
    binary.terminate();
    sleep(Duration::from_millis(100)).await;
    let told = Instant::now();
    binary.terminate();
    let ended = binary.wait(ENDED_WITHIN).await;
    let took = told.elapsed();
    hold!(took <= SECOND_ENDS_WITHIN, "{name}: the second signal ended it after {took:?}");
    hold!(ended.and_then(|status| status.code()) == Some(1), "{name} ended with {ended:?}");
    Ok(())
}

async fn in_its_start(service: Service, database: &str, after: Duration) -> Result<(), String> {
    let mut binary = spawn(service, database);
    sleep(after).await;
    binary.terminate();
    let ended = binary.wait(ENDED_WITHIN).await;
    // Before it could catch signals, the system ends it in its place.
    let fine = ended
        .is_some_and(|status| status.code() == Some(0) || status.signal() == Some(Signal::TERM.as_raw()));
    hold!(fine, "{} told {after:?} after its start: {ended:?}: {}", service.name(), binary.output());
    Ok(())
}

async fn waiting_for(service: Service, database: &str) -> Result<(), String> {
    let mut binary = spawn(service, database);
    binary.answers("/health").await;
    sleep(Duration::from_millis(150)).await;
    let ready = reqwest::get(format!("{}/ready", binary.url())).await.map_or(0, |it| it.status().as_u16());
    hold!(ready == 503, "{} said {ready} of its readiness without a database", service.name());
    binary.terminate();
    let ended = binary.wait(ENDED_WITHIN).await;
    let fine = ended.is_some_and(|status| status.code() == Some(0));
    hold!(fine, "{} without a database: {ended:?}: {}", service.name(), binary.output());
    Ok(())
}
