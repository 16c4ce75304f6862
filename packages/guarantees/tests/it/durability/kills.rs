//! G1: services killed at any moment, under load.

use std::time::Duration;

use seatpilot_testkit::{Dice, Doubts, TestDb};

use super::{House, by_effort};

/// The moment of a kill after the services are ready again, at most.
const KILLED_WITHIN: Duration = Duration::from_millis(500);

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_is_stored_exactly_once_however_often_the_services_are_killed() {
    let kills = by_effort(20, 200);
    let house = House::on(TestDb::new().await, by_effort(5_000, 40_000), 1, &[]).await;
    let mut dice = Dice::new(1);
    let crowd = house.clients.crowd(8, 50, 3);
    let mut in_doubt = 0;
    for _ in 0..kills {
        tokio::time::sleep(dice.pause(KILLED_WITHIN)).await;
        house.ingest[0].kill9();
        house.checkin.kill9();
        house.quiet().await;
        // Nobody can write now: what is in doubt is there whole or not at all.
        let verdict = house.verdict().await;
        assert_eq!(verdict.faults(Doubts::Allowed), None);
        in_doubt += verdict.in_doubt;
        tokio::join!(house.ingest[0].start_again(), house.checkin.start_again());
    }
    crowd.finish().await;
    let verdict = house.settled().await;
    assert!(verdict.resent >= kills / 2 && in_doubt >= kills, "no kill met a request: {verdict:?}");
    println!(
        "guarantee: G1 | {kills} kills of check-in and telemetry-ingest, {} requests with {} items, {in_doubt} in doubt \
         when killed, {} sent again: 0 lost, doubled or halved",
        verdict.requests, verdict.items, verdict.resent
    );
}
