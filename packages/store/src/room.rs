//! How many rows may wait for a writer: as many as are written soon.
//!
//! Where more come than can be written, a queue that is bounded by its rows alone fills, and from then on every row
//! waits for the length of it: each is answered after its sender has gone, and nothing that is done is of use. So the
//! room shrinks while rows go on waiting for too long and it gets no better, and grows again when they do not (after
//! Nichols and Jacobson, Controlling Queue Delay, 2012); what has waited for longer than it may is refused instead of
//! written. A disk that stalls for less than `max` costs nobody an answer where there is air to catch up.

use std::time::{Duration, Instant};

/// How long rows may wait.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    /// What a row should wait at most.
    pub(crate) target: Duration,
    /// How long rows may go on waiting for more than that before fewer are let in.
    pub(crate) interval: Duration,
    /// What a row may wait at most: older ones are refused. Nothing of them was sent.
    pub(crate) max: Duration,
}

/// The room of one queue.
#[derive(Debug)]
pub(crate) struct Room {
    patience: Patience,
    most: usize,
    rows: usize,
    /// What a batch took of late: the most, forgotten slowly.
    batch: usize,
    /// Since when each take found a row that had waited for more than the target, and for how long the first one had.
    late_since: Option<(Instant, Duration)>,
}

impl Room {
    /// So many rows at most.
    pub(crate) fn new(most: usize, patience: Patience) -> Self {
        Self { patience, most, rows: most, batch: 1, late_since: None }
    }

    /// Whether one more may wait beside so many.
    pub(crate) fn is_full(&self, waiting: usize) -> bool {
        waiting >= self.rows
    }

    /// Whether a row that came then has waited for too long to be written.
    pub(crate) fn is_over(&self, came: Instant, now: Instant) -> bool {
        now.saturating_duration_since(came) > self.patience.max
    }

    /// Learns from a batch: how many rows it took, when the oldest of them came, how many wait on, and how many
    /// batches are written at the same time.
    pub(crate) fn took(
        &mut self,
        now: Instant,
        oldest: Instant,
        taken: usize,
        waiting: usize,
        writers: usize,
    ) {
        self.batch = taken.max(self.batch - self.batch / 8);
        let waited = now.saturating_duration_since(oldest);
        if waited <= self.patience.target {
            self.late_since = None;
            self.rows = self.most.min(self.rows + taken);
            return;
        }
        let (since, then) = *self.late_since.get_or_insert((now, waited));
        if now.saturating_duration_since(since) < self.patience.interval {
            return;
        }
        self.late_since = Some((now, waited));
        if waited > then / 2 {
            // Never fewer than what gives every writer a whole batch: smaller ones cost as much and do less.
            self.rows = (waiting.min(self.rows) / 2).max(self.batch * writers).clamp(1, self.most);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;

    const PATIENCE: Patience = Patience {
        target: Duration::from_millis(150),
        interval: Duration::from_millis(250),
        max: Duration::from_millis(500),
    };
    const MOST: usize = 4_096;
    const BATCH: usize = 64;

    /// What became of the rows of a simulated evening.
    #[derive(Default)]
    struct Told {
        written: usize,
        full: usize,
        over: usize,
        waits: Vec<Duration>,
        last_refused: Duration,
    }

    /// Rows come evenly, `per_second` of them; each of two writers takes `batch_ms` for up to 64 rows, but nothing moves
    /// during `stall`. In steps of a millisecond.
    fn evening(per_second: u32, batch_ms: u64, seconds: u64, stall: std::ops::Range<u64>) -> Told {
        let began = Instant::now();
        let at = |ms: u64| began + Duration::from_millis(ms);
        let mut room = Room::new(MOST, PATIENCE);
        let mut waiting: VecDeque<Instant> = VecDeque::new();
        let (mut told, mut due, mut busy_until) = (Told::default(), 0_u32, [0_u64; 2]);
        for ms in 0..seconds * 1_000 {
            let now = at(ms);
            while u64::from(due) * 1_000 < u64::from(per_second) * ms {
                due += 1;
                if room.is_full(waiting.len()) {
                    (told.full, told.last_refused) = (told.full + 1, Duration::from_millis(ms));
                } else {
                    waiting.push_back(now);
                }
            }
            for writer in &mut busy_until {
                if *writer > ms || waiting.is_empty() || stall.contains(&ms) {
                    continue;
                }
                while waiting.front().is_some_and(|came| room.is_over(*came, now)) {
                    waiting.pop_front();
                    (told.over, told.last_refused) = (told.over + 1, Duration::from_millis(ms));
                }
                let taken: Vec<Instant> = waiting.drain(..waiting.len().min(BATCH)).collect();
                let Some(oldest) = taken.first() else { continue };
                room.took(now, *oldest, taken.len(), waiting.len(), 2);
                *writer = ms + batch_ms;
                told.written += taken.len();
                told.waits.extend(taken.iter().map(|came| now - *came));
            }
        }
        told.waits.sort_unstable();
        told
    }

    fn p95(told: &Told) -> Duration {
        told.waits[told.waits.len() * 95 / 100]
    }

    #[test]
    fn five_times_what_can_be_written_is_written_as_fast_as_it_can_be_and_waits_little() {
        // 64 rows in 20 ms by each of two: 6,400 a second.
        let told = evening(32_000, 20, 20, 0..0);
        assert!(told.written >= 6_400 * 20 * 95 / 100, "{}", told.written);
        assert!(p95(&told) <= Duration::from_millis(300), "{:?}", p95(&told));
        // Who is refused is refused at once, not after a wait in vain.
        assert!(told.over * 50 < told.full, "{} of {}", told.over, told.full);
    }

    #[test]
    fn a_slow_database_is_kept_busy_too() {
        // 64 rows in 200 ms by each of two: 640 a second.
        let told = evening(3_200, 200, 30, 0..0);
        assert!(told.written >= 640 * 30 * 90 / 100, "{}", told.written);
        assert!(told.waits.last().is_some_and(|wait| *wait <= PATIENCE.max));
    }

    #[test]
    fn a_stall_of_400_ms_at_half_load_refuses_nobody() {
        let told = evening(3_200, 20, 10, 5_000..5_400);
        assert_eq!((told.full, told.over), (0, 0));
    }

    #[test]
    fn two_seconds_after_an_outage_nobody_is_refused() {
        let told = evening(3_200, 20, 20, 5_000..10_000);
        assert!(told.last_refused < Duration::from_secs(12), "{:?}", told.last_refused);
    }
}
