//! When a request is sent again, and how long before.

use std::time::{Duration, Instant};

/// How often and how soon a request is sent again. The default is what all senders of SeatPilot use.
#[derive(Debug, Clone)]
pub struct Pace {
    /// Tries of one request; then its events rest.
    pub tries: u32,
    /// The ceiling of the first pause; it doubles with each try.
    pub base: Duration,
    /// No ceiling is higher.
    pub cap: Duration,
    /// The first rest after the last try; it doubles with each.
    pub rest: Duration,
    /// No rest is longer.
    pub rest_cap: Duration,
    /// A request that takes longer is given up; whether it was stored is not known.
    pub answer: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            tries: 8,
            base: Duration::from_millis(200),
            cap: Duration::from_secs(30),
            rest: Duration::from_secs(5),
            rest_cap: Duration::from_secs(300),
            answer: Duration::from_secs(10),
        }
    }
}

impl Pace {
    /// Full jitter, so that senders that failed together do not come back together, and never earlier than the server asked
    /// for. `attempt` from 1, `random` in 0..1.
    pub(crate) fn pause(&self, attempt: u32, retry_after: Duration, random: f64) -> Duration {
        let ceiling = self.base.saturating_mul(2_u32.saturating_pow(attempt)).min(self.cap);
        ceiling.mul_f64(random).max(retry_after)
    }
}

/// Statuses that say "not now": the same request may succeed later.
pub(crate) fn is_retryable(status: u16) -> bool {
    matches!(status, 408 | 425 | 429 | 500 | 502 | 503 | 504)
}

/// Tokens that are there at most.
const TOKENS_MAX: f64 = 10.0;

/// What retries may cost: a tenth of what is sent, and one a second where little is. A house that is down is not asked ten
/// times as often as one that is up.
#[derive(Debug)]
pub(crate) struct Budget {
    tokens: f64,
    at: Instant,
}

impl Budget {
    pub(crate) fn new(now: Instant) -> Self {
        Self { tokens: TOKENS_MAX, at: now }
    }

    /// A request was sent for the first time.
    pub(crate) fn sent(&mut self) {
        self.tokens = (self.tokens + 0.1).min(TOKENS_MAX);
    }

    /// Takes a token; how long until it is there.
    pub(crate) fn take(&mut self, now: Instant) -> Duration {
        let grown = now.saturating_duration_since(self.at).as_secs_f64();
        self.tokens = (self.tokens + grown).min(TOKENS_MAX) - 1.0;
        self.at = now;
        Duration::from_secs_f64((-self.tokens).max(0.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_the_cap_and_heed_what_the_server_asks_for() {
        let pace = Pace::default();
        let pauses: Vec<u128> =
            (1..=9).map(|attempt| pace.pause(attempt, Duration::ZERO, 1.0).as_millis()).collect();
        assert_eq!(pauses, [400, 800, 1_600, 3_200, 6_400, 12_800, 25_600, 30_000, 30_000]);
        assert_eq!(pace.pause(1, Duration::ZERO, 0.0), Duration::ZERO);
        assert_eq!(pace.pause(1, Duration::from_secs(7), 0.5), Duration::from_secs(7));
        assert_eq!(pace.pause(u32::MAX, Duration::ZERO, 1.0), pace.cap);
    }

    #[test]
    fn retries_cost_a_tenth_of_what_is_sent_or_one_a_second() {
        let begun = Instant::now();
        let mut budget = Budget::new(begun);
        assert!((0..10).all(|_| budget.take(begun).is_zero()));
        assert_eq!(budget.take(begun), Duration::from_secs(1));
        assert_eq!(budget.take(begun), Duration::from_secs(2));
        // Two are owed; twenty requests earn two.
        (0..20).for_each(|_| budget.sent());
        assert_eq!(budget.take(begun).as_secs(), 1);
        assert!(budget.take(begun + Duration::from_secs(10)).is_zero());
    }
}
