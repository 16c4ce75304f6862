//! The refresher's beat, and the backlogs that it sees.

use std::collections::{BTreeSet, HashMap};

use seatpilot_domain_model::{Entitlement, Feature, Limit, LimitKind, View};
use seatpilot_metrics_api::{Backlog, Metrics, RefreshedAs, TENANTS_MAX};

use crate::scrape::{Scrape, tenant};

fn backlog(name: &str, dlq_rows: u64, dlq_oldest_seconds: f64, key_age_seconds: f64) -> Backlog {
    Backlog { tenant: tenant(name), dlq_rows, dlq_oldest_seconds, key_age_seconds }
}

fn shown(metrics: &Metrics, tenant: &str) -> [f64; 3] {
    let scrape = Scrape::of(metrics);
    ["seatpilot_dlq_rows", "seatpilot_dlq_oldest_age_seconds", "seatpilot_key_age_seconds"]
        .map(|family| scrape.value(family, &[("tenant", tenant)]))
}

#[test]
fn a_tenant_has_no_backlog_before_somebody_looked() {
    let metrics = Metrics::new("kpi-refresher", "1.2.3");
    metrics.refresher();
    metrics.set_tenants(&[tenant("acme")]);
    let scrape = Scrape::of(&metrics);
    for family in ["seatpilot_dlq_rows", "seatpilot_dlq_oldest_age_seconds", "seatpilot_key_age_seconds"] {
        let tenants: Vec<_> = scrape.named(family).map(|sample| sample.labels["tenant"].clone()).collect();
        assert_eq!(tenants, ["other"], "{family}");
    }
}

#[test]
fn a_backlog_is_shown_as_it_was_seen_and_goes_with_its_tenant() {
    let metrics = Metrics::new("kpi-refresher", "1.2.3");
    let refresher = metrics.refresher();
    // Ages over a day are ages, not faults of a clock.
    let old = 100.0 * 86_400.0;
    refresher.set_backlogs(&[backlog("acme", 7, 90.5, old), backlog("globex", 0, 0.0, 0.0)]);
    assert_eq!(shown(&metrics, "acme"), [7.0, 90.5, old]);
    assert_eq!(shown(&metrics, "globex"), [0.0; 3]);
    refresher.set_backlogs(&[backlog("acme", 0, -1.0, f64::NAN)]);
    assert_eq!(shown(&metrics, "acme"), [0.0; 3]);
    assert_eq!(Scrape::of(&metrics).label_values("tenant"), BTreeSet::from(["acme", "other"]));
}

#[test]
fn tenants_beyond_the_bound_are_shown_together() {
    let metrics = Metrics::new("kpi-refresher", "1.2.3");
    let refresher = metrics.refresher();
    let all: Vec<Backlog> = (0..TENANTS_MAX + 3)
        .map(|number| backlog(&format!("t{number:04}"), 2, number as f64, 1000.0 - number as f64))
        .chain([backlog("other", 1, 0.0, 0.0)])
        .collect();
    for _ in 0..2 {
        refresher.set_backlogs(&all);
        assert_eq!(Scrape::of(&metrics).named("seatpilot_dlq_rows").count(), TENANTS_MAX + 1);
        assert_eq!(shown(&metrics, "t0000"), [2.0, 0.0, 1000.0]);
        assert_eq!(shown(&metrics, "other"), [7.0, 202.0, 800.0]);
    }
    // Who goes makes room.
    refresher.set_backlogs(&all[100..]);
    assert_eq!(shown(&metrics, "t0202"), [2.0, 202.0, 798.0]);
    assert_eq!(shown(&metrics, "other"), [1.0, 0.0, 0.0]);
}

#[test]
fn each_refresh_counts_under_its_view_and_outcome() {
    let metrics = Metrics::new("kpi-refresher", "1.2.3");
    let refresher = metrics.refresher();
    for (at, outcome) in RefreshedAs::ALL.iter().enumerate() {
        for _ in 0..=at {
            refresher.count(View::DoorToSeat, *outcome);
        }
    }
    let scrape = Scrape::of(&metrics);
    for (at, outcome) in ["ok", "busy", "failed", "unanswered"].iter().enumerate() {
        let of = |view: View| [("view", view.as_str()), ("outcome", *outcome)];
        let name = "seatpilot_kpi_refreshes_total";
        assert_eq!(scrape.value(name, &of(View::DoorToSeat)), at as f64 + 1.0, "{outcome}");
        assert_eq!(scrape.value(name, &of(View::Checkin)), 0.0, "{outcome}");
    }
}

fn entitled(feature: Feature, limit: Option<u64>, used: u64) -> Entitlement {
    Entitlement {
        feature,
        enabled: true,
        value: None,
        limit: limit.map(|quantity| Limit { quantity, kind: LimitKind::Soft }),
        used,
        period: "2026-03".parse().unwrap(),
        resets_at: jiff::Timestamp::UNIX_EPOCH,
    }
}

#[test]
fn what_is_used_of_a_plan_is_shown_and_a_tenant_that_is_gone_is_forgotten() {
    let metrics = Metrics::new("kpi-refresher", "1.2.3");
    let usage = metrics.usage();
    let plan = vec![
        entitled(Feature::Events, Some(100), 7),
        entitled(Feature::Routes, None, 3),
        entitled(Feature::DataDays, None, 0),
    ];
    usage.set(&HashMap::from([("acme".parse().unwrap(), plan)]));
    let page = metrics.render();
    for line in [
        r#"seatpilot_billing_used_units{feature="events",tenant="acme"} 7"#,
        r#"seatpilot_billing_limit_units{feature="events",tenant="acme"} 100"#,
        r#"seatpilot_billing_limit_units{feature="routes",tenant="acme"} inf"#,
        r#"seatpilot_billing_used_units{feature="events",tenant="other"} 0"#,
    ] {
        assert!(page.lines().any(|found| found == line), "{line} is not in\n{page}");
    }
    assert!(!page.contains("data_days"));
    usage.set(&HashMap::new());
    assert!(!metrics.render().contains(r#"tenant="acme""#));
}

#[test]
fn ten_thousand_tenants_leave_as_many_series_as_the_bound_allows() {
    let metrics = Metrics::new("kpi-refresher", "1.2.3");
    let all = (0..10_000)
        .map(|n| {
            (
                format!("t{n}").parse().unwrap(),
                Feature::METERED.iter().map(|f| entitled(*f, Some(1), 1)).collect(),
            )
        })
        .collect();
    metrics.usage().set(&all);
    let page = metrics.render();
    let series = page.lines().filter(|line| line.starts_with("seatpilot_billing_")).count();
    assert_eq!(series, 2 * 6 * (TENANTS_MAX + 1));
    assert!(page.contains(&format!(
        r#"seatpilot_billing_used_units{{feature="events",tenant="other"}} {}"#,
        10_000 - TENANTS_MAX
    )));
}
