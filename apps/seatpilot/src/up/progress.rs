//! What `up` is doing, on standard error: a spinner on a terminal, a line for each step in a pipe.

use std::{
    io::{self, IsTerminal, Write},
    time::{Duration, Instant},
};

use indicatif::ProgressBar;

/// The step under way.
pub(super) struct Progress {
    name: String,
    begun: Instant,
    spinner: ProgressBar,
}

impl Progress {
    /// Begins a step.
    pub(super) fn begin(name: impl Into<String>) -> Self {
        let name = name.into();
        let spinner =
            if io::stderr().is_terminal() { ProgressBar::new_spinner() } else { ProgressBar::hidden() };
        spinner.set_message(format!("{name} …"));
        spinner.enable_steady_tick(Duration::from_millis(100));
        Self { name, begun: Instant::now(), spinner }
    }

    /// Ends it, with what came of it.
    pub(super) fn done(self, what: impl AsRef<str>) {
        self.spinner.finish_and_clear();
        say(format!("{}: {} ({:.1} s)", self.name, what.as_ref(), self.begun.elapsed().as_secs_f64()));
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        // Of a step that failed nothing stays on the line where the failure is printed.
        self.spinner.finish_and_clear();
    }
}

/// Says a line to whoever watches; where standard error is closed, to nobody.
pub(super) fn say(line: impl AsRef<str>) {
    let _ = writeln!(io::stderr().lock(), "{}", line.as_ref());
}
