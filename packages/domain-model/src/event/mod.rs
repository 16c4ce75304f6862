//! A telemetry event on its way from a sender to the store.
//!
//! [`Submission`] is one signed request: its nonce and its items in the order sent. Each item is either an
//! [`Event`] that passed every check that needs no database, or a [`DeadLetter`] that says which it failed.

mod check;
mod envelope;
mod schema;

use jiff::Timestamp;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::{Channel, Outcome, RejectReason, TenantId, VenueId};

pub use check::{Bounds, parse_event, parse_items};
pub use schema::{ENVELOPE_SCHEMA, EVENT_TYPES, event_schema};

/// Most events in one request.
pub const EVENTS_PER_REQUEST_MAX: usize = 500;
/// Largest event, in bytes as sent.
pub const EVENT_BYTES_MAX: usize = 32 * 1024;
/// Largest payload that a dead letter keeps; longer ones are cut and marked.
pub const DEAD_LETTER_BYTES_MAX: usize = 64 * 1024;
/// Longest explanation that a dead letter keeps, in characters.
pub const DEAD_LETTER_DETAIL_MAX: usize = 512;

/// An event inside the contract's limits and its type's schema.
#[derive(Debug, Clone)]
pub struct Event {
    /// The sender's id: stored once within the tenant.
    pub id: Uuid,
    /// The type, one of those with a schema.
    pub kind: &'static str,
    /// When it happened.
    pub occurred_at: Timestamp,
    /// Where.
    pub venue: VenueId,
    /// Whose visit.
    pub session_id: Option<Uuid>,
    /// By what.
    pub channel: Option<Channel>,
    /// The whole event, bytes as sent: the database takes `data` from it, and a conflict of ids makes it a dead
    /// letter.
    pub raw: Box<[u8]>,
}

/// An item that was refused, as the dead-letter queue keeps it.
#[derive(Clone)]
pub struct DeadLetter {
    /// Why.
    pub reason: RejectReason,
    /// What exactly, for the operator: at most 512 characters, without the payload's own text.
    pub detail: String,
    /// The bytes as sent, cut at [`DEAD_LETTER_BYTES_MAX`].
    pub payload: Box<[u8]>,
    /// How many bytes were sent.
    pub payload_len: usize,
    /// SHA-256 of all bytes sent.
    pub payload_sha256: [u8; 32],
    /// The item's id, where it could be read.
    pub event_id: Option<Uuid>,
    /// The item's type, where it has a schema.
    pub event_type: Option<&'static str>,
}

impl std::fmt::Debug for DeadLetter {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // A payload is a guest's or a sender's own text: never in a log.
        out.debug_struct("DeadLetter")
            .field("reason", &self.reason)
            .field("event_id", &self.event_id)
            .field("payload_len", &self.payload_len)
            .finish_non_exhaustive()
    }
}

/// One item of a request.
#[derive(Debug, Clone)]
pub enum Item {
    /// Passed every check that needs no database.
    Event(Event),
    /// Failed one.
    DeadLetter(DeadLetter),
}

impl Item {
    /// The item's id, where it could be read.
    pub fn id(&self) -> Option<Uuid> {
        match self {
            Self::Event(event) => Some(event.id),
            Self::DeadLetter(letter) => letter.event_id,
        }
    }
}

impl Event {
    /// As the dead-letter queue keeps it, refused for a reason that only the store or the plan knows.
    pub fn into_dead_letter(self, reason: RejectReason, detail: impl Into<String>) -> DeadLetter {
        DeadLetter {
            reason,
            detail: detail.into().chars().take(DEAD_LETTER_DETAIL_MAX).collect(),
            payload_len: self.raw.len(),
            payload_sha256: Sha256::digest(&self.raw).into(),
            event_id: Some(self.id),
            event_type: Some(self.kind),
            // An event is smaller than what a dead letter keeps.
            payload: self.raw,
        }
    }
}

/// What the body of a request was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// One event, or something that is no event at all.
    Single,
    /// An array of events.
    Array,
}

/// The items of one body.
#[derive(Debug, Clone)]
pub struct Batch {
    /// What the body was: a single item that is refused is answered otherwise than an array of such.
    pub shape: Shape,
    /// The items in the order sent: never none.
    pub items: Vec<Item>,
}

/// A nonce and what it was used for. It is used once for its (key, time, nonce).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Nonce {
    /// The key that signed.
    pub key_id: String,
    /// The signed time, Unix seconds.
    pub ts: i64,
    /// The sender's nonce.
    pub nonce: String,
    /// SHA-256 of the raw body.
    pub body_sha256: [u8; 32],
}

/// One authenticated request with its items, in the order sent.
#[derive(Debug, Clone)]
pub struct Submission {
    /// The key's tenant.
    pub tenant: TenantId,
    /// The request's nonce.
    pub nonce: Nonce,
    /// The request, for the operator who reads the dead-letter queue.
    pub request_id: String,
    /// When the request came in.
    pub received_at: Timestamp,
    /// The items: never none.
    pub items: Vec<Item>,
}

/// One item's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// The item's id, where it could be read.
    pub id: Option<Uuid>,
    /// What became of it.
    pub outcome: Outcome,
}

/// What the statement answers for one submission.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SubmitAnswer {
    /// Committed now.
    Stored(Vec<Receipt>),
    /// Committed before, by the same nonce with the same body: the first receipts.
    Replayed(Vec<Receipt>),
    /// The nonce was used for another body; nothing was stored.
    NonceReused,
}

/// Why an item has no accepted form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// The closed reason.
    pub reason: RejectReason,
    /// What exactly, for the sender's developer and the operator.
    pub detail: String,
}
