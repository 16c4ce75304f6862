//! The Summary that the prometheus crate has not: quantiles over the last ten minutes, sum and count since the
//! process began.

use std::time::Instant;

use hdrhistogram::Histogram;
use prometheus::proto::{Quantile, Summary};

use crate::sliding::{Gathered, Sliding};

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

/// One child of a summary. Its lock is its owner's.
pub(crate) struct SlidingSummary {
    recent: Sliding<Durations>,
    count: u64,
    sum_ms: f64,
}

impl SlidingSummary {
    pub(crate) fn new(now: Instant) -> Self {
        Self { recent: Sliding::new(now), count: 0, sum_ms: 0.0 }
    }

    /// Records a duration that was clamped to a day.
    pub(crate) fn observe_seconds(&mut self, now: Instant, seconds: f64) {
        self.count += 1;
        self.sum_ms += seconds * 1e3;
        self.recent.open(now).record((seconds * 1e6).round() as u64);
    }

    /// As it is shown at a time.
    pub(crate) fn read(&self, now: Instant) -> Summary {
        let mut merged: Option<Histogram<u32>> = None;
        for window in self.recent.within(now).filter_map(|window| window.0.as_ref()) {
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
        let quantile = |q: f64| {
            let mut quantile = Quantile::default();
            quantile.set_quantile(q);
            // NaN is how the format says: nothing lately.
            quantile.set_value(merged.as_ref().map_or(f64::NAN, |all| all.value_at_quantile(q) as f64 / 1e3));
            quantile
        };
        let mut summary = Summary::default();
        summary.set_sample_count(self.count);
        summary.set_sample_sum(self.sum_ms);
        summary.set_quantile(QUANTILES.iter().copied().map(quantile).collect());
        summary
    }
}
