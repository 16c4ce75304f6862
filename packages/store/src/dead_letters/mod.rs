//! The dead-letter queue as operators and administrators work on it: list, show, send again, give up (migration 109).
//!
//! An operator works by the owner's login, a person by the service under their own claims; what they read of the
//! queue and what they may do with it the database decides. Both go through the same statements.

mod desk;
mod discard;
mod dry_run;
mod plan;
mod redrive;

use std::{fmt, str::FromStr};

use jiff::Timestamp;
use seatpilot_domain_model::{
    LetterState, REDRIVE_ATTEMPTS_MAX, RedriveOutcome, RejectReason, Skipped, parse_rfc3339,
};
use serde::Serialize;
use tokio_postgres::Row;
use uuid::Uuid;

use crate::Error;

pub(crate) use desk::By;
pub use desk::DeadLetterDesk;
pub use discard::DiscardedLetter;

/// Most letters of one command or request.
pub const LETTERS_MAX: u32 = 10_000;

/// Which letters.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LetterFilter {
    /// Refused for this at first.
    pub reason: Option<RejectReason>,
    /// Of this type, as far as it could be read.
    pub event_type: Option<String>,
    /// Signed with this key.
    pub key_id: Option<String>,
    /// In this state; only for lists, what is sent again or given up waits.
    pub state: Option<LetterState>,
    /// Received at this time or later.
    pub received_from: Option<Timestamp>,
    /// Received before this time.
    pub received_before: Option<Timestamp>,
}

/// A letter and its place in the queue. Where a page ends with it, the next begins behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LetterCursor {
    /// When it came in.
    pub received_at: Timestamp,
    /// Which it is.
    pub dlq_id: Uuid,
}

/// Between the two parts of a cursor: it stands in a query as it is.
const CURSOR_SEPARATOR: char = '~';

impl fmt::Display for LetterCursor {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}{CURSOR_SEPARATOR}{}", self.received_at, self.dlq_id)
    }
}

impl FromStr for LetterCursor {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const EXPECTED: &str = "must be the cursor of an earlier answer";
        let (received_at, dlq_id) = text.split_once(CURSOR_SEPARATOR).ok_or(EXPECTED)?;
        let received_at = parse_rfc3339(received_at).map_err(|_| EXPECTED)?;
        Ok(Self { received_at, dlq_id: Uuid::try_parse(dlq_id).map_err(|_| EXPECTED)? })
    }
}

/// One refused item, without its bytes; serialised as the command and `/admin/dlq` show it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DeadLetterRow {
    /// Its id.
    pub dlq_id: Uuid,
    /// Why it was refused.
    pub reason: String,
    /// What exactly.
    pub detail: String,
    /// When it came in.
    pub received_at: Timestamp,
    /// Who signed it.
    pub key_id: String,
    /// With which request it came.
    pub request_id: String,
    /// Its own id, where it could be read.
    pub event_id: Option<Uuid>,
    /// Its type, where it could be read.
    pub event_type: Option<String>,
    /// How many bytes were sent.
    pub payload_len: i32,
    /// Whether not all of them were kept.
    pub truncated: bool,
    /// `parked`, `redriving`, `redriven` or `discarded`.
    pub state: String,
    /// How often it was sent again and refused for what is in it.
    pub attempts: i32,
    /// Why it was refused when it was last sent again.
    pub last_reason: Option<String>,
    /// What exactly.
    pub last_detail: Option<String>,
    /// When that was.
    pub last_failed_at: Option<Timestamp>,
    /// The event that it became.
    pub redriven_event_id: Option<Uuid>,
    /// Who sent it again or gave it up.
    pub resolved_by: Option<String>,
    /// When.
    pub resolved_at: Option<Timestamp>,
    /// Why it was given up.
    pub discard_reason: Option<String>,
    /// When it is let go of.
    pub expires_at: Timestamp,
}

impl DeadLetterRow {
    fn of_row(row: &Row) -> Result<Self, Error> {
        Ok(Self {
            dlq_id: row.try_get("dlq_id")?,
            reason: row.try_get("reason")?,
            detail: row.try_get("reason_detail")?,
            received_at: row.try_get("received_at")?,
            key_id: row.try_get("source_key_id")?,
            request_id: row.try_get("request_id")?,
            event_id: row.try_get("event_id")?,
            event_type: row.try_get("event_type")?,
            payload_len: row.try_get("payload_len")?,
            truncated: row.try_get("truncated")?,
            state: row.try_get("state")?,
            attempts: row.try_get("attempts")?,
            last_reason: row.try_get("last_reason")?,
            last_detail: row.try_get("last_detail")?,
            last_failed_at: row.try_get("last_failed_at")?,
            redriven_event_id: row.try_get("redriven_event_id")?,
            resolved_by: row.try_get("resolved_by")?,
            resolved_at: row.try_get("resolved_at")?,
            discard_reason: row.try_get("discard_reason")?,
            expires_at: row.try_get("expires_at")?,
        })
    }

    /// Where a list that ends with it goes on.
    pub fn cursor(&self) -> LetterCursor {
        LetterCursor { received_at: self.received_at, dlq_id: self.dlq_id }
    }
}

/// A refused item with its bytes: a sender's or a guest's own text, never for a log.
#[derive(Clone, PartialEq, Eq)]
pub struct KeptDeadLetter {
    /// All that is said of it.
    pub row: DeadLetterRow,
    /// The bytes as sent, at most the first 64 KiB.
    pub payload: Vec<u8>,
    /// SHA-256 of all that was sent.
    pub payload_sha256: Vec<u8>,
}

impl KeptDeadLetter {
    fn of_row(row: &Row) -> Result<Self, Error> {
        Ok(Self {
            row: DeadLetterRow::of_row(row)?,
            payload: row.try_get("payload")?,
            payload_sha256: row.try_get("payload_sha256")?,
        })
    }
}

impl fmt::Debug for KeptDeadLetter {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("KeptDeadLetter").field("row", &self.row).finish_non_exhaustive()
    }
}

/// What became of a letter that was sent again, or would become of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedrivenLetter {
    /// The letter.
    pub dlq_id: Uuid,
    /// The event in it, where one could be read.
    pub event_id: Option<Uuid>,
    /// What became of it.
    pub outcome: RedriveOutcome,
    /// What exactly is wrong with it today.
    pub detail: Option<String>,
}

impl RedrivenLetter {
    fn skipped(dlq_id: Uuid, event_id: Option<Uuid>, why: Skipped) -> Self {
        Self { dlq_id, event_id, outcome: RedriveOutcome::Skipped(why), detail: None }
    }
}

/// Why a letter in this state cannot be sent again; none where it can.
fn obstacle(state: &str, attempts: i32, truncated: bool) -> Result<Option<Skipped>, Error> {
    let state: LetterState =
        state.parse().map_err(|_| Error::Corrupt(format!("a dead letter cannot be {state}")))?;
    Ok(match state {
        LetterState::Redriving => Some(Skipped::Leased),
        LetterState::Redriven => Some(Skipped::Redriven),
        LetterState::Discarded => Some(Skipped::Discarded),
        LetterState::Parked if truncated => Some(Skipped::Truncated),
        LetterState::Parked if attempts >= REDRIVE_ATTEMPTS_MAX => Some(Skipped::Exhausted),
        LetterState::Parked => None,
    })
}
