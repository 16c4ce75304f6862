//! Traces as a collector gets them: one trace from the phone through check-in and its event to the arrival, nothing in
//! it that a trace must not carry, and guests who never wait for it.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use seatpilot_guarantees::{Behaviour, Collector, Sender, Span, Wire};
use seatpilot_testkit::{Binary, Evening, Nats};
use serde_json::{Value, json};
use uuid::Uuid;

const PHONE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PHONE_SPAN: &str = "00f067aa0ba902b7";
const SIGN: &str = "0af7651916cd43dd8448eb211c80319c";
const SIGN_SPAN: &str = "b7ad6b7169203331";
/// A post a second, and slack for a machine under load.
const SOON: Duration = Duration::from_secs(15);

/// An evening with services that trace.
struct House {
    evening: Evening,
    client: reqwest::Client,
}

impl House {
    async fn of(guests: usize) -> Self {
        Self { evening: Evening::of(guests).await, client: reqwest::Client::new() }
    }

    /// A service at a free port, over the database or a line to it.
    async fn service(
        &self,
        name: &str,
        role: &str,
        line: Option<SocketAddr>,
        more: &[(&str, &str)],
    ) -> Binary {
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        let port = listener.local_addr().expect("an address").port().to_string();
        drop(listener);
        let url = self.evening.db.url_as(role);
        let url = line.map_or_else(|| url.clone(), |line| over(&url, line));
        let mut envs = vec![("PORT", port.as_str()), ("DATABASE_URL", &url), ("SEATPILOT_DRAIN_MS", "0")];
        envs.extend_from_slice(more);
        let mut binary = Binary::spawn(name, &envs);
        binary.ready().await;
        binary
    }

    async fn check_in(&self, checkin: &Binary, n: usize, traceparent: Option<&str>) -> (u16, Value) {
        let body = json!({
            "scan_id": Uuid::now_v7(), "venue_id": self.evening.venue.as_str(),
            "event_id": self.evening.event.as_str(), "door_id": self.evening.door.as_str(),
            "ticket": Evening::ticket(n), "channel": "kiosk",
        });
        self.post(&format!("{}/api/checkin/success", checkin.url()), &body, traceparent).await
    }

    async fn arrive(&self, wayfinding: &Binary, session: &str, traceparent: Option<&str>) -> (u16, Value) {
        let body =
            json!({ "ping_id": Uuid::now_v7(), "session_id": session, "section": self.evening.section });
        self.post(&format!("{}/api/wayfinding/arrive-table", wayfinding.url()), &body, traceparent).await
    }

    async fn post(&self, url: &str, body: &Value, traceparent: Option<&str>) -> (u16, Value) {
        let request = self.client.post(url).bearer_auth(&self.evening.device_token);
        let request = traceparent.into_iter().fold(request, |request, of| request.header("traceparent", of));
        let answer = request
            .header("content-type", "application/json")
            .body(body.to_string())
            .send()
            .await
            .expect("an answer");
        let status = answer.status().as_u16();
        (status, serde_json::from_slice(&answer.bytes().await.expect("a body")).unwrap_or_default())
    }

    /// A member of the stored event of a type.
    async fn stored(&self, kind: &str, member: &str) -> Option<String> {
        let sql = "select data ->> $2 from telemetry.events_raw where type = $1";
        let owner = self.evening.db.owner().await;
        owner.query_one(sql, &[&kind, &member]).await.expect("one event").get(0)
    }
}

/// The same database over a line.
fn over(url: &str, line: SocketAddr) -> String {
    let (login, rest) = url.split_once('@').expect("a URL with a role");
    let (_, database) = rest.split_once('/').expect("a URL with a database");
    format!("{login}@{line}/{database}")
}

async fn line_of(evening: &Evening) -> Wire {
    let url = evening.db.url_as("seatpilot_checkin");
    let host = url.split_once('@').and_then(|(_, rest)| rest.split_once('/')).expect("a host").0.to_owned();
    let found = tokio::net::lookup_host(host).await.expect("an address").next();
    Wire::to(found.expect("an address")).await
}

fn recorded(trace: &str, span: &str) -> String {
    format!("00-{trace}-{span}-01")
}

fn one<'a>(spans: &'a [Span], name: &str) -> &'a Span {
    let found: Vec<_> = spans.iter().filter(|span| span.name == name).collect();
    assert_eq!(found.len(), 1, "{name}: {spans:#?}");
    found[0]
}

#[tokio::test]
async fn a_guests_trace_goes_from_the_phone_to_the_seat() {
    let collector = Collector::start();
    let house = House::of(1).await;
    let endpoint = collector.url();
    let otel = [("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()), ("SERVICE_NAME", "north-gate")];
    let checkin = house.service("checkin", "seatpilot_checkin", None, &otel).await;
    let wayfinding = house.service("wayfinding", "seatpilot_wayfinding", None, &otel[..1]).await;

    let before = unix_nanos();
    let (status, admitted) = house.check_in(&checkin, 0, Some(&recorded(PHONE, PHONE_SPAN))).await;
    let after = unix_nanos();
    assert_eq!(status, 201, "{admitted}");
    // The device and nothing else had to be looked up: doors are known from the start.
    let spans = collector.trace(PHONE, 5, SOON).await;
    let request = one(&spans, "POST /api/checkin/success");
    assert_eq!((request.service.as_str(), request.kind), ("north-gate", 2));
    assert_eq!(request.parent_id, PHONE_SPAN, "continued, not begun");
    assert_eq!(request.attributes["http.response.status_code"], "201");
    assert_eq!(request.attributes["http.route"], "/api/checkin/success");
    assert_eq!(request.attributes["seatpilot.tenant"], "acme");
    assert!(
        before <= request.began && request.ended <= after,
        "the time of day: {before} {request:?} {after}"
    );

    let pool = one(&spans, "pool wait");
    let look_up = one(&spans, "statement device_by_token_hash");
    let batch = one(&spans, "batch wait");
    let statement = one(&spans, "statement session_check_in");
    for step in [pool, look_up, batch, statement] {
        assert_eq!(step.parent_id, request.span_id, "{step:?}");
        assert!(step.is_inside(request) && !step.failed, "{step:?} {request:?}");
        assert_ne!(step.span_id, request.span_id);
    }
    assert!(pool.ended <= look_up.began && look_up.ended <= batch.began, "one after the other: {spans:#?}");
    assert_eq!(batch.ended, statement.began, "what waited is sent");
    assert!(statement.ended > statement.began);
    assert_eq!(statement.attributes["db.operation.batch.size"], "1");
    assert_eq!(spans.len(), 5, "{spans:#?}");

    let traceparent = recorded(PHONE, &request.span_id);
    assert_eq!(house.stored("checkin.success", "traceparent").await, Some(traceparent.clone()));

    let session = admitted["session_id"].as_str().expect("a session");
    let (status, seated) = house.arrive(&wayfinding, session, Some(&recorded(SIGN, SIGN_SPAN))).await;
    assert_eq!(status, 201, "{seated}");
    let spans = collector.trace(SIGN, 5, SOON).await;
    let arrival = one(&spans, "POST /api/wayfinding/arrive-table");
    assert_eq!((arrival.service.as_str(), arrival.parent_id.as_str()), ("wayfinding", SIGN_SPAN));
    assert_eq!(arrival.links, [(PHONE.to_owned(), request.span_id.clone())], "to the guest's check-in");
    assert!(one(&spans, "statement session_arrive").is_inside(arrival));
    let kind = "wayfinding.arrive_table";
    assert_eq!(house.stored(kind, "traceparent").await, Some(recorded(SIGN, &arrival.span_id)));
    assert_eq!(house.stored(kind, "check_in_traceparent").await, Some(traceparent));
}

#[tokio::test]
async fn a_requests_trace_goes_over_the_bus_to_who_writes_it() {
    let Some(nats) = Nats::start().await else { return };
    let collector = Collector::start();
    let house = House::of(0).await;
    // Only its owner reads it: made so.
    let at_rest = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(at_rest.path(), STANDARD.encode([7; 32])).expect("a key");
    let (endpoint, bus) = (collector.url(), nats.url());
    let told = |role, name| {
        [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()),
            ("SERVICE_NAME", name),
            ("LOG_LEVEL", "info,seatpilot_bus=debug"),
            ("INGEST_BUS", "nats"),
            ("INGEST_BUS_ROLE", role),
            ("NATS_URL", &bus),
            ("SEATPILOT_SECRETS_KEY_FILE", at_rest.path().to_str().expect("a name")),
        ]
    };
    let writer = house.service("telemetry-ingest", "seatpilot_ingest", None, &told("write", "writer")).await;
    let verifier =
        house.service("telemetry-ingest", "seatpilot_ingest", None, &told("verify", "verifier")).await;
    let evening = &house.evening;
    let sender = Sender::new(verifier.url(), &evening.key_id, &evening.key_secret, evening.venue.as_str());
    // Two at once: each has its own.
    let sent = [(PHONE, PHONE_SPAN), (SIGN, SIGN_SPAN)].map(|(trace, span)| {
        let mut request = sender.prepared(2);
        request.headers_mut().insert("traceparent", recorded(trace, span).parse().expect("a header"));
        sender.send_prepared(request)
    });
    assert_eq!(futures_util::future::join_all(sent).await, [202, 202]);

    for trace in [PHONE, SIGN] {
        let since = Instant::now();
        let spans = loop {
            let spans = collector.trace(trace, 1, SOON).await;
            let services: std::collections::BTreeSet<&str> =
                spans.iter().map(|span| span.service.as_str()).collect();
            if services.len() == 2 {
                break spans;
            }
            assert!(since.elapsed() < SOON, "{spans:#?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        let request = one(&spans, "POST /v1/events");
        assert_eq!(request.service, "verifier");
        assert_eq!(one(&spans, "send seatpilot.ingest.requests").parent_id, request.span_id);
        let written = one(&spans, "process seatpilot.ingest.requests");
        assert_eq!((written.service.as_str(), &written.parent_id), ("writer", &request.span_id));
        assert_eq!(written.attributes["seatpilot.tenant"], "acme");
        let statement = one(&spans, "statement event_ingest");
        assert_eq!((statement.service.as_str(), &statement.parent_id), ("writer", &written.span_id));
        assert!(statement.is_inside(written), "{spans:#?}");
        // And so do the lines of both logs, with the request's id.
        let line = |of: &Binary, message: &str| -> Value {
            let output = of.output();
            let mut lines = output.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
            let found = lines.find(|line| line["message"] == message && line["trace_id"] == trace);
            found.unwrap_or_else(|| panic!("no line {message:?} of {trace}: {output}"))
        };
        let (served, wrote) = (line(&verifier, "served"), line(&writer, "wrote a request off the bus"));
        assert_eq!(served["request_id"], wrote["request_id"], "{served} {wrote}");
    }
}

#[tokio::test]
async fn a_sender_that_does_not_record_is_continued_and_not_recorded() {
    let collector = Collector::start();
    let house = House::of(3).await;
    let endpoint = collector.url();
    let otel = [("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str())];
    let checkin = house.service("checkin", "seatpilot_checkin", None, &otel).await;

    let unrecorded = format!("00-{PHONE}-{PHONE_SPAN}-00");
    assert_eq!(house.check_in(&checkin, 0, Some(&unrecorded)).await.0, 201);
    let kept = house.stored("checkin.success", "traceparent").await.expect("the phone's trace");
    assert!(kept.starts_with(&format!("00-{PHONE}-")) && kept.ends_with("-00"), "{kept}");
    // A guest after it, whom nobody traced before: a trace of our own.
    assert_eq!(house.check_in(&checkin, 1, None).await.0, 201);
    let since = Instant::now();
    let root = loop {
        let spans = collector.spans();
        if let Some(found) = spans.iter().find(|span| span.name == "POST /api/checkin/success") {
            break found.clone();
        }
        assert!(since.elapsed() < SOON, "{spans:#?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert_eq!(root.parent_id, "");
    assert_ne!(root.trace_id, PHONE);
    assert!(collector.spans().iter().all(|span| span.trace_id != PHONE), "{:#?}", collector.spans());
}

#[tokio::test]
async fn what_traces_must_not_carry_is_in_no_post() {
    let collector = Collector::start();
    let house = House::of(2).await;
    let endpoint = collector.url();
    let otel = [
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", &*format!("{endpoint}/elsewhere")),
        ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20canary-header"),
        ("OTEL_TRACES_SAMPLER", "always_on"),
    ];
    let checkin = house.service("checkin", "seatpilot_checkin", None, &otel).await;
    let wayfinding = house.service("wayfinding", "seatpilot_wayfinding", None, &otel).await;
    let ingest = house.service("telemetry-ingest", "seatpilot_ingest", None, &otel).await;
    let evening = &house.evening;

    let (status, admitted) = house.check_in(&checkin, 0, None).await;
    assert_eq!(status, 201);
    let session = admitted["session_id"].as_str().expect("a session");
    assert_eq!(house.arrive(&wayfinding, session, None).await.0, 201);
    let sender = Sender::new(ingest.url(), &evening.key_id, &evening.key_secret, evening.venue.as_str());
    assert_eq!(sender.send(1, 1).await, 202);
    // Canaries in every place that a sender fills.
    let canary = format!("{}/api/canary-path?canary-query=1", checkin.url());
    let method = "CANARYMETHOD".parse().expect("a method");
    let sent = house
        .client
        .request(method, canary)
        .bearer_auth("canary-token")
        .header("x-request-id", "canary-request-id")
        .header("tracestate", "canary=state")
        .header("user-agent", "canary-agent")
        .body("canary-body");
    assert_eq!(sent.send().await.expect("an answer").status(), 404);
    let refused = json!({ "ticket": "canary-ticket", "canary_member": "canary-value" });
    let url = format!("{}/api/checkin/success", checkin.url());
    assert_eq!(house.post(&url, &refused, None).await.0, 422);
    assert_eq!(sender.send_bytes(b"[{\"canary\":1}]".to_vec()).await, 202);

    let since = Instant::now();
    let answered = |status: &str| {
        let spans = collector.spans();
        spans
            .iter()
            .any(|span| span.attributes.get("http.response.status_code").is_some_and(|of| of == status))
    };
    while !["404", "422", "202"].into_iter().all(answered) {
        assert!(since.elapsed() < SOON, "{:#?}", collector.spans());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // The last posts of the second after, too.
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    let posts = collector.posts();
    let secrets = [
        "canary",
        "CANARY",
        &*Evening::ticket(0),
        "Guest 0",
        &evening.device_token,
        session,
        &evening.key_id,
    ];
    for post in &posts {
        assert_eq!(post.path, "/elsewhere", "the address for traces wins, as it is");
        assert_eq!(post.headers["authorization"], "Bearer canary-header", "decoded, and only there");
        assert_eq!(post.headers["content-type"], "application/x-protobuf");
        let body = String::from_utf8_lossy(&post.body);
        for secret in secrets {
            assert!(!body.contains(secret), "{secret:?} in {body:?}");
        }
        // The control: what is meant to be there is found the same way.
        assert!(body.contains("service.name"), "{body:?}");
    }
    for binary in [&checkin, &wayfinding, &ingest] {
        assert!(!binary.output().contains("canary-header"), "{}", binary.output());
    }
}

#[tokio::test]
async fn a_collector_that_fails_costs_traces_and_no_guest_anything() {
    let collector = Collector::start();
    let house = House::of(400).await;
    let endpoint = collector.url();
    let otel = [("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str())];
    let mut checkin = house.service("checkin", "seatpilot_checkin", None, &otel).await;
    let mut guests = 0..400;
    let mut worst = Duration::ZERO;
    // Refused for good, refused for now, never answered: guests come in all the while.
    for behaviour in [Behaviour::Answers(500), Behaviour::Answers(503), Behaviour::Hangs] {
        collector.behave(behaviour);
        let (posts, since) = (collector.posts().len(), Instant::now());
        while collector.posts().len() == posts {
            assert!(since.elapsed() < SOON, "no post came, {behaviour:?}");
            for n in guests.by_ref().take(5) {
                let began = Instant::now();
                assert_eq!(house.check_in(&checkin, n, None).await.0, 201, "{behaviour:?}");
                worst = worst.max(began.elapsed());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
    for n in guests {
        let began = Instant::now();
        assert_eq!(house.check_in(&checkin, n, None).await.0, 201, "while a post hangs");
        worst = worst.max(began.elapsed());
    }
    assert!(worst < Duration::from_secs(1), "the slowest took {worst:?}");
    let lost = "traces were lost; requests are not affected";
    let since = Instant::now();
    while !checkin.output().contains(lost) {
        assert!(since.elapsed() < SOON, "{}", checkin.output());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let metrics = house.client.get(format!("{}/metrics", checkin.url())).send().await.expect("an answer");
    let metrics = metrics.text().await.expect("a text");
    let count = |outcome: &str| -> u64 {
        let series = format!("seatpilot_trace_spans_total{{outcome=\"{outcome}\"}} ");
        let line = metrics.lines().find_map(|line| line.strip_prefix(&series));
        line.expect("it is exported").parse().expect("a count")
    };
    assert!(count("dropped") > 0, "{metrics}");
    assert!(checkin.output().matches(lost).count() == 1, "once a minute: {}", checkin.output());

    // Asked to end while nobody takes anything, it ends all the same.
    let asked = Instant::now();
    checkin.terminate();
    let ended = checkin.wait(Duration::from_secs(10)).await.expect("it ends");
    assert!(ended.success() && asked.elapsed() < Duration::from_secs(4), "{ended} {:?}", asked.elapsed());
}

#[tokio::test]
async fn the_last_request_before_the_end_is_sent() {
    let collector = Collector::start();
    let house = House::of(1).await;
    let endpoint = collector.url();
    let otel = [("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str())];
    let mut checkin = house.service("checkin", "seatpilot_checkin", None, &otel).await;
    assert_eq!(house.check_in(&checkin, 0, Some(&recorded(PHONE, PHONE_SPAN))).await.0, 201);
    checkin.terminate();
    assert!(checkin.wait(Duration::from_secs(10)).await.expect("it ends").success());
    let spans = collector.trace(PHONE, 5, Duration::ZERO).await;
    one(&spans, "POST /api/checkin/success");
}

#[tokio::test]
async fn a_slow_request_is_a_line_of_the_log_with_its_trace() {
    let collector = Collector::start();
    let house = House::of(40).await;
    let line = line_of(&house.evening).await;
    let endpoint = collector.url();
    let otel = [("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str())];
    let checkin = house.service("checkin", "seatpilot_checkin", Some(line.address()), &otel).await;
    assert_eq!(house.check_in(&checkin, 0, None).await.0, 201);
    assert!(!checkin.output().contains("slow request"), "{}", checkin.output());

    line.slow(Duration::from_millis(350));
    let began = Instant::now();
    assert_eq!(house.check_in(&checkin, 1, Some(&recorded(PHONE, PHONE_SPAN))).await.0, 201);
    let took = began.elapsed();
    assert!(took > Duration::from_millis(300), "the line is slow: {took:?}");
    let lines = || -> Vec<Value> {
        let output = checkin.output();
        let lines = output.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines.filter(|line| line["message"] == "slow request").collect()
    };
    let since = Instant::now();
    while lines().is_empty() && since.elapsed() < SOON {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let line_of_log = lines().first().cloned().unwrap_or_default();
    assert_eq!(line_of_log["trace_id"], PHONE, "{line_of_log}");
    assert_eq!(line_of_log["route"], "/api/checkin/success");
    assert!(line_of_log["ms"].as_f64().expect("a number") > 300.0);
    // The trace says where the time was lost.
    let spans = collector.trace(PHONE, 3, SOON).await;
    let statement = one(&spans, "statement session_check_in");
    assert!(statement.ended - statement.began > 300_000_000, "{statement:?}");

    // Thirty at once: a second has one line.
    let crowd = (2..32).map(|n| house.check_in(&checkin, n, None));
    let all = futures_util::future::join_all(crowd);
    assert!(all.await.iter().all(|(status, _)| *status == 201));
    tokio::time::sleep(Duration::from_millis(200)).await;
    let written = lines().len() as u64;
    assert!(written <= 2 + began.elapsed().as_secs(), "{written} lines in {:?}", began.elapsed());
}

#[expect(clippy::disallowed_methods, reason = "compared with the times that a collector is told")]
fn unix_nanos() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    u64::try_from(since.expect("after 1970").as_nanos()).expect("before 2554")
}
