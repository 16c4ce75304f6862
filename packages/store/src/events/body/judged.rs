//! Bodies of made-up events, judged by a Postgres: the same hash as its `telemetry.event_body`, and the `data` that it
//! finds.

use jiff::Timestamp;
use proptest::{
    prelude::*,
    sample,
    strategy::ValueTree,
    test_runner::{Config, TestRunner},
};
use seatpilot_domain_model::Event;
use seatpilot_testkit::{Effort, TestDb};
use tokio_postgres::Client;

use super::{Body, made_up::event};

/// Whether hash and `data` of each event are what Postgres makes of them.
const JUDGE: &str = "
    select case when telemetry.event_body(type, occurred, venue, session, channel, content) = hash
        then convert_from(substr(raw, data_begin, data_length), 'UTF8')::jsonb::text = content::text else false end
    from (
        select *, convert_from(raw, 'UTF8')::jsonb -> 'data' as content
        from unnest(
            $1::text[], $2::timestamptz[], $3::text[], $4::uuid[], $5::text[], $6::bytea[], $7::bytea[], $8::int[], $9::int[]
        ) with ordinality as e (type, occurred, venue, session, channel, raw, hash, data_begin, data_length, n)
    ) e order by n";

async fn judge(client: &Client, events: &[Event], bodies: &[Body]) -> Vec<Option<bool>> {
    let rows = client
        .query(
            JUDGE,
            &[
                &events.iter().map(|event| event.kind).collect::<Vec<_>>(),
                &events.iter().map(|event| event.occurred_at).collect::<Vec<_>>(),
                &events.iter().map(|event| event.venue.as_str()).collect::<Vec<_>>(),
                &events.iter().map(|event| event.session_id).collect::<Vec<_>>(),
                &events.iter().map(|event| event.channel.map(|one| one.as_str())).collect::<Vec<_>>(),
                &events.iter().map(|event| &*event.raw).collect::<Vec<_>>(),
                &bodies.iter().map(|body| body.sha256.as_slice()).collect::<Vec<_>>(),
                &bodies.iter().map(|body| body.data_begin).collect::<Vec<_>>(),
                &bodies.iter().map(|body| body.data_length).collect::<Vec<_>>(),
            ],
        )
        .await
        .unwrap();
    assert_eq!(rows.len(), events.len());
    rows.iter().map(|row| row.get(0)).collect()
}

#[tokio::test]
async fn made_up_events_have_the_hash_that_postgres_makes_of_them_in_any_time_zone() {
    let count = match Effort::of_run() {
        Effort::Quick => 3_000,
        Effort::Full => 100_000,
    };
    let db = TestDb::new().await;
    let owner = db.owner().await;
    let mut runner = TestRunner::new(Config::default());
    let one = event();
    for zone in ["UTC", "Europe/Madrid", "Asia/Kathmandu"] {
        owner.query_one("select set_config('timezone', $1, false)", &[&zone]).await.unwrap();
        let events: Vec<Event> =
            (0..count / 3).map(|_| one.new_tree(&mut runner).unwrap().current()).collect();
        let text = |event: &Event| String::from_utf8_lossy(&event.raw).into_owned();
        let mut bodies: Vec<Body> = events
            .iter()
            .map(|event| {
                Body::of(event, &mut Vec::new()).unwrap_or_else(|| panic!("no text of {}", text(event)))
            })
            .collect();
        let verdicts = judge(&owner, &events, &bodies).await;
        for (same, event) in verdicts.iter().zip(&events) {
            assert_eq!(*same, Some(true), "{zone}, {:?}: {}", event.occurred_at, text(event));
        }
        // A control: with the bodies of their neighbours none is right.
        bodies.rotate_left(1);
        assert!(!judge(&owner, &events, &bodies).await.contains(&Some(true)));
    }
}

/// An event with this text.
fn raw(text: impl Into<Vec<u8>>) -> Event {
    let mut event = event().new_tree(&mut TestRunner::deterministic()).unwrap().current();
    event.raw = text.into().into();
    event
}

#[test]
fn what_has_no_text_of_jsonb_has_no_body_and_is_no_panic() {
    for text in [
        "",
        "{",
        "{}",
        "7",
        "[]",
        r#"{"data"}"#,
        r#"{"data":}"#,
        r#"{"data":{"a":1,"a":2}}"#,
        r#"{"data":{"a":"\u0000"}}"#,
        r#"{"data":{"a":"\ud800"}}"#,
        r#"{"data":{"a":1e999}}"#,
        r#"{"data":{"a":1e99999999999}}"#,
        r#"{"data":{"a":NaN}}"#,
        r#"{"data":{"a":-}}"#,
        r#"{"data":{"a":"\"#,
        r#"{"data":{"a":"\é"#,
        r#"{"a":"#,
        r#"{"a":1"#,
        r#"{"a":]}"#,
        r#"{"a":}}"#,
    ] {
        assert_eq!(Body::of(&raw(text), &mut Vec::new()), None, "{text}");
    }
    assert_eq!(Body::of(&raw(b"{\"data\":{\"a\":\"\xff\"}}".as_slice()), &mut Vec::new()), None);
    let deep = format!(r#"{{"data":{}1{}}}"#, r#"{"a":"#.repeat(100_000), "}".repeat(100_000));
    assert_eq!(Body::of(&raw(deep), &mut Vec::new()), None);
    let kept = raw(r#"{"data":{"a":1}}"#);
    let too_early = Event { occurred_at: Timestamp::MIN, ..kept.clone() };
    assert!(Body::of(&kept, &mut Vec::new()).is_some());
    assert_eq!(Body::of(&too_early, &mut Vec::new()), None);
}

proptest! {
    #[test]
    fn a_text_that_was_cut_and_mended_anywhere_is_no_panic(
        one in event(), cut in any::<sample::Index>(), byte in any::<u8>(),
    ) {
        let at = cut.index(one.raw.len());
        let mut mended = one.raw.to_vec();
        mended[at] = byte;
        let _ = Body::of(&raw(mended), &mut Vec::new());
        let _ = Body::of(&raw(&one.raw[..at]), &mut Vec::new());
    }
}
