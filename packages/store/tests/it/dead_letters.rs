//! Dead letters that are sent again or given up: each becomes one event, or says why not, whoever asks and how often.

use futures_util::future::join_all;
use jiff::{SignedDuration, Timestamp};
use seatpilot_domain_model::{Administrator, DiscardOutcome, Role};
use seatpilot_store::{LetterFilter, RedrivenLetter, Store, Writes, audit::Origin};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::evening::{Evening, now};

/// What lies in the queue.
pub(crate) struct Lying {
    pub(crate) reason: &'static str,
    pub(crate) received_at: Timestamp,
    pub(crate) payload: Vec<u8>,
    pub(crate) truncated: bool,
}

impl Lying {
    /// An event that a plan refused, received and happened at that time.
    pub(crate) fn heartbeat(id: Uuid, at: Timestamp) -> Self {
        let event = json!({
            "id": id, "type": "device.heartbeat", "occurred_at": at, "venue_id": "hall", "data": {},
        });
        Self::of(&event, at)
    }

    pub(crate) fn of(event: &Value, received_at: Timestamp) -> Self {
        let payload = event.to_string().into_bytes();
        Self { reason: "quota_exceeded", received_at, payload, truncated: false }
    }
}

/// Puts letters into the queue of `acme`, as ingest would have; their ids, in that order.
pub(crate) async fn lay(evening: &seatpilot_testkit::Evening, letters: &[Lying]) -> Vec<Uuid> {
    let owner = evening.db.owner().await;
    let mut ids = Vec::new();
    for letter in letters {
        let row = owner
            .query_one(
                "insert into telemetry.events_dlq (tenant_id, reason, reason_detail, received_at, source_key_id, request_id,
                     payload, payload_len, payload_sha256, truncated, event_type)
                 values ('acme', $1, 'a test', $2, 'acme_gate_01', 'req-1', $3::bytea, length($3::bytea), sha256($3::bytea), $4, 'device.heartbeat')
                 returning dlq_id",
                &[&letter.reason, &letter.received_at, &letter.payload, &letter.truncated],
            )
            .await
            .unwrap();
        ids.push(row.get(0));
    }
    ids
}

fn words(letters: &[RedrivenLetter]) -> Vec<(&'static str, Option<&'static str>)> {
    letters.iter().map(|letter| (letter.outcome.status(), letter.outcome.reason())).collect()
}

pub(crate) async fn redrive(evening: &Evening, ids: &[Uuid]) -> Vec<(&'static str, Option<&'static str>)> {
    let mut admin = evening.admin().await;
    words(&admin.dead_letter_desk(&evening.tenant).redrive(ids, |_| {}).await.unwrap())
}

async fn dry_run(evening: &Evening, ids: &[Uuid]) -> Vec<(&'static str, Option<&'static str>)> {
    let mut admin = evening.admin().await;
    words(&admin.dead_letter_desk(&evening.tenant).dry_run(ids, |_| {}).await.unwrap())
}

fn days_ago(days: i64) -> Timestamp {
    now() - SignedDuration::from_hours(24 * days)
}

/// Everything that a redrive may change, as one text.
async fn all_of_it(evening: &Evening) -> String {
    let sql = "select concat(
        (select string_agg(d::text, ',' order by d.dlq_id) from telemetry.events_dlq d),
        (select string_agg(e::text, ',' order by e.id) from telemetry.events_raw e),
        (select string_agg(i::text, ',' order by i.id) from telemetry.event_ids i),
        (select count(*) from audit.log))";
    evening.db.owner().await.query_one(sql, &[]).await.unwrap().get(0)
}

const ACCEPTED: (&str, Option<&str>) = ("accepted", None);

#[tokio::test]
async fn a_letter_becomes_the_event_that_it_was_and_is_done() {
    let evening = Evening::of(0).await;
    // It was 6 days old when it came, three weeks ago: judged by then, not by now.
    let (id, received) = (Uuid::now_v7(), days_ago(21));
    let event = json!({
        "id": id, "type": "device.heartbeat", "occurred_at": days_ago(27), "venue_id": "hall", "channel": "kiosk",
        "data": { "battery": 40 },
    });
    let ids = lay(&evening, &[Lying::of(&event, received)]).await;
    assert_eq!(redrive(&evening, &ids).await, [ACCEPTED]);
    let owner = evening.db.owner().await;
    let row = owner
        .query_one(
            "select e.received_at, e.source, e.channel, (e.data ->> 'battery')::int, e.redriven_at > now() - interval '1 minute',
                d.state, d.redriven_event_id, d.resolved_by
             from telemetry.events_raw e, telemetry.events_dlq d where e.id = $1",
            &[&id],
        )
        .await
        .unwrap();
    let kept: Timestamp = row.get(0);
    assert_eq!(kept.as_microsecond(), received.as_microsecond());
    assert_eq!((row.get(1), row.get(2), row.get(3), row.get(4)), ("acme_gate_01", "kiosk", 40, true));
    assert_eq!(
        (row.get::<_, &str>(5), row.get::<_, Uuid>(6), row.get::<_, &str>(7)),
        ("redriven", id, "seatpilot")
    );
    // Twice is once, and says so.
    assert_eq!(redrive(&evening, &ids).await, [("skipped", Some("redriven"))]);
    assert_eq!(redrive(&evening, &[Uuid::now_v7()]).await, [("skipped", Some("unknown"))]);
    assert_eq!(evening.count("select count(*) from telemetry.events_raw").await, 1);
    assert_eq!(
        evening.count("select count(*) from audit.log where action = 'dlq.redrive' and result = 'ok'").await,
        1
    );
    let verdict = evening.admin().await.verify_audit(&evening.tenant, None).await.unwrap();
    assert!(verdict.faults.is_empty(), "{verdict:?}");
}

#[tokio::test]
async fn a_dry_run_says_what_would_be_and_changes_nothing() {
    let evening = Evening::of(0).await;
    let (same, other, stored) = (Uuid::now_v7(), Uuid::now_v7(), Uuid::now_v7());
    let known = Lying::heartbeat(stored, now());
    let first = lay(&evening, &[known]).await;
    assert_eq!(redrive(&evening, &first).await, [ACCEPTED]);
    let payload: Vec<u8> = {
        let sql = "select payload from telemetry.events_dlq where dlq_id = $1";
        evening.db.owner().await.query_one(sql, &[&first[0]]).await.unwrap().get(0)
    };
    let twin = Lying::heartbeat(same, now());
    let letters = [
        // A millisecond sooner: of letters of one moment either may come first.
        Lying {
            payload: twin.payload.clone(),
            ..Lying::heartbeat(same, twin.received_at - SignedDuration::from_millis(1))
        },
        twin,
        Lying::of(
            &json!({ "id": same, "type": "device.heartbeat", "occurred_at": now(), "venue_id": "hall", "data": { "a": 1 } }),
            now(),
        ),
        Lying { payload, ..Lying::heartbeat(stored, now()) },
        Lying::of(
            &json!({ "id": other, "type": "no.such.type", "occurred_at": now(), "venue_id": "hall", "data": {} }),
            now(),
        ),
        Lying { truncated: true, ..Lying::heartbeat(other, now()) },
        Lying { payload: b"{\"id\"".to_vec(), ..Lying::heartbeat(other, now()) },
    ];
    let ids = lay(&evening, &letters).await;
    let before = all_of_it(&evening).await;
    let told = dry_run(&evening, &ids).await;
    assert_eq!(
        told,
        [
            ACCEPTED,
            ("duplicate", None),
            ("rejected", Some("id_conflict")),
            ("duplicate", None),
            ("rejected", Some("schema_unknown_type")),
            ("skipped", Some("truncated")),
            ("rejected", Some("json_syntax")),
        ]
    );
    assert_eq!(all_of_it(&evening).await, before);
    // And so it is.
    assert_eq!(redrive(&evening, &ids).await, told);
    assert_ne!(all_of_it(&evening).await, before);
    assert_eq!(evening.count("select count(*) from telemetry.events_raw").await, 2);
}

#[tokio::test]
async fn after_five_refusals_only_a_person_may_discard_it() {
    let evening = Evening::of(0).await;
    // Held to the time at which it came: it was too old then, and is for ever.
    let event = json!({ "id": Uuid::now_v7(), "type": "device.heartbeat", "occurred_at": days_ago(9), "venue_id": "hall", "data": {} });
    let ids = lay(&evening, &[Lying { reason: "ts_out_of_range", ..Lying::of(&event, days_ago(1)) }]).await;
    for _ in 0..5 {
        assert_eq!(redrive(&evening, &ids).await, [("rejected", Some("ts_out_of_range"))]);
    }
    assert_eq!(redrive(&evening, &ids).await, [("skipped", Some("exhausted"))]);
    assert_eq!(dry_run(&evening, &ids).await, [("skipped", Some("exhausted"))]);
    let mut admin = evening.admin().await;
    let mut desk = admin.dead_letter_desk(&evening.tenant);
    assert!(desk.redrivable(&LetterFilter::default(), None, 10).await.unwrap().is_empty());
    assert_eq!(desk.discardable(&LetterFilter::default(), None, 10).await.unwrap().len(), 1);
    let shown = desk.show(ids[0]).await.unwrap().unwrap();
    assert_eq!((shown.row.attempts, shown.row.last_reason.as_deref()), (5, Some("ts_out_of_range")));
    let outcome = async |desk: &mut seatpilot_store::DeadLetterDesk<'_>, why: &str| {
        desk.discard(&ids, why, |_| {}).await.unwrap()[0].outcome
    };
    assert_eq!(outcome(&mut desk, "its clock was wrong").await, DiscardOutcome::Discarded);
    assert_eq!(outcome(&mut desk, "another reason").await, DiscardOutcome::WasDiscarded);
    let shown = desk.show(ids[0]).await.unwrap().unwrap();
    assert_eq!(
        (&*shown.row.state, shown.row.discard_reason.as_deref()),
        ("discarded", Some("its clock was wrong"))
    );
    assert!(!shown.payload.is_empty(), "it stays readable");
    assert_eq!(redrive(&evening, &ids).await, [("skipped", Some("discarded"))]);
    let logged = "select count(*) from audit.log where action = 'dlq.discard' and after ->> 'why' = 'its clock was wrong'";
    assert_eq!(evening.count(logged).await, 1);
    assert_eq!(
        evening
            .count("select count(*) from audit.log where action = 'dlq.redrive' and result = 'refused'")
            .await,
        5
    );
}

#[tokio::test]
async fn the_plan_still_holds_and_a_letter_that_it_refuses_loses_nothing() {
    let evening = Evening::of(0).await;
    let limit = async |quantity: i64| {
        let sql =
            "insert into app.entitlement_overrides (tenant_id, feature, limit_quantity, limit_kind, reason)
            values ('acme', 'events', $1, 'hard', 'a test')
            on conflict (tenant_id, feature) do update set limit_quantity = excluded.limit_quantity";
        evening.db.owner().await.execute(sql, &[&quantity]).await.unwrap();
    };
    limit(2).await;
    let letters: Vec<Lying> = (0..4).map(|_| Lying::heartbeat(Uuid::now_v7(), now())).collect();
    let ids = lay(&evening, &letters).await;
    let over = ("rejected", Some("quota_exceeded"));
    assert_eq!(dry_run(&evening, &ids).await, [ACCEPTED, ACCEPTED, over, over]);
    assert_eq!(redrive(&evening, &ids).await, [ACCEPTED, ACCEPTED, over, over]);
    let waiting = "select count(*) from telemetry.events_dlq where state = 'parked' and attempts = 0 and last_reason = 'quota_exceeded'";
    assert_eq!(evening.count(waiting).await, 2);
    limit(100).await;
    assert_eq!(redrive(&evening, &ids[2..]).await, [ACCEPTED, ACCEPTED]);
    assert_eq!(evening.count("select count(*) from telemetry.events_raw").await, 4);
}

#[tokio::test]
async fn of_many_operators_at_once_one_sends_a_letter_again() {
    let evening = Evening::of(0).await;
    let letters: Vec<Lying> = (0..40).map(|_| Lying::heartbeat(Uuid::now_v7(), now())).collect();
    let ids = lay(&evening, &letters).await;
    let told = join_all((0..4).map(|_| redrive(&evening, &ids))).await;
    let accepted = told.iter().flatten().filter(|word| **word == ACCEPTED).count();
    assert_eq!(accepted, 40);
    assert_eq!(evening.count("select count(*) from telemetry.events_raw").await, 40);
    assert_eq!(evening.count("select count(*) from audit.log where action = 'dlq.redrive'").await, 40);
}

#[tokio::test]
async fn who_was_too_slow_changes_nothing_that_another_did_meanwhile() {
    let evening = Evening::of(0).await;
    let event = Uuid::now_v7();
    let ids = lay(&evening, &[Lying::heartbeat(event, now())]).await;
    let slow = evening.db.owner().await;
    slow.batch_execute(r#"select set_config('request.jwt.claims', '{"tenant_id":"acme"}', false)"#)
        .await
        .unwrap();
    let token = Uuid::new_v4();
    let claimed =
        slow.query("select * from telemetry.dlq_claim('operator', $1, $2)", &[&ids, &token]).await.unwrap();
    assert_eq!(claimed.len(), 1);
    // For 60 s nobody else has it.
    assert_eq!(redrive(&evening, &ids).await, [("skipped", Some("leased"))]);
    let mut admin = evening.admin().await;
    let refused = admin.dead_letter_desk(&evening.tenant).discard(&ids, "a test", |_| {}).await.unwrap();
    assert_eq!(refused[0].outcome, DiscardOutcome::Leased);
    let lease = "select extract(epoch from lease_until - now())::float8 from telemetry.events_dlq";
    let left: f64 = slow.query_one(lease, &[]).await.unwrap().get(0);
    assert!((30.0..=60.0).contains(&left), "{left} s");
    // They are over, and somebody else has done it by the time.
    slow.batch_execute("update telemetry.events_dlq set lease_until = now() - interval '1 second'")
        .await
        .unwrap();
    assert_eq!(redrive(&evening, &ids).await, [ACCEPTED]);
    let settle =
        "select outcome from telemetry.dlq_settle('operator', 'slow', null, null, $1, $2, array[$3]::uuid[],
        '{device.heartbeat}', array[now()], '{hall}', '{null}', '{null}', '{null}', '{null}')";
    let late = slow.query_one(settle, &[&token, &ids, &event]).await.unwrap();
    assert_eq!(late.get::<_, &str>(0), "lost");
    assert_eq!(evening.count("select count(*) from telemetry.events_raw").await, 1);
    assert_eq!(evening.count("select count(*) from audit.log where action = 'dlq.redrive'").await, 1);
}

fn person(tenant: &str, role: Role) -> Administrator {
    Administrator { tenant: tenant.parse().unwrap(), role, subject: Some("ana".into()) }
}

async fn tried(
    store: &Store,
    who: &Administrator,
    ids: &[Uuid],
) -> Result<Vec<RedrivenLetter>, seatpilot_store::Error> {
    let origin = Origin { ip: Some("192.0.2.7"), request_id: Some("req-9") };
    store.as_caller(who).dead_letter_desk(&who.tenant, origin).redrive(ids, |_| {}).await
}

#[tokio::test]
async fn the_database_itself_lets_only_admins_and_owners_of_the_tenant_at_letters() {
    let evening = Evening::of(0).await;
    evening.admin().await.ensure_tenant(&"rival".parse().unwrap(), "Rival").await.unwrap();
    let ids =
        lay(&evening, &[Lying::heartbeat(Uuid::now_v7(), now()), Lying::heartbeat(Uuid::now_v7(), now())])
            .await;
    let store = evening.store("seatpilot_ingest", Writes::Events).await;
    for role in [Role::Viewer, Role::Editor] {
        let who = person("acme", role);
        assert!(tried(&store, &who, &ids).await.is_err(), "{role}");
        let mut desk = store.as_caller(&who).dead_letter_desk(&who.tenant, Origin::default());
        assert!(desk.list(&LetterFilter::default(), None, 10).await.unwrap().is_empty(), "{role}");
        assert!(desk.show(ids[0]).await.unwrap().is_none(), "{role}");
        assert!(desk.discard(&ids, "a test", |_| {}).await.is_err(), "{role}");
    }
    // Another tenant's owner finds nothing, under whatever id.
    let rival = tried(&store, &person("rival", Role::Owner), &ids).await.unwrap();
    assert_eq!(words(&rival), [("skipped", Some("unknown")), ("skipped", Some("unknown"))]);
    // Nor does the service for itself, whatever it calls itself.
    let service = evening.db.client_as("seatpilot_ingest").await;
    service
        .batch_execute(r#"select set_config('request.jwt.claims', '{"tenant_id":"acme"}', false)"#)
        .await
        .unwrap();
    for actor in ["person", "operator"] {
        let claim = "select * from telemetry.dlq_claim($1, $2, gen_random_uuid())";
        let refused = service.query(claim, &[&actor, &ids]).await.unwrap_err();
        assert_eq!(refused.code().map(|code| code.code()), Some("42501"), "{actor}");
    }
    assert_eq!(evening.count("select count(*) from telemetry.events_dlq where state = 'parked'").await, 2);

    assert_eq!(
        words(&tried(&store, &person("acme", Role::Admin), &ids).await.unwrap()),
        [ACCEPTED, ACCEPTED]
    );
    let logged = "select count(*) from audit.log where action = 'dlq.redrive' and actor_type = 'person' and actor_id = 'ana'
        and role = 'admin' and host(ip) = '192.0.2.7' and request_id = 'req-9'";
    assert_eq!(evening.count(logged).await, 2);
}

#[tokio::test]
async fn a_list_has_every_letter_once_page_by_page_and_filters_hold() {
    let evening = Evening::of(0).await;
    let mut letters: Vec<Lying> =
        (0..25).map(|n| Lying::heartbeat(Uuid::now_v7(), days_ago(n / 5))).collect();
    letters[3].reason = "schema_violation";
    let ids = lay(&evening, &letters).await;
    let mut admin = evening.admin().await;
    let mut desk = admin.dead_letter_desk(&evening.tenant);
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let page = desk.list(&LetterFilter::default(), after, 4).await.unwrap();
        let Some(last) = page.last() else { break };
        // A cursor goes through the text that it is told as.
        after = Some(last.cursor().to_string().parse().unwrap());
        seen.extend(page.iter().map(|row| row.dlq_id));
    }
    assert_eq!(seen.len(), 25);
    seen.sort();
    let mut all = ids.clone();
    all.sort();
    assert_eq!(seen, all);
    let count = async |desk: &mut seatpilot_store::DeadLetterDesk<'_>, filter: LetterFilter| {
        desk.list(&filter, None, 100).await.unwrap().len()
    };
    let none = LetterFilter::default;
    assert_eq!(count(&mut desk, LetterFilter { reason: "schema_violation".parse().ok(), ..none() }).await, 1);
    assert_eq!(count(&mut desk, LetterFilter { key_id: Some("another".into()), ..none() }).await, 0);
    assert_eq!(
        count(&mut desk, LetterFilter { event_type: Some("device.heartbeat".into()), ..none() }).await,
        25
    );
    let half_past = days_ago(2) + SignedDuration::from_hours(12);
    assert_eq!(count(&mut desk, LetterFilter { received_before: Some(half_past), ..none() }).await, 15);
    assert_eq!(count(&mut desk, LetterFilter { received_from: Some(half_past), ..none() }).await, 10);
    // What is sent again by a filter: the oldest first, and on from there.
    let first = desk.redrivable(&none(), None, 5).await.unwrap();
    let rest = desk.redrivable(&none(), first.last().copied(), 100).await.unwrap();
    assert_eq!((first.len(), rest.len()), (5, 20));
    assert!(first.iter().all(|letter| letter.received_at < days_ago(3)));
    let parked = LetterFilter { state: "parked".parse().ok(), ..none() };
    assert_eq!(count(&mut desk, parked.clone()).await, 25);
    desk.redrive(&ids[..3], |_| {}).await.unwrap();
    assert_eq!(count(&mut desk, parked).await, 22);
    assert_eq!(count(&mut desk, LetterFilter { state: "redriven".parse().ok(), ..none() }).await, 3);
}
