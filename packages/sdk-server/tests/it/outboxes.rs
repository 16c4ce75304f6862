//! The outbox on a disk: what it kept, a killed process has kept.

use std::{path::Path, process::Stdio, time::Duration};

use seatpilot_sdk_server::{Outbox, Sender, Status};
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::Command,
};

use crate::{
    sending::{heartbeat, key},
    server::{Say, Server},
};

/// Names the outbox for the process that is killed.
const VARIABLE: &str = "SEATPILOT_SDK_OUTBOX";

fn builder(url: &str, outbox: &Path) -> seatpilot_sdk_server::Builder {
    Sender::builder(url, key()).outbox(Outbox::on_disk(outbox, 1_000).unwrap()).linger(Duration::ZERO)
}

#[tokio::test]
async fn what_a_sender_left_on_the_disk_the_next_one_sends() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("outbox.redb");
    let silent = Server::start(|_, _| Say::Nothing).await;
    let first = builder(&silent.url, &file).start().unwrap();
    let mut ids = Vec::new();
    for n in 0..5 {
        ids.push(first.send(heartbeat(n)).await.unwrap().id());
    }
    let other = Outbox::on_disk(&file, 10).unwrap_err();
    assert!(other.to_string().contains("outbox.redb"), "one sender at a time: {other}");
    assert_eq!(first.close(Duration::ZERO).await.unwrap(), 5);
    drop(first);

    let server = Server::start(|_, _| Say::Accepted).await;
    let second = builder(&server.url, &file).start().unwrap();
    // The same event once more needs no place of its own.
    assert_eq!(second.send(heartbeat(9).id(ids[0])).await.unwrap().outcome().await.status, Status::Accepted);
    second.flush().await;
    assert_eq!(second.close(Duration::from_secs(5)).await.unwrap(), 0);
    let sent: Vec<Value> = server.asked().iter().flat_map(|asked| asked.events()).collect();
    let in_order: Vec<String> = sent.iter().map(|event| event["id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(in_order, ids.iter().map(ToString::to_string).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_full_disk_outbox_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let silent = Server::start(|_, _| Say::Nothing).await;
    let outbox = Outbox::on_disk(folder.path().join("outbox.redb"), 2).unwrap();
    let sender = Sender::builder(&silent.url, key()).outbox(outbox).start().unwrap();
    for n in 0..2 {
        sender.send(heartbeat(n)).await.unwrap();
    }
    assert!(sender.send(heartbeat(2)).await.is_err());
}

/// The process that is killed: keeps events one after the other and says the id of each that it has kept.
#[tokio::test]
#[ignore = "the next test runs it and kills it"]
async fn keep_until_killed() {
    let file = std::env::var_os(VARIABLE).unwrap();
    // Nobody listens there.
    let sender = builder("http://127.0.0.1:9", Path::new(&file)).start().unwrap();
    for n in 0..1_000 {
        let kept = sender.send(heartbeat(n)).await.unwrap();
        println!("kept {}", kept.id());
    }
    std::future::pending::<()>().await;
}

#[tokio::test]
async fn what_was_kept_before_a_kill_9_is_sent_afterwards() {
    let folder = tempfile::tempdir().unwrap();
    let mut kept = Vec::new();
    let file = folder.path().join("outbox.redb");
    for round in 0..5_u64 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "outboxes::keep_until_killed", "--nocapture"])
            .env(VARIABLE, &file)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut said = 0;
        while let Some(line) = lines.next_line().await.unwrap() {
            let Some((_, id)) = line.split_once("kept ") else { continue };
            kept.push(id.to_owned());
            said += 1;
            if said == 10 + round * 7 {
                child.start_kill().unwrap();
            }
        }
        child.wait().await.unwrap();
    }
    assert!(kept.len() >= 5 * 10);
    let server = Server::start(|_, _| Say::Accepted).await;
    let sender = builder(&server.url, &file).start().unwrap();
    sender.flush().await;
    assert_eq!(sender.close(Duration::from_secs(10)).await.unwrap(), 0);
    let sent: Vec<String> = server
        .asked()
        .iter()
        .flat_map(|asked| asked.events())
        .map(|event| event["id"].as_str().unwrap().to_owned())
        .collect();
    let lost: Vec<&String> = kept.iter().filter(|id| !sent.contains(id)).collect();
    assert!(lost.is_empty(), "{} of {} lost", lost.len(), kept.len());
    let mut once = sent.clone();
    once.sort();
    once.dedup();
    assert_eq!(once.len(), sent.len(), "none is sent twice");
}
