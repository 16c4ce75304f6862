//! From the raw body of a request to its items.
//!
//! Each item is checked in the contract's order: JSON, size, type, schema, tenant, time. What needs the
//! database (the id, the plan) is the store's.

use jiff::{SignedDuration, Timestamp};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::{
    Batch, DEAD_LETTER_BYTES_MAX, DEAD_LETTER_DETAIL_MAX, DeadLetter, EVENT_BYTES_MAX,
    EVENTS_PER_REQUEST_MAX, Event, Item, Rejection, Shape,
    envelope::{Envelope, id_of, kind_of, violation},
};
use crate::{
    Fault, RejectReason, TenantId,
    strict_json::{Document, Flaw, Kind, Value, scan},
};

/// Oldest `occurred_at`, before now.
const OCCURRED_BEFORE_MAX: SignedDuration = SignedDuration::from_hours(7 * 24);
/// Latest `occurred_at`, after now: clocks differ.
const OCCURRED_AFTER_MAX: SignedDuration = SignedDuration::from_mins(5);

/// What an event may say of its sender: what the key that signed it says.
#[derive(Debug, Clone, Copy)]
pub struct Bounds<'a> {
    /// The key's tenant.
    pub tenant: &'a TenantId,
    /// The one session that the key is for, where it is one of a session.
    pub session: Option<Uuid>,
}

impl<'a> From<&'a TenantId> for Bounds<'a> {
    fn from(tenant: &'a TenantId) -> Self {
        Self { tenant, session: None }
    }
}

/// Takes a body apart into items that each passed every check that needs no database, or say which they failed.
///
/// A body that is not UTF-8, not JSON, or neither object nor array is one item, a dead letter without id.
///
/// # Errors
/// `schema_violation` for an array of none, or of more than [`EVENTS_PER_REQUEST_MAX`]: such a request has no
/// items and leaves no trace.
pub fn parse_items<'b>(body: &[u8], bounds: impl Into<Bounds<'b>>, now: Timestamp) -> Result<Batch, Fault> {
    let bounds = bounds.into();
    let (shape, items) = match scan(body, EVENTS_PER_REQUEST_MAX) {
        Err(flaw) => (Shape::Single, vec![refused(body, flaw)]),
        Ok(Document::One(value)) => (Shape::Single, vec![item(&value, bounds, now)]),
        Ok(Document::Many { count, .. }) if !(1..=EVENTS_PER_REQUEST_MAX).contains(&count) => {
            return Err(Fault::schema(
                "",
                format!("must be an event or an array of 1 to {EVENTS_PER_REQUEST_MAX}"),
            ));
        }
        Ok(Document::Many { elements, .. }) => {
            (Shape::Array, elements.iter().map(|value| item(value, bounds, now)).collect())
        }
    };
    Ok(Batch { shape, items })
}

/// Takes one event as it was sent, held to the time at which it was received: a dead letter sent once more.
pub fn parse_event<'b>(sent: &[u8], bounds: impl Into<Bounds<'b>>, received_at: Timestamp) -> Item {
    match scan(sent, 0) {
        Ok(Document::One(value)) => item(&value, bounds.into(), received_at),
        Ok(Document::Many { .. }) => letter(sent, violation("", "must be an object"), None, None),
        Err(flaw) => refused(sent, flaw),
    }
}

fn item(value: &Value<'_>, bounds: Bounds<'_>, now: Timestamp) -> Item {
    match event(value, bounds, now) {
        Ok(event) => Item::Event(event),
        Err(rejection) => letter(
            value.raw.as_bytes(),
            rejection,
            id_of(&value.members),
            kind_of(&value.members).map(|kind| kind.name()),
        ),
    }
}

fn event(value: &Value<'_>, bounds: Bounds<'_>, now: Timestamp) -> Result<Event, Rejection> {
    if let Some(flaw) = value.flaw {
        return Err(Rejection { reason: flaw.reason, detail: flaw.to_string() });
    }
    if value.raw.len() > EVENT_BYTES_MAX {
        let detail = format!("must have at most {EVENT_BYTES_MAX} bytes");
        return Err(Rejection { reason: RejectReason::EventTooLarge, detail });
    }
    if value.kind != Kind::Object {
        return Err(violation("", "must be an object"));
    }
    let envelope = Envelope::read(&value.members)?;
    // Of a session's key no other session may speak; one that speaks of none is of nobody.
    if bounds.session.is_some_and(|own| envelope.session_id.is_some_and(|named| named != own)) {
        let pointer = format!("/{}", envelope.names.session);
        return Err(violation(&pointer, "must be the session of the key, or absent"));
    }
    if envelope.tenant.as_ref().is_some_and(|named| named != bounds.tenant) {
        let detail = format!("/{}: must be the tenant of the key, or absent", envelope.names.tenant);
        return Err(Rejection { reason: RejectReason::TenantMismatch, detail });
    }
    let age = now.duration_since(envelope.occurred_at);
    if age > OCCURRED_BEFORE_MAX || age < -OCCURRED_AFTER_MAX {
        let detail = format!(
            "/{}: must be at most 7 days before and 5 minutes after the server's time",
            envelope.names.occurred_at
        );
        return Err(Rejection { reason: RejectReason::TsOutOfRange, detail });
    }
    Ok(Event {
        id: envelope.id,
        kind: envelope.kind.name(),
        occurred_at: envelope.occurred_at,
        venue: envelope.venue,
        session_id: envelope.session_id,
        channel: envelope.channel,
        raw: value.raw.as_bytes().into(),
    })
}

/// The one item of bytes that could not be taken apart.
fn refused(sent: &[u8], flaw: Flaw) -> Item {
    letter(sent, Rejection { reason: flaw.reason, detail: flaw.to_string() }, None, None)
}

fn letter(
    sent: &[u8],
    rejection: Rejection,
    event_id: Option<Uuid>,
    event_type: Option<&'static str>,
) -> Item {
    Item::DeadLetter(DeadLetter {
        reason: rejection.reason,
        detail: rejection.detail.chars().take(DEAD_LETTER_DETAIL_MAX).collect(),
        payload: sent[..sent.len().min(DEAD_LETTER_BYTES_MAX)].into(),
        payload_len: sent.len(),
        payload_sha256: Sha256::digest(sent).into(),
        event_id,
        event_type,
    })
}
