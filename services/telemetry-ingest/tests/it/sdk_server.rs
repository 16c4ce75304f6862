//! The SDK for Rust against the real service: its examples as they stand, and what it says of each event.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::STANDARD};
use seatpilot_sdk_server::{
    Event, MintError, Sender, SessionKeyWish, SessionKeys, SigningKey, Status, event_data::DeviceHeartbeat,
};
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

#[tokio::test]
async fn the_sdk_for_rust_mints_a_pages_key_and_says_why_there_is_none() {
    let service = Service::start().await;
    let keys = SessionKeys::new(&service.url, SigningKey::new(KEY_ID, &SECRET).unwrap()).unwrap();
    let wish = SessionKeyWish::new("https://tickets.example", Uuid::now_v7());
    let key = keys.mint(&wish.clone().expires_in(Duration::from_secs(60))).await.unwrap();
    assert_eq!((key.expires_in_seconds, &*key.origin), (60, "https://tickets.example"));
    assert_eq!(STANDARD.decode(&key.secret).unwrap().len(), 32);
    assert!(!format!("{key:?}").contains(&key.secret));
    for (wish, status, said) in [
        (wish.clone().expires_in(Duration::from_secs(901)), 422, "/expires_in_seconds: must be 1 to 900"),
        (wish.clone().scopes(["arrive"]), 403, "may not grant arrive"),
        (SessionKeyWish::new("http://tickets.example", Uuid::now_v7()), 422, "/origin: must be an origin"),
    ] {
        let Err(MintError::Refused { status: answered, detail, .. }) = keys.mint(&wish).await else {
            panic!("{wish:?}")
        };
        assert_eq!(answered, status, "{detail}");
        assert!(detail.contains(said), "{detail}");
    }
    let other = SessionKeys::new(&service.url, SigningKey::new(KEY_ID, &[7; 32]).unwrap()).unwrap();
    assert!(matches!(other.mint(&wish).await, Err(MintError::Refused { status: 401, .. })));
    assert!(matches!(
        SessionKeys::new("https://ingest.example/v1", SigningKey::new(KEY_ID, &SECRET).unwrap()),
        Err(MintError::Address)
    ));
}
