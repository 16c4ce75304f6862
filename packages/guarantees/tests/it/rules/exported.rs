//! The series that exist, with their labels: what the services export, what recording rules make of it, and what
//! comes from elsewhere.

use std::collections::{BTreeMap, BTreeSet};

use seatpilot_domain_model::{Channel, RejectReason, Stage, View};
use seatpilot_metrics_api::{Family, Kind, RefreshedAs, families};

pub(super) type Labels = BTreeSet<String>;

/// What Prometheus puts on everything that it scrapes, and `prometheus.yml` on every target.
const TARGET: [&str; 3] = ["job", "instance", "service"];

/// Series of others, each with why it is there.
const ELSEWHERE: &[(&str, &[&str])] = &[
    // Prometheus' own, of each target.
    ("up", &[]),
    // Prometheus' own, of each alert; the labels are those that the rules give it and those of its families.
    ("ALERTS", &["alertname", "alertstate", "severity", "priority", "tenant", "channel", "stage"]),
    // Of each of our processes, by the client library.
    ("process_cpu_seconds_total", &[]),
    ("process_resident_memory_bytes", &[]),
    ("process_open_fds", &[]),
    ("process_max_fds", &[]),
    ("process_start_time_seconds", &[]),
    // node_exporter: the machine.
    ("node_filesystem_avail_bytes", &["device", "fstype", "mountpoint"]),
    ("node_filesystem_size_bytes", &["device", "fstype", "mountpoint"]),
    ("node_filesystem_readonly", &["device", "fstype", "mountpoint"]),
];

/// Labels of our families, each with what bounds it.
const BOUNDED: &[(&str, &str)] = &[
    ("tenant", "200 tenants that exist, and other"),
    ("channel", "closed"),
    ("stage", "closed"),
    ("reason", "closed"),
    ("view", "closed"),
    ("outcome", "closed"),
    ("delivery", "closed"),
    ("kind", "closed"),
    ("state", "closed"),
    ("method", "seven, and OTHER"),
    ("route", "templates; 128 combinations with method and status"),
    ("status", "128 combinations with method and route"),
    ("feature", "closed"),
    ("writer", "a constant of the code"),
    ("pool", "a constant of the code"),
    ("service", "a constant of the code"),
    ("version", "a constant of the code"),
];

/// Every series there is.
pub(super) struct Exported(BTreeMap<String, Labels>);

impl Exported {
    /// What is scraped.
    pub(super) fn scraped() -> Self {
        let mut all = BTreeMap::new();
        let mut put = |name: String, labels: Vec<&str>| {
            let labels = labels.into_iter().chain(TARGET).map(str::to_owned).collect();
            assert!(all.insert(name.clone(), labels).is_none(), "{name} twice");
        };
        for family in families::ALL {
            let name = family.name;
            let labels = || family.labels.to_vec();
            match family.kind {
                Kind::Counter | Kind::Gauge => put(name.to_owned(), labels()),
                Kind::Histogram => put(format!("{name}_bucket"), [labels(), vec!["le"]].concat()),
                Kind::Summary => put(name.to_owned(), [labels(), vec!["quantile"]].concat()),
            }
            if matches!(family.kind, Kind::Histogram | Kind::Summary) {
                put(format!("{name}_sum"), labels());
                put(format!("{name}_count"), labels());
            }
        }
        for (name, labels) in ELSEWHERE {
            put((*name).to_owned(), labels.to_vec());
        }
        Self(all)
    }

    /// A recording rule is a series too.
    pub(super) fn record(&mut self, name: &str, labels: Labels) {
        assert!(self.0.insert(name.to_owned(), labels).is_none(), "{name} is there twice");
    }

    pub(super) fn labels(&self, series: &str) -> Option<&Labels> {
        self.0.get(series)
    }

    /// The values that a label of a series can take, where they are a closed set.
    pub(super) fn values(&self, series: &str, label: &str) -> Option<Vec<String>> {
        fn words<W: Copy>(all: &[W], word: fn(W) -> &'static str) -> Option<Vec<String>> {
            Some(all.iter().map(|one| word(*one).to_owned()).collect())
        }
        match label {
            "le" => {
                families::ALL.iter().find(|family| format!("{}_bucket", family.name) == series).map(edges)
            }
            "stage" => words(Stage::ALL, Stage::as_str),
            "channel" => words(Channel::ALL, Channel::as_str),
            "view" => words(View::ALL, View::as_str),
            "outcome" if series == families::KPI_REFRESHES_TOTAL.name => {
                words(RefreshedAs::ALL, RefreshedAs::as_str)
            }
            "reason" if series == families::INGEST_REJECTED_TOTAL.name => {
                let counted = seatpilot_domain_model::CountedOnly::ALL.iter().map(|one| one.as_str());
                let items = RejectReason::ALL.iter().map(|one| one.as_str());
                Some(items.chain(counted).map(str::to_owned).collect())
            }
            _ => None,
        }
    }
}

/// A histogram's edges as they are written.
fn edges(family: &&Family) -> Vec<String> {
    family.buckets.iter().map(ToString::to_string).chain(["+Inf".to_owned()]).collect()
}

#[test]
fn every_label_of_a_family_has_a_bound_that_is_known() {
    for family in families::ALL {
        for label in family.labels {
            assert!(
                BOUNDED.iter().any(|(known, _)| known == label),
                "{}: what bounds its label {label}? Write it down here, and test it in packages/metrics-api",
                family.name
            );
        }
    }
}

#[test]
fn every_family_is_in_the_reference() {
    let page = std::fs::read_to_string(seatpilot_guarantees::root().join("docs/metrics.md")).unwrap();
    for family in families::ALL {
        assert!(page.contains(&format!("\n## `{}`\n", family.name)), "{}", family.name);
    }
}
