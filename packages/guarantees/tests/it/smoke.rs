//! The smoke scripts, against the real house and the real Prometheus: they see what happened, and they fail, each time
//! for the right reason, when something did not.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use rustix::process::Signal;
use seatpilot_guarantees::{JWT_SECRET, LiveStack, Pace, Prometheus, Service, Tools, monitoring, root};
use seatpilot_runtime::Clock;
use seatpilot_signing::{AdminSubject, sign_admin_token};
use seatpilot_testkit::{Binary, binary_path, tools_folder};
use serde_json::Value;

/// A script that ended.
#[derive(Debug)]
struct Run {
    code: Option<i32>,
    output: String,
}

impl Run {
    /// What it names as not seen, the only line of that kind.
    fn not_seen(&self) -> &str {
        let mut lines = self.output.lines().filter(|line| line.contains(": not seen: "));
        let line = lines.next().unwrap_or_else(|| panic!("{self:?}"));
        assert_eq!((self.code, lines.next()), (Some(1), None), "{self:?}");
        line.split(": not seen: ").nth(1).unwrap()
    }

    /// The report of a script that saw everything.
    fn report(&self) -> Value {
        assert_eq!(self.code, Some(0), "{}", self.output);
        serde_json::from_str(self.output.lines().last().unwrap()).unwrap()
    }
}

/// The variables that name a house, as somebody elsewhere would set them.
fn variables(house: &LiveStack, role: &str) -> Vec<(&'static str, String)> {
    let evening = &house.evening;
    let who = AdminSubject { tenant: evening.tenant.as_str(), role, subject: "somebody" };
    let token = sign_admin_token(JWT_SECRET.as_bytes(), who, Clock::system().now().as_second(), 600);
    let url = |service| house.url(service).to_owned();
    vec![
        ("CHECKIN_URL", url(Service::Checkin)),
        ("WAYFINDING_URL", url(Service::Wayfinding)),
        ("TELEMETRY_INGEST_URL", url(Service::TelemetryIngest)),
        ("KPI_REFRESHER_URL", url(Service::KpiRefresher)),
        ("METRICS_API_BASE_URL", url(Service::MetricsApi)),
        ("PROMETHEUS_URL", house.prometheus.url().to_owned()),
        ("DATABASE_URL", evening.db.owner_url()),
        ("DEVICE_TOKEN", evening.device_token.clone()),
        ("INGEST_KEY_ID", evening.key_id.clone()),
        ("INGEST_KEY_SECRET", STANDARD.encode(evening.key_secret.expose_secret())),
        ("ADMIN_TOKEN", token),
        ("SEATPILOT_BIN", binary_path("seatpilot").display().to_string()),
    ]
}

fn start(variables: &[(&'static str, String)], script: &str, args: &[&str]) -> Binary {
    let variables: Vec<(&str, &str)> =
        variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let args = [&["--tenant", "acme"], args].concat();
    Binary::spawn_with(&root().join("scripts").join(script), &args, &variables)
}

async fn end(mut script: Binary) -> Run {
    let ended = script.wait(Duration::from_secs(120)).await;
    // What it said last is still on its way to us.
    tokio::time::sleep(Duration::from_millis(100)).await;
    let output = script.output();
    Run { code: ended.unwrap_or_else(|| panic!("it goes on: {output}")).code(), output }
}

async fn run(house: &LiveStack, script: &str, args: &[&str]) -> Run {
    end(start(&variables(house, "admin"), script, args)).await
}

/// Tools, and the clients that the scripts ask with; none where they are missing, which is said.
fn tools() -> Option<Tools> {
    let find = ". scripts/lib/setup.sh; find_clients \"$0\"";
    let mut found = Command::new("bash");
    found.current_dir(root()).args(["-c", find]).arg(tools_folder());
    if !found.status().is_ok_and(|status| status.success()) {
        println!("SKIPPED: no psql or no jq (scripts/test.sh fetches them)");
        return None;
    }
    monitoring()
}

/// A service that says yes to everything and does nothing: it is ready, and takes what it is sent.
fn liar(service: &'static str, status: &'static str, answer: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let _ = lie(stream.unwrap(), service, status, &answer);
        }
    });
    url
}

fn lie(mut stream: TcpStream, service: &str, status: &str, answer: &str) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let from = head.len();
        if reader.read_line(&mut head)? == 0 || head.ends_with("\r\n\r\n") {
            break;
        }
        let line = head[from..].to_ascii_lowercase();
        length = line.strip_prefix("content-length: ").map_or(length, |text| text.trim().parse().unwrap());
    }
    std::io::copy(&mut reader.take(length), &mut std::io::sink())?;
    let ready = format!(r#"{{"status":"ready","service":"{service}"}}"#);
    let (status, body) = if head.starts_with("GET /ready") { ("200 OK", &*ready) } else { (status, answer) };
    write!(stream, "HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

/// A Prometheus that scrapes the services but not check-in.
async fn blind(house: &LiveStack, tools: &Tools, folder: &Path) -> Prometheus {
    let target = house.url(Service::MetricsApi).trim_start_matches("http://");
    let config = folder.join("prometheus.yml");
    let text = format!(
        "global: {{ scrape_interval: 1s }}\nscrape_configs:\n- job_name: metrics-api\n  static_configs: [{{ targets: ['{target}'] }}]\n"
    );
    std::fs::write(&config, text).unwrap();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    Prometheus::start(tools, &config, folder, port).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_smoke_script_sees_its_guest_and_names_what_it_did_not_see() {
    let Some(tools) = tools() else { return };
    let house = LiveStack::start(tools.clone(), Pace::Fast, 1_000).await;
    let traffic = house.light_traffic();

    for (script, facts) in [("smoke-f1.1.sh", 9), ("smoke-f1.2.sh", 18)] {
        let run = run(&house, script, &["--json"]).await;
        let report = run.report();
        assert_eq!((&report["ok"], &report["tenant"]), (&true.into(), &"acme".into()), "{report}");
        assert_eq!(report["seen"].as_array().unwrap().len(), facts, "{report:#}");
        let session = report["session_id"].as_str().unwrap();
        let seated = format!(
            "select count(*) from ops.checkin_sessions where session_id = '{session}' and arrived_at is not null
             and event_id = 'smoke-hall'"
        );
        assert_eq!(house.evening.count(&seated).await, 1, "{report}");
        for secret in
            [&house.evening.device_token, &STANDARD.encode(house.evening.key_secret.expose_secret())]
        {
            assert!(!run.output.contains(secret.as_str()), "{}", run.output);
        }
    }
    let discarded =
        "select count(*) from telemetry.events_dlq where resolved_by = 'smoke-f1.2' and state = 'discarded'";
    assert_eq!(house.evening.count(discarded).await, 1);
    let own = "select count(*) from ops.tickets where event_id = 'gala'";
    assert_eq!(house.evening.count(own).await, 1_000, "the evening's list is as it was");
    drop(traffic);

    let nowhere = "http://127.0.0.1:9";
    assert!(
        run(&house, "smoke-f1.1.sh", &["--checkin", nowhere]).await.not_seen().starts_with("checkin ready")
    );
    let elsewhere = house.url(Service::Checkin);
    let why = run(&house, "smoke-f1.1.sh", &["--wayfinding", elsewhere]).await;
    assert!(
        why.not_seen().starts_with("wayfinding at") && why.not_seen().ends_with("it is checkin"),
        "{why:?}"
    );
    let why = run(&house, "smoke-f1.1.sh", &["--prometheus", nowhere]).await;
    assert!(why.not_seen().starts_with("an answer of Prometheus"), "{why:?}");

    // A Prometheus that never heard of check-in, and one whose only check-in series are those of metrics-api at 0.
    let folder = tempfile::tempdir().unwrap();
    let blind = blind(&house, &tools, folder.path()).await;
    let why = run(&house, "smoke-f1.1.sh", &["--prometheus", blind.url(), "--wait", "4"]).await;
    assert!(
        why.not_seen().starts_with("a scrape of seatpilot_checkin_")
            || why.not_seen().starts_with("check-in counted"),
        "{why:?}"
    );

    // An arrival that was answered and never stored; an event likewise.
    let seated = r#"{"outlier":false,"door_to_seat_seconds":1.5}"#.to_owned();
    let wayfinding = liar("wayfinding", "201 Created", seated);
    let why = run(&house, "smoke-f1.1.sh", &["--wayfinding", &wayfinding]).await;
    assert!(
        why.not_seen().contains("with its arrival in ops.checkin_sessions: rows|arrivals are 1|0"),
        "{why:?}"
    );
    let receipt = r#"{"accepted":1,"rejected":1,"items":[{},{"reason":"schema_unknown_type"}]}"#.to_owned();
    let ingest = liar("telemetry-ingest", "202 Accepted", receipt);
    let why = run(&house, "smoke-f1.2.sh", &["--ingest", &ingest]).await;
    assert!(why.not_seen().contains("once in telemetry.events_raw: it is there 0 times"), "{why:?}");

    // A refresher that is gone, and one that lives and does not refresh.
    house.service(Service::KpiRefresher).binary().terminate();
    let why = run(&house, "smoke-f1.2.sh", &[]).await;
    assert!(why.not_seen().starts_with("kpi-refresher ready"), "{why:?}");
    let asleep = liar("kpi-refresher", "200 OK", String::new());
    let why = run(&house, "smoke-f1.2.sh", &["--refresher", &asleep, "--wait", "5"]).await;
    assert!(why.not_seen().starts_with("a refresh of mv_kpi_checkin within 5 s"), "{why:?}");
}

/// How long the scan that the script repeats takes: whether the delay is there.
async fn scan_takes(house: &LiveStack) -> Duration {
    let began = Instant::now();
    assert_eq!(house.guests.check_in(Duration::ZERO).await.0, 201);
    began.elapsed()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_stage_alert_is_made_to_fire_and_the_delay_is_lifted_however_the_script_ends() {
    let Some(tools) = tools() else { return };
    let house = LiveStack::start(tools, Pace::Fast, 100).await;
    let slow = Duration::from_secs(1);

    let args = ["--delay-ms", "1500", "--timeout", "60", "--until-resolved", "--json"];
    let report = run(&house, "trigger-stage-latency.sh", &args).await.report();
    let seen: Vec<&str> =
        report["seen"].as_array().unwrap().iter().map(|one| one["what"].as_str().unwrap()).collect();
    assert_eq!(seen, ["checkin", "ticket", "check-in", "delayed", "fires", "notified", "lifted", "resolved"]);
    assert!(scan_takes(&house).await < slow);
    let told = house
        .receiver
        .wait_for(|told| told.name() == "SeatPilotCheckinStageP95High", Duration::from_secs(10))
        .await;
    assert!(told.is_some(), "whoever is woken was told");

    // Ctrl-C in the middle.
    let mut script = start(&variables(&house, "owner"), "trigger-stage-latency.sh", &["--stage", "lookup"]);
    let began = Instant::now();
    while !script.output().contains("ok  delayed") {
        assert!(began.elapsed() < Duration::from_secs(30), "{}", script.output());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(scan_takes(&house).await >= slow);
    script.signal(Signal::INT);
    let ended = script.wait(Duration::from_secs(20)).await;
    assert_eq!(ended.and_then(|status| status.code()), Some(130), "{}", script.output());
    assert!(scan_takes(&house).await < slow);

    let script = start(&variables(&house, "viewer"), "trigger-stage-latency.sh", &[]);
    assert!(end(script).await.not_seen().contains("403 forbidden"));
    let mut without = variables(&house, "admin");
    let rivals: Vec<_> = without.iter_mut().filter(|(name, _)| *name == "ADMIN_TOKEN").collect();
    for (_, token) in rivals {
        "no token".clone_into(token);
    }
    let script = start(&without, "trigger-stage-latency.sh", &[]);
    assert!(end(script).await.not_seen().contains("401 unauthorized"));

    // A check-in without fault points, on the same database.
    let database = house.evening.db.url_as("seatpilot_checkin");
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    let mut plain = Binary::spawn("checkin", &[("PORT", &port), ("DATABASE_URL", &database)]);
    plain.ready().await;
    let why = run(&house, "trigger-stage-latency.sh", &["--checkin", plain.url()]).await;
    assert!(why.not_seen().contains("FAULT_POINTS=on, which production refuses"), "{why:?}");
    let production = [
        ("PORT", &*port),
        ("DATABASE_URL", &*database),
        ("FAULT_POINTS", "on"),
        ("SEATPILOT_ENV", "production"),
    ];
    let mut refused = Binary::spawn("checkin", &production);
    let ended = refused.wait(Duration::from_secs(2)).await;
    assert_eq!(ended.and_then(|status| status.code()), Some(64), "{}", refused.output());
    tokio::time::sleep(Duration::from_millis(100)).await;
    let said = refused.output();
    assert!(said.contains("FAULT_POINTS") && said.contains("SEATPILOT_ENV"), "{said}");
}
