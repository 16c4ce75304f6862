//! How many spans the exporter of traces has sent and lost, where a process traces.

use std::sync::Arc;

use prometheus::{
    IntCounterVec, Registry,
    core::{Collector, Desc},
    proto::MetricFamily,
};

use crate::{families, family::registered};

/// Spans of a process so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SpanReading {
    /// Taken by the collector.
    pub sent: u64,
    /// Lost on the way there.
    pub dropped: u64,
}

/// `seatpilot_trace_spans_total`, read from the exporter when scraped.
#[derive(Clone)]
pub(crate) struct SpanCollector {
    read: Arc<dyn Fn() -> SpanReading + Send + Sync>,
    spans: IntCounterVec,
}

impl SpanCollector {
    pub(crate) fn register(registry: &Registry, read: impl Fn() -> SpanReading + Send + Sync + 'static) {
        // The counters are collected through this collector only, so they live in a registry of their own.
        let spans = families::TRACE_SPANS_TOTAL.counters(&Registry::new());
        registered(registry, Ok(Self { read: Arc::new(read), spans }));
    }
}

impl Collector for SpanCollector {
    fn desc(&self) -> Vec<&Desc> {
        self.spans.desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let SpanReading { sent, dropped } = (self.read)();
        for (outcome, now) in [("sent", sent), ("dropped", dropped)] {
            let counter = self.spans.with_label_values(&[outcome]);
            counter.inc_by(now.saturating_sub(counter.get()));
        }
        self.spans.collect()
    }
}
