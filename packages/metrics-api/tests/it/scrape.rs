//! A strict reader of the text format, so that the tests read what Prometheus would.

use std::collections::BTreeMap;

use seatpilot_domain_model::TenantId;
use seatpilot_metrics_api::{Metrics, StoreKind};

/// One sample.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Sample {
    pub(crate) name: String,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) value: f64,
}

/// A whole exposition.
pub(crate) struct Scrape {
    pub(crate) types: BTreeMap<String, String>,
    pub(crate) helps: BTreeMap<String, String>,
    pub(crate) samples: Vec<Sample>,
}

impl Scrape {
    /// What a process shows now: the same bytes by our encoder and by the library's, but for what a process says of
    /// itself, which changes in between.
    pub(crate) fn of(metrics: &Metrics) -> Self {
        let lines = |text: &str| -> Vec<String> {
            text.lines().filter(|line| !line.starts_with("process_")).map(str::to_owned).collect()
        };
        let text = metrics.render();
        assert_eq!(lines(&text), lines(&metrics.render_by_library()));
        Self::read(&text)
    }

    pub(crate) fn read(text: &str) -> Self {
        let mut scrape = Self { types: BTreeMap::new(), helps: BTreeMap::new(), samples: Vec::new() };
        assert!(text.ends_with('\n'), "the last line ends");
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').unwrap();
                assert!(scrape.types.insert(name.into(), kind.into()).is_none(), "{name} once");
            } else if let Some(rest) = line.strip_prefix("# HELP ") {
                let (name, help) = rest.split_once(' ').unwrap();
                scrape.helps.insert(name.into(), help.into());
            } else {
                scrape.samples.push(sample(line));
            }
        }
        scrape
    }

    /// The value of the one sample with this name and exactly these labels.
    pub(crate) fn value(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let labels: BTreeMap<String, String> =
            labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let found: Vec<_> =
            self.samples.iter().filter(|sample| sample.name == name && sample.labels == labels).collect();
        assert_eq!(found.len(), 1, "{name} {labels:?}");
        found[0].value
    }

    pub(crate) fn named<'s>(&'s self, name: &'s str) -> impl Iterator<Item = &'s Sample> {
        self.samples.iter().filter(move |sample| sample.name == name)
    }

    /// Every value that a label takes.
    pub(crate) fn label_values(&self, label: &str) -> std::collections::BTreeSet<&str> {
        self.samples.iter().filter_map(|sample| sample.labels.get(label)).map(String::as_str).collect()
    }
}

fn sample(line: &str) -> Sample {
    let (head, value) = line.rsplit_once(' ').unwrap();
    let value = value.parse().unwrap_or_else(|_| panic!("a number at the end of {line}"));
    let (name, mut rest) = match head.split_once('{') {
        None => (head, ""),
        Some((name, rest)) => (name, rest.strip_suffix('}').expect("labels are closed")),
    };
    assert!(name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'), "{line}");
    let mut labels = BTreeMap::new();
    while !rest.is_empty() {
        let (label, after) = rest.split_once("=\"").expect("a label has a quoted value");
        let (value, after) = quoted(after);
        assert!(labels.insert(label.to_owned(), value).is_none(), "{label} once in {line}");
        rest = after.strip_prefix(',').unwrap_or(after);
    }
    Sample { name: name.to_owned(), labels, value }
}

/// Reads up to the closing quote.
fn quoted(text: &str) -> (String, &str) {
    let (mut value, mut chars) = (String::new(), text.char_indices());
    while let Some((at, char)) = chars.next() {
        match char {
            '"' => return (value, &text[at + 1..]),
            '\\' => match chars.next().expect("something is escaped").1 {
                'n' => value.push('\n'),
                char @ ('\\' | '"') => value.push(char),
                other => panic!("no such escape: {other}"),
            },
            char => value.push(char),
        }
    }
    panic!("a quote is open")
}

pub(crate) fn tenant(name: &str) -> TenantId {
    name.parse().unwrap()
}

/// A process that holds everything, as metrics-api does.
pub(crate) fn everything(tenants: &[&str]) -> Metrics {
    let metrics = Metrics::new("metrics-api", "1.2.3");
    fill(&metrics);
    metrics.set_tenants(&tenants.iter().map(|name| tenant(name)).collect::<Vec<_>>());
    metrics
}

pub(crate) fn fill(metrics: &Metrics) {
    metrics.checkin();
    metrics.arrivals();
    metrics.bus();
    metrics.ingest();
    metrics.keys();
    metrics.kpi();
    metrics.refresher();
    metrics.usage();
    metrics.seating();
    metrics.set_store(StoreKind::Postgres);
    metrics.writer("checkin", || 0);
    metrics.watch_pool("main", Default::default);
    metrics.watch_traces(Default::default);
}
