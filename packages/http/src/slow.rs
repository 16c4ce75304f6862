//! Requests that took too long, said at most once a second: when everything is slow, one line says as much as all.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// What a guest at a gate is promised for 95 of 100 check-ins: what takes longer has a line of its own, with its trace.
pub(crate) const SLOW: Duration = Duration::from_millis(300);
/// At most one line in so long.
const SPEAK_EVERY: Duration = Duration::from_secs(1);

/// When the last line was written, and how many were not since.
#[derive(Debug, Default)]
pub(crate) struct SlowLines(Mutex<Lines>);

#[derive(Debug, Default)]
struct Lines {
    last: Option<Instant>,
    unsaid: u64,
}

impl SlowLines {
    /// Whether a line may be written now: then with the number of those that were not, since the last one.
    pub(crate) fn may_speak(&self, now: Instant) -> Option<u64> {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let lately = lines.last.is_some_and(|last| now.saturating_duration_since(last) < SPEAK_EVERY);
        if lately {
            lines.unsaid += 1;
            return None;
        }
        lines.last = Some(now);
        Some(std::mem::take(&mut lines.unsaid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_has_one_line_and_the_next_says_how_many_there_were() {
        let lines = SlowLines::default();
        let now = Instant::now();
        assert_eq!(lines.may_speak(now), Some(0));
        for _ in 0..3 {
            assert_eq!(lines.may_speak(now + Duration::from_millis(999)), None);
        }
        assert_eq!(lines.may_speak(now + SPEAK_EVERY), Some(3));
        assert_eq!(lines.may_speak(now + SPEAK_EVERY * 2), Some(0));
    }
}
