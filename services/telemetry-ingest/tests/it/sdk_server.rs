//! The SDK for Rust against the real service: its examples as they stand, and what it says of each event.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::STANDARD};
use seatpilot_sdk_server::{Event, Sender, SigningKey, Status, event_data::DeviceHeartbeat};
use tokio::process::Command;
use uuid::Uuid;

use crate::{
    hostile::run,
    service::{KEY_ID, SECRET, Service},
};

/// Runs an example with what it takes on its command line; answers what it says.
async fn example(name: &str, service: &Service, further: &[&str]) -> String {
    // Built with the tests, beside their folder.
    let own = std::env::current_exe().unwrap();
    let path = own.parent().unwrap().parent().unwrap().join("examples").join(name);
    assert!(path.exists(), "cargo build -p seatpilot-sdk-server --examples");
    let mut command = Command::new(path);
    command.arg(&service.url).arg(KEY_ID).args(further);
    run(command, STANDARD.encode(SECRET).as_bytes()).await
}

#[tokio::test]
async fn the_examples_of_the_sdk_for_rust_do_what_they_say() {
    let service = Service::start().await;
    let said = example("heartbeat", &service, &[]).await;
    assert!(said.ends_with(" Accepted\n"), "{said}");

    let folder = tempfile::tempdir().unwrap();
    let outbox = folder.path().join("outbox.redb");
    let said = example("gate", &service, &[outbox.to_str().unwrap()]).await;
    assert_eq!(said.matches(" Accepted\n").count(), 6, "{said}");
    assert!(said.ends_with("0 unsent\n"), "{said}");

    let said = example("own_type", &service, &[]).await;
    assert_eq!(said.matches("was rejected: schema_unknown_type").count(), 1, "{said}");
    assert!(said.ends_with("0 unsent\n"), "{said}");

    assert_eq!(
        service.number("select count(*) from telemetry.events_raw where source <> 'service'").await,
        257
    );
    assert_eq!(service.number("select count(*) from telemetry.events_dlq").await, 1);
}

#[tokio::test]
async fn the_sdk_for_rust_hands_back_what_became_of_each_event() {
    let service = Service::start().await;
    let key = SigningKey::new(KEY_ID, &SECRET).unwrap();
    let sender = Sender::builder(&service.url, key).linger(Duration::ZERO).start().unwrap();
    let id = Uuid::now_v7();
    let heartbeat = || Event::new("arena", DeviceHeartbeat::default()).id(id);
    assert_eq!(sender.send(heartbeat()).await.unwrap().outcome().await.status, Status::Accepted);
    let first = heartbeat().occurred_at("2026-01-01T00:00:00Z".parse().unwrap());
    let old = sender.send(first.id(Uuid::now_v7())).await.unwrap().outcome().await;
    assert_eq!(old.status, Status::Rejected("ts_out_of_range".to_owned()));
    let other = sender.send(heartbeat().channel("kiosk")).await.unwrap().outcome().await;
    assert_eq!(other.status, Status::Rejected("id_conflict".to_owned()));
    assert_eq!(sender.close(Duration::from_secs(5)).await.unwrap(), 0);

    // A key that nobody knows loses nothing: somebody may mend it.
    let wrong = SigningKey::new("nobody_knows_it", &SECRET).unwrap();
    let sender = Sender::builder(&service.url, wrong).linger(Duration::ZERO).start().unwrap();
    sender.send(heartbeat()).await.unwrap();
    sender.flush().await;
    assert_eq!(sender.waiting().await.unwrap(), 1);
}
