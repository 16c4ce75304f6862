//! What the trace of a request is told of a group-commit writer: its wait in the queue, and the statement it shared.

use std::time::Instant;

use seatpilot_runtime::traces::{self, Outcome, RequestTrace, Share, Step, What};

/// The trace of a request that waits, told of what happened to its row by the task that writes it: the caller may
/// have given up by then. A row that is dropped before it was sent has waited in vain.
pub(crate) struct WaitTrace {
    request: RequestTrace,
    writer: &'static str,
    /// Since when it waits; none once it was sent.
    since: Option<Instant>,
}

impl WaitTrace {
    /// Of the request that this task serves, which waits from now on.
    pub(crate) fn of_this_request(writer: &'static str) -> Option<Self> {
        traces::current().map(|request| Self { request, writer, since: Some(Instant::now()) })
    }

    /// Tells of one statement that the row was in.
    pub(crate) fn sent(&mut self, share: Share, (began, ended): (Instant, Instant), outcome: Outcome) {
        self.waited(began, Outcome::Done);
        let what = What::Statement(self.writer, Some(share));
        self.request.note(Step { what, began, ended, outcome });
    }

    fn waited(&mut self, until: Instant, outcome: Outcome) {
        if let Some(began) = self.since.take() {
            let what = What::BatchWait(self.writer);
            self.request.note(Step { what, began, ended: until, outcome });
        }
    }
}

impl Drop for WaitTrace {
    fn drop(&mut self) {
        if self.since.is_some() {
            self.waited(Instant::now(), Outcome::Failed);
        }
    }
}
