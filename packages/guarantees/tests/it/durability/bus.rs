//! Telemetry over the bus: whoever is killed, what was acknowledged is stored exactly once, and what a dead writer had in
//! hand is written by another.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use seatpilot_guarantees::{Again, Persistent, Process, Service};
use seatpilot_testkit::{Dice, Doubts, Durability, Evening, Nats, TestDb, own_cluster_with};
use tokio::sync::Mutex;

use super::{House, by_effort, open_folder};

/// What is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Killed {
    Writer,
    Verifier,
    Nats,
    Postgres,
}

const ALL: [Killed; 4] = [Killed::Writer, Killed::Verifier, Killed::Nats, Killed::Postgres];

/// The key that seals what goes over the bus, for its owner only.
fn key_file(folder: &Path) -> PathBuf {
    let path = folder.join("at-rest.keys");
    std::fs::write(&path, "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=\n").unwrap();
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    path
}

async fn instance(evening: &Evening, nats: &Nats, key_file: &Path, role: &str) -> Process {
    let told = [
        ("INGEST_BUS", "nats".to_owned()),
        ("INGEST_BUS_ROLE", role.to_owned()),
        ("NATS_URL", nats.url()),
        ("SEATPILOT_SECRETS_KEY_FILE", key_file.display().to_string()),
        ("INGEST_RATE_PER_SECOND", "100000".to_owned()),
        ("INGEST_RATE_BURST", "100000".to_owned()),
    ];
    Process::start(Service::TelemetryIngest, evening, &told).await
}

/// Two instances that verify, which the clients know, and two that write.
async fn house(db: TestDb, nats: &Nats, key_file: &Path) -> (House, Vec<Process>) {
    let evening = Evening::on(db, 0).await;
    let logs = tempfile::Builder::new().prefix("seatpilot-clients-").tempdir().unwrap();
    let checkin = Process::start(Service::Checkin, &evening, &[]).await;
    let (mut writers, mut ingest) = (Vec::new(), Vec::new());
    for _ in 0..2 {
        writers.push(instance(&evening, nats, key_file, "write").await);
    }
    for _ in 0..2 {
        ingest.push(instance(&evening, nats, key_file, "verify").await);
    }
    let urls: Vec<&str> = ingest.iter().map(Process::url).collect();
    let clients = Persistent::of(&evening, 0, logs.path(), &urls, &[checkin.url()]);
    (House { clients, checkin, ingest, evening, logs, later: Mutex::default() }, writers)
}

/// Waits until the server lets somebody in again.
async fn recovered(evening: &Evening) {
    for _ in 0..1_000 {
        if seatpilot_testkit::connect(&evening.db.owner_url()).await.is_ok() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the server does not come back");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_over_the_bus_is_stored_exactly_once_whatever_is_killed() {
    let Some(mut nats) = Nats::start().await else { return };
    let folder = open_folder();
    let key_file = key_file(folder.path());
    let mut cluster = own_cluster_with(folder.path(), |mut options| {
        options.durability = Durability::Full;
        // What a commit did not wait for is lost for sure.
        options.setting("wal_writer_delay", "10s").setting("max_wal_size", "1GB")
    })
    .await;
    let (house, writers) = house(TestDb::on(&cluster.url("")).await, &nats, &key_file).await;
    let rounds = by_effort(2, 50);
    let mut dice = Dice::new(7);
    let crowd = house.clients.crowd(8, 20, 0);
    for round in 0..rounds {
        for killed in ALL {
            tokio::time::sleep(Duration::from_millis(200) + dice.pause(Duration::from_millis(300))).await;
            match killed {
                Killed::Writer => {
                    writers[round % 2].kill9();
                    writers[round % 2].start_again().await;
                }
                Killed::Verifier => {
                    house.ingest[round % 2].kill9();
                    house.ingest[round % 2].start_again().await;
                }
                Killed::Nats => {
                    nats.kill9();
                    nats.start_again().await;
                }
                Killed::Postgres => {
                    cluster.kill9().await;
                    cluster.start_again().await.unwrap();
                    recovered(&house.evening).await;
                }
            }
            if !house.looks_after(round) {
                continue;
            }
            let verdict = house.verdict().await;
            // The crowd is writing: what its logs do not tell yet is no fault.
            assert_eq!((verdict.lost, verdict.doubled), (0, 0), "round {round}, {killed:?}: {verdict:?}");
        }
    }
    // Everybody is there again, and new requests have their answers.
    let before = house.verdict().await.requests;
    tokio::time::sleep(Duration::from_secs(2)).await;
    crowd.finish().await;
    let verdict = house.settled().await;
    assert!(verdict.resent >= rounds, "no kill met a request: {verdict:?}");
    assert!(verdict.requests > before, "nothing went over the bus after the last kill: {verdict:?}");
    println!(
        "guarantee: bus | {rounds} x 4 kills (writer, verifier, nats-server, Postgres), {} requests with {} items, {} sent \
         again: 0 lost, doubled or halved",
        verdict.requests, verdict.items, verdict.resent
    );
}

/// A number of a process' `/metrics`.
async fn series(process: &Process, name: &str) -> f64 {
    let text = reqwest::get(format!("{}/metrics", process.url())).await.unwrap().text().await.unwrap();
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("{name} is not there"))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_writer_had_in_hand_when_it_was_killed_is_answered_by_another() {
    let Some(nats) = Nats::start().await else { return };
    let folder = open_folder();
    let key_file = key_file(folder.path());
    let evening = Evening::on(TestDb::new().await, 0).await;
    let first = instance(&evening, &nats, &key_file, "write").await;
    let verifier = instance(&evening, &nats, &key_file, "verify").await;
    let clients = Persistent::of(&evening, 0, folder.path(), &[verifier.url()], &[verifier.url()]);
    // Nothing that the first writer asks is answered from now on: it has requests in hand, and writes none.
    first.wire.stall();
    let requests = 10;
    let sent: Vec<_> = (0..requests)
        .map(|_| {
            let mut client = clients.client(Again::Bytes);
            tokio::spawn(async move {
                let request = client.batch(3, 0);
                client.push(request).await;
            })
        })
        .collect();
    let began = Instant::now();
    while series(&first, "seatpilot_bus_writing").await < f64::from(requests) {
        assert!(began.elapsed() < Duration::from_secs(2), "the writer does not get all of them");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    first.kill9();
    let second = instance(&evening, &nats, &key_file, "write").await;
    for sent in join_all(sent).await {
        sent.unwrap();
    }
    let verdict = seatpilot_testkit::Verdict::of(&evening, folder.path()).await;
    assert_eq!(verdict.faults(Doubts::Settled), None);
    // Sent once each, and answered: nobody was told to send again.
    assert_eq!((verdict.requests, verdict.resent), (10, 0), "{verdict:?}");
    let again = series(&second, "seatpilot_bus_received_total{delivery=\"again\"}").await;
    assert!(again >= f64::from(requests), "{again} of them came again");
    println!(
        "guarantee: bus | {requests} requests in the hands of a writer that was killed, all answered by another, none sent \
         again"
    );
}
