//! Every family of a process is there before anything happened.

use seatpilot_domain_model::{Channel, CountedOnly, RejectReason, Stage, View};
use seatpilot_metrics_api::{Kind, Metrics, StoreKind, families};

use crate::scrape::{Scrape, everything, tenant};

#[test]
fn every_family_is_on_the_first_scrape_with_its_type_and_help() {
    for scrape in [Scrape::of(&everything(&["acme"])), Scrape::of(&everything(&[]))] {
        for family in families::ALL {
            assert_eq!(
                scrape.types.get(family.name).map(String::as_str),
                Some(family.kind.as_str()),
                "{}",
                family.name
            );
            assert_eq!(
                scrape.helps.get(family.name).map(String::as_str),
                Some(family.help),
                "{}",
                family.name
            );
            let sample = match family.kind {
                Kind::Counter | Kind::Gauge => family.name.to_owned(),
                Kind::Histogram | Kind::Summary => format!("{}_count", family.name),
            };
            let samples: Vec<_> = scrape.named(&sample).collect();
            assert!(!samples.is_empty(), "{sample}");
            for sample in samples {
                let labels: Vec<&str> = sample.labels.keys().map(String::as_str).collect();
                let mut expected = family.labels.to_vec();
                expected.sort_unstable();
                assert_eq!(labels, expected, "{}", family.name);
                if family.kind != Kind::Gauge {
                    assert_eq!(sample.value, 0.0, "{sample:?}");
                }
            }
        }
    }
}

#[test]
fn counters_and_histograms_are_at_0_for_each_tenant_and_closed_word() {
    let scrape = Scrape::of(&everything(&["acme", "globex"]));
    for tenant in ["acme", "globex", "other"] {
        for channel in Channel::ALL.iter().map(|channel| channel.as_str()) {
            let labels = [("tenant", tenant), ("channel", channel)];
            for family in [
                "seatpilot_checkin_latency_ms_count",
                "seatpilot_checkin_latency_seconds_count",
                "seatpilot_door_to_seat_seconds_count",
                "seatpilot_assign_duration_ms_histogram_count",
            ] {
                assert_eq!(scrape.value(family, &labels), 0.0);
            }
            for stage in Stage::ALL {
                let labels = [("stage", stage.as_str()), ("tenant", tenant), ("channel", channel)];
                assert_eq!(scrape.value("seatpilot_checkin_stage_seconds_count", &labels), 0.0);
            }
        }
        let reasons = RejectReason::ALL.iter().map(|reason| reason.as_str());
        for reason in reasons.chain(CountedOnly::ALL.iter().map(|reason| reason.as_str())) {
            let labels = [("tenant", tenant), ("reason", reason)];
            assert_eq!(scrape.value("seatpilot_ingest_rejected_total", &labels), 0.0);
        }
        for family in [
            "seatpilot_ingest_accepted_total",
            "seatpilot_ingest_duplicate_total",
            "seatpilot_door_to_seat_outliers_total",
        ] {
            assert_eq!(scrape.value(family, &[("tenant", tenant)]), 0.0);
        }
    }
    for view in View::ALL {
        assert_eq!(scrape.value("seatpilot_mv_lag_seconds", &[("view", view.as_str())]), 0.0);
    }
}

#[test]
fn the_edges_that_alerts_read_are_exact() {
    let scrape = Scrape::of(&everything(&["acme"]));
    for (family, edges) in [
        ("seatpilot_checkin_latency_seconds_bucket", vec!["0.3", "0.4", "+Inf"]),
        ("seatpilot_door_to_seat_seconds_bucket", vec!["30", "60", "900", "+Inf"]),
    ] {
        for edge in edges {
            scrape.value(family, &[("tenant", "acme"), ("channel", "kiosk"), ("le", edge)]);
        }
    }
    for family in families::ALL {
        assert!(family.buckets.len() <= 14, "{}", family.name);
        assert!(family.buckets.is_sorted_by(|one, next| one < next), "{}", family.name);
    }
}

#[test]
fn a_process_shows_only_what_it_asked_for() {
    let metrics = Metrics::new("wayfinding", "1.2.3");
    metrics.arrivals();
    let scrape = Scrape::of(&metrics);
    let own: Vec<&str> =
        scrape.types.keys().map(String::as_str).filter(|name| !name.starts_with("process_")).collect();
    assert_eq!(
        own,
        [
            "http_request_duration_seconds",
            "seatpilot_build_info",
            "seatpilot_door_to_seat_outliers_total",
            "seatpilot_door_to_seat_seconds",
            "seatpilot_overloaded_total",
        ]
    );
    assert_eq!(scrape.value("seatpilot_build_info", &[("service", "wayfinding"), ("version", "1.2.3")]), 1.0);
}

#[test]
fn a_tenant_that_comes_later_is_there_at_0_whichever_came_first() {
    let metrics = Metrics::new("checkin", "1.2.3");
    metrics.set_tenants(&[tenant("early")]);
    metrics.checkin();
    metrics.set_tenants(&[tenant("early"), tenant("late")]);
    let scrape = Scrape::of(&metrics);
    for tenant in ["early", "late"] {
        let labels = [("tenant", tenant), ("channel", "desk")];
        assert_eq!(scrape.value("seatpilot_checkin_latency_seconds_count", &labels), 0.0);
    }
}

#[test]
fn a_group_that_is_asked_for_twice_is_one() {
    let metrics = Metrics::new("checkin", "1.2.3");
    metrics.checkin().of(&tenant("acme"), Channel::Desk).observe(0.1);
    metrics.checkin().of(&tenant("acme"), Channel::Desk).observe(0.1);
    let labels = [("tenant", "other"), ("channel", "desk")];
    assert_eq!(Scrape::of(&metrics).value("seatpilot_checkin_latency_seconds_count", &labels), 2.0);
}

#[test]
fn the_store_info_names_the_kind_in_use_only() {
    let metrics = Metrics::new("checkin", "1.2.3");
    metrics.set_store(StoreKind::Memory);
    metrics.set_store(StoreKind::Supabase);
    let scrape = Scrape::of(&metrics);
    assert_eq!(scrape.named("seatpilot_store_info").count(), 1);
    assert_eq!(scrape.value("seatpilot_store_info", &[("kind", "supabase")]), 1.0);
}

#[cfg(target_os = "linux")]
#[test]
fn memory_cpu_and_files_of_the_process_are_shown() {
    let scrape = Scrape::of(&Metrics::new("checkin", "1.2.3"));
    assert!(scrape.value("process_resident_memory_bytes", &[]) > 0.0);
    assert!(scrape.value("process_open_fds", &[]) > 0.0);
    assert!(scrape.value("process_start_time_seconds", &[]) > 0.0);
}
