//! `seatpilot doctor`, against a real telemetry-ingest that keeps nothing.

use std::net::TcpListener;

use seatpilot_testkit::Binary;

use crate::command::{Run, seatpilot_in};

const SECRET: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
const OTHER: &str = "HxwdHhsaGRgXFhUUExIREA8ODQwLCgkIBwYFBAMCAQA=";

async fn ingest(further: &[(&str, &str)]) -> Binary {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    let key = format!("acme:acme_gate_01:{SECRET}");
    let own = [("PORT", port.as_str()), ("STORE", "memory"), ("HMAC_TENANT_SECRET", &key)];
    let mut binary = Binary::spawn("telemetry-ingest", &[&own[..], further].concat());
    binary.ready().await;
    binary
}

/// Not on the runtime's thread: the command blocks it.
async fn doctor(url: &str, key_id: &str, secret: &str) -> Run {
    let here = tempfile::tempdir().unwrap();
    let file = here.path().join("key.txt");
    std::fs::write(&file, secret).unwrap();
    let args: Vec<String> =
        ["doctor", "--url", url, "--key-id", key_id, "--secret-file", file.to_str().unwrap()]
            .map(str::to_owned)
            .to_vec();
    tokio::task::spawn_blocking(move || {
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        seatpilot_in(here.path(), &[], &args, b"")
    })
    .await
    .unwrap()
}

#[tokio::test]
async fn a_sender_that_is_well_is_told_so_and_nothing_is_stored() {
    let ingest = ingest(&[]).await;
    let run = doctor(ingest.url(), "acme_gate_01", SECRET).await;
    assert_eq!(run.code, 0, "{run:?}");
    for line in ["reach\tok\ttelemetry-ingest, store memory", "clock\tok\t", "key\tok\tacme_gate_01 signs"] {
        assert!(run.stdout.contains(line), "{line}: {run:?}");
    }
    let metrics = reqwest::get(format!("{}/metrics", ingest.url())).await.unwrap().text().await.unwrap();
    assert!(metrics.contains("seatpilot_ingest_accepted_total{tenant=\"acme\"} 0"), "{metrics}");
}

#[tokio::test]
async fn what_is_wrong_is_named_and_the_exit_code_is_1() {
    let ingest = ingest(&[]).await;
    for (key_id, secret, why) in [
        ("acme_gate_01", OTHER, "acme_gate_01 is unknown or revoked there, or the secret is another one"),
        ("acme_gate_02", SECRET, "acme_gate_02 is unknown or revoked there, or the secret is another one"),
    ] {
        let run = doctor(ingest.url(), key_id, secret).await;
        assert_eq!(run.code, 1, "{run:?}");
        assert!(run.stderr.contains(why), "{run:?}");
        assert!(!run.stdout.contains(secret) && !run.stderr.contains(secret));
    }
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let run = doctor(&format!("http://{nobody}"), "acme_gate_01", SECRET).await;
    assert_eq!(run.code, 1);
    assert!(run.stderr.contains("reach: "), "{run:?}");
}
