//! How far it is, on standard error, for what takes longer than two seconds.

use std::{
    io::{Write as _, stderr},
    time::{Duration, Instant},
};

/// Between two lines.
const EVERY: Duration = Duration::from_secs(2);

/// Counts what is done.
pub(super) struct Progress {
    all: usize,
    done: usize,
    what: &'static str,
    told: Instant,
}

impl Progress {
    pub(super) fn of(all: usize, what: &'static str) -> Self {
        Self { all, done: 0, what, told: Instant::now() }
    }

    pub(super) fn advance(&mut self, by: usize) {
        self.done += by;
        if self.told.elapsed() >= EVERY {
            self.told = Instant::now();
            // Where standard error is closed nobody asks.
            let _ = writeln!(stderr().lock(), "{} of {} letters {}", self.done, self.all, self.what);
        }
    }
}
