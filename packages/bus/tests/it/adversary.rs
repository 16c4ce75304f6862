//! Who reaches NATS and has no key.

use std::sync::atomic::Ordering;

use futures_util::StreamExt as _;
use seatpilot_bus::BusFault;
use seatpilot_domain_model::SubmitAnswer;
use seatpilot_runtime::{BusRole, BusState};
use seatpilot_testkit::Nats;

use crate::desk::{Desk, config};

const REQUESTS: &str = "seatpilot.ingest.requests";

#[tokio::test(flavor = "multi_thread")]
async fn who_has_no_key_stores_nothing_and_has_nothing_acknowledged() {
    let Some(nats) = Nats::start().await else { return };
    let writer = Desk::ready(&nats, BusRole::Write).await;
    let verifier = Desk::ready(&nats, BusRole::Verify).await;
    let (writing, stored) = writer.writes();
    let stranger = async_nats::connect(nats.url()).await.unwrap();
    let mut answers = stranger.subscribe("seatpilot.ingest.return.*.*.answer").await.unwrap();
    let mut requests = stranger.subscribe(REQUESTS).await.unwrap();
    // Flushed is not heard: its own echo comes back once the server knows of both.
    let mut echo = stranger.subscribe("echo").await.unwrap();
    stranger.publish("echo", "".into()).await.unwrap();
    echo.next().await.unwrap();

    // What goes right, as the stranger sees it.
    assert!(matches!(verifier.hands_in(0).await.unwrap(), Ok(SubmitAnswer::Stored(_))));
    let (request, answer) = (requests.next().await.unwrap(), answers.next().await.unwrap());
    assert_eq!(stored.load(Ordering::SeqCst), 1);

    // Requests of their own: noise, a true one that was changed, and one sealed with another key.
    let mut changed = request.payload.to_vec();
    let last = changed.len() - 1;
    changed[last] ^= 1;
    for payload in [b"{}".to_vec(), changed] {
        stranger.publish(REQUESTS, payload.into()).await.unwrap();
    }
    let other = Desk::open(&config(&nats, BusRole::Both, 2));
    other.is(BusState::Connected).await;
    let theirs = other.hands_in(1);
    writer.comes_to("seatpilot_bus_received_total{delivery=\"unreadable\"}", 3.0).await;
    assert_eq!(stored.load(Ordering::SeqCst), 1);
    theirs.abort();

    // Answers of their own: noise, and the true answer to another request.
    writing.end(std::time::Duration::from_secs(5)).await;
    while let Ok(Some(_)) = tokio::time::timeout(std::time::Duration::from_millis(100), requests.next()).await
    {
    }
    for (number, payload) in
        [(2, b"{\"stored\":[\"accepted\",\"accepted\",\"accepted\"]}".to_vec()), (3, answer.payload.to_vec())]
    {
        let waiting = verifier.hands_in(number);
        let seen = requests.next().await.unwrap();
        let subject = seen.reply.unwrap().replace(".taken", ".answer");
        stranger.publish(subject, payload.into()).await.unwrap();
        assert_eq!(waiting.await.unwrap(), Err(BusFault::Unreadable));
    }
    assert_eq!(verifier.series("seatpilot_bus_answers_total{outcome=\"unreadable\"}"), 2.0);
}
