//! What is told is what is scraped.

use seatpilot_domain_model::{CountedOnly, RejectReason};

use crate::running::Running;

#[tokio::test]
async fn a_check_in_is_in_histogram_and_summary() {
    let app = Running::start();
    let body = r#"{"tenant":"acme","channel":"kiosk","latency_ms":350}"#;
    assert_eq!(app.observe("checkin", body).await, (204, String::new()));
    let labels = "channel=\"kiosk\",tenant=\"acme\"";
    let bucket = |edge| format!("seatpilot_checkin_latency_seconds_bucket{{{labels},le=\"{edge}\"}}");
    assert_eq!(app.value(&bucket("0.3")).await, Some(0.0));
    assert_eq!(app.value(&bucket("0.4")).await, Some(1.0));
    assert_eq!(app.value(&format!("seatpilot_checkin_latency_ms_count{{{labels}}}")).await, Some(1.0));
    let median =
        app.value(&format!("seatpilot_checkin_latency_ms{{{labels},quantile=\"0.5\"}}")).await.unwrap();
    assert!((median - 350.0).abs() < 1.0, "{median}");
}

#[tokio::test]
async fn a_stage_is_under_its_name() {
    let app = Running::start();
    let body = r#"[{"tenant":"acme","channel":"desk","stage":"persist","seconds":0.02},
                   {"tenant":"acme","channel":"desk","stage":"persist","seconds":0.03}]"#;
    assert_eq!(app.observe("checkin-stage", body).await.0, 204);
    let count = |stage| {
        format!("seatpilot_checkin_stage_seconds_count{{channel=\"desk\",stage=\"{stage}\",tenant=\"acme\"}}")
    };
    assert_eq!(app.value(&count("persist")).await, Some(2.0));
    assert_eq!(app.value(&count("total")).await, Some(0.0));
}

#[tokio::test]
async fn a_walk_over_900_s_is_an_outlier_and_not_in_the_histogram() {
    let app = Running::start();
    let body = r#"[{"tenant":"acme","channel":"mobile","seconds":900},
                   {"tenant":"acme","channel":"mobile","seconds":900.5}]"#;
    assert_eq!(app.observe("door-to-seat", body).await.0, 204);
    let labels = "channel=\"mobile\",tenant=\"acme\"";
    assert_eq!(app.value(&format!("seatpilot_door_to_seat_seconds_count{{{labels}}}")).await, Some(1.0));
    assert_eq!(app.value(&format!("seatpilot_door_to_seat_seconds_sum{{{labels}}}")).await, Some(900.0));
    assert_eq!(app.value("seatpilot_door_to_seat_outliers_total{tenant=\"acme\"}").await, Some(1.0));
}

#[tokio::test]
async fn events_are_counted_by_outcome_and_reason() {
    let app = Running::start();
    let reasons = RejectReason::ALL.iter().map(|reason| reason.as_str());
    let reasons: Vec<_> = reasons.chain(CountedOnly::ALL.iter().map(|reason| reason.as_str())).collect();
    let rejected: Vec<String> = reasons
        .iter()
        .map(|reason| format!(r#"{{"tenant":"acme","outcome":"rejected","reason":"{reason}","count":2}}"#))
        .collect();
    assert_eq!(app.observe("ingest", format!("[{}]", rejected.join(","))).await.0, 204);
    assert_eq!(app.observe("ingest", r#"{"tenant":"acme","outcome":"accepted","count":5}"#).await.0, 204);
    assert_eq!(app.observe("ingest", r#"{"tenant":"acme","outcome":"duplicate"}"#).await.0, 204);
    for reason in reasons {
        let series = format!("seatpilot_ingest_rejected_total{{reason=\"{reason}\",tenant=\"acme\"}}");
        assert_eq!(app.value(&series).await, Some(2.0), "{reason}");
    }
    assert_eq!(app.value("seatpilot_ingest_accepted_total{tenant=\"acme\"}").await, Some(5.0));
    assert_eq!(app.value("seatpilot_ingest_duplicate_total{tenant=\"acme\"}").await, Some(1.0));
}

#[tokio::test]
async fn a_lag_is_the_last_one_told() {
    let app = Running::start();
    let body = r#"[{"view":"mv_kpi_checkin","seconds":90},{"view":"mv_kpi_checkin","seconds":30.5}]"#;
    assert_eq!(app.observe("mv-lag", body).await.0, 204);
    assert_eq!(app.value("seatpilot_mv_lag_seconds{view=\"mv_kpi_checkin\"}").await, Some(30.5));
}

#[tokio::test]
async fn a_seating_decision_moves_duration_and_ratio() {
    let app = Running::start();
    let body = r#"[{"tenant":"acme","channel":"desk","duration_ms":12.5,"feasible":true},
                   {"tenant":"acme","channel":"desk","duration_ms":100,"feasible":false}]"#;
    assert_eq!(app.observe("assign", body).await.0, 204);
    let sum = "seatpilot_assign_duration_ms_histogram_sum{channel=\"desk\",tenant=\"acme\"}";
    assert_eq!(app.value(sum).await, Some(112.5));
    assert_eq!(app.value("seatpilot_assign_feasible_ratio{channel=\"desk\"}").await, Some(0.5));
    assert_eq!(app.value("seatpilot_assign_feasible_ratio{channel=\"kiosk\"}").await, Some(1.0));
}

#[tokio::test]
async fn a_tenant_that_does_not_exist_is_counted_under_other() {
    let app = Running::start();
    let body = r#"{"tenant":"nobody","channel":"kiosk","latency_ms":1}"#;
    assert_eq!(app.observe("checkin", body).await.0, 204);
    let count =
        |tenant| format!("seatpilot_checkin_latency_seconds_count{{channel=\"kiosk\",tenant=\"{tenant}\"}}");
    assert_eq!(app.value(&count("other")).await, Some(1.0));
    assert_eq!(app.value(&count("acme")).await, Some(0.0));
    assert_eq!(app.value(&count("nobody")).await, None);
}

#[tokio::test]
async fn a_hundred_thousand_tenants_leave_at_most_5000_series() {
    let app = Running::start();
    for batch in 0..100 {
        let items: Vec<String> = (0..1_000)
            .map(|at| format!(r#"{{"tenant":"t{batch}-{at}","channel":"kiosk","latency_ms":{at}}}"#))
            .collect();
        assert_eq!(app.observe("checkin", format!("[{}]", items.join(","))).await.0, 204);
    }
    for at in 0..500 {
        app.get(&format!("/nothing/{at}?x={at}")).await;
    }
    let metrics = app.metrics().await;
    let series = metrics.lines().filter(|line| !line.starts_with('#')).count();
    assert!(series <= 5_000, "{series}");
    assert!(metrics.len() <= 1 << 20, "{}", metrics.len());
    let other = "seatpilot_checkin_latency_seconds_count{channel=\"kiosk\",tenant=\"other\"}";
    assert_eq!(crate::running::value(&metrics, other), Some(100_000.0));
}
