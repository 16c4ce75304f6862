//! What the service tells about itself, and what it never tells.

use seatpilot_domain_model::{CountedOnly, RejectReason};

use crate::service::Service;

#[tokio::test]
async fn every_series_of_a_tenant_is_there_at_0_before_its_first_event() {
    let service = Service::start().await;
    let second = service.second().await;
    let began = std::time::Instant::now();
    loop {
        let metrics =
            service.client.get(format!("{second}/metrics")).send().await.unwrap().text().await.unwrap();
        let tenants = ["acme", "other"];
        let reasons = RejectReason::ALL.iter().map(|reason| reason.as_str());
        let reasons: Vec<&str> =
            reasons.chain(CountedOnly::ALL.iter().map(|reason| reason.as_str())).collect();
        let wanted = tenants.iter().flat_map(|tenant| {
            let rejected = reasons.iter().map(move |reason| {
                format!("seatpilot_ingest_rejected_total{{reason=\"{reason}\",tenant=\"{tenant}\"}} 0\n")
            });
            rejected.chain([
                format!("seatpilot_ingest_accepted_total{{tenant=\"{tenant}\"}} 0\n"),
                format!("seatpilot_ingest_duplicate_total{{tenant=\"{tenant}\"}} 0\n"),
            ])
        });
        let missing: Vec<String> = wanted.filter(|series| !metrics.contains(series)).collect();
        if missing.is_empty() {
            assert!(metrics.contains("seatpilot_store_info{kind=\"postgres\"} 1"));
            return;
        }
        assert!(began.elapsed() < std::time::Duration::from_secs(5), "{missing:?}");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn the_probes_answer() {
    let service = Service::start().await;
    let health = service.get("/health").await.json();
    assert_eq!((&health["status"], &health["service"]), (&"ok".into(), &"telemetry-ingest".into()));
    let ready = service.get("/ready").await.json();
    assert_eq!((&ready["status"], &ready["store"]), (&"ready".into(), &"postgres".into()));
    assert!(ready["schema_version"].is_string());
}
