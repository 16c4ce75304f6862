//! The two stores of events beside Postgres' own protocol: over REST, and in memory.

use std::time::Duration;

use jiff::Timestamp;
use seatpilot_domain_model::{
    DeadLetter, Event, Item, Nonce, Outcome, RejectReason, Submission, SubmitAnswer, TenantId, parse_items,
};
use seatpilot_runtime::{Clock, Readiness, SecretString, StoreKind};
use seatpilot_store::{Error, EventStore, MEMORY_BYTES_MAX, MemoryStore, RestSettings, RestStore, Writes};
use seatpilot_testkit::PostgRest;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::evening::{Evening, now};

fn heartbeat(id: Uuid, data: &str) -> String {
    format!(
        r#"{{"id":"{id}","type":"device.heartbeat","occurred_at":"{}","venue_id":"hall","data":{data}}}"#,
        now()
    )
}

fn submission_of(tenant: &TenantId, nonce: &str, body: &[u8], items: Vec<Item>) -> Submission {
    let received_at = now();
    Submission {
        tenant: tenant.clone(),
        nonce: Nonce {
            key_id: "acme_gate_01".into(),
            ts: received_at.as_second(),
            nonce: nonce.into(),
            body_sha256: Sha256::digest(body).into(),
        },
        request_id: "req-1".into(),
        received_at,
        items,
    }
}

fn submission(tenant: &TenantId, nonce: &str, body: &str) -> Submission {
    let items = parse_items(body.as_bytes(), tenant, now()).expect("items").items;
    submission_of(tenant, nonce, body.as_bytes(), items)
}

fn outcomes(answer: SubmitAnswer) -> Vec<Outcome> {
    match answer {
        SubmitAnswer::Stored(receipts) => receipts.into_iter().map(|receipt| receipt.outcome).collect(),
        other => panic!("{other:?}"),
    }
}

async fn by_rest(rest: &PostgRest) -> EventStore {
    let readiness = Readiness::starting(StoreKind::Supabase);
    let settings = RestSettings {
        url: rest.url(),
        key: SecretString::from(rest.service_token()),
        readiness: readiness.clone(),
    };
    let store = RestStore::open(settings).unwrap();
    let mut state = readiness.subscribe();
    tokio::time::timeout(Duration::from_secs(15), state.wait_for(|state| state.takes_work()))
        .await
        .expect("ready within 15 s")
        .unwrap();
    EventStore::Rest(store)
}

fn in_memory(bytes_max: usize, clock: Clock) -> (MemoryStore, EventStore) {
    let memory = MemoryStore::new(None, bytes_max, clock);
    (memory.clone(), EventStore::Memory(memory))
}

/// Two bodies of one id: whether they are one event, the three say alike, for the database says it.
#[tokio::test]
async fn the_three_stores_take_the_same_two_bodies_for_one_event() {
    let evening = Evening::of(0).await;
    let rest = PostgRest::before(&evening.db).await;
    let postgres = EventStore::from(evening.store("seatpilot_ingest", Writes::Events).await);
    let stores = [postgres, by_rest(&rest).await, in_memory(MEMORY_BYTES_MAX, Clock::system()).1];
    let pairs = [
        (r#"{"a":1,"b":[true,null]}"#, "{ \"b\" : [ true , null ],\n\"a\":1 }"),
        (r#"{"a":"\u0041\u00e9\n"}"#, r#"{"a":"Aé\u000a"}"#),
        (r#"{"a":100}"#, r#"{"a":1e2}"#),
        (r#"{"a":100}"#, r#"{"a":100.0}"#),
        (r#"{"a":-0}"#, r#"{"a":0}"#),
        (r#"{"a":-0.0}"#, r#"{"a":0.0}"#),
        (r#"{"a":0.0}"#, r#"{"a":0}"#),
        (r#"{"a":1.50e1}"#, r#"{"a":15.0}"#),
        (r#"{"a":1.50e1}"#, r#"{"a":15.00}"#),
        (r#"{"a":0.001}"#, r#"{"a":1E-3}"#),
        (r#"{"a":0.1}"#, r#"{"a":0.1000000000000000055}"#),
        (r#"{"a":12345678901234567890}"#, r#"{"a":12345678901234567891}"#),
        (r#"{"a":1e20}"#, r#"{"a":100000000000000000000}"#),
        (r#"{"a":0e7}"#, r#"{"a":0}"#),
        (r#"{"a":[1,2]}"#, r#"{"a":[2,1]}"#),
        (r#"{"a":{"b":{}}}"#, r#"{"a":{"b":[]}}"#),
        (r#"{"a":null}"#, "{}"),
        (r#"{"a":"1"}"#, r#"{"a":1}"#),
        (r#"{"é":1}"#, r#"{"e\u0301":1}"#),
    ];
    let mut same = 0;
    for (turn, (one, other)) in pairs.iter().enumerate() {
        let id = Uuid::now_v7();
        let first = heartbeat(id, one);
        let second = first.replace(one, other);
        let mut said = Vec::new();
        for (place, store) in stores.iter().enumerate() {
            let taken =
                store.submit(submission(&evening.tenant, &format!("a{turn}-{place}"), &first)).await.unwrap();
            // Two of them are one database: the second finds what the first stored.
            let wanted = if place == 1 { Outcome::Duplicate } else { Outcome::Accepted };
            assert_eq!(outcomes(taken), [wanted]);
            let answer =
                store.submit(submission(&evening.tenant, &format!("b{turn}-{place}"), &second)).await;
            said.push(outcomes(answer.unwrap()));
        }
        same += usize::from(said[0] == [Outcome::Duplicate]);
        assert!(said.iter().all(|one| *one == said[0]), "{one} {other}: {said:?}");
    }
    assert!(same > 6 && same < pairs.len(), "{same}");
}

#[tokio::test]
async fn bytes_come_through_rest_as_they_were_sent_and_what_no_jsonb_takes_becomes_a_letter() {
    let evening = Evening::of(0).await;
    let rest = PostgRest::before(&evening.db).await;
    let store = by_rest(&rest).await;
    let every: Box<[u8]> = (0..=255).cycle().take(4_099).collect();
    let letter = DeadLetter {
        reason: RejectReason::InvalidUtf8,
        detail: "at byte 128 \"é\\\n".to_owned(),
        payload_len: 70_000,
        payload_sha256: Sha256::digest(&every).into(),
        payload: every.clone(),
        event_id: None,
        event_type: None,
    };
    let good = heartbeat(Uuid::now_v7(), r#"{"text":"席 \" \\ \u0001"}"#);
    let Ok(batch) = parse_items(good.as_bytes(), &evening.tenant, now()) else { panic!("an item") };
    let [Item::Event(event)] = &batch.items[..] else { panic!("{batch:?}") };
    // The strict parser refuses it: what gets past the parser after all is met here.
    let raw = heartbeat(Uuid::now_v7(), r#"{"text":"\u0000"}"#);
    let bad = Event { id: Uuid::now_v7(), raw: raw.as_bytes().into(), ..event.clone() };
    let items = vec![Item::DeadLetter(letter), Item::Event(bad), Item::Event(event.clone())];
    let answer = store.submit(submission_of(&evening.tenant, "bytes", b"x", items)).await.unwrap();
    assert_eq!(
        outcomes(answer),
        [
            Outcome::Rejected(RejectReason::InvalidUtf8),
            Outcome::Rejected(RejectReason::DbDataException),
            Outcome::Accepted
        ]
    );
    let owner = evening.db.owner().await;
    let rows = owner
        .query(
            "select payload, payload_len, reason_detail, payload_sha256, truncated from telemetry.events_dlq
             order by payload_len desc",
            &[],
        )
        .await
        .unwrap();
    assert_eq!(rows[0].get::<_, &[u8]>(0), &*every);
    assert_eq!((rows[0].get::<_, i32>(1), rows[0].get::<_, &str>(2)), (70_000, "at byte 128 \"é\\\n"));
    assert_eq!(rows[0].get::<_, &[u8]>(3), Sha256::digest(&every).as_slice());
    assert!(rows[0].get::<_, bool>(4));
    assert_eq!(rows[1].get::<_, &[u8]>(0), raw.as_bytes());
    let text: String =
        owner.query_one("select data ->> 'text' from telemetry.events_raw", &[]).await.unwrap().get(0);
    assert_eq!(text, "席 \" \\ \u{1}");
}

#[tokio::test]
async fn the_service_keys_function_is_bound_by_the_claim_that_it_makes() {
    let evening = Evening::of(0).await;
    let owner = evening.db.owner().await;
    // Whose it runs as, and what that role may: no way around a policy, no table to read events from.
    let row = owner
        .query_one(
            "select o.rolname::text, o.rolbypassrls or o.rolsuper or o.rolcanlogin,
                has_table_privilege('seatpilot_rest', 'telemetry.events_raw', 'select'),
                (select count(*) from pg_proc where pronamespace = 'seatpilot_rest'::regnamespace),
                (select count(*) from pg_class where relnamespace = 'seatpilot_rest'::regnamespace)
             from pg_proc f join pg_roles o on o.oid = f.proowner
             where f.oid = 'seatpilot_rest.ingest(text, jsonb)'::regprocedure",
            &[],
        )
        .await
        .unwrap();
    assert_eq!((row.get::<_, &str>(0), row.get::<_, bool>(1)), ("seatpilot_rest", false));
    assert_eq!((row.get::<_, bool>(2), row.get::<_, i64>(3), row.get::<_, i64>(4)), (false, 1, 0));
    // A claim that stands already does not help: the function claims the tenant that it was given.
    let call = "select seatpilot_rest.ingest('nonce', '{\"tenant\":\"rival\",\"key_id\":\"k\",\"ts\":0,\"nonce\":\"n\"}')";
    owner.batch_execute("begin; set local role service_role").await.unwrap();
    owner.query_one(call, &[]).await.unwrap();
    let claim: String =
        owner.query_one("select current_setting('request.jwt.claims')", &[]).await.unwrap().get(0);
    owner.batch_execute("rollback").await.unwrap();
    assert!(claim.contains("rival"), "{claim}");
}

#[tokio::test]
async fn memory_that_is_full_refuses_a_request_whole_and_throws_away_nothing_that_is_owed() {
    let tenant: TenantId = "acme".parse().unwrap();
    let began = now();
    let (clock, hand) = Clock::manual(began);
    let (memory, store) = in_memory(16 * 1024, clock);
    let body = |_| heartbeat(Uuid::now_v7(), r#"{"n":1}"#);
    let request = |turn: usize| {
        let body = format!("[{},{}]", body(0), body(1));
        let mut request = submission(&tenant, &format!("nonce-{turn}"), &body);
        request.nonce.ts = began.as_second();
        request
    };
    let mut taken = Vec::new();
    let refused = loop {
        let request = request(taken.len());
        match store.submit(request.clone()).await {
            Ok(answer) => {
                assert_eq!(outcomes(answer), [Outcome::Accepted, Outcome::Accepted]);
                taken.push(request);
            }
            Err(Error::Full(_)) => break request,
            Err(error) => panic!("{error:?}"),
        }
    };
    assert!(taken.len() > 5, "{}", taken.len());
    let kept = (memory.events().len(), memory.nonces());
    assert_eq!(kept, (taken.len() * 2, taken.len()));
    // All that was acknowledged is still known: its nonces, and its ids under other nonces.
    for (turn, known) in taken.iter().enumerate() {
        assert!(matches!(store.submit(known.clone()).await, Ok(SubmitAnswer::Replayed(_))));
        assert!(store.knows_nonce(&tenant, &known.nonce).await.unwrap(), "{turn}");
    }
    assert!(matches!(store.submit(refused.clone()).await, Err(Error::Full(_))));
    assert_eq!((memory.events().len(), memory.nonces()), kept);

    // Nonces are owed for 660 s, ids for 40 days; what is let go makes room.
    hand.set(began + Duration::from_secs(660));
    assert!(store.knows_nonce(&tenant, &taken[0].nonce).await.unwrap());
    hand.set(began + Duration::from_secs(662));
    assert!(!store.knows_nonce(&tenant, &taken[0].nonce).await.unwrap());
    let again = Submission {
        nonce: Nonce { ts: began.as_second() + 662, ..taken[0].nonce.clone() },
        ..taken[0].clone()
    };
    assert_eq!(outcomes(store.submit(again).await.unwrap()), [Outcome::Duplicate, Outcome::Duplicate]);
    hand.set(began + Duration::from_secs(40 * 86_400 + 1));
    assert!(matches!(store.submit(refused).await, Ok(SubmitAnswer::Stored(_))));
    assert_eq!(memory.events().len(), 2);
}

#[tokio::test]
async fn a_letter_in_memory_is_kept_for_thirty_days() {
    let tenant: TenantId = "acme".parse().unwrap();
    let began: Timestamp = now();
    let (clock, hand) = Clock::manual(began);
    let (memory, store) = in_memory(MEMORY_BYTES_MAX, clock);
    let answer = store.submit(submission(&tenant, "one", "{\"id\":1}")).await.unwrap();
    assert_eq!(outcomes(answer), [Outcome::Rejected(RejectReason::SchemaViolation)]);
    let letters = memory.dead_letters();
    assert_eq!((letters.len(), &*letters[0].payload), (1, &b"{\"id\":1}"[..]));
    hand.set(began + Duration::from_secs(30 * 86_400));
    let _ = store.submit(submission(&tenant, "two", &heartbeat(Uuid::now_v7(), "{}"))).await.unwrap();
    assert_eq!(memory.dead_letters().len(), 1);
    hand.set(began + Duration::from_secs(30 * 86_400 + 60));
    let _ = store.submit(submission(&tenant, "three", &heartbeat(Uuid::now_v7(), "{}"))).await.unwrap();
    assert_eq!(memory.dead_letters().len(), 0);
}
