//! Arrivals: the first ping counts, later ones hear it, wrong places and times are refused.

use futures_util::future::join_all;
use jiff::SignedDuration;
use seatpilot_domain_model::{ArrivalPing, ArrivalRefusal, Nonce, Place, ScanAnswer};
use seatpilot_store::{ArriveAnswer, Store, Writes};
use uuid::Uuid;

use crate::evening::{Evening, now};

async fn seated(evening: &Evening, n: usize, ago_seconds: i64) -> Uuid {
    let store = evening.check_ins().await;
    let mut scan = evening.scan(n);
    scan.checked_in_at = now() - SignedDuration::from_secs(ago_seconds);
    match store.check_in(scan).await.unwrap() {
        ScanAnswer::Admitted(admission) => admission.session_id,
        other => panic!("{other:?}"),
    }
}

pub(crate) fn ping(evening: &Evening, session_id: Uuid) -> ArrivalPing {
    ArrivalPing {
        tenant: evening.tenant.clone(),
        ping_id: Uuid::now_v7(),
        session_id,
        telemetry_id: Uuid::now_v7(),
        place: Place { section: Some(evening.section.parse().unwrap()), ..Place::default() },
        sign: Some("sign-1".parse().unwrap()),
        arrived_at: None,
        received_at: now(),
        trace: None,
    }
}

pub(crate) async fn signage(evening: &Evening) -> Store {
    evening.store("seatpilot_wayfinding", Writes::Arrivals).await
}

pub(crate) fn nonce(nonce: &str, body: u8) -> Option<Nonce> {
    Some(Nonce {
        key_id: "sign_key_01".into(),
        ts: now().as_second(),
        nonce: nonce.into(),
        body_sha256: [body; 32],
    })
}

#[tokio::test]
async fn the_first_ping_closes_the_time_and_every_later_one_hears_it() {
    let evening = Evening::of(1).await;
    let session = seated(&evening, 0, 42).await;
    let store = signage(&evening).await;
    let answers = join_all((0..30).map(|_| store.arrive(ping(&evening, session), None))).await;
    let arrivals: Vec<_> = answers
        .into_iter()
        .map(|answer| match answer.unwrap() {
            ArriveAnswer::Seated { arrival, replayed: false, .. } => arrival,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(arrivals.iter().filter(|arrival| arrival.first).count(), 1);
    assert!(arrivals.iter().all(|arrival| arrival.arrived_at == arrivals[0].arrived_at));
    let seconds = arrivals[0].door_to_seat().seconds();
    assert!((42.0..60.0).contains(&seconds), "{seconds}");
    assert_eq!(
        evening
            .count("select count(*) from telemetry.events_raw where type = 'wayfinding.arrive_table'")
            .await,
        1
    );
}

#[tokio::test]
async fn unknown_sessions_other_places_and_impossible_times_are_refused() {
    let evening = Evening::of(1).await;
    let session = seated(&evening, 0, 60).await;
    let store = signage(&evening).await;
    let refused = |answer| match answer {
        Ok(ArriveAnswer::Refused(refusal)) => refusal,
        other => panic!("{other:?}"),
    };
    assert_eq!(
        refused(store.arrive(ping(&evening, Uuid::now_v7()), None).await),
        ArrivalRefusal::SessionUnknown
    );
    let mut foreign = ping(&evening, session);
    foreign.tenant = "rival".parse().unwrap();
    assert_eq!(refused(store.arrive(foreign, None).await), ArrivalRefusal::SessionUnknown);
    for place in [
        Place { section: Some("S2".parse().unwrap()), ..Place::default() },
        Place {
            table: Some("T9".parse().unwrap()),
            section: Some(evening.section.parse().unwrap()),
            ..Place::default()
        },
        // The guest was told no seat.
        Place { seat: Some("A1".parse().unwrap()), ..Place::default() },
    ] {
        let mut elsewhere = ping(&evening, session);
        elsewhere.place = place;
        assert_eq!(refused(store.arrive(elsewhere, None).await), ArrivalRefusal::TableMismatch);
    }
    for seconds in [-61, 6] {
        let mut impossible = ping(&evening, session);
        impossible.arrived_at = Some(impossible.received_at + SignedDuration::from_secs(seconds));
        assert_eq!(refused(store.arrive(impossible, None).await), ArrivalRefusal::ArrivedAtOutOfRange);
    }
    // A little early counts as now.
    let mut early = ping(&evening, session);
    early.arrived_at = Some(early.received_at + SignedDuration::from_secs(4));
    let received = early.received_at;
    match store.arrive(early, None).await.unwrap() {
        ArriveAnswer::Seated { arrival, .. } => assert_eq!(arrival.arrived_at, received),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_ping_repeated_by_its_id_is_answered_though_its_time_is_long_past() {
    let evening = Evening::of(1).await;
    let session = seated(&evening, 0, 60).await;
    let store = signage(&evening).await;
    let mut first = ping(&evening, session);
    first.arrived_at = Some(now() - SignedDuration::from_secs(10));
    store.arrive(first.clone(), None).await.unwrap();
    first.place = Place { section: Some("S2".parse().unwrap()), ..Place::default() };
    assert!(matches!(store.arrive(first, None).await.unwrap(), ArriveAnswer::Seated { .. }));
}

#[tokio::test]
async fn a_signed_ping_uses_its_nonce_up_only_when_it_is_an_arrival() {
    let evening = Evening::of(1).await;
    let session = seated(&evening, 0, 5).await;
    let store = signage(&evening).await;
    let signed = nonce("nonce-1", 1);
    let unknown = store.arrive(ping(&evening, Uuid::now_v7()), signed.clone()).await.unwrap();
    assert_eq!(unknown, ArriveAnswer::Refused(ArrivalRefusal::SessionUnknown));
    let first = store.arrive(ping(&evening, session), signed.clone()).await.unwrap();
    assert!(matches!(&first, ArriveAnswer::Seated { arrival, replayed: false, .. } if arrival.first));
    let again = store.arrive(ping(&evening, session), signed.clone()).await.unwrap();
    assert!(
        matches!(&again, ArriveAnswer::Seated { arrival, replayed: true, .. } if arrival.first),
        "{again:?}"
    );
    let mut other = signed.unwrap();
    other.body_sha256 = [2; 32];
    assert_eq!(store.arrive(ping(&evening, session), Some(other)).await.unwrap(), ArriveAnswer::NonceReused);
}

#[tokio::test]
async fn an_arrival_after_fifteen_minutes_is_an_outlier() {
    let evening = Evening::of(1).await;
    let session = seated(&evening, 0, 901).await;
    let store = signage(&evening).await;
    match store.arrive(ping(&evening, session), None).await.unwrap() {
        ArriveAnswer::Seated { arrival, .. } => assert!(arrival.door_to_seat().is_outlier()),
        other => panic!("{other:?}"),
    }
    let sql = "select count(*) from telemetry.events_raw where (data ->> 'outlier')::boolean";
    assert_eq!(evening.count(sql).await, 1);
}
