//! The binary as it is run: its exit codes, its life without a database, its sudden death.

use std::{path::Path, time::Duration};

use futures_util::future::join_all;
use seatpilot_domain_model::KeyScope;
use seatpilot_runtime::{SecretBytes, SecretString};
use seatpilot_store::admin::Admin;
use seatpilot_testkit::{Binary, TestDb};
use serde_json::json;
use uuid::Uuid;

use crate::service::{KEY_ID, PATH, SECRET, Signed, event_with};

fn spawn(variables: &[(&str, &str)]) -> Binary {
    Binary::spawn_with(Path::new(env!("CARGO_BIN_EXE_telemetry-ingest")), &[], variables)
}

fn free_port() -> String {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string()
}

#[tokio::test]
async fn every_fault_of_the_configuration_is_named_and_the_exit_code_is_64() {
    let mut binary =
        spawn(&[("PORT", "no"), ("HMAC_TENANT_SECRET", "acme:short:canary"), ("INGEST_RATE_BURST", "-1")]);
    let status = binary.wait(Duration::from_secs(2)).await.expect("it ends");
    assert_eq!(status.code(), Some(64));
    for name in ["PORT", "DATABASE_URL", "HMAC_TENANT_SECRET", "INGEST_RATE_BURST"] {
        assert!(binary.output().contains(name), "{name}: {}", binary.output());
    }
    assert!(!binary.output().contains("canary"));
}

#[tokio::test]
async fn without_a_database_it_lives_is_not_ready_and_answers_503() {
    let (port, dead) = (free_port(), free_port());
    let database = format!("postgres://nobody:canary@127.0.0.1:{dead}/nothing");
    let mut binary = spawn(&[("PORT", &port), ("DATABASE_URL", &database), ("SEATPILOT_DRAIN_MS", "0")]);
    let client = reqwest::Client::new();
    let mut health = client.get(format!("{}/health", binary.url())).send().await;
    for _ in 0..200 {
        if health.is_ok() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
        health = client.get(format!("{}/health", binary.url())).send().await;
    }
    assert_eq!(health.unwrap().status(), 200);
    assert_eq!(client.get(format!("{}/ready", binary.url())).send().await.unwrap().status(), 503);
    let signed = Signed::now("{}");
    let mut request = client.post(format!("{}{PATH}", binary.url())).body(signed.body.clone());
    for (name, value) in &signed.headers {
        request = request.header(name, value);
    }
    assert_eq!(request.send().await.unwrap().status(), 503);
    binary.terminate();
    assert_eq!(binary.wait(Duration::from_secs(5)).await.and_then(|status| status.code()), Some(0));
    let output = binary.output();
    assert!(!output.contains("canary") && !output.contains(signed.header("x-sig")), "{output}");
}

#[tokio::test]
async fn what_was_acknowledged_before_a_kill_is_stored_exactly_once() {
    let db = TestDb::new().await;
    let mut admin = Admin::connect(&SecretString::from(db.owner_url().as_str())).await.unwrap();
    let tenant = "acme".parse().unwrap();
    admin.ensure_tenant(&tenant, "Acme").await.unwrap();
    admin.put_key(&tenant, KEY_ID, &[KeyScope::Ingest], &SecretBytes::new(SECRET.to_vec())).await.unwrap();
    let (port, database) = (free_port(), db.url_as("seatpilot_ingest"));
    let variables = [("PORT", &*port), ("DATABASE_URL", &*database), ("LOG_LEVEL", "error")];
    let mut acknowledged = Vec::new();
    for round in 0..3 {
        let mut binary = spawn(&variables);
        binary.ready().await;
        let url = format!("{}{PATH}", binary.url());
        let client = reqwest::Client::new();
        let senders = (0..8).map(|_| async {
            let mut acknowledged = Vec::new();
            loop {
                let ids: Vec<Uuid> = (0..20).map(|_| Uuid::now_v7()).collect();
                let events: Vec<_> = ids.iter().map(|id| event_with(*id, json!({"n": 1}))).collect();
                let signed = Signed::now(json!(events).to_string());
                let mut request = client.post(&url).body(signed.body.clone());
                for (name, value) in &signed.headers {
                    request = request.header(name, value);
                }
                match request.send().await {
                    Ok(response) if response.status() == 202 => acknowledged.extend(ids),
                    Ok(response) => panic!("{}", response.status()),
                    Err(_) => return acknowledged,
                }
            }
        });
        let kill = async {
            tokio::time::sleep(Duration::from_millis(150 + 170 * round)).await;
            binary.kill9();
        };
        let (sent, ()) = futures_util::future::join(join_all(senders), kill).await;
        acknowledged.extend(sent.into_iter().flatten());
    }
    assert!(acknowledged.len() > 100, "{}", acknowledged.len());
    let row = db
        .owner()
        .await
        .query_one(
            "select count(*), count(distinct id), count(*) filter (where id = any ($1)) from telemetry.events_raw",
            &[&acknowledged],
        )
        .await
        .unwrap();
    let (stored, distinct, known): (i64, i64, i64) = (row.get(0), row.get(1), row.get(2));
    assert_eq!(stored, distinct);
    assert_eq!(known, acknowledged.len() as i64);
}
