//! Rates: how often a caller may do something, within a bounded memory.
//!
//! Refusals are 429 `rate_limited` with `Retry-After` and the header fields of
//! draft-ietf-httpapi-ratelimit-headers-10. Limits hold for one process.

use std::{
    collections::HashMap,
    fmt,
    hash::Hash,
    num::NonZeroU32,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use actix_web::http::header::{HeaderName, HeaderValue};
use governor::{Quota, clock::Clock as _, nanos::Nanos, state::StateStore};
use seatpilot_domain_model::{Fault, FaultCode};
use seatpilot_runtime::Clock;

use crate::problem::Problem;

/// Most callers that a limiter remembers; those beyond share one bucket until others have been quiet.
pub const KEYS_MAX: usize = 100_000;
/// How often a full table is searched for callers that may be forgotten.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

/// A rate, as it is told to callers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RatePolicy {
    /// Its name in the headers: lower-case letters, digits and dashes.
    pub name: &'static str,
    /// How often within the window, in the long run.
    pub quota: NonZeroU32,
    /// The window.
    pub window: Duration,
    /// How often at once, after a silence.
    pub burst: NonZeroU32,
}

impl RatePolicy {
    fn refused(&self, wait: Duration, detail: &'static str) -> Problem {
        // Up, never to 0: a caller that comes back a moment early is refused again.
        let seconds = u32::try_from(wait.as_secs_f64().ceil() as u64).unwrap_or(u32::MAX).max(1);
        let (name, window) = (self.name, self.window.as_secs());
        let policy = format!("\"{name}\";q={};w={window}", self.quota);
        let limit = format!("\"{name}\";r=0;t={seconds}");
        let fault = Fault::new(FaultCode::RateLimited, detail).with_retry_after(seconds);
        [("ratelimit-policy", policy), ("ratelimit", limit)].into_iter().fold(
            Problem::from(fault),
            |problem, (header, value)| match HeaderValue::try_from(value) {
                Ok(value) => problem.with_header(HeaderName::from_static(header), value),
                Err(_) => problem,
            },
        )
    }
}

/// A steady rate with a burst, by caller (GCRA).
pub struct RateLimiter<K: Hash + Eq + Clone> {
    policy: RatePolicy,
    ticks: Ticks,
    engine: governor::RateLimiter<K, Buckets<K>, Ticks>,
}

impl<K: Hash + Eq + Clone> RateLimiter<K> {
    /// A limiter that has seen nobody yet.
    pub fn new(policy: RatePolicy, clock: Clock) -> Self {
        Self::with_keys_max(policy, clock, KEYS_MAX)
    }

    fn with_keys_max(policy: RatePolicy, clock: Clock, keys_max: usize) -> Self {
        let ticks = Ticks { start: clock.monotonic(), clock };
        let emission = (policy.window / policy.quota.get()).max(Duration::from_nanos(1));
        let quota = Quota::with_period(emission)
            .unwrap_or_else(|| Quota::per_second(policy.quota))
            .allow_burst(policy.burst);
        let buckets = Buckets { ticks: ticks.clone(), keys_max, table: Mutex::default() };
        Self { policy, engine: governor::RateLimiter::new(quota, buckets, ticks.clone()), ticks }
    }

    /// Counts one, or refuses it.
    ///
    /// # Errors
    /// `rate_limited` with its headers.
    pub fn check(&self, key: &K) -> Result<(), Problem> {
        self.engine.check_key(key).map_err(|until| {
            let wait = until.wait_time_from(self.ticks.now());
            self.policy
                .refused(wait, "Too many requests with this credential. Wait as long as Retry-After says.")
        })
    }
}

impl<K: Hash + Eq + Clone> fmt::Debug for RateLimiter<K> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("RateLimiter").field("policy", &self.policy).finish_non_exhaustive()
    }
}

/// Our clock for the engine.
#[derive(Debug, Clone)]
struct Ticks {
    clock: Clock,
    start: Instant,
}

impl Ticks {
    /// Time since the limiter was made: what the engine's state counts in.
    fn elapsed(&self) -> Duration {
        self.now().saturating_duration_since(self.start)
    }
}

impl governor::clock::Clock for Ticks {
    type Instant = Instant;
    fn now(&self) -> Instant {
        self.clock.monotonic()
    }
}

/// The engine's state by caller: when a caller's bucket is full again. One that is full by now may be
/// forgotten; where all are in use, newcomers share a bucket.
struct Buckets<K> {
    ticks: Ticks,
    keys_max: usize,
    table: Mutex<Table<K>>,
}

struct Table<K> {
    full_again: HashMap<K, Nanos>,
    shared: Option<Nanos>,
    swept: Duration,
}

impl<K> Default for Table<K> {
    fn default() -> Self {
        Self { full_again: HashMap::new(), shared: None, swept: Duration::ZERO }
    }
}

impl<K: Hash + Eq + Clone> Table<K> {
    fn sweep(&mut self, now: Duration) {
        if now.saturating_sub(self.swept) >= SWEEP_EVERY {
            self.swept = now;
            let now = Nanos::from(now);
            self.full_again.retain(|_, full_again| *full_again > now);
        }
    }
}

impl<K: Hash + Eq + Clone> StateStore for Buckets<K> {
    type Key = K;

    fn measure_and_replace<T, F, E>(&self, key: &K, decide: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let mut table = lock(&self.table);
        if let Some(state) = table.full_again.get_mut(key) {
            let (answer, next) = decide(Some(*state))?;
            *state = next;
            return Ok(answer);
        }
        if table.full_again.len() >= self.keys_max {
            table.sweep(self.ticks.elapsed());
        }
        if table.full_again.len() >= self.keys_max {
            let (answer, next) = decide(table.shared)?;
            table.shared = Some(next);
            return Ok(answer);
        }
        let (answer, next) = decide(None)?;
        table.full_again.insert(key.clone(), next);
        Ok(answer)
    }
}

/// So many of something within a window, by caller: once there were more, nothing of that caller goes
/// through until the window is over. For misuse, such as tickets that nobody knows.
pub struct WindowLimiter<K: Hash + Eq + Clone> {
    policy: RatePolicy,
    clock: Clock,
    windows: Mutex<Windows<K>>,
}

struct Windows<K> {
    by_key: HashMap<K, Window>,
    swept: Instant,
}

#[derive(Debug, Clone, Copy)]
struct Window {
    began: Instant,
    count: u32,
}

impl<K: Hash + Eq + Clone> WindowLimiter<K> {
    /// A limiter that has seen nobody yet: `quota` within `window`.
    pub fn new(name: &'static str, quota: NonZeroU32, window: Duration, clock: Clock) -> Self {
        let windows = Windows { by_key: HashMap::new(), swept: clock.monotonic() };
        Self { policy: RatePolicy { name, quota, window, burst: quota }, clock, windows: Mutex::new(windows) }
    }

    /// Whether this caller may go on.
    ///
    /// # Errors
    /// `rate_limited`, with its headers, once more than the quota was counted within the window.
    pub fn check(&self, key: &K) -> Result<(), Problem> {
        let now = self.clock.monotonic();
        let windows = lock(&self.windows);
        windows.by_key.get(key).map_or(Ok(()), |window| self.judge(window, now))
    }

    /// Counts one.
    ///
    /// # Errors
    /// `rate_limited`, with its headers, where this one is over the quota.
    pub fn count(&self, key: &K) -> Result<(), Problem> {
        let now = self.clock.monotonic();
        let mut windows = lock(&self.windows);
        if windows.by_key.len() >= KEYS_MAX && now.saturating_duration_since(windows.swept) >= SWEEP_EVERY {
            windows.swept = now;
            windows.by_key.retain(|_, window| self.left(window, now).is_some());
        }
        if windows.by_key.len() >= KEYS_MAX && !windows.by_key.contains_key(key) {
            // Callers are authenticated before they are counted, so this many are no attack from outside;
            // not counting one is better than forgetting one that is being refused.
            return Ok(());
        }
        let window = windows.by_key.entry(key.clone()).or_insert(Window { began: now, count: 0 });
        if self.left(window, now).is_none() {
            *window = Window { began: now, count: 0 };
        }
        window.count = window.count.saturating_add(1);
        self.judge(window, now)
    }

    fn judge(&self, window: &Window, now: Instant) -> Result<(), Problem> {
        match self.left(window, now) {
            Some(left) if window.count > self.policy.quota.get() => Err(self
                .policy
                .refused(left, "Too many attempts that failed. Wait as long as Retry-After says.")),
            _ => Ok(()),
        }
    }

    /// How much of a window is left, none once it is over.
    fn left(&self, window: &Window, now: Instant) -> Option<Duration> {
        self.policy
            .window
            .checked_sub(now.saturating_duration_since(window.began))
            .filter(|left| !left.is_zero())
    }
}

impl<K: Hash + Eq + Clone> fmt::Debug for WindowLimiter<K> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("WindowLimiter").field("policy", &self.policy).finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIVE: NonZeroU32 = NonZeroU32::new(5).unwrap();
    const MINUTE: Duration = Duration::from_secs(60);

    fn clock() -> (Clock, seatpilot_runtime::ManualClock) {
        Clock::manual("2026-11-22T19:30:00Z".parse().unwrap())
    }

    fn header(problem: &Problem, name: &str) -> String {
        problem.answer("r").headers().get(name).unwrap().to_str().unwrap().to_owned()
    }

    #[test]
    fn a_burst_goes_through_and_then_the_steady_rate() {
        let (clock, hand) = clock();
        let policy =
            RatePolicy { name: "ingest", quota: NonZeroU32::new(60).unwrap(), window: MINUTE, burst: FIVE };
        let limiter = RateLimiter::new(policy, clock);
        for _ in 0..5 {
            assert!(limiter.check(&"a").is_ok());
        }
        let refused = limiter.check(&"a").unwrap_err();
        assert_eq!(header(&refused, "retry-after"), "1");
        assert_eq!(header(&refused, "ratelimit-policy"), "\"ingest\";q=60;w=60");
        assert_eq!(header(&refused, "ratelimit"), "\"ingest\";r=0;t=1");
        assert!(limiter.check(&"b").is_ok(), "another caller has a bucket of its own");
        hand.advance(Duration::from_secs(1));
        assert!(limiter.check(&"a").is_ok());
        assert!(limiter.check(&"a").is_err());
    }

    #[test]
    fn callers_beyond_the_table_share_a_bucket_until_others_are_quiet() {
        let (clock, hand) = clock();
        let policy = RatePolicy { name: "t", quota: FIVE, window: MINUTE, burst: NonZeroU32::MIN };
        let limiter = RateLimiter::with_keys_max(policy, clock, 3);
        for key in 0..3 {
            assert!(limiter.check(&key).is_ok());
        }
        assert!(limiter.check(&100).is_ok());
        assert!(limiter.check(&101).is_err(), "the shared bucket is empty");
        hand.advance(MINUTE);
        assert!(limiter.check(&102).is_ok());
        assert!(limiter.check(&103).is_ok());
    }

    #[test]
    fn more_than_the_quota_within_a_window_stops_a_caller_until_it_is_over() {
        let (clock, hand) = clock();
        let limiter = WindowLimiter::new("unknown-tickets", FIVE, MINUTE, clock);
        for _ in 0..5 {
            assert!(limiter.count(&1).is_ok());
        }
        assert!(limiter.check(&1).is_ok());
        hand.advance(Duration::from_secs(20));
        let refused = limiter.count(&1).unwrap_err();
        assert_eq!(header(&refused, "retry-after"), "40");
        assert!(limiter.check(&1).is_err());
        assert!(limiter.check(&2).is_ok());
        hand.advance(Duration::from_secs(40));
        assert!(limiter.check(&1).is_ok());
        assert!(limiter.count(&1).is_ok());
    }
}
