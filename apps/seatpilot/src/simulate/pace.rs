//! How fast an evening is played: from its seconds to the clock's.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// The beginning of an evening, and how long one of its seconds takes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    begun: Instant,
    real_s: f64,
}

impl Pace {
    /// An evening of `evening_s` seconds that is played within `within`, from now on.
    pub(super) fn begin(evening_s: f64, within: Duration) -> Self {
        Self { begun: Instant::now(), real_s: within.as_secs_f64() / evening_s }
    }

    /// Waits until a second of the evening. Answers with how late it has become meanwhile.
    pub(super) async fn until(&self, evening_s: f64) -> Duration {
        let at = self.begun + Duration::from_secs_f64((evening_s * self.real_s).max(0.0));
        sleep_until(at).await;
        at.elapsed()
    }

    /// Seconds of the evening that have gone by.
    pub(super) fn evening_s(&self) -> f64 {
        self.begun.elapsed().as_secs_f64() / self.real_s
    }

    /// By how many real seconds a scan must lie back, so that a guest who walks for `walk_s` can have arrived when the
    /// evening, played faster, says so. Nothing at the pace of a real evening.
    pub(super) fn back_s(&self, walk_s: f64) -> f64 {
        (walk_s * (1.0 - self.real_s)).max(0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_evening_that_is_played_faster_lies_back_and_a_real_one_does_not() {
        let faster = Pace::begin(6000.0, Duration::from_secs(60));
        assert!((faster.back_s(100.0) - 99.0).abs() < 1e-9);
        assert_eq!(Pace::begin(6000.0, Duration::from_secs(6000)).back_s(100.0), 0.0);
        assert_eq!(Pace::begin(6000.0, Duration::from_secs(9000)).back_s(100.0), 0.0);
        let fast = Pace::begin(6000.0, Duration::from_millis(100));
        fast.until(3000.0).await;
        assert!(fast.evening_s() >= 3000.0, "{}", fast.evening_s());
    }
}
