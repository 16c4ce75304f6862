//! `docs/examples/nats-server.conf`: each login may do its part, and no more.

use std::{fs, path::Path};

use seatpilot_domain_model::SubmitAnswer;
use seatpilot_runtime::{BusRole, BusState};
use seatpilot_testkit::Nats;

use crate::desk::{Desk, config_as};

#[tokio::test(flavor = "multi_thread")]
async fn the_example_lets_each_login_do_its_part_and_no_more() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/examples/nats-server.conf");
    let example = fs::read_to_string(path).unwrap();
    assert!(example.contains("sync_interval: always"));
    let logins = &example[example.find("authorization {").unwrap()..];
    let logins = logins.replace("$VERIFY_PASSWORD", "verify-it").replace("$WRITE_PASSWORD", "write-it");
    let Some(nats) = Nats::start_with(&logins).await else { return };

    // Who may not make the stream waits for one who may.
    let verifier = Desk::open(&config_as(&nats, BusRole::Verify, "seatpilot_verify", "verify-it"));
    let writer = Desk::open(&config_as(&nats, BusRole::Write, "seatpilot_write", "write-it"));
    writer.is(BusState::Connected).await;
    verifier.is(BusState::Connected).await;
    let (_writing, _) = writer.writes();
    assert!(matches!(verifier.hands_in(1).await.unwrap(), Ok(SubmitAnswer::Stored(_))));

    let as_verifier = async_nats::ConnectOptions::with_user_and_password(
        "seatpilot_verify".to_owned(),
        "verify-it".to_owned(),
    );
    let mut context = async_nats::jetstream::new(as_verifier.connect(nats.url()).await.unwrap());
    // What may not be said is not answered.
    context.set_timeout(std::time::Duration::from_millis(500));
    assert!(context.delete_stream("SEATPILOT_INGEST").await.is_err());
    assert!(async_nats::connect(nats.url()).await.is_err(), "nobody comes in without a login");
    let wrong = Desk::open(&config_as(&nats, BusRole::Both, "seatpilot_write", "guessed"));
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    assert_eq!(*wrong.bus.state().borrow(), BusState::Starting);
}
