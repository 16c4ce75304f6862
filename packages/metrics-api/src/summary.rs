//! The Summary that the prometheus crate has not: quantiles over the last ten minutes, sum and count since the
//! process began.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::Instant,
};

use hdrhistogram::Histogram;
use prometheus::{
    core::{Collector, Desc},
    proto::{LabelPair, Metric, MetricFamily, MetricType, Quantile, Summary},
};

use crate::{
    exposition::Ticks,
    family::Family,
    sliding::{Gathered, Sliding},
};

const QUANTILES: [f64; 3] = [0.5, 0.95, 0.99];

/// Three significant digits: a quantile is at most 0.1 % off.
const SIGNIFICANT_DIGITS: u8 = 3;

/// Where a window's histogram begins, in microseconds: 2^17, 32 KiB of memory. It grows only for slower answers.
const FIRST_RANGE_US: u64 = 131_072;

/// A window's durations in whole microseconds. Made at the first one, so that a tenant at rest costs nothing.
#[derive(Default)]
struct Durations(Option<Histogram<u32>>);

impl Gathered for Durations {
    fn clear(&mut self) {
        if let Some(durations) = &mut self.0 {
            durations.reset();
        }
    }
}

impl Durations {
    fn histogram() -> Option<Histogram<u32>> {
        // The bounds are sound constants.
        let mut durations = Histogram::new_with_bounds(1, FIRST_RANGE_US, SIGNIFICANT_DIGITS).ok()?;
        durations.auto(true);
        Some(durations)
    }

    fn record(&mut self, microseconds: u64) {
        if self.0.is_none() {
            self.0 = Self::histogram();
        }
        if let Some(durations) = &mut self.0 {
            // Refuses only what does not fit into memory's index, which the caller's clamp rules out.
            let recorded = durations.record(microseconds.max(1));
            debug_assert!(recorded.is_ok());
        }
    }
}

struct State {
    recent: Sliding<Durations>,
    count: u64,
    sum_ms: f64,
}

/// One child of a summary. Its lock is held for some tens of nanoseconds.
pub(crate) struct SlidingSummary {
    state: Mutex<State>,
    ticks: Ticks,
}

impl SlidingSummary {
    fn new(ticks: Ticks) -> Self {
        let recent = Sliding::new(ticks());
        Self { state: Mutex::new(State { recent, count: 0, sum_ms: 0.0 }), ticks }
    }

    /// Records a duration that was clamped to a day.
    pub(crate) fn observe_seconds(&self, seconds: f64) {
        let now = (self.ticks)();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.count += 1;
        state.sum_ms += seconds * 1e3;
        state.recent.open(now).record((seconds * 1e6).round() as u64);
    }

    fn read(&self, now: Instant) -> Summary {
        let mut merged: Option<Histogram<u32>> = None;
        let mut summary = Summary::default();
        {
            let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            summary.set_sample_count(state.count);
            summary.set_sample_sum(state.sum_ms);
            for window in state.recent.within(now).filter_map(|window| window.0.as_ref()) {
                if window.is_empty() {
                    continue;
                }
                match &mut merged {
                    None => merged = Some(window.clone()),
                    Some(all) => {
                        // The sum resizes to the wider of the two.
                        let added = all.add(window);
                        debug_assert!(added.is_ok());
                    }
                }
            }
        }
        let quantile = |q: f64| {
            let mut quantile = Quantile::default();
            quantile.set_quantile(q);
            // NaN is how the format says: nothing lately.
            quantile.set_value(merged.as_ref().map_or(f64::NAN, |all| all.value_at_quantile(q) as f64 / 1e3));
            quantile
        };
        summary.set_quantile(QUANTILES.iter().copied().map(quantile).collect());
        summary
    }
}

type Children = BTreeMap<Vec<String>, Arc<SlidingSummary>>;

/// A family of summaries.
#[derive(Clone)]
pub(crate) struct SummaryVec {
    family: &'static Family,
    desc: Desc,
    children: Arc<RwLock<Children>>,
    ticks: Ticks,
}

impl SummaryVec {
    pub(crate) fn new(family: &'static Family, ticks: Ticks) -> Self {
        Self { family, desc: family.desc(), children: Arc::default(), ticks }
    }

    /// The child of these label values, in the family's order.
    pub(crate) fn with_label_values(&self, values: &[&str]) -> Arc<SlidingSummary> {
        debug_assert_eq!(values.len(), self.family.labels.len());
        let key = values.iter().map(|value| (*value).to_owned()).collect();
        let mut children = self.children.write().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(
            children.entry(key).or_insert_with(|| Arc::new(SlidingSummary::new(Arc::clone(&self.ticks)))),
        )
    }
}

impl Collector for SummaryVec {
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.desc]
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let now = (self.ticks)();
        let children: Children = self.children.read().unwrap_or_else(PoisonError::into_inner).clone();
        let metric = |(values, child): (&Vec<String>, &Arc<SlidingSummary>)| {
            let label = |(name, value): (&&str, &String)| {
                let mut pair = LabelPair::default();
                pair.set_name((*name).to_owned());
                pair.set_value(value.clone());
                pair
            };
            let mut labels: Vec<LabelPair> = self.family.labels.iter().zip(values).map(label).collect();
            // As the crate's own collectors: by label name.
            labels.sort_by(|one, other| one.name().cmp(other.name()));
            let mut metric = Metric::from_label(labels);
            metric.set_summary(child.read(now));
            metric
        };
        let mut family = MetricFamily::default();
        family.set_name(self.family.name.to_owned());
        family.set_help(self.family.help.to_owned());
        family.set_field_type(MetricType::SUMMARY);
        family.set_metric(children.iter().map(metric).collect());
        vec![family]
    }
}
