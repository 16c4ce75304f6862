//! What looks back ten minutes, under a clock that the test turns.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use seatpilot_domain_model::Channel;
use seatpilot_metrics_api::{Assigned, Metrics};

use crate::scrape::{Scrape, fill, tenant};

struct Clock(Arc<AtomicU64>);

impl Clock {
    fn forward(&self, seconds: u64) {
        self.0.fetch_add(seconds, Ordering::Relaxed);
    }
}

fn under_a_clock() -> (Metrics, Clock) {
    let (start, passed) = (Instant::now(), Arc::new(AtomicU64::new(0)));
    let clock = Clock(Arc::clone(&passed));
    let ticks = move || start + Duration::from_secs(passed.load(Ordering::Relaxed));
    let metrics = Metrics::with_ticks("checkin", "1.2.3", ticks);
    fill(&metrics);
    metrics.set_tenants(&[tenant("acme")]);
    (metrics, clock)
}

fn summary(metrics: &Metrics, quantile: &str) -> f64 {
    let labels = [("tenant", "acme"), ("channel", "mobile"), ("quantile", quantile)];
    Scrape::of(metrics).value("seatpilot_checkin_latency_ms", &labels)
}

fn count(metrics: &Metrics) -> f64 {
    let labels = [("tenant", "acme"), ("channel", "mobile")];
    Scrape::of(metrics).value("seatpilot_checkin_latency_ms_count", &labels)
}

#[test]
fn quantiles_are_right_to_a_thousandth() {
    let (metrics, _clock) = under_a_clock();
    let series = metrics.checkin().of(&tenant("acme"), Channel::Mobile);
    // 0.1 ms to 1,000 ms.
    for step in 1..=10_000u32 {
        series.observe(f64::from(step) / 1e4);
    }
    for (quantile, expected) in [("0.5", 500.0), ("0.95", 950.0), ("0.99", 990.0)] {
        let shown = summary(&metrics, quantile);
        assert!((shown - expected).abs() <= expected * 0.002, "{quantile}: {shown}");
    }
}

#[test]
fn a_summary_forgets_after_ten_minutes_but_keeps_sum_and_count() {
    let (metrics, clock) = under_a_clock();
    let series = metrics.checkin().of(&tenant("acme"), Channel::Mobile);
    assert!(summary(&metrics, "0.5").is_nan());
    series.observe(5.0);
    clock.forward(300);
    series.observe(0.01);
    series.observe(0.01);
    series.observe(0.01);
    assert!((summary(&metrics, "0.5") - 10.0).abs() < 0.1);
    assert!((summary(&metrics, "0.99") - 5_000.0).abs() < 10.0);
    // The slow one was eleven minutes ago now.
    clock.forward(360);
    assert!((summary(&metrics, "0.99") - 10.0).abs() < 0.1);
    clock.forward(600);
    assert!(summary(&metrics, "0.99").is_nan());
    assert_eq!(count(&metrics), 4.0);
    let labels = [("tenant", "acme"), ("channel", "mobile")];
    let sum = Scrape::of(&metrics).value("seatpilot_checkin_latency_ms_sum", &labels);
    assert!((sum - 5_030.0).abs() < 1e-6);
}

#[test]
fn durations_from_a_microsecond_to_a_day_are_merged() {
    let (metrics, clock) = under_a_clock();
    let series = metrics.checkin().of(&tenant("acme"), Channel::Mobile);
    series.observe(0.0);
    clock.forward(120);
    series.observe(86_400.0);
    clock.forward(120);
    series.observe(0.000_001);
    let shown = summary(&metrics, "0.99");
    assert!((shown - 86_400_000.0).abs() <= 86_400_000.0 * 0.002, "{shown}");
    assert!(summary(&metrics, "0.5") <= 0.001);
}

#[test]
fn threads_that_record_together_lose_nothing() {
    let (metrics, _clock) = under_a_clock();
    let checkin = metrics.checkin();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..25_000 {
                    checkin.of(&tenant("acme"), Channel::Mobile).observe(0.004);
                }
            });
        }
    });
    assert_eq!(count(&metrics), 100_000.0);
}

#[test]
fn the_feasible_ratio_looks_back_ten_minutes_and_is_1_at_rest() {
    let (metrics, clock) = under_a_clock();
    let ratio =
        |channel| Scrape::of(&metrics).value("seatpilot_assign_feasible_ratio", &[("channel", channel)]);
    assert_eq!(ratio("desk"), 1.0);
    let observe = |assigned| metrics.seating().observe(&tenant("acme"), Channel::Desk, 0.01, assigned);
    observe(Assigned::ByHand);
    assert_eq!(ratio("desk"), 0.0);
    clock.forward(360);
    for _ in 0..3 {
        observe(Assigned::Automatically);
    }
    assert_eq!(ratio("desk"), 0.75);
    assert_eq!(ratio("kiosk"), 1.0);
    clock.forward(300);
    assert_eq!(ratio("desk"), 1.0);
}
