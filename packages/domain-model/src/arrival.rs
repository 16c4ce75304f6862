//! A guest at the seat, and the time from door to seat.

use jiff::Timestamp;
use uuid::Uuid;

use crate::{Channel, FaultCode, SeatId, SectionId, SignId, TableId, TenantId, TraceParent};

/// Over this a door-to-seat time is an outlier: stored and counted, kept out of histogram and KPI.
pub const OUTLIER_AFTER_SECONDS: f64 = 900.0;

/// Seconds from check-in to seat; never negative.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct DoorToSeat(f64);

impl DoorToSeat {
    /// The time between the two; an arrival before its check-in counts as none.
    pub fn between(checked_in_at: Timestamp, arrived_at: Timestamp) -> Self {
        Self(arrived_at.duration_since(checked_in_at).as_secs_f64().max(0.0))
    }

    /// In seconds.
    pub fn seconds(self) -> f64 {
        self.0
    }

    /// Whether it is left out of histogram and KPI.
    pub fn is_outlier(self) -> bool {
        self.0 > OUTLIER_AFTER_SECONDS
    }
}

/// What a ping says about where it was sent from, as finely as its sender knows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Place {
    /// The table.
    pub table: Option<TableId>,
    /// The seat.
    pub seat: Option<SeatId>,
    /// The section.
    pub section: Option<SectionId>,
}

/// One ping on its way to the statement.
#[derive(Debug, Clone)]
pub struct ArrivalPing {
    /// Whose sign or phone pings.
    pub tenant: TenantId,
    /// The ping.
    pub ping_id: Uuid,
    /// The guest's session.
    pub session_id: Uuid,
    /// The id that the telemetry event gets if this ping is the first (UUIDv7).
    pub telemetry_id: Uuid,
    /// Where.
    pub place: Place,
    /// Which sign.
    pub sign: Option<SignId>,
    /// When, as the sender says; `None` is the server's time.
    pub arrived_at: Option<Timestamp>,
    /// The server's time.
    pub received_at: Timestamp,
    /// The trace of the ping's request, where somebody may look for it: kept in the event.
    pub trace: Option<TraceParent>,
}

/// An arrival, as first answered.
#[derive(Debug, Clone, PartialEq)]
pub struct Arrival {
    /// The session.
    pub session_id: Uuid,
    /// The guest's table.
    pub table: Option<TableId>,
    /// The guest's seat.
    pub seat: Option<SeatId>,
    /// The guest's section.
    pub section: Option<SectionId>,
    /// The check-in's channel.
    pub channel: Channel,
    /// When the guest came in.
    pub checked_in_at: Timestamp,
    /// When the guest was seated.
    pub arrived_at: Timestamp,
    /// Whether this ping was the first.
    pub first: bool,
}

impl Arrival {
    /// Seconds from check-in to seat.
    pub fn door_to_seat(&self) -> DoorToSeat {
        DoorToSeat::between(self.checked_in_at, self.arrived_at)
    }
}

/// Why a ping is not an arrival.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArrivalRefusal {
    /// No such session.
    SessionUnknown,
    /// Another place than the guest's.
    TableMismatch,
    /// Outside [checked_in_at, now + 5 s].
    ArrivedAtOutOfRange,
}

impl ArrivalRefusal {
    /// The problem's code.
    pub fn code(self) -> FaultCode {
        match self {
            Self::SessionUnknown => FaultCode::SessionUnknown,
            Self::TableMismatch => FaultCode::TableMismatch,
            Self::ArrivedAtOutOfRange => FaultCode::ArrivedAtOutOfRange,
        }
    }
}
