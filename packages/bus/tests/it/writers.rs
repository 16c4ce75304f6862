//! What a writer says is what is answered, and what it leaves is another's.

use std::{sync::Arc, time::Duration};

use futures_util::future::join_all;
use seatpilot_bus::{BusFault, Refusal};
use seatpilot_domain_model::{Outcome, Receipt, RejectReason, SubmitAnswer};
use seatpilot_runtime::BusRole;
use seatpilot_testkit::Nats;
use tokio::sync::Semaphore;

use crate::desk::{Desk, accepted, request, trace};

#[tokio::test(flavor = "multi_thread")]
async fn what_the_writer_says_is_what_is_answered() {
    let Some(nats) = Nats::start().await else { return };
    let writer = Desk::ready(&nats, BusRole::Write).await;
    let verifier = Desk::ready(&nats, BusRole::Verify).await;
    let _writing = writer.bus.write_with(|request| async move {
        let outcomes =
            [Outcome::Accepted, Outcome::Duplicate, Outcome::Rejected(RejectReason::SchemaViolation)];
        let receipts = request.items.iter().zip(outcomes);
        let receipts = receipts.map(|(item, outcome)| Receipt { id: item.id(), outcome }).collect();
        match &*request.request_id {
            "request-1" => Ok(SubmitAnswer::Stored(receipts)),
            "request-2" => Ok(SubmitAnswer::Replayed(receipts)),
            "request-3" => Ok(SubmitAnswer::NonceReused),
            "request-4" => Err(Refusal::ForgottenTime),
            "request-5" => Err(Refusal::Overloaded),
            // One outcome too few.
            "request-6" => Ok(SubmitAnswer::Stored(receipts.into_iter().skip(1).collect())),
            _ => Err(Refusal::Unavailable),
        }
    });
    let answers = join_all((1..=7).map(|number| {
        let bus = verifier.bus.clone();
        async move { bus.submit(&request(number), trace()).await }
    }))
    .await;
    let Ok(SubmitAnswer::Stored(receipts)) = &answers[0] else { panic!("{:?}", answers[0]) };
    assert_eq!(receipts[0].id, request(1).items[0].id());
    assert_eq!(receipts[2].outcome, Outcome::Rejected(RejectReason::SchemaViolation));
    assert!(matches!(&answers[1], Ok(SubmitAnswer::Replayed(receipts)) if receipts.len() == 3));
    assert_eq!(answers[2], Ok(SubmitAnswer::NonceReused));
    assert_eq!(answers[3], Err(BusFault::Refused(Refusal::ForgottenTime)));
    assert_eq!(answers[4], Err(BusFault::Refused(Refusal::Overloaded)));
    assert_eq!(answers[5], Err(BusFault::Unreadable));
    assert_eq!(answers[6], Err(BusFault::Refused(Refusal::Unavailable)));
    assert_eq!(verifier.series("seatpilot_bus_sent_total{outcome=\"taken\"}"), 7.0);
    assert_eq!(verifier.series("seatpilot_bus_answers_total{outcome=\"in_time\"}"), 6.0);
    assert_eq!(verifier.series("seatpilot_bus_waiting"), 0.0);
    assert_eq!(writer.series("seatpilot_bus_received_total{delivery=\"first\"}"), 7.0);
    assert_eq!(writer.series("seatpilot_bus_received_total{delivery=\"again\"}"), 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_writer_that_ends_leaves_to_another_at_once_what_it_has_not_begun() {
    let Some(nats) = Nats::start().await else { return };
    let (first, second) =
        (Desk::ready(&nats, BusRole::Write).await, Desk::ready(&nats, BusRole::Write).await);
    let verifier = Desk::ready(&nats, BusRole::Verify).await;
    let gate = Arc::new(Semaphore::new(0));
    let held = Arc::clone(&gate);
    let writing = first.bus.write_with(move |request| {
        let held = Arc::clone(&held);
        async move {
            let _ = held.acquire().await;
            Ok(accepted(&request))
        }
    });
    let handed: Vec<_> = (0..160).map(|number| verifier.hands_in(number)).collect();
    // As many as a writer has in hand; the others were fetched ahead, or lie in the stream.
    first.comes_to("seatpilot_bus_writing", 128.0).await;
    verifier.comes_to("seatpilot_bus_sent_total{outcome=\"taken\"}", 160.0).await;
    let (_second_writing, stored) = second.writes();
    let ending = tokio::spawn(writing.end(Duration::from_secs(5)));
    // Sooner than what a dead one had in hand would be handed out again.
    tokio::time::timeout(
        Duration::from_secs(4),
        verifier.comes_to("seatpilot_bus_answers_total{outcome=\"in_time\"}", 32.0),
    )
    .await
    .unwrap();
    assert_eq!(stored.load(std::sync::atomic::Ordering::SeqCst), 32);
    gate.add_permits(128);
    for handed in join_all(handed).await {
        assert!(matches!(handed.unwrap(), Ok(SubmitAnswer::Stored(_))));
    }
    ending.await.unwrap();
    assert_eq!(first.series("seatpilot_bus_writing"), 0.0);
}
