//! What was answered: each right answer counted, each other one kept with what it said, up to a bound.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde::Serialize;

use super::deed::Deed;

/// Most different wrong answers that are kept; further ones are counted as one.
const OTHERWISE_MAX: usize = 50;

/// The count of an evening. The lock covers a few additions.
#[derive(Debug, Default)]
pub(super) struct Tally(Mutex<Counts>);

/// The counts at one moment.
#[derive(Debug, Clone, Default)]
pub(super) struct Counts {
    /// Right answers.
    pub(super) right: BTreeMap<Deed, u64>,
    /// Other answers, by what was asked and what was said.
    pub(super) otherwise: BTreeMap<(Deed, String), u64>,
    /// Requests that were sent again: not answered, or answered 503 or 429.
    pub(super) asked_again: u64,
    /// Batches of telemetry that were sent twice with one nonce, and answered as the first time.
    pub(super) batches_replayed: u64,
    /// The same, answered otherwise.
    pub(super) batches_otherwise: u64,
    /// How far behind the plan a request was sent, at most.
    pub(super) behind: Duration,
    /// From a first scan's sending to its answer, in µs.
    scans_us: Vec<u32>,
}

/// How long the gates waited for the answers to first scans.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(super) struct Waited {
    /// Median, in ms.
    pub(super) p50_ms: f64,
    /// 95th percentile, in ms.
    pub(super) p95_ms: f64,
    /// 99th percentile, in ms.
    pub(super) p99_ms: f64,
}

impl Tally {
    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts an answer: right, or what it said instead.
    pub(super) fn count(&self, deed: Deed, answer: Result<(), String>) {
        let mut counts = self.counts();
        match answer {
            Ok(()) => *counts.right.entry(deed).or_default() += 1,
            Err(said) => {
                let known = counts.otherwise.contains_key(&(deed, said.clone()));
                let full = counts.otherwise.len() >= OTHERWISE_MAX;
                let said = if known || !full { said } else { "and others".to_owned() };
                *counts.otherwise.entry((deed, said)).or_default() += 1;
            }
        }
    }

    /// A request had to be sent again.
    pub(super) fn asked_again(&self) {
        self.counts().asked_again += 1;
    }

    /// A batch was sent a second time.
    pub(super) fn batch_replayed(&self, same: Result<(), ()>) {
        let mut counts = self.counts();
        match same {
            Ok(()) => counts.batches_replayed += 1,
            Err(()) => counts.batches_otherwise += 1,
        }
    }

    /// A request was sent so late.
    pub(super) fn behind(&self, by: Duration) {
        let mut counts = self.counts();
        counts.behind = counts.behind.max(by);
    }

    /// A first scan was answered after so long.
    pub(super) fn scanned(&self, after: Duration) {
        self.counts().scans_us.push(u32::try_from(after.as_micros()).unwrap_or(u32::MAX));
    }

    /// How many were let in, seated, and answered otherwise so far.
    pub(super) fn so_far(&self) -> (u64, u64, u64) {
        let counts = self.counts();
        let right = |deed| counts.right.get(&deed).copied().unwrap_or_default();
        let seated = right(Deed::Arrived) + right(Deed::Outlier);
        (right(Deed::Admitted), seated, counts.otherwise.values().sum())
    }

    /// All of it.
    pub(super) fn counted(&self) -> Counts {
        self.counts().clone()
    }
}

impl Counts {
    /// The quantiles of the first scans' waits; zeros where there was none.
    pub(super) fn waited(&self) -> Waited {
        let mut sorted = self.scans_us.clone();
        sorted.sort_unstable();
        let at = |quantile: f64| {
            let rank = (quantile * sorted.len() as f64).ceil() as usize;
            sorted.get(rank.saturating_sub(1)).map_or(0.0, |us| f64::from(*us) / 1000.0)
        };
        Waited { p50_ms: at(0.50), p95_ms: at(0.95), p99_ms: at(0.99) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_answers_are_kept_with_what_they_said_up_to_a_bound() {
        let tally = Tally::default();
        tally.count(Deed::Admitted, Ok(()));
        (0..200).for_each(|nth| tally.count(Deed::Admitted, Err(format!("500 {nth}"))));
        let counts = tally.counted();
        assert_eq!(counts.right[&Deed::Admitted], 1);
        assert_eq!(counts.otherwise.len(), OTHERWISE_MAX + 1);
        assert_eq!(counts.otherwise.values().sum::<u64>(), 200);
    }

    #[test]
    fn waits_are_quantiles_by_rank() {
        let tally = Tally::default();
        (1..=100).for_each(|ms| tally.scanned(Duration::from_millis(ms)));
        let waited = tally.counted().waited();
        assert_eq!((waited.p50_ms, waited.p95_ms, waited.p99_ms), (50.0, 95.0, 99.0));
        assert_eq!(Counts::default().waited().p99_ms, 0.0);
    }
}
