//! What is observed is what is shown, once.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use seatpilot_domain_model::{Channel, CountedOnly, Outcome, RejectReason, Stage, View};
use seatpilot_metrics_api::{Assigned, CheckinSeries, CountedAs, PoolReading, RejectedFor};

use crate::scrape::{Scrape, everything, tenant};

const KIOSK: [(&str, &str); 2] = [("tenant", "acme"), ("channel", "kiosk")];

#[test]
fn a_scan_is_counted_as_its_parts_are_one_by_one() {
    let seconds = [0.000_4, 0.002, 0.03, 0.033];
    let shown = |observe: &dyn Fn(&CheckinSeries)| {
        let metrics = everything(&["acme"]);
        observe(&metrics.checkin().of(&tenant("acme"), Channel::Kiosk));
        let text = metrics.render();
        text.lines().filter(|line| line.starts_with("seatpilot_checkin_")).collect::<Vec<_>>().join("\n")
    };
    let stages = |series: &CheckinSeries| {
        Stage::ALL.iter().zip(seconds).for_each(|(stage, seconds)| series.observe_stage(*stage, seconds));
    };
    let refused = shown(&|series| series.observe_scan(Instant::now(), seconds, None));
    assert_eq!(refused, shown(&stages));
    let admitted = shown(&|series| series.observe_scan(Instant::now(), seconds, Some(seconds[3])));
    let one_by_one = shown(&|series| {
        stages(series);
        series.observe(seconds[3]);
    });
    assert_eq!(admitted, one_by_one);
    assert_ne!(admitted, refused);
}

#[test]
fn a_check_in_is_in_histogram_and_summary() {
    let metrics = everything(&["acme"]);
    let series = metrics.checkin().of(&tenant("acme"), Channel::Kiosk);
    series.observe(0.3);
    series.observe(0.300_001);
    series.observe_stage(Stage::Persist, 0.02);
    let scrape = Scrape::of(&metrics);
    let bucket = |edge| {
        let labels = [KIOSK[0], KIOSK[1], ("le", edge)];
        scrape.value("seatpilot_checkin_latency_seconds_bucket", &labels)
    };
    assert_eq!((bucket("0.2"), bucket("0.3"), bucket("0.4"), bucket("+Inf")), (0.0, 1.0, 2.0, 2.0));
    assert_eq!(scrape.value("seatpilot_checkin_latency_ms_count", &KIOSK), 2.0);
    assert!((scrape.value("seatpilot_checkin_latency_ms_sum", &KIOSK) - 600.001).abs() < 1e-6);
    let stage = |stage| {
        let labels = [KIOSK[0], KIOSK[1], ("stage", stage)];
        scrape.value("seatpilot_checkin_stage_seconds_count", &labels)
    };
    assert_eq!((stage("parse"), stage("lookup"), stage("persist"), stage("total")), (0.0, 0.0, 1.0, 0.0));
}

#[test]
fn an_arrival_over_900_s_is_counted_and_kept_out_of_the_histogram() {
    let metrics = everything(&["acme"]);
    for seconds in [0.0, 900.0, 900.001, 86_400.0] {
        metrics.arrivals().observe(&tenant("acme"), Channel::Kiosk, seconds);
    }
    let scrape = Scrape::of(&metrics);
    assert_eq!(scrape.value("seatpilot_door_to_seat_seconds_count", &KIOSK), 2.0);
    assert_eq!(scrape.value("seatpilot_door_to_seat_seconds_sum", &KIOSK), 900.0);
    let at_900 = [KIOSK[0], KIOSK[1], ("le", "900")];
    assert_eq!(scrape.value("seatpilot_door_to_seat_seconds_bucket", &at_900), 2.0);
    assert_eq!(scrape.value("seatpilot_door_to_seat_outliers_total", &[("tenant", "acme")]), 2.0);
}

#[test]
fn each_outcome_is_counted_under_its_own_reason() {
    let metrics = everything(&["acme"]);
    let (ingest, acme) = (metrics.ingest(), tenant("acme"));
    ingest.count(&acme, Outcome::Accepted);
    ingest.count(&acme, Outcome::Duplicate);
    for (times, reason) in RejectedFor::all().enumerate() {
        ingest.add(&acme, CountedAs::Rejected(reason), times as u64 + 1);
    }
    ingest.count(&acme, Outcome::Rejected(RejectReason::JsonSyntax));
    ingest.refuse(Some(&acme), CountedOnly::RateLimited);
    ingest.refuse(None, CountedOnly::UnknownKey);
    let scrape = Scrape::of(&metrics);
    let rejected = |tenant, reason| {
        scrape.value("seatpilot_ingest_rejected_total", &[("tenant", tenant), ("reason", reason)])
    };
    for (times, reason) in RejectedFor::all().enumerate() {
        let again = matches!(reason.as_str(), "json_syntax" | "rate_limited");
        assert_eq!(rejected("acme", reason.as_str()), (times + 1 + usize::from(again)) as f64, "{reason:?}");
        assert_eq!(reason.as_str().parse(), Ok(reason));
    }
    assert_eq!(rejected("other", "unknown_key"), 1.0);
    assert_eq!(scrape.value("seatpilot_ingest_accepted_total", &[("tenant", "acme")]), 1.0);
    assert_eq!(scrape.value("seatpilot_ingest_duplicate_total", &[("tenant", "acme")]), 1.0);
}

#[test]
fn a_views_lag_is_set_under_its_name() {
    let metrics = everything(&[]);
    metrics.kpi().set_lag(View::DoorToSeat, 12.5);
    let scrape = Scrape::of(&metrics);
    assert_eq!(scrape.value("seatpilot_mv_lag_seconds", &[("view", "mv_kpi_door2seat")]), 12.5);
    assert_eq!(scrape.value("seatpilot_mv_lag_seconds", &[("view", "mv_kpi_checkin")]), 0.0);
}

#[test]
fn a_seating_decision_is_in_milliseconds() {
    let metrics = everything(&["acme"]);
    metrics.seating().observe(&tenant("acme"), Channel::Kiosk, 0.012, Assigned::Automatically);
    let sum = Scrape::of(&metrics).value("seatpilot_assign_duration_ms_histogram_sum", &KIOSK);
    assert!((sum - 12.0).abs() < 1e-9, "{sum}");
}

#[test]
fn writers_and_pools_show_how_full_they_are() {
    let metrics = everything(&[]);
    let waiting = Arc::new(AtomicUsize::new(3));
    let read = Arc::clone(&waiting);
    let writer = metrics.writer("arrival", move || read.load(Ordering::Relaxed));
    writer.set_queue_capacity(512);
    writer.observe_flush(3, 0.004);
    metrics.watch_pool("read", || PoolReading { idle: 1, in_use: 2, max: 4, waiting: 5 });
    // While no batch gets through nobody tells of the queue: it is looked at.
    waiting.store(7, Ordering::Relaxed);
    let scrape = Scrape::of(&metrics);
    let writer = [("writer", "arrival")];
    assert_eq!(scrape.value("seatpilot_writer_queue_depth", &writer), 7.0);
    assert_eq!(scrape.value("seatpilot_writer_queue_capacity", &writer), 512.0);
    assert_eq!(scrape.value("seatpilot_writer_batch_rows_sum", &writer), 3.0);
    assert_eq!(scrape.value("seatpilot_writer_flush_seconds_sum", &writer), 0.004);
    let connections =
        |state| scrape.value("seatpilot_db_pool_connections", &[("pool", "read"), ("state", state)]);
    assert_eq!((connections("idle"), connections("in_use")), (1.0, 2.0));
    assert_eq!(scrape.value("seatpilot_db_pool_connections_max", &[("pool", "read")]), 4.0);
    assert_eq!(scrape.value("seatpilot_db_pool_waiting", &[("pool", "read")]), 5.0);
}

#[test]
fn no_duration_spoils_a_sum() {
    let metrics = everything(&["acme"]);
    let series = metrics.checkin().of(&tenant("acme"), Channel::Kiosk);
    for seconds in [f64::NAN, f64::NEG_INFINITY, -1.0, f64::INFINITY, 1e300] {
        series.observe(seconds);
        series.observe_stage(Stage::Total, seconds);
        metrics.seating().observe(&tenant("acme"), Channel::Kiosk, seconds, Assigned::ByHand);
        metrics.arrivals().observe(&tenant("acme"), Channel::Kiosk, seconds);
        metrics.http().observe("GET", None, 404, seconds);
        metrics.kpi().set_lag(View::Checkin, seconds);
    }
    let sums = Scrape::of(&metrics);
    for sample in sums.samples.iter().filter(|sample| sample.name.ends_with("_sum")) {
        assert!(sample.value.is_finite() && sample.value >= 0.0, "{sample:?}");
    }
    assert_eq!(sums.value("seatpilot_checkin_latency_seconds_sum", &KIOSK), 2.0 * 86_400.0);
}

#[test]
fn a_request_is_observed_under_method_template_and_status() {
    let metrics = everything(&[]);
    let http = metrics.http();
    http.add_routes([("POST", "/api/checkin/success", 201), ("GET", "/health", 200)]);
    http.observe("POST", Some("/api/checkin/success"), 201, 0.01);
    http.observe("POST", Some("/api/checkin/success"), 403, 0.01);
    http.observe("GET", Some("/never/registered"), 200, 0.01);
    http.observe("BREW", None, 404, 0.01);
    let scrape = Scrape::of(&metrics);
    let count = |method, route, status| {
        let labels = [("method", method), ("route", route), ("status", status)];
        scrape.value("http_request_duration_seconds_count", &labels)
    };
    assert_eq!(count("POST", "/api/checkin/success", "201"), 1.0);
    assert_eq!(count("POST", "/api/checkin/success", "403"), 1.0);
    assert_eq!(count("GET", "/health", "200"), 0.0);
    assert_eq!(count("GET", "unmatched", "200"), 1.0);
    assert_eq!(count("OTHER", "unmatched", "404"), 1.0);
    // A counter that is born with its first fault hides that fault from every rate.
    for status in ["500", "503"] {
        assert_eq!(count("POST", "/api/checkin/success", status), 0.0);
    }
    assert_eq!(scrape.value("seatpilot_overloaded_total", &[]), 0.0);
    http.count_overloaded();
    assert_eq!(Scrape::of(&metrics).value("seatpilot_overloaded_total", &[]), 1.0);
}
