//! An event before it is sent, and the bytes that it then is for all its tries.

use jiff::{Timestamp, Unit};
use serde::Serialize;
use serde_json::{Map, Value};
use uuid::Uuid;

/// An event of the wire is at most so long, in bytes.
pub const EVENT_BYTES_MAX: usize = 32 * 1024;

/// What is in an event's `data`: one of [`event_data`](crate::event_data), or a type of your own for a type of event that this
/// version does not know.
pub trait EventType: Serialize {
    /// The event's `type`.
    const NAME: &'static str;
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    id: Option<Uuid>,
    kind: &'static str,
    occurred_at: Option<Timestamp>,
    venue_id: String,
    session_id: Option<Uuid>,
    channel: Option<String>,
    /// What could not be written as JSON is told when it is sent.
    data: Result<Value, String>,
}

impl Event {
    /// It happened now, at this venue. It gets an id of its own.
    pub fn new<T: EventType>(venue_id: impl Into<String>, data: T) -> Self {
        Self {
            id: None,
            kind: T::NAME,
            occurred_at: None,
            venue_id: venue_id.into(),
            session_id: None,
            channel: None,
            data: serde_json::to_value(data).map_err(|error| error.to_string()),
        }
    }

    /// An id of yours. The same id is stored once: with it an event may be given to [`Sender::send`](crate::Sender::send)
    /// again after a crash.
    #[must_use]
    pub fn id(mut self, id: Uuid) -> Self {
        self.id = Some(id);
        self
    }

    /// When it happened, if not now: at most 7 days ago, at most 5 minutes ahead. Microseconds are kept.
    #[must_use]
    pub fn occurred_at(mut self, occurred_at: Timestamp) -> Self {
        self.occurred_at = Some(occurred_at);
        self
    }

    /// Whose visit.
    #[must_use]
    pub fn session_id(mut self, session_id: Uuid) -> Self {
        self.session_id = Some(session_id);
        self
    }

    /// `mobile`, `kiosk`, `desk` or `signage`.
    #[must_use]
    pub fn channel(mut self, channel: impl Into<String>) -> Self {
        self.channel = Some(channel.into());
        self
    }

    /// Its id and its bytes on the wire. `now` is the server's time, as far as it is known.
    pub(crate) fn written(self, now: Timestamp) -> Result<(Uuid, String), String> {
        let id = self.id.unwrap_or_else(Uuid::now_v7);
        let occurred_at = self.occurred_at.unwrap_or(now);
        // The wire takes microseconds and no less.
        let occurred_at = occurred_at.round(Unit::Microsecond).unwrap_or(occurred_at);
        let mut event = Map::new();
        event.insert("id".to_owned(), id.to_string().into());
        event.insert("type".to_owned(), self.kind.into());
        event.insert("occurred_at".to_owned(), occurred_at.to_string().into());
        event.insert("venue_id".to_owned(), self.venue_id.into());
        if let Some(session_id) = self.session_id {
            event.insert("session_id".to_owned(), session_id.to_string().into());
        }
        if let Some(channel) = self.channel {
            event.insert("channel".to_owned(), channel.into());
        }
        event.insert("data".to_owned(), self.data?);
        Ok((id, Value::Object(event).to_string()))
    }
}
