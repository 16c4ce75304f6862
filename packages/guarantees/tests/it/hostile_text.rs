//! What a sender's text does to the database (G25): nothing. 500 texts, each made to break out of a statement, in every field,
//! parameter and header that reaches one, and as arguments of the command. The verdict is the server's own log, with every
//! statement in it: no text of ours stands in any, and no error is of the classes that such a text would raise.

use std::fs;
use std::path::Path;
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use seatpilot_domain_model::DeviceScope;
use seatpilot_guarantees::{JWT_SECRET, Process, Sender, Service};
use seatpilot_runtime::Clock;
use seatpilot_signing::{AdminSubject, sign_admin_token};
use seatpilot_testkit::{Binary, Effort, Evening, TestDb, binary_path, own_cluster_with};
use serde_json::{Map, Value, json};
use tokio_postgres::Client;
use uuid::Uuid;

/// In every text, and nowhere else: what is looked for in the log.
const MARK: &str = "zq7x";

/// Texts that would do something where they became part of a statement. `%` is where the mark stands.
const BASES: &[&str] = &[
    "'%",
    "''%",
    "'%--",
    "' or '1'='1' --%",
    "'; drop table ops.tickets; --%",
    "'; select pg_sleep(3); --%",
    "\\'; select pg_sleep(3); --%",
    "1; select pg_sleep(3) --%",
    "' || pg_sleep(3) || '%",
    "%' and pg_sleep(3) is null --",
    "$$; select pg_sleep(3); $$%",
    "$1%",
    "$1::int%",
    "%%s%%I%%L%",
    "{%}",
    "{{%}}",
    "\\%",
    "\\x00%",
    "E'\\047%",
    "U&'\\0027%",
    "ʼ; select pg_sleep(3) --%",
    "＇; select pg_sleep(3) --%",
    "/* % */",
    "--%",
    "\n; select pg_sleep(3);%",
    "\"; select pg_sleep(3); --%",
    "%'); select pg_sleep(3); --",
    "(select pg_sleep(3))%",
    "' union select 1, %, 3 --",
    "{\"a\":\"%\"}",
    "{a,%}",
    "[%]",
    "null%",
    "NaN%",
    "infinity%",
    "-1%",
    "1e400%",
    "0x27%",
    "%\u{202e}\u{0}",
    "𝕊%",
    "; %",
    "%\u{b}\u{c}\r",
];
/// What is put around each.
const AROUND: &[(&str, &str)] = &[
    ("", ""),
    ("a", ""),
    ("", "a"),
    ("'", "'"),
    ("\"", "\""),
    ("(", ")"),
    ("", "--"),
    ("", ";"),
    ("\\", ""),
    ("$q$", "$q$"),
    ("", "/**/"),
    ("\n", "\n"),
];

fn texts() -> Vec<String> {
    let all = BASES.iter().flat_map(|base| {
        let base = base.replacen('%', MARK, 1);
        AROUND.iter().map(move |(before, after)| format!("{before}{base}{after}"))
    });
    let mut all: Vec<String> = all.collect();
    all.truncate(500);
    all
}

/// A service under attack: where it is, and as whom.
struct Target {
    client: reqwest::Client,
    evening: Evening,
    devices: Vec<String>,
    checkin: Process,
    wayfinding: Process,
    ingest: Process,
    sender: Sender,
    token: String,
}

/// Fields of bodies, by path from the member's name on; parameters; headers.
const SCAN: &[&str] = &[
    "scan_id",
    "venue_id",
    "event_id",
    "door_id",
    "ticket",
    "channel",
    "party_size",
    "scanned_at",
    "profile",
    "lang",
];
const PING: &[&str] = &["ping_id", "session_id", "table_id", "seat_id", "section", "sign_id", "arrived_at"];
const ROUTE: &[&str] = &["venue_id", "from", "to", "profile", "lang"];
const EVENT: &[&str] =
    &["id", "type", "occurred_at", "venue_id", "session_id", "channel", "tenant_id", "data", "*"];
const HEADERS: &[&str] =
    &["x-request-id", "traceparent", "idempotency-key", "authorization", "x-key", "cookie"];
/// Pages of administrators with a parameter that comes from outside.
const PAGES: &[(&str, &str)] = &[
    ("/admin/billing", "period"),
    ("/admin/billing/csv", "period"),
    ("/admin/billing/csv", "tenant"),
    ("/admin/billing/usage", "period"),
    ("/admin/billing/usage", "tenant"),
    ("/admin/audit", "before"),
    ("/admin/audit", "limit"),
    ("/admin/audit", "sort"),
    ("/admin/dlq", "reason"),
    ("/admin/dlq", "state"),
    ("/admin/dlq", "type"),
    ("/admin/dlq", "after"),
    ("/admin/dlq", "limit"),
    ("/admin/dlq", "key"),
    ("/admin/dlq", "received_from"),
    ("/admin/login", "code"),
    ("/admin/login", "next"),
];

impl Target {
    async fn post(&self, url: String, body: &Value, device: &str, header: Option<(&str, &str)>) -> u16 {
        let mut request =
            self.client.post(url).header("content-type", "application/json").body(body.to_string());
        if header.is_none_or(|(name, _)| name != "authorization") {
            request = request.bearer_auth(device);
        }
        if let Some((name, value)) = header {
            // What HTTP itself cannot carry never reaches us.
            let Ok(value) = reqwest::header::HeaderValue::from_bytes(value.as_bytes()) else { return 0 };
            request = request.header(name, value);
        }
        request.send().await.map_or(0, |answer| answer.status().as_u16())
    }

    fn scan(&self, n: usize) -> Map<String, Value> {
        let scan = json!({
            "scan_id": Uuid::now_v7(), "venue_id": self.evening.venue.as_str(), "event_id": self.evening.event.as_str(),
            "door_id": self.evening.door.as_str(), "ticket": Evening::ticket(n), "channel": "kiosk",
        });
        scan.as_object().unwrap().clone()
    }

    fn event(&self) -> Map<String, Value> {
        let event = json!({
            "id": Uuid::now_v7(), "type": "device.heartbeat",
            "occurred_at": Clock::system().now().round(jiff::Unit::Millisecond).unwrap().to_string(),
            "venue_id": self.evening.venue.as_str(), "data": {},
        });
        event.as_object().unwrap().clone()
    }

    /// Sends one text in one place; the status, 0 where HTTP could not carry it.
    async fn send(&self, number: usize, place: Place, text: &str) -> u16 {
        let device = &self.devices[number / 50 % self.devices.len()];
        match place {
            Place::Scan(field) => {
                let mut scan = self.scan(number);
                scan.insert(field.to_owned(), text.into());
                self.post(format!("{}/api/checkin/success", self.checkin.url()), &scan.into(), device, None)
                    .await
            }
            Place::Header(name) => {
                let scan = self.scan(usize::MAX).into();
                let url = format!("{}/api/checkin/success", self.checkin.url());
                self.post(url, &scan, device, Some((name, text))).await
            }
            Place::Ping(field) => {
                let mut ping = Map::new();
                ping.insert("ping_id".to_owned(), Uuid::now_v7().to_string().into());
                ping.insert("session_id".to_owned(), Uuid::now_v7().to_string().into());
                ping.insert("section".to_owned(), self.evening.section.as_str().into());
                ping.insert(field.to_owned(), text.into());
                let url = format!("{}/api/wayfinding/arrive-table", self.wayfinding.url());
                self.post(url, &ping.into(), device, None).await
            }
            Place::Route(field) => {
                let section = format!("section:{}", self.evening.section);
                let door = format!("door:{}", self.evening.door);
                let mut query =
                    vec![("venue_id", self.evening.venue.as_str()), ("from", &*door), ("to", &*section)];
                query.retain(|(name, _)| *name != field);
                query.push((field, text));
                let url = format!("{}/api/wayfinding/route", self.wayfinding.url());
                let mut url = reqwest::Url::parse(&url).unwrap();
                url.query_pairs_mut().extend_pairs(&query);
                let request = self.client.get(url).bearer_auth(device);
                request.send().await.map_or(0, |answer| answer.status().as_u16())
            }
            Place::Event(field) => {
                let mut event = self.event();
                match field {
                    "data" => {
                        _ = event.insert("data".to_owned(), json!({ "note": text, "of": [{ "it": text }] }))
                    }
                    "*" => _ = event.insert("data".to_owned(), json!({ text: 1 })),
                    field => _ = event.insert(field.to_owned(), text.into()),
                }
                self.sender.send_bytes(Value::Object(event).to_string().into_bytes()).await
            }
            Place::Page(path, parameter) => {
                let url = format!("{}{path}", self.ingest.url());
                let mut url = reqwest::Url::parse(&url).unwrap();
                url.query_pairs_mut().append_pair(parameter, text);
                let request = self.client.get(url).bearer_auth(&self.token);
                request.send().await.map_or(0, |answer| answer.status().as_u16())
            }
        }
    }
}

/// Where a text is put.
#[derive(Debug, Clone, Copy)]
enum Place {
    Scan(&'static str),
    Header(&'static str),
    Ping(&'static str),
    Route(&'static str),
    Event(&'static str),
    Page(&'static str, &'static str),
}

fn places() -> Vec<Place> {
    let mut all: Vec<Place> = SCAN.iter().copied().map(Place::Scan).collect();
    all.extend(HEADERS.iter().copied().map(Place::Header));
    all.extend(PING.iter().copied().map(Place::Ping));
    all.extend(ROUTE.iter().copied().map(Place::Route));
    all.extend(EVENT.iter().copied().map(Place::Event));
    all.extend(PAGES.iter().map(|(path, parameter)| Place::Page(path, parameter)));
    all
}

/// What a text could have changed without being asked to: tables, and rows that only an operator makes.
async fn untouched(owner: &Client) -> (i64, i64, i64, i64) {
    let row = owner
        .query_one(
            "select (select count(*) from pg_class where relkind in ('r', 'p', 'v', 'm', 'S') and not relispartition
                    and relnamespace::regnamespace::text in ('ops', 'telemetry', 'app', 'audit', 'public')),
                (select count(*) from ops.tickets), (select count(*) from ops.doors), (select count(*) from pg_roles)",
            &[],
        )
        .await
        .unwrap();
    (row.get(0), row.get(1), row.get(2), row.get(3))
}

/// Lines of the server's log since a length: errors of the classes 22 and 42, and statements with the mark in them.
fn findings(log: &Path) -> (Vec<String>, usize) {
    let text = fs::read_to_string(log).unwrap();
    let is_bad = |line: &&str| {
        line.contains(MARK)
            || line.split("ERROR:").nth(1).is_some_and(|said| {
                let said = said.trim_start();
                said.starts_with("22") || said.starts_with("42")
            })
    };
    (text.lines().filter(is_bad).map(str::to_owned).collect(), text.matches("LOG:").count())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_text_of_a_sender_becomes_a_part_of_a_statement() {
    let folder = tempfile::Builder::new().prefix("seatpilot-statements-").tempdir().unwrap();
    fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o711)).unwrap();
    let cluster = own_cluster_with(folder.path(), |options| {
        options
            .setting("logging_collector", "on")
            .setting("log_directory", "statements")
            .setting("log_filename", "all.log")
            .setting("log_rotation_size", "0")
            .setting("log_statement", "all")
            .setting("log_error_verbosity", "verbose")
            // The values themselves are no part of a statement.
            .setting("log_parameter_max_length", "0")
            .setting("log_parameter_max_length_on_error", "0")
    })
    .await;
    let log = cluster.data_dir().join("statements/all.log");
    let evening = Evening::on(TestDb::on(cluster.url("").trim_end_matches('/')).await, 600).await;
    let owner = evening.db.owner().await;

    let more = [("SUPABASE_JWT_SECRET", JWT_SECRET.to_owned())];
    let checkin = Process::start(Service::Checkin, &evening, &[]).await;
    let wayfinding = Process::start(Service::Wayfinding, &evening, &[]).await;
    let ingest = Process::start(Service::TelemetryIngest, &evening, &more).await;
    let sender = Sender::new(ingest.url(), &evening.key_id, &evening.key_secret, evening.venue.as_str());
    // A device that shows 60 unknown tickets is kept waiting: there are many.
    let mut devices = vec![evening.device_token.clone()];
    for n in 0..11 {
        let device = evening
            .admin()
            .await
            .add_device(&evening.tenant, &format!("gate {n}"), &DeviceScope::default())
            .await;
        devices.push(device.unwrap().token.expose_secret().clone());
    }
    let now = Clock::system().now().as_second();
    let who = AdminSubject { tenant: evening.tenant.as_str(), role: "owner", subject: "ana" };
    let token = sign_admin_token(JWT_SECRET.as_bytes(), who, now, 3_600);
    let client = reqwest::Client::builder().timeout(Duration::from_secs(10)).build().unwrap();
    let target = Target { client, evening, devices, checkin, wayfinding, ingest, sender, token };
    let before = untouched(&owner).await;
    let (ours, _) = findings(&log);
    assert_eq!(ours, Vec::<String>::new(), "before anything was sent");

    let (texts, places) = (texts(), places());
    assert_eq!(texts.len(), 500);
    // Each text in each place, or in as many as every run can afford, each place with as many texts.
    let every = match Effort::of_run() {
        Effort::Quick => 9,
        Effort::Full => 1,
    };
    let cases = (0..texts.len())
        .flat_map(|text| (0..places.len()).map(move |place| (text, place)))
        .filter(|(text, place)| (text + place).is_multiple_of(every));
    let statuses: Vec<(u16, Place, usize)> = stream::iter(cases)
        .map(|(text, place)| {
            let (target, texts, places) = (&target, &texts, &places);
            async move { (target.send(text, places[place], &texts[text]).await, places[place], text) }
        })
        .buffer_unordered(16)
        .collect()
        .await;
    let failed: Vec<_> = statuses.iter().filter(|(status, ..)| *status >= 500).collect();
    assert!(failed.is_empty(), "{failed:?}");
    let sent = statuses.iter().filter(|(status, ..)| *status != 0).count();

    let arguments = by_the_command(&target.evening.db, &texts).await;
    // The collector writes what it was sent a moment later.
    tokio::time::sleep(Duration::from_millis(300)).await;
    let (found, statements) = findings(&log);
    assert_eq!(found, Vec::<String>::new(), "errors of class 22 or 42, or a text within a statement");
    assert_eq!(untouched(&owner).await, before, "tables, tickets, doors, roles");
    literal(&owner, &texts).await;

    // The control: what is looked for would have been found.
    assert!(owner.batch_execute("select 1/0").await.is_err());
    assert!(owner.batch_execute(&format!("select '{MARK}'")).await.is_ok());
    assert!(owner.batch_execute("select no_such_column").await.is_err());
    tokio::time::sleep(Duration::from_millis(300)).await;
    let (found, _) = findings(&log);
    assert!(found.iter().any(|line| line.contains("22012")), "{found:?}");
    assert!(found.iter().any(|line| line.contains("42703")), "{found:?}");
    assert!(found.iter().any(|line| line.contains(MARK)), "{found:?}");
    println!(
        "guarantee: G25 | 500 texts, {} places, {sent} requests and {arguments} commands: 0 of {statements} statements with a text in it, 0 errors of class 22 or 42",
        places.len()
    );
}

/// The operator's command, which logs in as the owner: names, tickets, ids as arguments.
async fn by_the_command(db: &TestDb, texts: &[String]) -> usize {
    let url = db.owner_url();
    let commands: &[&[&str]] = &[
        &["guests", "revoke", "%", "--tenant", "acme"],
        &["guests", "revoke", "ticket-599", "--event", "%", "--tenant", "acme"],
        &["device", "add", "%", "--tenant", "acme"],
        &["device", "add", "gate", "--venue", "%", "--tenant", "acme"],
        &["key", "revoke", "%", "--tenant", "acme"],
        &["device", "list", "--tenant", "%"],
        &["dlq", "list", "--type", "%", "--tenant", "acme"],
        &["dlq", "list", "--key", "%", "--tenant", "acme"],
        &["dlq", "discard", "--all", "--why", "%", "--tenant", "acme"],
    ];
    let mut run = 0;
    // Each is a command that there is: else nothing of it would come to a statement.
    for command in commands {
        let arguments: Vec<&str> =
            command.iter().map(|word| if *word == "%" { "plain-word" } else { *word }).collect();
        let mut seatpilot =
            Binary::spawn_with(&binary_path("seatpilot"), &arguments, &[("DATABASE_URL", &*url)]);
        let code = seatpilot.wait(Duration::from_secs(20)).await.and_then(|status| status.code());
        assert_ne!(code, Some(2), "{arguments:?}: {}", seatpilot.output());
    }
    for (number, command) in commands.iter().enumerate() {
        for text in texts.iter().skip(number).step_by(83) {
            // No argument has a zero byte, and one that begins with a dash is an option.
            let text = text.replace('\0', "").trim_start_matches('-').to_owned();
            let arguments: Vec<&str> =
                command.iter().map(|word| if *word == "%" { &*text } else { *word }).collect();
            let mut seatpilot =
                Binary::spawn_with(&binary_path("seatpilot"), &arguments, &[("DATABASE_URL", &*url)]);
            let ended = seatpilot.wait(Duration::from_secs(20)).await;
            assert!(
                ended.is_some_and(|status| status.code().is_some()),
                "{arguments:?}: {}",
                seatpilot.output()
            );
            run += 1;
        }
    }
    run
}

/// What was stored is what was sent, to the letter.
async fn literal(owner: &Client, texts: &[String]) {
    let rows = owner
        .query("select data ->> 'note' from telemetry.events_raw where data ? 'note'", &[])
        .await
        .unwrap();
    assert!(rows.len() > 20, "{} texts were stored", rows.len());
    for row in rows {
        let stored: String = row.get(0);
        assert!(texts.contains(&stored), "{stored:?} was never sent");
    }
    let names =
        owner.query("select name from ops.devices where strpos(name, $1) > 0", &[&MARK]).await.unwrap();
    for row in names {
        let name: String = row.get(0);
        assert!(texts.iter().any(|text| text.replace('\0', "").trim_start_matches('-') == name), "{name:?}");
    }
}
