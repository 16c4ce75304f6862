//! What balancers and scrapers see.

use serde_json::Value;

use crate::running::{Running, value};

/// Every family of the contract's section 5, and its type.
const CONTRACT: [(&str, &str); 13] = [
    ("seatpilot_checkin_latency_ms", "summary"),
    ("seatpilot_checkin_latency_seconds", "histogram"),
    ("seatpilot_checkin_stage_seconds", "histogram"),
    ("seatpilot_door_to_seat_seconds", "histogram"),
    ("seatpilot_door_to_seat_outliers_total", "counter"),
    ("seatpilot_ingest_accepted_total", "counter"),
    ("seatpilot_ingest_duplicate_total", "counter"),
    ("seatpilot_ingest_rejected_total", "counter"),
    ("seatpilot_mv_lag_seconds", "gauge"),
    ("seatpilot_assign_duration_ms_histogram", "histogram"),
    ("seatpilot_assign_feasible_ratio", "gauge"),
    ("http_request_duration_seconds", "histogram"),
    ("seatpilot_store_info", "gauge"),
];

#[tokio::test]
async fn every_family_of_the_contract_is_on_the_first_scrape() {
    for app in [Running::start(), Running::start_with(&[])] {
        let metrics = app.metrics().await;
        for (family, kind) in CONTRACT {
            assert!(metrics.contains(&format!("# TYPE {family} {kind}\n")), "{family}");
            assert!(metrics.lines().any(|line| line.starts_with(family)), "{family} has a series");
        }
        assert_eq!(value(&metrics, "seatpilot_store_info{kind=\"memory\"}"), Some(1.0));
    }
}

#[tokio::test]
async fn it_is_ready_without_a_database() {
    let app = Running::start();
    let (status, body) = app.get("/ready").await;
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status, &body["status"], &body["service"]), (200, &"ready".into(), &"metrics-api".into()));
}

#[tokio::test]
async fn health_has_two_names() {
    let app = Running::start();
    for path in ["/health", "/healthz"] {
        let (status, body) = app.get(path).await;
        let body: Value = serde_json::from_str(&body).unwrap();
        assert_eq!((status, &body["status"], &body["service"]), (200, &"ok".into(), &"metrics-api".into()));
        assert!(body["version"].is_string());
    }
}

#[tokio::test]
async fn other_paths_and_methods_are_problems() {
    let app = Running::start();
    assert_eq!(app.get("/observe/nothing").await.0, 404);
    assert_eq!(app.get("/observe/checkin").await.0, 405);
    assert_eq!(app.observe("", "{}").await.0, 404);
}

#[tokio::test]
async fn requests_are_observed_by_route() {
    let app = Running::start();
    app.observe("mv-lag", r#"{"view":"mv_kpi_checkin","seconds":1}"#).await;
    let series =
        "http_request_duration_seconds_count{method=\"POST\",route=\"/observe/mv-lag\",status=\"204\"}";
    assert_eq!(app.value(series).await, Some(1.0));
}

#[tokio::test]
async fn it_says_no_from_the_signal_on() {
    let app = Running::start();
    app.get("/ready").await;
    app.shutdown.begin();
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    assert_eq!(app.get("/ready").await.0, 503);
}
