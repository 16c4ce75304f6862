//! The only place that reads the time.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

/// Where the time comes from: the system, or a hand that a test moves. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Clock(Source);

#[derive(Debug, Clone)]
enum Source {
    System,
    Manual(ManualClock),
}

impl Clock {
    /// The machine's clock.
    pub fn system() -> Self {
        Self(Source::System)
    }

    /// A clock that stands still until its [`ManualClock`] is moved.
    pub fn manual(start: Timestamp) -> (Self, ManualClock) {
        let hand = ManualClock(Arc::new(Mutex::new(Hand { now: start, monotonic: Instant::now() })));
        (Self(Source::Manual(hand.clone())), hand)
    }

    /// The time, in whole microseconds: what Postgres stores and the contract allows, so that an answer
    /// given now and one read back later are equal.
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            Source::System => {
                #[expect(clippy::disallowed_methods, reason = "this is the clock")]
                let now = Timestamp::now();
                whole_microseconds(now)
            }
            Source::Manual(hand) => hand.read(|hand| hand.now),
        }
    }

    /// A point on a clock that never goes back, for durations and deadlines.
    pub fn monotonic(&self) -> Instant {
        match &self.0 {
            Source::System => Instant::now(),
            Source::Manual(hand) => hand.read(|hand| hand.monotonic),
        }
    }

    /// A new UUID version 7 (RFC 9562). On the system clock, ids of one process are ordered as they were
    /// made; on a manual clock, ids of one instant are not ordered among themselves.
    pub fn uuid_v7(&self) -> Uuid {
        match &self.0 {
            Source::System => Uuid::now_v7(),
            Source::Manual(hand) => {
                let now = hand.read(|hand| hand.now);
                let seconds = u64::try_from(now.as_second()).unwrap_or(0);
                let nanoseconds = u32::try_from(now.subsec_nanosecond()).unwrap_or(0);
                Uuid::new_v7(uuid::Timestamp::from_unix(uuid::NoContext, seconds, nanoseconds))
            }
        }
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::system()
    }
}

/// The hand of a manual clock.
#[derive(Debug, Clone)]
pub struct ManualClock(Arc<Mutex<Hand>>);

#[derive(Debug)]
struct Hand {
    now: Timestamp,
    monotonic: Instant,
}

impl ManualClock {
    /// Moves both clocks forward.
    pub fn advance(&self, by: Duration) {
        self.write(|hand| {
            let step = SignedDuration::try_from(by).unwrap_or(SignedDuration::MAX);
            hand.now = whole_microseconds(hand.now.saturating_add(step).unwrap_or(Timestamp::MAX));
            hand.monotonic += by;
        });
    }

    /// Sets the time of day, as an operator or a time server would: the monotonic clock does not move.
    pub fn set(&self, now: Timestamp) {
        self.write(|hand| hand.now = whole_microseconds(now));
    }

    fn read<T>(&self, look: impl FnOnce(&Hand) -> T) -> T {
        look(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn write(&self, change: impl FnOnce(&mut Hand)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

fn whole_microseconds(time: Timestamp) -> Timestamp {
    Timestamp::from_microsecond(time.as_microsecond()).unwrap_or(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_has_no_more_than_microseconds() {
        assert_eq!(Clock::system().now().subsec_nanosecond() % 1_000, 0);
    }

    #[test]
    fn a_manual_clock_stands_still_until_it_is_moved() {
        let start: Timestamp = "2026-11-22T19:30:00Z".parse().unwrap();
        let (clock, hand) = Clock::manual(start);
        let began = clock.monotonic();
        assert_eq!(clock.now(), start);
        hand.advance(Duration::from_secs(90));
        assert_eq!(clock.now().to_string(), "2026-11-22T19:31:30Z");
        assert_eq!(clock.monotonic() - began, Duration::from_secs(90));
        hand.set(start);
        assert_eq!(clock.now(), start);
        assert_eq!(clock.monotonic() - began, Duration::from_secs(90));
    }

    #[test]
    fn ids_are_version_7_of_the_clock_and_in_order() {
        let (clock, _hand) = Clock::manual("2026-11-22T19:30:00Z".parse().unwrap());
        let id = clock.uuid_v7();
        assert_eq!(id.get_version_num(), 7);
        assert_eq!(id.get_timestamp().unwrap().to_unix().0, 1_795_375_800);
        let system = Clock::system();
        let ids: Vec<_> = (0..1_000).map(|_| system.uuid_v7()).collect();
        assert!(ids.is_sorted());
    }
}
