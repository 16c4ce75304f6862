//! G21: no secret gets out. Every secret of the house is a word that stands nowhere else; every way to fail that can be
//! reached from outside is gone, and everything that anybody can read afterwards is searched for them: what the processes
//! printed, their answers, metrics, traces and command lines, dead letters, the audit log and Postgres' own log.
//!
//! A word of each of these places that is no secret must be found there: a search that finds nothing proves nothing.

mod search;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::{Engine, engine::general_purpose::STANDARD};
use reqwest::RequestBuilder;
use seatpilot_guarantees::Collector;
use seatpilot_runtime::Clock;
use seatpilot_signing::{AdminSubject, Key, sign_admin_token, sign_login_code, sign_sp1};
use seatpilot_testkit::{Binary, Evening, TestDb, binary_path, connect, guarded_cluster};
use serde_json::{Value, json};
use uuid::Uuid;

use search::{Secrets, Seen};

const SERVICES: [(&str, &str); 5] = [
    ("checkin", "seatpilot_checkin"),
    ("wayfinding", "seatpilot_wayfinding"),
    ("telemetry-ingest", "seatpilot_ingest"),
    ("kpi-refresher", "seatpilot_kpi"),
    ("metrics-api", "seatpilot_metrics"),
];
/// No secret: what must be found.
const CONTROL: &str = "control-canary-7f3a91";

struct House {
    folder: PathBuf,
    secrets: Secrets,
    seen: Seen,
    client: reqwest::Client,
}

impl House {
    /// Runs a program to its end and keeps what it said. Gives its exit code.
    fn run(&mut self, name: &str, words: &[&str], variables: &[(&str, &str)]) -> (i32, String) {
        let mut command = std::process::Command::new(binary_path(name));
        let ran = command.args(words).env_clear().envs(variables.iter().copied()).output().unwrap();
        let said = String::from_utf8_lossy(&[ran.stdout, ran.stderr].concat()).into_owned();
        self.seen.add(format!("output of {name} {}", words.join(" ")), said.clone());
        (ran.status.code().unwrap_or(-1), said)
    }

    fn file(&self, name: &str, content: &str, mode: u32) -> String {
        let path = self.folder.join(name);
        let _ = fs::remove_file(&path);
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

fn free_port() -> String {
    let held = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    held.local_addr().unwrap().port().to_string()
}

/// An owner's URL with another login.
fn login(owner: &str, role: &str, password: &str) -> String {
    let host = owner.rsplit_once('@').unwrap().1;
    format!("postgres://{role}:{password}@{host}")
}

/// `x-sig` and the other headers of a body; the tag is a secret of this run.
fn signed(
    secrets: &mut Secrets,
    path: &str,
    key_id: &str,
    secret: &[u8],
    body: &[u8],
) -> Vec<(String, String)> {
    let nonce = Uuid::new_v4().simple().to_string();
    let (key, ts) = (Key::new(secret).unwrap(), Clock::system().now().as_second());
    let headers = sign_sp1(&key, "POST", path, key_id, ts, &nonce, body).unwrap();
    secrets.keep(&format!("x-sig {nonce}"), &headers[3].1["v1=".len()..]);
    headers.map(|(name, value)| (name.to_owned(), value)).into()
}

fn with(mut request: RequestBuilder, headers: &[(String, String)]) -> RequestBuilder {
    for (name, value) in headers {
        request = request.header(name, value);
    }
    request
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_secret_stands_in_anything_that_can_be_read_after_every_way_to_fail() {
    let temporary = tempfile::tempdir().unwrap();
    // Root's server runs as another account and must get through.
    fs::set_permissions(temporary.path(), fs::Permissions::from_mode(0o711)).unwrap();
    let folder = temporary.path().to_owned();
    let mut house =
        House { folder, secrets: Secrets::default(), seen: Seen::default(), client: reqwest::Client::new() };
    let superuser = house.secrets.word("the superuser's password");
    let mut cluster = guarded_cluster(temporary.path(), &superuser).await;
    let server = cluster.url("");
    let evening = Evening::on(TestDb::on(&server).await, 2).await;
    let owner = evening.db.owner_url();
    house.secrets.keep("the device's token", &evening.device_token);
    house.secrets.bytes("the key's secret", evening.key_secret.expose_secret());
    let (at_rest, bootstrap): (Vec<u8>, Vec<u8>) =
        ((0..32).map(|n| n * 7 + 3).collect(), b"bootstrapcanary0".repeat(2));
    house.secrets.bytes("the at-rest key", &at_rest);
    house.secrets.bytes("the bootstrap key", &bootstrap);
    house.secrets.keep("the bootstrap key (text)", "bootstrapcanary0bootstrapcanary0");
    let metrics_key = house.secrets.word("the metrics key");
    let jwt_secret = house.secrets.word("the secret of administrators' tokens");
    let collector_key = house.secrets.word("the collector's password");
    let ticket = house.secrets.word("an unknown ticket");
    let at_rest_file = house.file("at-rest.keys", &STANDARD.encode(&at_rest), 0o400);

    // The command: roles get their passwords, keys are sealed, and then everything that can go wrong.
    let mut urls = BTreeMap::new();
    let mut logins = vec!["migrate".to_owned()];
    for (name, role) in SERVICES {
        let password = house.secrets.word(&format!("the password of {role}"));
        let url = login(&owner, role, &password);
        let file = house.file(&format!("{name}.url"), &url, 0o600);
        logins.extend(["--login".to_owned(), file]);
        urls.insert(name, url);
    }
    let words: Vec<&str> = logins.iter().map(String::as_str).collect();
    let own = [("DATABASE_URL", owner.as_str()), ("SEATPILOT_SECRETS_KEY_FILE", at_rest_file.as_str())];
    let (code, said) = house.run("seatpilot", &words, &own);
    assert_eq!(code, 0, "{said}");
    for (words, expected) in [
        (vec!["key", "reencrypt"], 0),
        (vec!["key", "list", "--tenant", "acme", "--json"], 0),
        (vec!["device", "list", "--tenant", "acme", "--json"], 0),
        (vec!["key", "add", &evening.key_id, "--tenant", "acme"], 1),
        (vec!["key", "rotate", "nobody_s_key", "--tenant", "acme"], 1),
        (vec!["key", "rotate", &evening.key_id, "--grace", CONTROL], 2),
        (vec!["audit", "verify"], 0),
    ] {
        let (code, said) = house.run("seatpilot", &words, &own);
        assert_eq!(code, expected, "{words:?}: {said}");
    }
    let wrong = login(&owner, CONTROL, &house.secrets.word("a wrong password"));
    let nowhere = format!("postgres://me:{}@127.0.0.1:1/none", house.secrets.word("a password of nobody"));
    let no_url = format!("posgres://me:{}@host/db", house.secrets.word("a password in a bad URL"));
    for (url, expected) in [(&wrong, 1), (&nowhere, 1), (&no_url, 64)] {
        let (code, said) = house.run("seatpilot", &["key", "list"], &[("DATABASE_URL", url)]);
        assert_eq!(code, expected, "{said}");
    }

    // Configurations that are refused, each with the secret that it is refused for.
    let loose = house.file("loose.keys", &STANDARD.encode(&at_rest), 0o644);
    let half = house.file("half.keys", &STANDARD.encode(&at_rest)[..40], 0o400);
    house.secrets.keep("half an at-rest key", &STANDARD.encode(&at_rest)[..40]);
    let colons = format!("acme:short:{}", house.secrets.word("a bootstrap key of no form"));
    let spaced = format!("{} with spaces", house.secrets.word("a metrics key of no form"));
    for (name, _) in SERVICES {
        let url = urls[name].clone();
        let bad: [&[(&str, &str)]; 6] = [
            &[("DATABASE_URL", &no_url)],
            &[("DATABASE_URL", &url), ("SEATPILOT_SECRETS_KEY_FILE", &loose), ("PORT", CONTROL)],
            &[("DATABASE_URL", &url), ("SEATPILOT_SECRETS_KEY_FILE", &half), ("PORT", "no")],
            &[("DATABASE_URL", &url), ("HMAC_TENANT_SECRET", &colons), ("PORT", "no")],
            &[("DATABASE_URL", &url), ("METRICS_INGEST_KEY", &spaced), ("PORT", "no")],
            &[
                ("DATABASE_URL", &url),
                ("DATABASE_URL_FILE", "/nowhere"),
                ("SUPABASE_JWT_SECRET", &jwt_secret),
                ("PORT", "no"),
            ],
        ];
        for variables in bad {
            let (code, said) = house.run(name, &[], variables);
            assert_eq!(
                code,
                64,
                "{name} {:?}: {said}",
                variables.iter().map(|(name, _)| name).collect::<Vec<_>>()
            );
        }
    }

    // The services, each with everything that it could be given, as talkative as they get in anger.
    let collector = Collector::start();
    let bootstrap_key = format!("acme:box_key_0001:{}", STANDARD.encode(&bootstrap));
    let otel = format!("authorization={collector_key}");
    let mut running = BTreeMap::new();
    for (name, _) in SERVICES {
        let port = free_port();
        let endpoint = collector.url();
        let variables = [
            ("PORT", port.as_str()),
            ("DATABASE_URL", &urls[name]),
            ("SEATPILOT_SECRETS_KEY_FILE", &at_rest_file),
            ("HMAC_TENANT_SECRET", &bootstrap_key),
            ("METRICS_INGEST_KEY", &metrics_key),
            ("SUPABASE_JWT_SECRET", &jwt_secret),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint),
            ("OTEL_EXPORTER_OTLP_HEADERS", &otel),
            ("SEATPILOT_DRAIN_MS", "0"),
            ("LOG_LEVEL", "debug"),
        ];
        let mut binary = Binary::spawn(name, &variables);
        binary.ready().await;
        let words = fs::read(format!("/proc/{}/cmdline", binary.pid())).unwrap_or_default();
        house.seen.add(format!("command line of {name}"), String::from_utf8_lossy(&words).into_owned());
        running.insert(name, binary);
    }
    let at = |name: &str| running[name].url().to_owned();
    let (checkin, wayfinding, ingest, metrics) =
        (at("checkin"), at("wayfinding"), at("telemetry-ingest"), at("metrics-api"));

    // Twice: with a database, and without.
    for round in ["up", "down"] {
        if round == "down" {
            cluster.stop_immediate().await;
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
        let House { secrets, seen, client, .. } = &mut house;
        let scan = |ticket: &str, more: Value| {
            let mut scan = json!({
                "scan_id": Uuid::now_v7(), "venue_id": evening.venue.as_str(), "event_id": evening.event.as_str(),
                "door_id": evening.door.as_str(), "ticket": ticket, "channel": "kiosk",
            });
            scan.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap_or_default());
            scan.to_string()
        };
        let post = |url: String, body: String| {
            client
                .post(url)
                .header("content-type", "application/json")
                .header("x-request-id", CONTROL)
                .body(body)
        };
        let door = format!("{checkin}/api/checkin/success");
        let token = evening.device_token.as_str();
        let wrong_token = secrets.word(&format!("a wrong token, {round}"));
        for (what, request, expected) in [
            ("a guest", post(door.clone(), scan("ticket-0", json!({}))).bearer_auth(token), [201, 503]),
            (
                "an unknown ticket",
                post(door.clone(), scan(&ticket, json!({}))).bearer_auth(token),
                [404, 503],
            ),
            (
                "a wrong token",
                post(door.clone(), scan("ticket-0", json!({}))).bearer_auth(&wrong_token),
                [401, 503],
            ),
            ("no token", post(door.clone(), scan(&ticket, json!({}))), [401, 401]),
            (
                "bad JSON",
                post(door.clone(), format!("{{\"ticket\":\"{ticket}\",")).bearer_auth(token),
                [400, 503],
            ),
            (
                "a bad member",
                post(door.clone(), scan(&ticket, json!({ "channel": &ticket }))).bearer_auth(token),
                [422, 503],
            ),
            (
                "an odd member",
                post(door.clone(), scan(&ticket, json!({ "tickets": [&ticket] }))).bearer_auth(token),
                [422, 503],
            ),
            ("a long body", post(door.clone(), "x".repeat(20_000)).bearer_auth(token), [413, 503]),
            ("a query", client.get(format!("{door}?ticket={ticket}")), [405, 405]),
            ("nowhere", client.get(format!("{checkin}/api/{ticket}")).bearer_auth(token), [404, 404]),
            (
                "a route",
                client.get(format!("{wayfinding}/api/wayfinding/route?from={CONTROL}")).bearer_auth(token),
                [422, 503],
            ),
        ] {
            let status = seen.answer(&format!("{what}, database {round}"), request).await;
            // What was looked up a moment ago is remembered: without a database that is no matter of secrets.
            assert!(expected.contains(&status) || round == "down", "{what}, {round}: {status}");
        }

        let path = "/v1/events";
        let url = format!("{ingest}{path}");
        let event = |kind: &str, more: Value| {
            let now = Clock::system().now().round(jiff::Unit::Millisecond).unwrap();
            json!({ "id": Uuid::now_v7(), "type": kind, "occurred_at": now, "venue_id": "hall", "data": more }).to_string()
        };
        let good = event("device.heartbeat", json!({ "note": CONTROL }));
        let cases = [
            (good.clone(), 202),
            (format!("{{\"note\":\"{CONTROL}\","), 422),
            (event("door.opened", json!({ "note": CONTROL })), 422),
        ];
        for (key_id, secret) in [
            (evening.key_id.as_str(), evening.key_secret.expose_secret().as_slice()),
            ("box_key_0001", bootstrap.as_slice()),
        ] {
            for (body, expected) in &cases {
                let headers = signed(secrets, path, key_id, secret, body.as_bytes());
                // A sender that gives away more than it is asked for.
                let request = with(post(url.clone(), body.clone()), &headers)
                    .bearer_auth(token)
                    .header("x-metrics-key", &metrics_key);
                let status = seen.answer(&format!("events of {key_id}, database {round}"), request).await;
                assert!(status == *expected || round == "down", "{key_id} {round}: {status}");
                let altered = with(post(url.clone(), format!("{body} ")), &headers);
                seen.answer(&format!("a changed body, database {round}"), altered).await;
                let unknown: Vec<_> = headers
                    .iter()
                    .map(|(name, value)| {
                        (
                            name.clone(),
                            if name == "x-key" { "nobody_s_key".to_owned() } else { value.clone() },
                        )
                    })
                    .collect();
                seen.answer(
                    &format!("an unknown key, database {round}"),
                    with(post(url.clone(), body.clone()), &unknown),
                )
                .await;
                let upper: Vec<_> = headers
                    .iter()
                    .map(|(name, value)| {
                        (name.clone(), if name == "x-sig" { format!("{value}0") } else { value.clone() })
                    })
                    .collect();
                let status = seen
                    .answer(
                        &format!("a malformed tag, database {round}"),
                        with(post(url.clone(), body.clone()), &upper),
                    )
                    .await;
                assert!(status == 400 || round == "down", "{status}");
            }
        }
        let ping =
            json!({ "ping_id": Uuid::now_v7(), "session_id": Uuid::now_v7(), "section": "A" }).to_string();
        let arrive = "/api/wayfinding/arrive-table";
        for secret in [evening.key_secret.expose_secret().clone(), vec![9; 32]] {
            let headers = signed(secrets, arrive, &evening.key_id, &secret, ping.as_bytes());
            let request = with(post(format!("{wayfinding}{arrive}"), ping.clone()), &headers);
            seen.answer(&format!("a signed ping, database {round}"), request).await;
        }

        // Administrators: a good token, tokens of nobody, a login.
        let who =
            AdminSubject { tenant: "acme", role: "owner", subject: "0190a0c4-7a00-7000-8000-000000000001" };
        let moment = Clock::system().now().as_second();
        let admin = sign_admin_token(jwt_secret.as_bytes(), who, moment, 600);
        let forged = sign_admin_token(b"another secret of administrators' tokens", who, moment, 600);
        let code = sign_login_code(jwt_secret.as_bytes(), who, &Uuid::now_v7().to_string(), moment);
        for (what, token) in
            [("an admin's token", &admin), ("a forged token", &forged), ("a login code", &code)]
        {
            secrets.keep(&format!("{what}, {round}"), token.rsplit_once('.').unwrap().1);
        }
        for page in ["/admin", "/admin/audit", "/admin/billing?period=2026-10", "/admin/billing?period=never"]
        {
            for token in [&admin, &forged] {
                seen.answer(
                    &format!("{page}, database {round}"),
                    client.get(format!("{ingest}{page}")).bearer_auth(token),
                )
                .await;
            }
        }
        for (field, value) in [("token", &forged), ("code", &forged)] {
            let form = post(format!("{ingest}/admin/login"), format!("{field}={value}"));
            let form = form.header("content-type", "application/x-www-form-urlencoded");
            seen.answer(&format!("a login by {field}, database {round}"), form).await;
        }
        seen.answer(
            "a cookie",
            client.get(format!("{ingest}/admin")).header("cookie", format!("seatpilot_admin={forged}")),
        )
        .await;

        let observe = format!("{metrics}/observe/ingest");
        let count = json!({ "tenant": "acme", "outcome": "accepted" }).to_string();
        for (key, body, expected) in [
            (metrics_key.clone(), count.clone(), 204),
            (wrong_token.clone(), count.clone(), 401),
            (metrics_key.clone(), format!("{{\"tenant\":\"{CONTROL}\","), 400),
        ] {
            let status =
                seen.answer("an observation", post(observe.clone(), body).header("x-metrics-key", key)).await;
            assert!(status == expected || round == "down", "{status}");
        }
        for (name, binary) in &running {
            for path in ["/metrics", "/ready", "/health"] {
                seen.answer(
                    &format!("{path} of {name}, database {round}"),
                    client.get(format!("{}{path}", binary.url())),
                )
                .await;
            }
        }
        if round == "up" {
            tables(seen, &owner).await;
        }
    }

    // Spans are posted every second.
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    for (name, mut binary) in running {
        binary.terminate();
        assert!(binary.wait(Duration::from_secs(20)).await.is_some(), "{name} did not end");
        house.seen.add(format!("log of {name}"), binary.output());
    }
    for post in collector.posts() {
        house.seen.add("traces", String::from_utf8_lossy(&post.body).into_owned());
    }
    house.seen.add(
        "Postgres' log",
        fs::read_to_string(cluster.log_path()).unwrap_or_else(|_| log_beside(temporary.path())),
    );

    for (place, word) in [
        ("dead letters", CONTROL),
        ("stored events", CONTROL),
        ("audit log", "key.reencrypt"),
        ("log of telemetry-ingest", CONTROL),
        ("log of checkin", CONTROL),
        ("answer 404", CONTROL),
        ("answer 200: /metrics of telemetry-ingest", "acme"),
        ("traces", "telemetry-ingest"),
        ("command line of checkin", "checkin"),
        ("Postgres' log", CONTROL),
        ("output of checkin", CONTROL),
        ("output of seatpilot key rotate", CONTROL),
    ] {
        assert!(
            house.seen.found(place, word),
            "{word} is not in {place}: the search would see nothing there"
        );
    }
    let leaks = house.seen.leaks(&house.secrets);
    assert!(leaks.is_empty(), "{} leaks:\n{}", leaks.len(), leaks.join("\n"));
    // The search itself, on one that was let out.
    house.seen.add("a leak on purpose", format!("ticket={ticket}&"));
    assert_eq!(house.seen.leaks(&house.secrets), ["an unknown ticket in a leak on purpose"]);
    println!(
        "guarantee: G21 | {} secrets sought in {} places ({} KB), 12 control words found",
        house.secrets.0.len(),
        house.seen.0.len(),
        house.seen.0.iter().map(|(_, text)| text.len()).sum::<usize>() / 1024
    );
}

/// Rows that people read, as text.
async fn tables(seen: &mut Seen, owner: &str) {
    let client = connect(owner).await.unwrap();
    for (place, sql) in [
        (
            "dead letters",
            "select d::text || ' ' || convert_from(d.payload, 'utf8') from telemetry.events_dlq d",
        ),
        ("stored events", "select e::text from telemetry.events_raw e"),
        ("audit log", "select l::text from audit.log l"),
        ("sealed keys", "select k::text from ops.signing_keys k"),
        ("devices", "select d::text from ops.devices d"),
    ] {
        let rows = client.query(sql, &[]).await.unwrap();
        assert!(!rows.is_empty(), "{place}: there are none");
        let text: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
        seen.add(place, text.join("\n"));
    }
}

fn log_beside(folder: &Path) -> String {
    fs::read_to_string(folder.join("postgres.log")).unwrap_or_default()
}
