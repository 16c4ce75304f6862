//! A repeat of an event is a repeat, whoever made its hash: the service, the database, the version before, a session of
//! another time zone. Another body is none.

use seatpilot_domain_model::{Item, Outcome, RejectReason, Submission, SubmitAnswer};
use seatpilot_runtime::SecretString;
use seatpilot_store::{
    Store,
    admin::{Admin, MIGRATIONS},
};
use seatpilot_testkit::TestDb;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use crate::{
    dead_letters::{Lying, lay, redrive},
    evening::{Evening, now},
    events::{ingest, submission},
};

/// The migration by which the hash comes with the event.
const GIVEN: &str = "117";

/// One event, written in two ways, and another one of its id.
struct Written {
    first: String,
    again: String,
    other: String,
}

impl Written {
    fn new() -> Self {
        let (id, at) = (Uuid::now_v7(), now());
        let event = |data: &str| {
            format!(
                r#"{{"id":"{id}","type":"device.heartbeat","occurred_at":"{at}","venue_id":"hall","channel":"kiosk","data":{data}}}"#
            )
        };
        let again =
            r#"{ "a" : { "é": [ 100, 1.50, "\u00e9\/" ] , "" : null}, "note":"\u0041", "d\u0061" : 1 }"#;
        let again = format!(
            r#"{{"d\u0061ta":{again},"channel":"kiosk","venue_id":"h\u0061ll","occurred_at":"{at}","type":"device.heartbeat","id":"{id}"}}"#
        );
        Self {
            first: event(r#"{"da":1,"note":"A","a":{"":null,"\u00e9":[1e2,1.50,"é/"]}}"#),
            again,
            other: event(r#"{"da":1,"note":"A","a":{"":null,"\u00e9":[1e2,1.5,"é/"]}}"#),
        }
    }
}

fn request(evening: &Evening, body: &str) -> Submission {
    submission(evening, &Uuid::now_v7().simple().to_string(), body)
}

async fn submit(evening: &Evening, store: &Store, body: &str) -> Outcome {
    match store.submit(request(evening, body)).await.unwrap() {
        SubmitAnswer::Stored(receipts) => receipts[0].outcome,
        other => panic!("{other:?}"),
    }
}

/// As a service calls the function that gives no hashes, or these.
async fn call(evening: &Evening, zone: &str, body: &str, hashes: Option<Vec<Option<Vec<u8>>>>) -> String {
    let request = request(evening, body);
    let Item::Event(event) = &request.items[0] else { panic!("{body}") };
    let client = evening.db.client_as("seatpilot_ingest").await;
    client.batch_execute(&format!("set timezone = '{zone}'")).await.unwrap();
    let nothing: Vec<Option<String>> = vec![None];
    let parameters: Vec<Box<dyn ToSql + Sync>> = vec![
        Box::new("acme"),
        Box::new(vec![request.nonce.key_id.clone()]),
        Box::new(vec![request.nonce.ts]),
        Box::new(vec![request.nonce.nonce.clone()]),
        Box::new(vec![request.nonce.body_sha256.to_vec()]),
        Box::new(vec![request.request_id.clone()]),
        Box::new(vec![request.received_at]),
        Box::new(vec![1_i64]),
        Box::new(vec![1_i64]),
        Box::new(vec![event.id]),
        Box::new(vec![event.kind]),
        Box::new(vec![event.occurred_at]),
        Box::new(vec![event.venue.as_str().to_owned()]),
        Box::new(vec![event.session_id]),
        Box::new(vec![event.channel.map(|channel| channel.as_str())]),
        Box::new(vec![event.raw.to_vec()]),
        Box::new(vec![event.raw.len() as i32]),
        Box::new(vec![None::<Vec<u8>>]),
        Box::new(nothing.clone()),
        Box::new(nothing),
    ];
    let mut parameters: Vec<&(dyn ToSql + Sync)> = parameters.iter().map(|one| &**one).collect();
    let places: Vec<String> = (1..=20).map(|n| format!("${n}")).collect();
    let mut places = places.join(",");
    if let Some(hashes) = &hashes {
        parameters.push(hashes);
        places.push_str(", $21, '{}', '{}'");
    }
    let sql = format!("select outcomes[1] from telemetry.event_ingest({places})");
    client.query_one(&sql, &parameters).await.unwrap().get(0)
}

const CONFLICT: Outcome = Outcome::Rejected(RejectReason::IdConflict);

#[tokio::test]
async fn while_services_are_replaced_in_any_time_zone_a_repeat_is_no_conflict_and_another_body_is_one() {
    let db = TestDb::empty().await;
    let mut admin = Admin::connect(&SecretString::from(db.owner_url().as_str())).await.unwrap();
    let before: Vec<_> = MIGRATIONS.iter().filter(|one| one.version < GIVEN).copied().collect();
    admin.migrate_with(&before, &mut |_| {}).await.unwrap();
    let evening = Evening::on(db).await;
    let zones = ["UTC", "Europe/Madrid"];
    let old = [Written::new(), Written::new()];
    for (zone, event) in zones.iter().zip(&old) {
        assert_eq!(call(&evening, zone, &event.first, None).await, "accepted");
        assert_eq!(call(&evening, zone, &event.again, None).await, "duplicate");
    }
    admin.migrate(|_| {}).await.unwrap();

    let owner = evening.db.owner().await;
    for (zone, stored_before) in zones.iter().zip(&old) {
        let sql = format!("alter database {} set timezone = '{zone}'", evening.db.name());
        owner.batch_execute(&sql).await.unwrap();
        let store = ingest(&evening).await;
        assert_eq!(submit(&evening, &store, &stored_before.again).await, Outcome::Duplicate, "{zone}");
        assert_eq!(submit(&evening, &store, &stored_before.other).await, CONFLICT, "{zone}");

        let event = Written::new();
        assert_eq!(submit(&evening, &store, &event.first).await, Outcome::Accepted);
        assert_eq!(submit(&evening, &store, &event.again).await, Outcome::Duplicate, "{zone}");
        assert_eq!(submit(&evening, &store, &event.other).await, CONFLICT, "{zone}");
        for session in zones {
            // A service of the version before.
            assert_eq!(call(&evening, session, &event.again, None).await, "duplicate", "{zone}, {session}");
            assert_eq!(call(&evening, session, &event.other, None).await, "id_conflict", "{zone}, {session}");
            let theirs = Written::new();
            assert_eq!(call(&evening, session, &theirs.first, None).await, "accepted");
            assert_eq!(
                submit(&evening, &store, &theirs.again).await,
                Outcome::Duplicate,
                "{zone}, {session}"
            );
            assert_eq!(submit(&evening, &store, &theirs.other).await, CONFLICT, "{zone}, {session}");
        }
        let letter =
            Lying { payload: event.again.clone().into_bytes(), ..Lying::heartbeat(Uuid::nil(), now()) };
        let letters = lay(&evening, &[letter]).await;
        assert_eq!(redrive(&evening, &letters).await, [("duplicate", None)], "{zone}");
    }
    // Each was stored once, `data` as it was sent.
    assert_eq!(evening.count("select count(*) from telemetry.events_raw").await, 8);
    let data = r#"select count(*) from telemetry.events_raw
        where data::text = '{"a": {"": null, "é": [100, 1.50, "é/"]}, "da": 1, "note": "A"}'"#;
    assert_eq!(evening.count(data).await, 8);
}

#[tokio::test]
async fn a_service_that_printed_something_else_makes_no_conflict_of_a_repeat() {
    let evening = Evening::of(0).await;
    let store = ingest(&evening).await;
    let event = Written::new();
    assert_eq!(submit(&evening, &store, &event.first).await, Outcome::Accepted);
    let wrong = || Some(vec![Some(vec![7_u8; 32])]);
    assert_eq!(call(&evening, "UTC", &event.again, wrong()).await, "duplicate");
    assert_eq!(call(&evening, "Europe/Madrid", &event.again, wrong()).await, "duplicate");
    assert_eq!(call(&evening, "UTC", &event.other, wrong()).await, "id_conflict");
    assert_eq!(call(&evening, "UTC", &event.other, Some(vec![None])).await, "id_conflict");
    assert_eq!(evening.count("select count(*) from telemetry.events_raw").await, 1);

    // A control: were it not looked at again, it would be one.
    let trusting = "create or replace function telemetry.event_standing(
            tenant text, event_id uuid, body bytea, type text, occurred timestamptz, venue_id text, session_id uuid,
            channel text, content jsonb
        ) returns text language sql volatile set search_path = pg_catalog, pg_temp
        as 'select telemetry.event_standing(tenant, event_id, body)'";
    evening.db.owner().await.batch_execute(trusting).await.unwrap();
    assert_eq!(call(&evening, "UTC", &event.again, wrong()).await, "id_conflict");
}
