//! A dead letter as administrators see it.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use seatpilot_store::{DeadLetterRow, KeptDeadLetter, LetterCursor};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::openapi::{ItemReason, LetterStateWord};

/// A letter, as the document describes it: the store writes it.
#[derive(ToSchema)]
#[schema(as = DeadLetter)]
#[expect(dead_code, reason = "describes what the store's own row is written as")]
pub(crate) struct LetterDocument {
    dlq_id: Uuid,
    /// Why it was refused at first.
    reason: ItemReason,
    /// What exactly.
    detail: String,
    #[schema(format = DateTime)]
    received_at: String,
    /// Who signed it.
    key_id: String,
    /// With which request it came.
    request_id: String,
    /// Its own id, where it could be read.
    #[schema(required = true)]
    event_id: Option<Uuid>,
    /// Its type, where it could be read.
    #[schema(required = true)]
    event_type: Option<String>,
    /// How many bytes were sent.
    payload_len: i32,
    /// Whether not all of them were kept: it cannot be sent again.
    truncated: bool,
    state: LetterStateWord,
    /// How often it was sent again and refused for what is in it; 5 at most.
    attempts: i32,
    /// Why it was refused when it was last sent again.
    #[schema(required = true)]
    last_reason: Option<ItemReason>,
    #[schema(required = true)]
    last_detail: Option<String>,
    #[schema(required = true, format = DateTime)]
    last_failed_at: Option<String>,
    /// The event that it became.
    #[schema(required = true)]
    redriven_event_id: Option<Uuid>,
    /// Who sent it again or gave it up.
    #[schema(required = true)]
    resolved_by: Option<String>,
    #[schema(required = true, format = DateTime)]
    resolved_at: Option<String>,
    /// Why it was given up.
    #[schema(required = true)]
    discard_reason: Option<String>,
    /// When it is let go of.
    #[schema(format = DateTime)]
    expires_at: String,
}

/// A page of letters, newest first.
#[derive(Serialize, ToSchema)]
pub(crate) struct Letters<'l> {
    #[schema(value_type = Vec<LetterDocument>)]
    items: &'l [DeadLetterRow],
    /// Where older ones begin; null where there are none.
    #[schema(required = true)]
    next_after: Option<String>,
}

impl<'l> Letters<'l> {
    pub(super) fn of(items: &'l [DeadLetterRow], limit: u32) -> Self {
        let is_full = items.len() == limit as usize;
        let last = items.last().map(DeadLetterRow::cursor);
        Self { items, next_after: last.filter(|_| is_full).as_ref().map(LetterCursor::to_string) }
    }
}

/// A letter with its payload.
#[derive(Serialize, ToSchema)]
pub(crate) struct Shown<'l> {
    #[schema(value_type = LetterDocument)]
    #[serde(flatten)]
    row: &'l DeadLetterRow,
    /// SHA-256 of all that was sent, in hex.
    payload_sha256: String,
    /// The bytes as sent, at most the first 64 KiB.
    payload_base64: String,
    /// The same as text; null where it is not UTF-8.
    #[schema(required = true)]
    payload_text: Option<&'l str>,
}

impl<'l> Shown<'l> {
    pub(super) fn of(letter: &'l KeptDeadLetter) -> Self {
        Self {
            row: &letter.row,
            payload_sha256: letter.payload_sha256.iter().map(|byte| format!("{byte:02x}")).collect(),
            payload_base64: STANDARD.encode(&letter.payload),
            payload_text: std::str::from_utf8(&letter.payload).ok(),
        }
    }
}
