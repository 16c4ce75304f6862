//! Two tenants take turns on pools and writers of one connection, and whoever asks goes away in the middle (G23): at any
//! microsecond of the first three milliseconds, with the connection killed under him, by a panic. Nobody ever sees or writes
//! a row of the other, and whoever gets the connection next finds no claim and no transaction on it.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use futures_util::StreamExt as _;
use seatpilot_domain_model::{
    ArrivalPing, ArrivalRefusal, Channel, CheckIn, Nonce, Place, ScanAnswer, Submission, TenantId,
    TicketCode, parse_items,
};
use seatpilot_runtime::{Clock, DatabaseConfig, Pooler, Readiness, SecretString, StoreKind};
use seatpilot_testkit::{Effort, Evening, PgBouncer, PgBouncerOf, TestDb};
use tokio::{runtime::Handle, time::timeout};
use uuid::Uuid;

use crate::{
    connection::Target,
    download::{Wanted, download},
    events::EventIngest,
    reader::Reader,
    sessions::{SessionArrive, SessionCheckIn, SignedPing},
    waits,
    writer::{Batch, Limits, Writer},
};

const TENANTS: [&str; 2] = ["acme", "rival"];
/// Longest patience before a caller goes away, in microseconds: a read takes about 400, a commit 1,000.
const PATIENCE_MAX_MICROS: u64 = 3_000;

/// One connection of each kind, and what the verdict needs.
struct Stage {
    evening: Evening,
    reader: Reader,
    people: Reader,
    check_ins: Writer<SessionCheckIn>,
    arrivals: Writer<SessionArrive>,
    events: Writer<EventIngest>,
    clock: Clock,
    guests: usize,
}

/// The second tenant has what the first has, under ids of its own where they are ids of rows.
const RIVAL: &str = "
    set session_replication_role = replica;
    do $$
    declare
        t text;
    begin
        foreach t in array array['tenants', 'venues', 'venue_maps', 'doors', 'sections', 'tables', 'seats', 'events', 'tickets'] loop
            execute format('insert into ops.%1$I select (jsonb_populate_record(t, jsonb_build_object(''tenant_id'', ''rival'')
                || case when %1$L = ''tickets'' then jsonb_build_object(''ticket_id'', gen_random_uuid()) else ''{}'' end)).*
                from ops.%1$I t where tenant_id = ''acme''', t);
        end loop;
    end
    $$;
    insert into telemetry.events_raw (tenant_id, id, type, source, occurred_at, received_at, venue_id, data)
    select t, gen_random_uuid(), 'device.heartbeat', 'seed', now(), now(), 'hall', '{}'
    from unnest(array['acme', 'rival']) t, generate_series(1, 40)";

fn target(db: &TestDb, pooler: Option<&PgBouncer>, role: &str) -> Target {
    let direct_url = SecretString::new(db.url_as(role));
    let database = match pooler {
        None => direct_url.into(),
        Some(pooler) => DatabaseConfig {
            url: SecretString::new(pooler.url_as(role)),
            pooler: Pooler::Transaction { direct_url },
        },
    };
    Target::of(&database, "isolation").unwrap()
}

fn writer<B: Batch>(target: &<B::Line as crate::writer::Line>::Target, batch: B) -> Writer<B> {
    let limits = Limits {
        writers: 1,
        queue_rows: 64,
        queue_bytes: 1 << 20,
        batch_rows: 64,
        batch_items: 64,
        patience: waits::EVENTS.queue,
        statement_max: waits::EVENTS.write,
        deadline: waits::EVENTS.deadline,
    };
    Writer::start(&Handle::current(), target, batch, limits)
}

impl Stage {
    async fn new(guests: usize) -> Self {
        Self::on(Evening::of(guests).await, guests, None).await
    }

    async fn on(evening: Evening, guests: usize, pooler: Option<&PgBouncer>) -> Self {
        evening.db.owner().await.batch_execute(RIVAL).await.unwrap();
        let target = |role| target(&evening.db, pooler, role);
        let readiness = || Readiness::starting(StoreKind::Postgres);
        let clock = Clock::system();
        let stage = Self {
            reader: Reader::new(&target("seatpilot_checkin"), 1, readiness()).unwrap(),
            people: Reader::new(&target("seatpilot_ingest"), 1, readiness()).unwrap(),
            check_ins: writer(&target("seatpilot_checkin"), SessionCheckIn { clock: clock.clone() }),
            arrivals: writer(&target("seatpilot_wayfinding"), SessionArrive),
            events: writer(&target("seatpilot_ingest"), EventIngest),
            evening,
            clock,
            guests,
        };
        let since = Instant::now();
        while [stage.check_ins.connected(), stage.arrivals.connected(), stage.events.connected()].contains(&0)
        {
            assert!(since.elapsed() < Duration::from_secs(10), "the writers connect");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        stage
    }

    fn scan(&self, tenant: &TenantId, n: usize) -> CheckIn {
        CheckIn {
            tenant: tenant.clone(),
            scan_id: Uuid::now_v7(),
            session_id: Uuid::now_v7(),
            telemetry_id: Uuid::now_v7(),
            fingerprint: [7; 32],
            venue: self.evening.venue.clone(),
            event: self.evening.event.clone(),
            door: self.evening.door.clone(),
            ticket: TicketCode::new(Evening::ticket(n % self.guests)).unwrap().hash(),
            channel: Channel::Kiosk,
            device: Uuid::nil(),
            party_size: None,
            checked_in_at: self.clock.now(),
            received: Instant::now(),
            trace: None,
        }
    }

    fn submission(&self, tenant: &TenantId, id: Uuid) -> Submission {
        let now = self.clock.now();
        let body = format!(
            r#"[{{"id":"{id}","type":"device.heartbeat","occurred_at":"{now}","venue_id":"hall","data":{{}}}},{{"id":1}}]"#
        );
        Submission {
            tenant: tenant.clone(),
            nonce: Nonce {
                key_id: format!("{tenant}_gate_01"),
                ts: now.as_second(),
                nonce: id.simple().to_string(),
                body_sha256: [3; 32],
            },
            request_id: "isolation".into(),
            received_at: now,
            items: parse_items(body.as_bytes(), tenant, now).unwrap().items,
        }
    }

    fn ping(&self, tenant: &TenantId, session_id: Uuid) -> SignedPing {
        let ping = ArrivalPing {
            tenant: tenant.clone(),
            ping_id: Uuid::now_v7(),
            session_id,
            telemetry_id: Uuid::now_v7(),
            place: Place { section: Some(self.evening.section.parse().unwrap()), ..Place::default() },
            sign: None,
            arrived_at: None,
            received_at: self.clock.now(),
            trace: None,
        };
        SignedPing { ping, nonce: None }
    }

    fn claims(tenant: &str) -> String {
        format!(r#"{{"app_metadata":{{"tenant_id":"{tenant}","seatpilot_role":"owner"}}}}"#)
    }

    /// What whoever comes next finds on a connection: no claim, no role, no transaction.
    async fn assert_clean(reader: &Reader, role: &str, after: &str) {
        const SQL: &str =
            "select coalesce(current_setting('request.jwt.claims', true), ''), current_user::text";
        // A connection that was killed is found dead at its next use only.
        for is_last in [false, true] {
            let object = reader.object().await.unwrap_or_else(|error| panic!("after {after}: {error:?}"));
            match object.query_typed_one(SQL, &[]).await {
                Ok(row) => {
                    let found = (row.get::<_, &str>(0), row.get::<_, &str>(1));
                    assert_eq!(found, ("", role), "claim and role after {after}");
                    // Outside of a transaction there is nothing to save.
                    let saved = object.batch_execute("savepoint probe").await;
                    let code = saved.as_ref().err().and_then(|error| error.code().map(|code| code.code()));
                    assert_eq!(code, Some("25P01"), "a transaction is open after {after}: {saved:?}");
                    return;
                }
                Err(error) => {
                    let is_in_transaction = error.code().is_some_and(|code| code.code() == "25P02");
                    assert!(!is_last && !is_in_transaction, "after {after}: {error:?}");
                    drop(deadpool_postgres::Object::take(object));
                }
            }
        }
    }
}

/// Whose rows came out; anybody's but the own is a leak.
fn assert_own(rows: &[tokio_postgres::Row], tenant: &str, what: &str) {
    for row in rows {
        assert_eq!(row.get::<_, &str>(0), tenant, "{what}");
    }
}

/// Ends a download at once, or after some lines.
async fn take(stage: &Stage, tenant: &str, lines: usize) {
    let wanted = Wanted {
        claims: Stage::claims(tenant),
        header: "select 'header' as line",
        sql: "select tenant_id::text as line from telemetry.events_raw where $1 <> $2",
        values: ["a".to_owned(), "b".to_owned()],
    };
    if let Ok(sent) = download(&stage.people, wanted).await {
        let mut sent = std::pin::pin!(sent.take(lines));
        while let Some(Ok(line)) = sent.next().await {
            assert!(line == "header" || line == tenant, "a download of {tenant} has a line of {line}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_tenants_on_one_connection_never_meet_whoever_goes_away_in_the_middle() {
    let rounds = match Effort::of_run() {
        Effort::Quick => 1_500,
        Effort::Full => 50_000,
    };
    let stage = Stage::new(rounds / 6 + 1).await;
    let seen = take_turns(&stage, rounds).await;
    println!("guarantee: G23 | {rounds} requests of 2 tenants in turn over 1 connection each, {seen}");
}

/// Our connections are two for each role and the server's one, so that each is somebody else's in each transaction.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_tenants_never_meet_on_the_connections_that_a_pooler_shares() {
    let rounds = match Effort::of_run() {
        Effort::Quick => 700,
        Effort::Full => 50_000,
    };
    let guests = rounds / 6 + 1;
    let evening = Evening::of(guests).await;
    let Some(pooler) = PgBouncer::start(PgBouncerOf::Machine, &evening.db, 1).await else { return };
    let stage = Stage::on(evening, guests, Some(&pooler)).await;
    let seen = take_turns(&stage, rounds).await;
    println!(
        "guarantee: pooler | {rounds} requests of 2 tenants in turn, 2 connections of ours on 1 of the server for each role, \
         {seen}"
    );
}

/// So many requests; answers what was seen.
async fn take_turns(stage: &Stage, rounds: usize) -> String {
    let owner = stage.evening.db.owner().await;
    let tickets = owner.query("select tenant_id::text, ticket_id from ops.tickets", &[]).await.unwrap();
    let tickets: BTreeSet<(String, Uuid)> = tickets.iter().map(|row| (row.get(0), row.get(1))).collect();
    let mut sent: BTreeMap<Uuid, &str> = BTreeMap::new();
    let mut sessions: Vec<(usize, Uuid)> = Vec::new();
    let (mut cancelled, mut answered) = (0_usize, 0_usize);
    for round in 0..rounds {
        let number = round % 2;
        let tenant: TenantId = TENANTS[number].parse().unwrap();
        let name = TENANTS[number];
        // Every patience comes with every way to ask: 7 shares no factor with 3,001.
        let patience = Duration::from_micros(round as u64 * 7 % (PATIENCE_MAX_MICROS + 1));
        if round % 250 == 249 {
            owner
                .execute(
                    "select pg_terminate_backend(pid) from pg_stat_activity
                    where application_name = 'isolation' and datname = current_database()",
                    &[],
                )
                .await
                .unwrap();
        }
        let ways = round / 2 % 7;
        let went_away = match ways {
            0 => {
                const SQL: &str = "select tenant_id::text from ops.tickets limit 50";
                let rows = timeout(patience, stage.reader.claimed(&tenant, SQL, &[])).await;
                if let Ok(Ok(rows)) = &rows {
                    assert_own(rows, name, "a read under a claim");
                }
                rows.is_err()
            }
            1 => {
                const SQL: &str = "select tenant_id::text from telemetry.events_raw";
                let claims = Stage::claims(name);
                let rows = timeout(patience, stage.people.as_person(&claims, SQL, &[])).await;
                if let Ok(Ok(rows)) = &rows {
                    assert_own(rows, name, "a page of a person");
                }
                rows.is_err()
            }
            2 => {
                const SQL: &str = "select tenant_id::text from telemetry.event_ids";
                let claims = Stage::claims(name);
                let rows = timeout(patience, stage.people.for_person(&claims, SQL, &[])).await;
                if let Ok(Ok(rows)) = &rows {
                    assert_own(rows, name, "an act for a person");
                }
                rows.is_err()
            }
            3 => timeout(patience, take(stage, name, round % 50)).await.is_err(),
            4 => {
                let scan = stage.scan(&tenant, round / 14);
                sent.insert(scan.scan_id, name);
                let answer = timeout(patience, stage.check_ins.write(scan)).await;
                if let Ok(Ok(ScanAnswer::Admitted(admission))) = &answer {
                    let own = (name.to_owned(), admission.ticket_id);
                    assert!(tickets.contains(&own), "a ticket of the other was admitted");
                    sessions.push((number, admission.session_id));
                }
                answer.is_err()
            }
            5 => {
                let id = Uuid::now_v7();
                sent.insert(id, name);
                timeout(patience, stage.events.write(stage.submission(&tenant, id).into())).await.is_err()
            }
            _ => {
                // A session of the other tenant is not known.
                let Some((whose, session)) = sessions.get(round % sessions.len().max(1)).copied() else {
                    continue;
                };
                let answer = timeout(patience, stage.arrivals.write(stage.ping(&tenant, session))).await;
                if let (Ok(Ok(answer)), true) = (&answer, whose != number) {
                    let unknown = crate::ArriveAnswer::Refused(ArrivalRefusal::SessionUnknown);
                    assert_eq!(*answer, unknown, "a session of the other");
                }
                answer.is_err()
            }
        };
        if went_away {
            cancelled += 1;
        } else {
            answered += 1;
        }
        Stage::assert_clean(&stage.reader, "seatpilot_checkin", &format!("way {ways} within {patience:?}"))
            .await;
        if matches!(ways, 1..=3) {
            Stage::assert_clean(
                &stage.people,
                "seatpilot_ingest",
                &format!("way {ways} within {patience:?}"),
            )
            .await;
        }
    }
    assert!(cancelled > rounds / 10 && answered > rounds / 10, "{cancelled} went away, {answered} stayed");

    // What is under way comes to its end; then the rows are held against who sent them.
    tokio::time::sleep(Duration::from_millis(200)).await;
    let foreign = "select s.scan_id, s.tenant_id::text, t.tenant_id::text from ops.checkin_sessions s
        left join ops.tickets t on t.ticket_id = s.ticket_id";
    let mut rows = 0;
    for row in owner.query(foreign, &[]).await.unwrap() {
        let (scan, tenant, of_ticket): (Uuid, String, Option<String>) = (row.get(0), row.get(1), row.get(2));
        assert_eq!(
            (Some(&*tenant), of_ticket.as_deref()),
            (sent.get(&scan).copied(), Some(&*tenant)),
            "{scan}"
        );
        rows += 1;
    }
    let events = "select id, tenant_id::text from telemetry.events_raw where source like '%\\_gate\\_01'";
    for row in owner.query(events, &[]).await.unwrap() {
        let (id, tenant): (Uuid, String) = (row.get(0), row.get(1));
        assert_eq!(sent.get(&id).copied(), Some(&*tenant), "{id}");
        rows += 1;
    }
    let strangers =
        "select count(*) from telemetry.events_dlq where source_key_id <> tenant_id || '_gate_01'";
    assert_eq!(owner.query_one(strangers, &[]).await.unwrap().get::<_, i64>(0), 0, "dead letters");
    let open = "select count(*) from pg_stat_activity
        where application_name = 'isolation' and datname = current_database() and state like 'idle in%'";
    assert_eq!(
        owner.query_one(open, &[]).await.unwrap().get::<_, i64>(0),
        0,
        "transactions that nobody ended"
    );
    assert!(rows > rounds / 10, "{rows} rows were written");
    format!(
        "7 ways, patience 0 to 3 ms: {cancelled} went away, {} killed, 0 foreign rows in {rows}, claim empty and no \
         transaction after each",
        rounds / 250
    )
}

#[tokio::test]
async fn a_claim_that_outlives_its_transaction_is_seen() {
    let evening = Evening::of(1).await;
    let target = target(&evening.db, None, "seatpilot_checkin");
    let reader = Reader::new(&target, 1, Readiness::starting(StoreKind::Postgres)).unwrap();
    Stage::assert_clean(&reader, "seatpilot_checkin", "nothing").await;
    for left in ["select set_config('request.jwt.claims', '{\"tenant_id\":\"acme\"}', false)", "begin"] {
        let object = reader.object().await.unwrap();
        object.batch_execute(left).await.unwrap();
        drop(object);
        let seen = tokio::spawn({
            let reader = reader.clone();
            async move { Stage::assert_clean(&reader, "seatpilot_checkin", "a planted leak").await }
        })
        .await;
        assert!(seen.is_err(), "not seen: {left}");
        let object = reader.object().await.unwrap();
        drop(deadpool_postgres::Object::take(object));
    }
}

#[tokio::test]
async fn a_claim_that_another_client_left_behind_a_pooler_is_seen() {
    let evening = Evening::of(1).await;
    let Some(pooler) = PgBouncer::start(PgBouncerOf::Machine, &evening.db, 1).await else { return };
    let target = target(&evening.db, Some(&pooler), "seatpilot_checkin");
    let reader = Reader::new(&target, 1, Readiness::starting(StoreKind::Postgres)).unwrap();
    Stage::assert_clean(&reader, "seatpilot_checkin", "nothing").await;
    let another = seatpilot_testkit::connect(&pooler.url_as("seatpilot_checkin")).await.unwrap();
    let left = "select set_config('request.jwt.claims', '{\"tenant_id\":\"acme\"}', false)";
    another.batch_execute(left).await.unwrap();
    let seen = tokio::spawn(async move {
        Stage::assert_clean(&reader, "seatpilot_checkin", "a planted leak").await;
    });
    assert!(seen.await.is_err(), "not seen: {left}");
}

#[tokio::test]
async fn a_panic_in_the_middle_of_a_request_leaves_nothing_on_the_connection() {
    let evening = Evening::of(3).await;
    let target = target(&evening.db, None, "seatpilot_checkin");
    let reader = Reader::new(&target, 1, Readiness::starting(StoreKind::Postgres)).unwrap();
    for micros in (0..PATIENCE_MAX_MICROS).step_by(150) {
        let asked = reader.clone();
        let ended = tokio::spawn(async move {
            const SQL: &str = "select tenant_id::text from ops.tickets";
            let tenant: TenantId = "acme".parse().unwrap();
            let read = asked.claimed(&tenant, SQL, &[]);
            if timeout(Duration::from_micros(micros), read).await.is_err() {
                panic!("a bug of a handler's");
            }
        })
        .await;
        drop(ended);
        Stage::assert_clean(&reader, "seatpilot_checkin", &format!("a panic after {micros} µs")).await;
    }
}
