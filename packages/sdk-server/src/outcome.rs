//! What became of an event.

use tokio::sync::oneshot;
use uuid::Uuid;

/// What became of one event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The event's id.
    pub id: Uuid,
    /// What became of it.
    pub status: Status,
}

/// What becomes of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Status {
    /// Stored now.
    Accepted,
    /// Stored before, with this id.
    Duplicate,
    /// Not stored; the server's dead-letter queue has it. The reason is one of the contract's reject reasons.
    Rejected(String),
    /// The server takes no request that it is in, whatever else is in that. The code is a problem's.
    Refused(String),
    /// Given up for a newer one: [`WhenFull::DropOldest`](crate::WhenFull::DropOldest).
    Dropped,
    /// The sender ended first. On the disk the event waits for the next one.
    Unsent,
}

/// An event that is kept.
#[derive(Debug)]
pub struct Sent {
    id: Uuid,
    outcome: oneshot::Receiver<Outcome>,
}

impl Sent {
    pub(crate) fn new(id: Uuid, outcome: oneshot::Receiver<Outcome>) -> Self {
        Self { id, outcome }
    }

    /// The event's id.
    pub fn id(&self) -> Uuid {
        self.id
    }

    /// Waits until the server has answered for it, or the sender ended.
    pub async fn outcome(self) -> Outcome {
        let unsent = Outcome { id: self.id, status: Status::Unsent };
        self.outcome.await.unwrap_or(unsent)
    }

    pub(crate) fn blocking_outcome(self) -> Outcome {
        let unsent = Outcome { id: self.id, status: Status::Unsent };
        self.outcome.blocking_recv().unwrap_or(unsent)
    }
}
