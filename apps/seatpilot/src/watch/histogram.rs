//! A histogram as it was scraped, the difference of two, and its quantiles as Prometheus computes them.

/// Observations up to each edge, the edges ascending, the last one `+Inf`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Histogram(Vec<(f64, f64)>);

impl Histogram {
    /// Adds what a series says: so many observations up to an edge. Of several tenants the sums are kept.
    pub fn add(&mut self, edge: f64, count: f64) {
        match self.0.binary_search_by(|(known, _)| known.total_cmp(&edge)) {
            Ok(at) => self.0[at].1 += count,
            Err(at) => self.0.insert(at, (edge, count)),
        }
    }

    /// Adds another one's observations.
    pub fn add_all(&mut self, other: &Self) {
        other.0.iter().for_each(|(edge, count)| self.add(*edge, *count));
    }

    /// All observations.
    pub fn count(&self) -> f64 {
        self.0.last().map_or(0.0, |(_, count)| *count)
    }

    /// What was observed since an earlier scrape of the same process; all of it, where it has begun anew.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let before = |edge: f64| {
            let at = earlier.0.binary_search_by(|(known, _)| known.total_cmp(&edge)).ok()?;
            earlier.0.get(at).map(|(_, count)| *count)
        };
        if self.count() < earlier.count() {
            return self.clone();
        }
        let difference =
            |(edge, count): &(f64, f64)| (*edge, (count - before(*edge).unwrap_or(0.0)).max(0.0));
        Self(self.0.iter().map(difference).collect())
    }

    /// A quantile, linear within its bucket, as `histogram_quantile` has it; none where nothing was observed. What is
    /// beyond the last edge counts as on it.
    pub fn quantile(&self, quantile: f64) -> Option<f64> {
        let rank = quantile * self.count();
        if self.count() <= 0.0 {
            return None;
        }
        let at = self.0.iter().position(|(_, count)| *count >= rank)?;
        let (edge, count) = *self.0.get(at)?;
        let (from, below) = match at.checked_sub(1).and_then(|before| self.0.get(before)) {
            Some(before) => *before,
            None => (0.0, 0.0),
        };
        if edge.is_infinite() {
            return Some(from);
        }
        let inside = count - below;
        Some(if inside > 0.0 { from + (edge - from) * (rank - below) / inside } else { edge })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(counts: &[(f64, f64)]) -> Histogram {
        let mut histogram = Histogram::default();
        counts.iter().for_each(|(edge, count)| histogram.add(*edge, *count));
        histogram
    }

    #[test]
    fn quantiles_are_those_of_prometheus() {
        // Worked out by hand after the documentation of histogram_quantile.
        let histogram = of(&[(0.1, 50.0), (0.3, 90.0), (f64::INFINITY, 100.0)]);
        assert_eq!(histogram.quantile(0.5), Some(0.1));
        assert!((histogram.quantile(0.7).expect("some") - 0.2).abs() < 1e-12);
        assert_eq!(histogram.quantile(0.25), Some(0.05));
        assert_eq!(histogram.quantile(0.99), Some(0.3), "beyond the last edge");
        assert_eq!(of(&[(0.1, 0.0), (f64::INFINITY, 0.0)]).quantile(0.5), None);
        assert_eq!(Histogram::default().quantile(0.5), None);
    }

    #[test]
    fn a_difference_counts_from_nought_after_a_restart() {
        let earlier = of(&[(1.0, 5.0), (f64::INFINITY, 8.0)]);
        let later = of(&[(1.0, 6.0), (f64::INFINITY, 11.0)]);
        assert_eq!(later.since(&earlier), of(&[(1.0, 1.0), (f64::INFINITY, 3.0)]));
        assert_eq!(earlier.since(&later), earlier);
        assert_eq!(later.since(&Histogram::default()), later);
    }

    #[test]
    fn tenants_are_added_up() {
        let mut sum = of(&[(1.0, 1.0), (f64::INFINITY, 2.0)]);
        sum.add_all(&of(&[(1.0, 3.0), (f64::INFINITY, 5.0)]));
        assert_eq!(sum, of(&[(1.0, 4.0), (f64::INFINITY, 7.0)]));
    }
}
