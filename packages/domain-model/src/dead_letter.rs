//! Dead letters once they lie there: where each stands, and what becomes of one that is sent again or given up.

use crate::{Outcome, vocabulary::words};

words!(
    /// Where a letter stands. One whose sender-again died is `parked` again after its 60 s.
    LetterState {
        /// It waits.
        Parked = "parked",
        /// Somebody is sending it again just now.
        Redriving = "redriving",
        /// It became an event, or was found to be one.
        Redriven = "redriven",
        /// A person gave it up.
        Discarded = "discarded",
    }
);

words!(
    /// Why a letter was not sent again at all.
    Skipped {
        /// No such letter of this tenant.
        Unknown = "unknown",
        /// It was sent again before.
        Redriven = "redriven",
        /// It was given up.
        Discarded = "discarded",
        /// Somebody else is at it.
        Leased = "leased",
        /// It was refused as often as one may try: only discarding it is left.
        Exhausted = "exhausted",
        /// Not all of its bytes were kept.
        Truncated = "truncated",
        /// It took too long, and somebody else has taken it.
        Lost = "lost",
    }
);

words!(
    /// What became of a letter that was to be given up.
    DiscardOutcome {
        /// It is given up now.
        Discarded = "discarded",
        /// It was given up before; its first reason stays.
        WasDiscarded = "was_discarded",
        /// It was sent again before.
        Redriven = "redriven",
        /// Somebody is sending it again just now.
        Leased = "leased",
        /// No such letter of this tenant.
        Unknown = "unknown",
    }
);

/// How often a letter may be sent again and be refused for what is in it.
pub const REDRIVE_ATTEMPTS_MAX: i32 = 5;
/// Longest reason for giving a letter up, in characters.
pub const DISCARD_REASON_MAX: usize = 500;

/// What becomes of a letter that is sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RedriveOutcome {
    /// It was judged as an event that is sent today.
    Judged(Outcome),
    /// It was not sent again.
    Skipped(Skipped),
}

impl RedriveOutcome {
    /// `accepted`, `duplicate`, `rejected` or `skipped`.
    pub const fn status(self) -> &'static str {
        match self {
            Self::Judged(outcome) => outcome.status(),
            Self::Skipped(_) => "skipped",
        }
    }

    /// Why it was rejected or skipped.
    pub const fn reason(self) -> Option<&'static str> {
        match self {
            Self::Judged(Outcome::Rejected(reason)) => Some(reason.as_str()),
            Self::Judged(Outcome::Accepted | Outcome::Duplicate) => None,
            Self::Skipped(skipped) => Some(skipped.as_str()),
        }
    }
}
