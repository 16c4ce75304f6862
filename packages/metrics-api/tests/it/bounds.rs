//! Nobody outside can make series, and no text breaks a scrape.

use std::collections::BTreeSet;

use seatpilot_domain_model::{Channel, CountedOnly, Outcome, Stage};
use seatpilot_metrics_api::{Assigned, HTTP_SERIES_MAX, Metrics, TENANTS_MAX};

use crate::scrape::{Scrape, everything, tenant};

#[test]
fn a_hundred_thousand_hostile_label_values_leave_at_most_5000_series() {
    let metrics = everything(&["acme", "globex", "initech"]);
    metrics.http().add_routes([("GET", "/health", 200), ("POST", "/observe/checkin", 204)]);
    let (checkin, arrivals, ingest, seating) =
        (metrics.checkin(), metrics.arrivals(), metrics.ingest(), metrics.seating());
    for number in 0..100_000u32 {
        let channel = Channel::ALL[number as usize % Channel::ALL.len()];
        let hostile = tenant(&format!("t{number}"));
        checkin.of(&hostile, channel).observe(0.1);
        checkin.of(&hostile, channel).observe_stage(Stage::Parse, 0.1);
        arrivals.observe(&hostile, channel, f64::from(number));
        ingest.count(&hostile, Outcome::Accepted);
        ingest.refuse(None, CountedOnly::UnknownKey);
        seating.observe(&hostile, channel, 0.1, Assigned::ByHand);
        let (method, path) = (format!("M{number}"), format!("/{number}"));
        metrics.http().observe(&method, Some(&path), (number % 1000) as u16, 0.1);
        metrics.http().observe("GET", Some("/health"), (number % 1000) as u16, 0.1);
    }
    let text = metrics.render();
    let scrape = Scrape::read(&text);
    assert!(scrape.samples.len() <= 5_000, "{} series", scrape.samples.len());
    assert!(text.len() <= 1 << 20, "{} bytes", text.len());
    assert_eq!(scrape.label_values("tenant"), BTreeSet::from(["acme", "globex", "initech", "other"]));
    let observed: f64 = scrape.named("http_request_duration_seconds_count").map(|sample| sample.value).sum();
    assert_eq!(observed, 200_000.0, "none is lost");
    let other = scrape.value("seatpilot_ingest_accepted_total", &[("tenant", "other")]);
    assert_eq!(other, 100_000.0);
}

#[test]
fn combinations_beyond_the_bound_keep_their_status_class() {
    let metrics = Metrics::new("checkin", "1.2.3");
    for status in 100..600 {
        metrics.http().observe("GET", None, status, 0.1);
    }
    metrics.http().observe("GET", None, 503, 0.1);
    let scrape = Scrape::of(&metrics);
    assert!(scrape.named("http_request_duration_seconds_count").count() <= HTTP_SERIES_MAX + 5);
    let beyond = [("method", "OTHER"), ("route", "other"), ("status", "500")];
    assert_eq!(scrape.value("http_request_duration_seconds_count", &beyond), 101.0);
}

#[test]
fn tenants_beyond_the_bound_share_a_series() {
    let names: Vec<String> = (0..TENANTS_MAX + 50).map(|number| format!("t{number:04}")).collect();
    let metrics = Metrics::new("telemetry-ingest", "1.2.3");
    metrics.set_tenants(&names[..10].iter().map(|name| tenant(name)).collect::<Vec<_>>());
    let ingest = metrics.ingest();
    metrics.set_tenants(&names.iter().map(|name| tenant(name)).collect::<Vec<_>>());
    for name in &names {
        ingest.count(&tenant(name), Outcome::Accepted);
    }
    let scrape = Scrape::of(&metrics);
    assert_eq!(scrape.named("seatpilot_ingest_accepted_total").count(), TENANTS_MAX + 1);
    assert_eq!(scrape.value("seatpilot_ingest_accepted_total", &[("tenant", "other")]), 50.0);
    assert_eq!(scrape.value("seatpilot_ingest_accepted_total", &[("tenant", "t0000")]), 1.0);
}

#[test]
fn a_tenant_that_is_called_other_is_counted_once() {
    let metrics = everything(&["other", "acme"]);
    metrics.checkin().of(&tenant("other"), Channel::Desk).observe(0.1);
    let labels = [("tenant", "other"), ("channel", "desk")];
    let scrape = Scrape::of(&metrics);
    assert_eq!(scrape.value("seatpilot_checkin_latency_ms_count", &labels), 1.0);
    assert_eq!(scrape.value("seatpilot_checkin_latency_seconds_count", &labels), 1.0);
}

#[test]
fn quotes_backslashes_and_line_ends_in_a_label_are_escaped() {
    let hostile = "a\"b\\c\nd{e=\"f\"} 1";
    let metrics = Metrics::new(hostile, "席\u{0}");
    let scrape = Scrape::of(&metrics);
    assert_eq!(scrape.value("seatpilot_build_info", &[("service", hostile), ("version", "席\u{0}")]), 1.0);
}
