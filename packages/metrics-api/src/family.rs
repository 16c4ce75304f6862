//! What a family is: its name, type, labels, help and buckets, written once and registered from there.

use std::collections::HashMap;

use prometheus::{
    GaugeVec, HistogramOpts, HistogramVec, IntCounterVec, IntGaugeVec, Opts, Registry,
    core::{Collector, Desc},
    proto::{LabelPair, Metric, MetricFamily, MetricType},
};

/// A family's type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Observations by bucket: can be added over instances.
    Histogram,
    /// Quantiles of one process: cannot be added over instances.
    Summary,
}

impl Kind {
    /// The word of the text format's `# TYPE` line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
            Self::Summary => "summary",
        }
    }
}

/// One family of series.
#[derive(Debug)]
pub struct Family {
    /// Its name.
    pub name: &'static str,
    /// Its type.
    pub kind: Kind,
    /// Its label names.
    pub labels: &'static [&'static str],
    /// Its help text: the doc comment of its constant.
    pub help: &'static str,
    /// A histogram's upper bounds, `+Inf` left out; of other types none.
    pub buckets: &'static [f64],
}

/// Declares families: the doc comment is the help text.
macro_rules! declare {
    ($(
        $(#[doc = $help:literal])+
        $constant:ident = $kind:ident $name:literal [$($label:literal),*] $(buckets $buckets:expr)?;
    )+) => {
        $(
            $(#[doc = $help])+
            pub static $constant: $crate::Family = $crate::Family {
                name: $name,
                kind: $crate::Kind::$kind,
                labels: &[$($label),*],
                help: concat!($($help),+).trim_ascii(),
                buckets: {
                    let none: &[f64] = &[];
                    $(let none: &[f64] = { let _ = none; $buckets };)?
                    none
                },
            };
        )+

        /// Every family of this crate, in the order of this page.
        pub static ALL: &[&$crate::Family] = &[$(&$constant),+];
    };
}
pub(crate) use declare;

impl Family {
    fn opts(&self) -> Opts {
        Opts::new(self.name, self.help)
    }

    pub(crate) fn counters(&self, registry: &Registry) -> IntCounterVec {
        registered(registry, IntCounterVec::new(self.opts(), self.labels))
    }

    pub(crate) fn gauges(&self, registry: &Registry) -> GaugeVec {
        registered(registry, GaugeVec::new(self.opts(), self.labels))
    }

    pub(crate) fn int_gauges(&self, registry: &Registry) -> IntGaugeVec {
        registered(registry, IntGaugeVec::new(self.opts(), self.labels))
    }

    pub(crate) fn histograms(&self, registry: &Registry) -> HistogramVec {
        let opts = HistogramOpts::new(self.name, self.help).buckets(self.buckets.to_vec());
        registered(registry, HistogramVec::new(opts, self.labels))
    }

    /// A child of a collector of our own, with the values of its labels in the family's order.
    pub(crate) fn metric(&self, values: &[&str]) -> Metric {
        debug_assert_eq!(values.len(), self.labels.len());
        let label = |(name, value): (&&str, &&str)| {
            let mut pair = LabelPair::default();
            pair.set_name((*name).to_owned());
            pair.set_value((*value).to_owned());
            pair
        };
        let mut labels: Vec<LabelPair> = self.labels.iter().zip(values).map(label).collect();
        // As the crate's own collectors: by label name.
        labels.sort_by(|one, other| one.name().cmp(other.name()));
        Metric::from_label(labels)
    }

    /// All children of a collector of our own.
    pub(crate) fn collected(&self, metrics: Vec<Metric>) -> MetricFamily {
        let mut family = MetricFamily::default();
        family.set_name(self.name.to_owned());
        family.set_help(self.help.to_owned());
        family.set_field_type(match self.kind {
            Kind::Counter => MetricType::COUNTER,
            Kind::Gauge => MetricType::GAUGE,
            Kind::Histogram => MetricType::HISTOGRAM,
            Kind::Summary => MetricType::SUMMARY,
        });
        family.set_metric(metrics);
        family
    }

    /// The descriptor that a collector of our own registers.
    pub(crate) fn desc(&self) -> Desc {
        let labels = self.labels.iter().map(|label| (*label).to_owned()).collect();
        sound(Desc::new(self.name.to_owned(), self.help.to_owned(), labels, HashMap::new()))
    }
}

/// Registers a collector.
pub(crate) fn registered<C: Collector + Clone + 'static>(
    registry: &Registry,
    made: prometheus::Result<C>,
) -> C {
    let collector = sound(made);
    sound(registry.register(Box::new(collector.clone())));
    collector
}

#[expect(
    clippy::expect_used,
    reason = "names, labels and buckets are constants of this crate, each group registers once, and a test registers all of them"
)]
fn sound<T>(made: prometheus::Result<T>) -> T {
    made.expect("a family of this crate is well formed and registered once")
}
