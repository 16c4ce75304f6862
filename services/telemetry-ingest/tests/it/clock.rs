//! Signed times and servers' clocks: what is fresh, and what a clock that was stepped does to a replay (G18).

use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use seatpilot_domain_model::KeyScope;
use seatpilot_runtime::{Clock, SecretBytes, SecretString};
use seatpilot_signing::{Key, sign_standard_webhooks};
use seatpilot_store::admin::Admin;
use seatpilot_testkit::{Binary, FakeClock, TestDb};
use serde_json::{Value, json};

use crate::service::{KEY_ID, PATH, Reply, SECRET, Service, Signed, event, nonce, reply};

/// Off from the server's clock in seconds, and the answer.
const OFF: [(i64, u16); 17] = [
    (0, 202),
    (1, 202),
    (-1, 202),
    (299, 202),
    (-299, 202),
    (300, 202),
    (-300, 202),
    (301, 401),
    (-301, 401),
    (302, 401),
    (-302, 401),
    (600, 401),
    (-600, 401),
    (3_600, 401),
    (-3_600, 401),
    (31_536_000, 401),
    (-31_536_000, 401),
];

/// Ten digits that are no time of tonight: the ends of the grammar and of the machine's numbers.
const FAR: [i64; 7] = [0, 1, 1_000_000_000, 2_147_483_647, 2_147_483_648, 4_294_967_295, 9_999_999_999];

/// Not ten digits.
const NOT_A_TIME: [&str; 16] = [
    "179530560",
    "17953056000",
    "9223372036854775807",
    "-9223372036854775808",
    "9223372036854775808",
    "18446744073709551615",
    "-1",
    "-795305600",
    "+795305600",
    "1795305600.0",
    "1.79530e09",
    "0x6b02b400",
    "1795305600,1795305600",
    "1795 05600",
    "١٧٩٥٣",
    "",
];

fn webhook(body: &str, ts: i64) -> Signed {
    let key = Key::new(&SECRET).unwrap();
    let headers = sign_standard_webhooks(&key, KEY_ID, &nonce(), ts, body.as_bytes()).unwrap();
    Signed { headers: headers.map(|(name, value)| (name.to_owned(), value)).into(), body: body.into() }
}

fn both_schemes(ts: i64) -> [(&'static str, Signed); 2] {
    let body = || event().to_string();
    [
        ("x-ts", Signed::with(body(), KEY_ID, &SECRET, ts, &nonce())),
        ("webhook-timestamp", webhook(&body(), ts)),
    ]
}

#[tokio::test]
async fn forty_signed_times_are_each_answered_as_the_table_says_by_both_schemes() {
    // The last moment of a second: a time is whole seconds, and 300 of them are 300.
    let start = Timestamp::new(Timestamp::now().as_second(), 999_999_000).unwrap();
    let (clock, _hand) = Clock::manual(start);
    let service = Service::start_with(clock, &[]).await;
    let now = start.as_second();
    let (mut cases, mut stored) = (0, 0);
    let timed = OFF.map(|(off, status)| (now + off, status)).into_iter().chain(FAR.map(|ts| (ts, 401)));
    for (ts, status) in timed {
        cases += 1;
        for (header, signed) in both_schemes(ts) {
            let reply = service.send(&signed).await;
            assert_eq!(reply.status, status, "{header} {ts}, {} off", ts - now);
            stored += i64::from(status == 202);
        }
    }
    for text in NOT_A_TIME {
        cases += 1;
        for (header, signed) in both_schemes(now) {
            let reply = service.send(&signed.altered(header, text)).await;
            assert_eq!(reply.problem(), (400, "malformed_header".to_owned()), "{header} {text:?}");
        }
    }
    assert_eq!(cases, 40);
    assert_eq!(service.rows().await, (stored, 0, stored), "events, dead letters and nonces");
    println!("guarantee: G18 | {cases} signed times by 2 schemes: each as the table says, {stored} accepted");
}

/// A request, and what was first answered to it.
struct Captured {
    signed: Signed,
    ts: i64,
    first: Option<String>,
}

impl Captured {
    /// With a bad item, so that a second set of rows is seen even where ids are known.
    fn at(ts: i64) -> Self {
        // An hour ago is in the window of events by every clock here.
        let mut happened = event();
        let hour_ago = Timestamp::now() - SignedDuration::from_hours(1);
        happened["occurred_at"] = json!(hour_ago.round(jiff::Unit::Second).unwrap());
        let body = json!([happened, {"id": 1}]).to_string();
        Self { signed: Signed::with(body, KEY_ID, &SECRET, ts, &nonce()), ts, first: None }
    }

    /// Whatever the clocks say: the first answer again, or 401 where the time is stale by that clock.
    fn hear(&mut self, reply: &Reply, now: i64) {
        let fresh = self.ts.abs_diff(now) <= 300;
        match (&self.first, reply.status) {
            (_, 401) => assert!(!fresh, "refused though fresh: {reply:?}"),
            (None, 202) => {
                assert!(fresh && reply.header("idempotent-replayed").is_none(), "{reply:?}");
                self.first = Some(reply.text.clone());
            }
            (Some(first), 202) => {
                let said = (reply.header("idempotent-replayed"), &reply.text);
                assert_eq!(said, (Some("true"), first), "a replay came through");
            }
            _ => panic!("{reply:?}"),
        }
    }
}

async fn sets_of_rows(db: &TestDb) -> (i64, i64, i64) {
    let client = db.owner().await;
    let sql =
        "select (select count(*) from telemetry.events_raw), (select count(*) from telemetry.events_dlq),
                      (select count(*) from telemetry.ingest_nonces)";
    let row = client.query_one(sql, &[]).await.unwrap();
    (row.get(0), row.get(1), row.get(2))
}

#[tokio::test]
async fn a_clock_that_is_stepped_back_and_forth_reopens_no_replay() {
    let start = Timestamp::now();
    let (clock, hand) = Clock::manual(start);
    let service = Service::start_with(clock.clone(), &[]).await;
    // The other instance's clock goes right.
    let second = service.second().await;
    let retention = service.db.owner().await;
    let mut captured: Vec<Captured> = Vec::new();
    let mut sent = 0;
    for step in [0, 600, 0, -600, 0, 300, -300, 600, -600, 600, 0, -600, 0, 599, -599, 0] {
        hand.set(start + SignedDuration::from_secs(step));
        let now = clock.now().as_second();
        captured.extend([now, now - 300, now + 300].map(Captured::at));
        retention.query_one("select telemetry.retain()", &[]).await.unwrap();
        for one in &mut captured {
            one.hear(&service.send(&one.signed).await, now);
            // What the right clock says of the same request; where it stands on an edge, either is right.
            let real = Timestamp::now().as_second();
            let reply = service.send_to(&second, &one.signed).await;
            if one.ts.abs_diff(real).abs_diff(300) > 5 {
                one.hear(&reply, real);
            } else if reply.status == 202 {
                one.hear(&reply, one.ts);
            }
            sent += 2;
        }
    }
    let sets = captured.iter().filter(|one| one.first.is_some()).count() as i64;
    assert_eq!(sets_of_rows(&service.db).await, (sets, sets, sets), "one set of rows each");
    println!(
        "guarantee: G18 | {sent} sends of {} requests while one of 2 clocks is stepped by up to 600 s: {sets} sets of rows, no 5xx",
        captured.len()
    );
}

#[tokio::test]
async fn what_was_signed_before_the_nonces_that_were_let_go_is_refused_whatever_the_clock_says() {
    // Half an hour behind: what it takes now was let go by the next retention, which goes by the database's clock.
    let start = Timestamp::now() - SignedDuration::from_mins(30);
    let (clock, hand) = Clock::manual(start);
    let service = Service::start_with(clock, &[]).await;
    let then = start.as_second();
    let captured = Signed::with(json!({"id": 1}).to_string(), KEY_ID, &SECRET, then, &nonce());
    assert_eq!(service.send(&captured).await.status, 422);
    assert_eq!(service.send(&captured).await.header("idempotent-replayed"), Some("true"));
    let let_go: i32 = service
        .db
        .owner()
        .await
        .query_one("select nonce_slots from telemetry.retain()", &[])
        .await
        .unwrap()
        .get(0);
    assert_eq!(let_go, 1);
    assert_eq!(service.rows().await, (0, 1, 0));
    let refused = service.rejected("acme", "stale").await;
    for _ in 0..2 {
        assert_eq!(service.send(&captured).await.problem(), (401, "unauthorized".to_owned()));
    }
    let older = Signed::with(event().to_string(), KEY_ID, &SECRET, then - 1, &nonce());
    assert_eq!(service.send(&older).await.status, 401);
    assert_eq!(service.rows().await, (0, 1, 0), "nothing of it was stored again");
    assert_eq!(service.rejected("acme", "stale").await, refused + 3.0);
    // Whoever is refused takes nobody with him, and the right time is good.
    hand.set(Timestamp::now());
    let good: Vec<Signed> = (0..8).map(|_| Signed::now(event().to_string())).collect();
    let replies = futures_util::future::join_all(good.iter().map(|signed| service.send(signed))).await;
    assert!(replies.iter().all(|reply| reply.status == 202), "{replies:?}");
    println!(
        "guarantee: G18 | a request of 30 min ago, its nonce let go, at an instance 30 min behind: refused, no second set of rows"
    );
}

fn spawn(db: &TestDb, clock: &[(&str, String)]) -> Binary {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    let database = db.url_as("seatpilot_ingest");
    let mut variables = vec![("PORT", port.as_str()), ("DATABASE_URL", &database), ("LOG_LEVEL", "error")];
    variables.extend(clock.iter().map(|(name, value)| (*name, value.as_str())));
    Binary::spawn_with(Path::new(env!("CARGO_BIN_EXE_telemetry-ingest")), &[], &variables)
}

async fn send(binary: &Binary, signed: &Signed) -> Reply {
    let mut request =
        reqwest::Client::new().post(format!("{}{PATH}", binary.url())).body(signed.body.clone());
    for (name, value) in &signed.headers {
        request = request.header(name, value);
    }
    reply(request).await
}

#[tokio::test]
async fn a_process_whose_clock_is_stepped_by_ten_minutes_reopens_no_replay_and_answers_no_5xx() {
    let folder = tempfile::tempdir().unwrap();
    let clock = match FakeClock::in_folder(folder.path()) {
        Ok(clock) => clock,
        Err(why) => return println!("SKIPPED: {}", why.trim()),
    };
    let db = TestDb::new().await;
    let mut admin = Admin::connect(&SecretString::from(db.owner_url().as_str())).await.unwrap();
    let tenant = "acme".parse().unwrap();
    admin.ensure_tenant(&tenant, "Acme").await.unwrap();
    admin.put_key(&tenant, KEY_ID, &[KeyScope::Ingest], &SecretBytes::new(SECRET.to_vec())).await.unwrap();
    let mut stepped = spawn(&db, &clock.variables());
    let mut right = spawn(&db, &[]);
    stepped.ready().await;
    right.ready().await;
    let mut captured: Vec<Captured> = Vec::new();
    for step in [0, 600, -600, 0] {
        clock.shift(SignedDuration::from_secs(step));
        // Until the process goes by it: its answers carry its clock.
        let began = std::time::Instant::now();
        let now = loop {
            let real = Timestamp::now().as_second();
            let answer = reqwest::get(format!("{}/health", stepped.url())).await.unwrap();
            let date = answer.headers()["date"].to_str().unwrap().to_owned();
            let date =
                jiff::fmt::rfc2822::parse(&date.replace("GMT", "+0000")).unwrap().timestamp().as_second();
            if (date - real - step).abs() <= 3 {
                break real + step;
            }
            assert!(began.elapsed().as_secs() < 20, "the clock did not step to {step}: {date} at {real}");
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        };
        captured.extend([now, now - 290, now + 290].map(Captured::at));
        db.owner().await.query_one("select telemetry.retain()", &[]).await.unwrap();
        for one in &mut captured {
            // Steps and offsets are far from the edge of 300 s, so that a busy machine changes no answer.
            one.hear(&send(&stepped, &one.signed).await, now);
            one.hear(&send(&right, &one.signed).await, now - step);
        }
    }
    let sets = captured.iter().filter(|one| one.first.is_some()).count() as i64;
    assert_eq!(sets_of_rows(&db).await, (sets, sets, sets), "one set of rows each");
    let health: Value = reqwest::get(format!("{}/ready", stepped.url())).await.unwrap().json().await.unwrap();
    assert_eq!(health["status"], "ready");
    println!(
        "guarantee: G18 | a process stepped by +600, -600 and 0 s beside one that goes right: {sets} requests, each stored once"
    );
}
