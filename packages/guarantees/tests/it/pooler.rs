//! Through pgBouncer in transaction mode, with fewer connections to the server than the services have to it: every
//! service's work is done exactly once, limits hold, and a pooler that dies is got over.

use std::time::{Duration, Instant};

use seatpilot_guarantees::{Again, Persistent, Process, Service};
use seatpilot_testkit::{Binary, Dice, Doubts, Effort, Evening, Heard, PgBouncer, PgBouncerOf, Verdict};
use serde_json::{Value, json};
use tempfile::TempDir;
use uuid::Uuid;

/// Connections to the server for each role.
const CONNECTIONS: usize = 2;

/// Two gates, two instances that take events, one that seats, and one pooler before their database.
struct House {
    clients: Persistent,
    checkin: Vec<Process>,
    wayfinding: Process,
    ingest: Vec<Process>,
    pooler: PgBouncer,
    evening: Evening,
    logs: TempDir,
}

/// What a service is told.
fn told(service: Service, evening: &Evening, pooler: &PgBouncer) -> Vec<(&'static str, String)> {
    vec![
        ("DATABASE_URL", pooler.url_as(service.role())),
        ("DATABASE_POOLER", "transaction".to_owned()),
        ("DATABASE_DIRECT_URL", evening.db.url_as(service.role())),
        // The crowd is of one key.
        ("INGEST_RATE_PER_SECOND", "100000".to_owned()),
        ("INGEST_RATE_BURST", "100000".to_owned()),
        ("REFRESH_EVERY_SEC", "1".to_owned()),
    ]
}

impl House {
    async fn behind(of: PgBouncerOf, guests: usize) -> Option<Self> {
        let evening = Evening::of(guests).await;
        let pooler = PgBouncer::start(of, &evening.db, CONNECTIONS).await?;
        let start =
            async |service| Process::start(service, &evening, &told(service, &evening, &pooler)).await;
        let checkin = vec![start(Service::Checkin).await, start(Service::Checkin).await];
        let ingest = vec![start(Service::TelemetryIngest).await, start(Service::TelemetryIngest).await];
        let wayfinding = start(Service::Wayfinding).await;
        let logs = tempfile::Builder::new().prefix("seatpilot-clients-").tempdir().unwrap();
        let urls = |processes: &'_ [Process]| -> Vec<String> {
            processes.iter().map(|process| process.url().to_owned()).collect()
        };
        let (ingest_urls, checkin_urls) = (urls(&ingest), urls(&checkin));
        let clients = Persistent::of(
            &evening,
            guests,
            logs.path(),
            &ingest_urls.iter().map(String::as_str).collect::<Vec<_>>(),
            &checkin_urls.iter().map(String::as_str).collect::<Vec<_>>(),
        );
        Some(Self { clients, checkin, wayfinding, ingest, pooler, evening, logs })
    }

    async fn verdict(&self) -> Verdict {
        Verdict::of(&self.evening, self.logs.path()).await
    }

    /// The last verdict: every request has its answer, and every answer is true.
    async fn settled(&self) -> Verdict {
        assert_eq!(self.clients.faults(&self.evening).await, Vec::<String>::new());
        let verdict = self.verdict().await;
        assert_eq!(verdict.faults(Doubts::Settled), None);
        verdict
    }

    /// Connections of a role to the server that come from the pooler.
    async fn shared(&self, role: &str) -> i64 {
        let sql = format!(
            "select count(*) from pg_stat_activity
            where datname = current_database() and usename = '{role}' and application_name not like '% direct'"
        );
        self.evening.count(&sql).await
    }

    /// Waits until every service says so of itself.
    async fn all_are(&self, status: &str) {
        for process in self.checkin.iter().chain(&self.ingest).chain([&self.wayfinding]) {
            let url = format!("{}/ready", process.url());
            until(status, Duration::from_secs(20), async || {
                let ready: Value = reqwest::get(&url).await.unwrap().json().await.unwrap();
                ready["status"] == status
            })
            .await;
        }
    }

    /// A session's guest is seated, by a ping that is sent twice.
    async fn seat(&self, http: &reqwest::Client, session: Uuid) {
        let body =
            json!({ "ping_id": Uuid::now_v7(), "session_id": session, "section": self.evening.section });
        let url = format!("{}/api/wayfinding/arrive-table", self.wayfinding.url());
        for status in [201, 200] {
            let request = http.post(&url).bearer_auth(&self.evening.device_token).json(&body);
            let answer = request.send().await.unwrap();
            assert_eq!(answer.status(), status, "{:?}", answer.text().await);
        }
    }
}

async fn until(what: &str, within: Duration, mut is_so: impl AsyncFnMut() -> bool) -> Duration {
    let since = Instant::now();
    while !is_so().await {
        assert!(since.elapsed() < within, "not within {within:?}: {what}");
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    since.elapsed()
}

async fn whole_evening(of: PgBouncerOf) {
    let Some(house) = House::behind(of, 4_000).await else { return };
    let (evening, clients) = (&house.evening, &house.clients);

    // Guests at two gates, events with bad ones among them at two instances.
    let crowd = clients.crowd(4, 20, 4);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let mut shared = 0;
    for role in ["seatpilot_checkin", "seatpilot_ingest"] {
        shared = shared.max(house.shared(role).await);
    }
    crowd.finish().await;
    assert!((1..=CONNECTIONS as i64).contains(&shared), "{shared} connections, {CONNECTIONS} are allowed");

    // The same once more: a scan to its letter, events signed anew.
    let mut client = clients.client(Again::Ids);
    let (scan, batch) = (client.scan().unwrap(), client.batch(5, 0));
    for request in [&scan, &scan, &batch, &client.signed_anew(&batch)] {
        assert_eq!(client.send(request).await, Heard::Stored);
    }
    let verdict = house.settled().await;
    let letters = evening.count("select count(*) from telemetry.events_dlq").await;
    assert!(letters > 0, "no bad event was sent");

    // Everybody of some is seated, once.
    let http = reqwest::Client::new();
    let sql = "select session_id from ops.checkin_sessions order by session_id limit 40";
    let sessions: Vec<Uuid> =
        evening.db.owner().await.query(sql, &[]).await.unwrap().iter().map(|row| row.get(0)).collect();
    futures_util::future::join_all(sessions.iter().map(|session| house.seat(&http, *session))).await;
    let arrived = "select count(*) from telemetry.events_raw where type = 'wayfinding.arrive_table'";
    assert_eq!(evening.count(arrived).await, sessions.len() as i64);

    // What was committed is counted, by a refresher that has the pooler between as well.
    let refresher = Service::KpiRefresher;
    let _refresher = Process::start(refresher, evening, &told(refresher, evening, &house.pooler)).await;
    let sessions = evening.count("select count(*) from ops.checkin_sessions").await;
    let counted = "select coalesce(sum(checkins), 0)::bigint from telemetry.mv_kpi_checkin";
    until("the KPIs are fresh", Duration::from_secs(20), async || evening.count(counted).await == sessions)
        .await;

    // A device that was revoked is refused at every gate, whatever connection tells of it.
    let device = "select device_id from ops.devices";
    let device: Uuid = evening.db.owner().await.query_one(device, &[]).await.unwrap().get(0);
    evening.admin().await.revoke_device(&evening.tenant, device).await.unwrap();
    let mut revoked = Duration::ZERO;
    for gate in &house.checkin {
        let url = format!("{}/api/checkin/success", gate.url());
        let refused = async || {
            let request = http.post(&url).bearer_auth(&evening.device_token).json(&json!({}));
            request.send().await.unwrap().status() == 401
        };
        revoked = revoked.max(until("the device is refused", Duration::from_secs(5), refused).await);
    }
    println!(
        "guarantee: pooler | {of:?}: 6 processes on {CONNECTIONS} connections for each role: {} requests with {} items, {letters} \
         dead letters, 40 arrivals, {sessions} check-ins in the KPIs: each once; a revoked device refused after {} ms",
        verdict.requests,
        verdict.items,
        revoked.as_millis()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_evening_through_a_pooler_that_knows_no_prepared_statements_is_stored_exactly_once() {
    whole_evening(PgBouncerOf::Machine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_evening_through_a_newer_pooler_is_stored_exactly_once() {
    whole_evening(PgBouncerOf::NextDebian).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pooler_that_is_killed_under_load_loses_and_doubles_nothing_and_is_found_again() {
    let Some(mut house) = House::behind(PgBouncerOf::Machine, 20_000).await else { return };
    let rounds = match Effort::of_run() {
        Effort::Quick => 3,
        Effort::Full => 100,
    };
    let mut dice = Dice::new(21);
    let crowd = house.clients.crowd(4, 20, 4);
    for _ in 0..rounds {
        tokio::time::sleep(Duration::from_millis(250) + dice.pause(Duration::from_millis(300))).await;
        house.pooler.kill9();
        tokio::time::sleep(dice.pause(Duration::from_millis(200))).await;
        house.pooler.start_again().await;
    }
    // While it is away that is said; nobody is started again, and everybody serves.
    house.pooler.kill9();
    house.all_are("degraded").await;
    house.pooler.start_again().await;
    house.all_are("ready").await;
    let before = house.verdict().await.requests;
    tokio::time::sleep(Duration::from_millis(500)).await;
    crowd.finish().await;
    let verdict = house.settled().await;
    assert!(verdict.resent >= 1, "no kill met a request: {verdict:?}");
    assert!(verdict.requests > before, "nothing went through after the last kill: {verdict:?}");
    println!(
        "guarantee: pooler | {rounds} and 1 kills of pgBouncer under load, {} requests with {} items, {} sent again: 0 lost, doubled or \
         halved",
        verdict.requests, verdict.items, verdict.resent
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_limits_of_a_role_hold_through_a_pooler() {
    let Some(house) = House::behind(PgBouncerOf::Machine, 10).await else { return };
    let owner = house.evening.db.owner().await;
    owner.batch_execute("begin; lock table ops.checkin_sessions in access exclusive mode").await.unwrap();
    let mut client = house.clients.client(Again::Bytes);
    let scan = client.scan().unwrap();
    assert_eq!(client.send(&scan).await, Heard::InDoubt(503));
    // It is the server that gave up, not only we: nobody waits there any more.
    let waiting = "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
    until("nobody waits for the lock", Duration::from_secs(5), async || {
        house.evening.count(waiting).await == 0
    })
    .await;
    owner.batch_execute("rollback").await.unwrap();
    client.push(scan).await;
    house.settled().await;

    // Limits that somebody took away are seen through the pooler, too.
    let (service, role) = (Service::Checkin, Service::Checkin.role());
    let lifted =
        format!("alter role {role} in database {} set statement_timeout = 0", house.evening.db.name());
    owner.batch_execute(&lifted).await.unwrap();
    let end = "select pg_terminate_backend(pid) from pg_stat_activity where usename = 'seatpilot_checkin'
        and datname = current_database()";
    owner.batch_execute(end).await.unwrap();
    let mut variables = told(service, &house.evening, &house.pooler);
    variables.push(("PORT", "0".to_owned()));
    let refused = spawned(service, &variables);
    says(&refused, "statement_timeout is 0 ms (off").await;
    println!(
        "guarantee: pooler | a lock held for ever: 503, and ended by the server; a limit that was lifted is refused"
    );
}

fn spawned(service: Service, variables: &[(&'static str, String)]) -> Binary {
    let variables: Vec<_> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
    Binary::spawn(service.name(), &variables)
}

async fn says(process: &Binary, words: &str) {
    until(words, Duration::from_secs(15), async || process.output().contains(words)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_was_told_wrong_of_its_pooler_says_so_and_serves_nobody() {
    futures_util::future::join(told_wrong(PgBouncerOf::Machine), told_wrong(PgBouncerOf::NextDebian)).await;
}

async fn told_wrong(of: PgBouncerOf) {
    let (evening, other) = (Evening::of(1).await, Evening::of(0).await);
    let Some(pooler) = PgBouncer::start(of, &evening.db, CONNECTIONS).await else { return };
    let service = Service::Checkin;
    let through = ("DATABASE_URL", pooler.url_as(service.role()));
    let transaction = ("DATABASE_POOLER", "transaction".to_owned());
    let and_past_it = |url: String| vec![through.clone(), transaction.clone(), ("DATABASE_DIRECT_URL", url)];
    let cases = [
        // Not told of it at all: what is prepared would be somebody else's.
        (vec![through.clone()], "set DATABASE_POOLER=transaction"),
        // Told that the way past it is through it.
        (and_past_it(pooler.url_as(service.role())), "not heard at DATABASE_DIRECT_URL"),
        // Told of another database.
        (and_past_it(other.db.url_as(service.role())), "not heard at DATABASE_DIRECT_URL"),
    ];
    futures_util::future::join_all(cases.into_iter().map(|(mut variables, words)| async move {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        variables.push(("PORT", port.to_string()));
        let process = spawned(service, &variables);
        says(&process, words).await;
        let ready = reqwest::get(format!("{}/ready", process.url())).await.unwrap();
        assert_eq!(ready.status(), 503, "{of:?} {words}");
    }))
    .await;
    // The way past it is missing: it does not even start.
    let mut process = spawned(service, &[through, transaction]);
    let ended = process.wait(Duration::from_secs(10)).await;
    assert_eq!(ended.and_then(|status| status.code()), Some(64), "{}", process.output());
    assert!(process.output().contains("DATABASE_DIRECT_URL"), "{}", process.output());
    println!("guarantee: pooler | {of:?}: 3 wrong ways and a missing one, each said and nobody served");
}
