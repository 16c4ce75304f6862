//! G9: every item of a request that was authenticated is an event, a repeat of one, or a dead letter, whatever is killed
//! meanwhile.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use seatpilot_testkit::{Cargo, Dice, Heard, TestDb, read_client_logs};
use uuid::Uuid;

use super::{House, by_effort};

/// Between two kills.
const KILL_EVERY: Duration = Duration::from_secs(2);

#[tokio::test(flavor = "multi_thread")]
async fn what_was_sent_is_what_was_stored_and_what_was_buried_id_by_id() {
    let (items, kills) = by_effort((20_000, 3), (1_000_000, 100));
    let house = House::on(TestDb::new().await, 0, 2, &[]).await;
    let mut dice = Dice::new(9);
    let crowd = house.clients.crowd(8, 50, 0);
    let (since, mut killed) = (Instant::now(), 0);
    loop {
        tokio::time::sleep(KILL_EVERY).await;
        let instance = &house.ingest[dice.below(2)];
        instance.kill9();
        instance.start_again().await;
        killed += 1;
        if killed >= kills && stored(&house).await >= items {
            break;
        }
        assert!(since.elapsed() < Duration::from_secs(3_600), "too slow: {} items", stored(&house).await);
    }
    crowd.finish().await;
    let verdict = house.settled().await;

    let (mut good, mut bad) = (BTreeSet::new(), BTreeSet::new());
    for request in read_client_logs(house.logs()).into_values() {
        assert_eq!(request.heard, Heard::Stored);
        let Cargo::Events { good: some, bad: others } = request.cargo else { panic!("nobody scans") };
        good.extend(some);
        bad.extend(others);
    }
    let events = ids(&house, "select id from telemetry.events_raw").await;
    let letters = ids(&house, "select event_id from telemetry.events_dlq").await;
    assert_eq!((events.len(), letters.len()), (good.len(), bad.len()), "stored once each");
    assert!(events.into_iter().collect::<BTreeSet<_>>() == good, "events are what was sent and good");
    assert!(letters.into_iter().collect::<BTreeSet<_>>() == bad, "dead letters are what was sent and bad");
    let share = bad.len() * 100 / (good.len() + bad.len());
    assert!((5..=20).contains(&share), "{share} % of the items were bad");
    println!(
        "guarantee: G9 | {} items ({share} % bad) under {killed} kills, {} requests sent again: {} events and {} dead \
         letters, the same ids",
        verdict.items,
        verdict.resent,
        good.len(),
        bad.len()
    );
}

async fn stored(house: &House) -> i64 {
    let sql =
        "select (select count(*) from telemetry.events_raw) + (select count(*) from telemetry.events_dlq)";
    house.evening.count(sql).await
}

/// Every id that a statement answers, as often as it answers it.
async fn ids(house: &House, sql: &str) -> Vec<Uuid> {
    let rows = house.evening.db.owner().await.query(sql, &[]).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}
