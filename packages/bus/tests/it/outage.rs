//! A bus that is full, wrong, hangs, dies, or forgets.

use std::time::{Duration, Instant};

use async_nats::jetstream::{
    self,
    stream::{Config, DiscardPolicy, RetentionPolicy},
};
use rustix::process::Signal;
use seatpilot_bus::BusFault;
use seatpilot_domain_model::SubmitAnswer;
use seatpilot_runtime::{BusRole, BusState};
use seatpilot_testkit::Nats;

use crate::desk::{Desk, config};

async fn make(nats: &Nats, config: Config) {
    let client = async_nats::connect(nats.url()).await.unwrap();
    jetstream::new(client).create_stream(config).await.unwrap();
}

fn of_an_operator() -> Config {
    Config {
        name: "SEATPILOT_INGEST".to_owned(),
        subjects: vec!["seatpilot.ingest.requests".to_owned()],
        retention: RetentionPolicy::WorkQueue,
        discard: DiscardPolicy::New,
        max_messages: 1,
        max_age: Duration::from_secs(10),
        duplicate_window: Duration::from_secs(1),
        ..Config::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_stream_refuses_at_once() {
    let Some(nats) = Nats::start().await else { return };
    make(&nats, of_an_operator()).await;
    let desk = Desk::ready(&nats, BusRole::Both).await;
    let first = desk.hands_in(1);
    desk.comes_to("seatpilot_bus_sent_total{outcome=\"taken\"}", 1.0).await;
    let began = Instant::now();
    assert_eq!(desk.hands_in(2).await.unwrap(), Err(BusFault::Full));
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    assert_eq!(desk.series("seatpilot_bus_sent_total{outcome=\"full\"}"), 1.0);
    // What is written makes room.
    let (_writing, _) = desk.writes();
    assert!(matches!(first.await.unwrap(), Ok(SubmitAnswer::Stored(_))));
    assert!(matches!(desk.hands_in(3).await.unwrap(), Ok(SubmitAnswer::Stored(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_lets_go_of_old_messages_is_not_used() {
    let Some(nats) = Nats::start().await else { return };
    make(&nats, Config { retention: RetentionPolicy::Limits, ..of_an_operator() }).await;
    let desk = Desk::open(&config(&nats, BusRole::Both, 1));
    tokio::time::sleep(Duration::from_millis(700)).await;
    assert_eq!(*desk.bus.state().borrow(), BusState::Starting);
    assert_eq!(desk.hands_in(1).await.unwrap(), Err(BusFault::Away));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bus_that_hangs_dies_or_forgets_is_said_in_time_and_comes_back_by_itself() {
    let Some(mut nats) = Nats::start().await else { return };
    let desk = Desk::ready(&nats, BusRole::Both).await;
    let (_writing, _) = desk.writes();
    assert!(matches!(desk.hands_in(1).await.unwrap(), Ok(SubmitAnswer::Stored(_))));

    nats.signal(Signal::STOP);
    let began = Instant::now();
    assert_eq!(desk.hands_in(2).await.unwrap(), Err(BusFault::NotTaken));
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    desk.is(BusState::Away).await;
    let began = Instant::now();
    assert_eq!(desk.hands_in(3).await.unwrap(), Err(BusFault::Away));
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    nats.signal(Signal::CONT);
    desk.is(BusState::Connected).await;
    assert!(matches!(desk.hands_in(4).await.unwrap(), Ok(SubmitAnswer::Stored(_))));

    nats.kill9();
    desk.is(BusState::Away).await;
    // Its disk is gone with it: the stream is made again, and who writes finds it.
    nats.forget();
    nats.start_again().await;
    desk.is(BusState::Connected).await;
    assert!(matches!(desk.hands_in(5).await.unwrap(), Ok(SubmitAnswer::Stored(_))));
}
