//! What happened within the last ten minutes: a ring of five windows of two minutes. The newest is still being
//! filled, so a reading covers eight to ten minutes.

use std::time::{Duration, Instant};

const WINDOWS: usize = 5;
const WINDOW: Duration = Duration::from_secs(120);

/// What one window gathers.
pub(crate) trait Gathered: Default {
    /// Empties it for another two minutes, keeping its memory.
    fn clear(&mut self);
}

#[derive(Default)]
struct Slot<T> {
    period: u64,
    gathered: T,
}

/// The ring. The time is the caller's.
pub(crate) struct Sliding<T> {
    since: Instant,
    slots: [Slot<T>; WINDOWS],
}

impl<T: Gathered> Sliding<T> {
    /// An empty ring that begins now.
    pub(crate) fn new(now: Instant) -> Self {
        Self { since: now, slots: Default::default() }
    }

    fn period(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.since).as_secs() / WINDOW.as_secs()
    }

    /// The window that is open now.
    pub(crate) fn open(&mut self, now: Instant) -> &mut T {
        let period = self.period(now);
        let slot = &mut self.slots[(period % WINDOWS as u64) as usize];
        // Threads read the clock before they take the lock, so the last one in may come from the window before.
        // It is counted in the newer one.
        if slot.period < period {
            slot.gathered.clear();
            slot.period = period;
        }
        &mut slot.gathered
    }

    /// The windows that are not over yet.
    pub(crate) fn within(&self, now: Instant) -> impl Iterator<Item = &T> {
        let oldest = (self.period(now) + 1).saturating_sub(WINDOWS as u64);
        self.slots.iter().filter(move |slot| slot.period >= oldest).map(|slot| &slot.gathered)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Count(u32);

    impl Gathered for Count {
        fn clear(&mut self) {
            self.0 = 0;
        }
    }

    fn total(ring: &Sliding<Count>, now: Instant) -> u32 {
        ring.within(now).map(|count| count.0).sum()
    }

    #[test]
    fn what_happened_is_seen_for_eight_to_ten_minutes() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut ring = Sliding::<Count>::new(start);
        for second in 0..600 {
            ring.open(at(second)).0 += 1;
        }
        assert_eq!(total(&ring, at(599)), 600);
        assert_eq!(total(&ring, at(600)), 480);
        assert_eq!(total(&ring, at(1079)), 120);
        assert_eq!(total(&ring, at(1080)), 0);
    }

    #[test]
    fn a_window_that_comes_round_again_begins_empty() {
        let start = Instant::now();
        let mut ring = Sliding::<Count>::new(start);
        ring.open(start).0 += 7;
        let later = start + Duration::from_secs(600);
        ring.open(later).0 += 1;
        assert_eq!(total(&ring, later), 1);
        // A whole day later nothing of it is left.
        assert_eq!(total(&ring, start + Duration::from_secs(86_400)), 0);
    }

    #[test]
    fn a_late_thread_never_reopens_an_old_window() {
        let start = Instant::now();
        let mut ring = Sliding::<Count>::new(start);
        let later = start + Duration::from_secs(600);
        ring.open(later).0 += 1;
        ring.open(start).0 += 1;
        assert_eq!(total(&ring, later), 2);
    }
}
