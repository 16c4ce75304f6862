//! What is going on, on standard error: a line that moves in a terminal, nothing in a pipe but each case's name.

use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

use indicatif::ProgressBar;

/// Tells who waits what is measured now.
pub(crate) struct Progress {
    bar: Option<ProgressBar>,
}

impl Progress {
    /// Begins.
    pub(crate) fn new() -> Self {
        let bar = std::io::stderr().is_terminal().then(ProgressBar::new_spinner);
        if let Some(bar) = &bar {
            bar.enable_steady_tick(Duration::from_millis(200));
        }
        Self { bar }
    }

    /// A case begins: a line that stays.
    pub(crate) fn case(&self, name: &str) {
        match &self.bar {
            Some(bar) => bar.println(format!("== {name}")),
            None => _ = writeln!(std::io::stderr(), "== {name}"),
        }
    }

    /// What is done within it.
    pub(crate) fn say(&self, what: &str) {
        if let Some(bar) = &self.bar {
            bar.set_message(what.to_owned());
        }
    }

    /// Nothing more.
    pub(crate) fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
