//! A histogram whose lock is its owner's: what is observed together is counted under one, and seen together.

use prometheus::proto::{Bucket, Histogram};

use crate::Family;

/// Buckets that a family may have here, the one above all bounds included: they lie in one piece with their owner.
const BUCKETS_MAX: usize = 16;

/// One child of a histogram.
#[derive(Clone)]
pub(crate) struct Tally {
    bounds: &'static [f64],
    /// By bucket, not added up; those over the last bound come after it.
    counts: [u64; BUCKETS_MAX],
    sum: f64,
}

impl Tally {
    /// An empty one of a family.
    pub(crate) fn of(family: &'static Family) -> Self {
        debug_assert!(family.buckets.len() < BUCKETS_MAX, "{}", family.name);
        Self { bounds: family.buckets, counts: [0; BUCKETS_MAX], sum: 0.0 }
    }

    /// Counts a value, in the family's unit; it must be sane.
    pub(crate) fn observe(&mut self, value: f64) {
        // A bucket's bound belongs to it. Most are in the first few.
        let bucket = self.bounds.iter().position(|bound| value <= *bound).unwrap_or(self.bounds.len());
        self.counts[bucket.min(BUCKETS_MAX - 1)] += 1;
        self.sum += value;
    }

    /// As it is shown: each bucket with what is below it.
    pub(crate) fn read(&self) -> Histogram {
        let mut below = 0;
        let bucket = |(bound, count): (&f64, &u64)| {
            below += count;
            let mut bucket = Bucket::default();
            bucket.set_upper_bound(*bound);
            bucket.set_cumulative_count(below);
            bucket
        };
        let mut histogram = Histogram::default();
        histogram.set_bucket(self.bounds.iter().zip(&self.counts).map(bucket).collect());
        histogram.set_sample_count(self.counts.iter().sum());
        histogram.set_sample_sum(self.sum);
        histogram
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::families;

    /// The library's own, over the same values, is the measure: at each bound, beside it, and beyond the last.
    #[test]
    fn a_tally_shows_what_the_librarys_histogram_shows() {
        for family in [&families::CHECKIN_LATENCY_SECONDS, &families::CHECKIN_STAGE_SECONDS] {
            let opts = prometheus::HistogramOpts::new("any", "any").buckets(family.buckets.to_vec());
            let library = prometheus::Histogram::with_opts(opts).unwrap();
            let mut ours = Tally::of(family);
            let beside = family.buckets.iter().flat_map(|bound| [bound.next_down(), *bound, bound.next_up()]);
            for value in beside.chain([0.0, 86_400.0]) {
                library.observe(value);
                ours.observe(value);
            }
            let theirs = prometheus::core::Metric::metric(&library);
            assert_eq!(&ours.read(), theirs.get_histogram());
        }
    }

    #[test]
    fn every_family_that_is_counted_here_has_room_for_its_buckets() {
        for family in families::ALL {
            assert!(family.buckets.len() < BUCKETS_MAX, "{}", family.name);
        }
    }
}
