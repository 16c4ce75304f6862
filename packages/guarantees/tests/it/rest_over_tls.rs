//! Supabase's REST interface is always behind TLS: the store believes the authorities of the machine, and nobody else.

use std::time::Duration;

use seatpilot_guarantees::{Sender, TlsFront};
use seatpilot_testkit::{Binary, Evening, PostgRest};
use tempfile::TempDir;

/// telemetry-ingest over REST at that address, with the authorities of that file where there is one.
fn ingest(rest: &PostgRest, url: &str, authorities: Option<&TlsFront>) -> Binary {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    let mut variables = vec![
        ("PORT", &*port),
        ("SUPABASE_URL", url),
        ("SUPABASE_SERVICE_ROLE_KEY", rest.secret_key()),
        ("SEATPILOT_DRAIN_MS", "0"),
    ];
    let file = authorities.map(|front| front.authority.to_string_lossy().into_owned());
    if let Some(file) = &file {
        variables.push(("SSL_CERT_FILE", file));
    }
    Binary::spawn("telemetry-ingest", &variables)
}

async fn stand_in(evening: &Evening) -> (PostgRest, String, TempDir) {
    let rest = PostgRest::before(&evening.db).await;
    let behind = rest.url().trim_start_matches("http://").trim_end_matches('/').to_owned();
    (rest, behind, tempfile::tempdir().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_go_over_tls_to_a_server_that_an_authority_of_this_machine_vouches_for() {
    let evening = Evening::of(0).await;
    let (rest, behind, folder) = stand_in(&evening).await;
    let front = TlsFront::before(&behind, "localhost", folder.path()).await;
    let mut ingest = ingest(&rest, &format!("https://localhost:{}", front.port), Some(&front));
    ingest.ready().await;
    let sender = Sender::new(ingest.url(), &evening.key_id, &evening.key_secret, "hall");
    for _ in 0..5 {
        assert_eq!(sender.send(20, 1).await, 202, "{}", ingest.output());
    }
    assert_eq!(evening.count("select count(*) from telemetry.events_raw").await, 100);
    assert_eq!(evening.count("select count(*) from telemetry.events_dlq").await, 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_of_another_name_or_of_an_authority_that_nobody_knows_is_told_nothing() {
    let evening = Evening::of(0).await;
    let (rest, behind, folder) = stand_in(&evening).await;
    let ours = TlsFront::before(&behind, "localhost", folder.path()).await;
    let other_name = TlsFront::before(&behind, "evil.example", folder.path()).await;
    for (front, authorities) in [(&ours, None), (&ours, Some(&other_name)), (&other_name, Some(&other_name))]
    {
        let ingest = ingest(&rest, &format!("https://localhost:{}", front.port), authorities);
        let began = std::time::Instant::now();
        while !ingest.output().contains("certificate") {
            assert!(began.elapsed() < Duration::from_secs(20), "it does not say why: {}", ingest.output());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let ready = reqwest::get(format!("{}/ready", ingest.url())).await.unwrap();
        assert_eq!(ready.status(), 503);
        assert!(!ingest.output().contains(rest.secret_key()), "{}", ingest.output());
    }
    assert!(rest.called().is_empty(), "{:?}", rest.called());
}
