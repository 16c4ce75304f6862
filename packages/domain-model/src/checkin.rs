//! A scan, and what the one statement makes of it.

use std::{fmt, time::Instant};

use jiff::Timestamp;
use serde::{Deserialize, Deserializer};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::{
    Channel, DoorId, EventId, FaultCode, Profile, SeatId, SectionId, TableId, TenantId, TraceParent, VenueId,
    member,
};

/// Largest party on one ticket.
pub const PARTY_SIZE_MAX: u8 = 50;

/// How many people a ticket admits, 1 to [`PARTY_SIZE_MAX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
pub struct PartySize(u8);

impl PartySize {
    /// A party of so many, if that is a party.
    pub fn new(people: u64) -> Option<Self> {
        u8::try_from(people).ok().filter(|n| (1..=PARTY_SIZE_MAX).contains(n)).map(Self)
    }

    /// How many.
    pub fn get(self) -> u8 {
        self.0
    }
}

impl<'de> Deserialize<'de> for PartySize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let people: u64 = member::whole(deserializer)?;
        Self::new(people).ok_or_else(|| serde::de::Error::custom("must be 1 to 50"))
    }
}

/// A ticket's code exactly as scanned: 1 to 512 characters of any Unicode, untrusted. Never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct TicketCode(String);

impl TicketCode {
    /// Longest code, in characters.
    pub const MAX_CHARS: usize = 512;

    /// A code, if it has 1 to 512 characters.
    pub fn new(code: impl Into<String>) -> Option<Self> {
        let code = code.into();
        // Bytes bound characters from both sides, so most codes are never counted.
        let fits =
            !code.is_empty() && (code.len() <= Self::MAX_CHARS || code.chars().count() <= Self::MAX_CHARS);
        fits.then_some(Self(code))
    }

    /// What is stored and looked up instead of the code.
    pub fn hash(&self) -> TicketHash {
        TicketHash(Sha256::digest(self.0.as_bytes()).into())
    }
}

impl fmt::Debug for TicketCode {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("TicketCode(..)")
    }
}

impl<'de> Deserialize<'de> for TicketCode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let code = String::deserialize(deserializer)?;
        Self::new(code).ok_or_else(|| serde::de::Error::custom("must have 1 to 512 characters"))
    }
}

/// SHA-256 of a ticket's code.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TicketHash([u8; 32]);

impl TicketHash {
    /// The 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for TicketHash {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("TicketHash(..)")
    }
}

/// One scan on its way to the statement that decides it.
#[derive(Debug, Clone)]
pub struct CheckIn {
    /// Whose device scanned.
    pub tenant: TenantId,
    /// The idempotency key of this scan.
    pub scan_id: Uuid,
    /// The id that the session gets if this scan is admitted (UUIDv7).
    pub session_id: Uuid,
    /// The id that the telemetry event gets if this scan is admitted (UUIDv7).
    pub telemetry_id: Uuid,
    /// SHA-256 over the request's members: the same scan again has the same.
    pub fingerprint: [u8; 32],
    /// Where.
    pub venue: VenueId,
    /// For which event.
    pub event: EventId,
    /// At which door.
    pub door: DoorId,
    /// The ticket.
    pub ticket: TicketHash,
    /// By what.
    pub channel: Channel,
    /// By whom.
    pub device: Uuid,
    /// How many come, where the guest said so.
    pub party_size: Option<PartySize>,
    /// When: `scanned_at` where given and not later than the clock, else the clock.
    pub checked_in_at: Timestamp,
    /// When the request's head was read, on the monotonic clock: the telemetry's `latency_ms` counts from here.
    pub received: Instant,
    /// The trace of the request, where somebody may look for it: kept with the session and in the event.
    pub trace: Option<TraceParent>,
}

/// An admitted guest, as first answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admission {
    /// The session that arrival pings name.
    pub session_id: Uuid,
    /// The ticket's own id.
    pub ticket_id: Uuid,
    /// How many were admitted.
    pub party_size: u8,
    /// Where they sit, as finely as the ticket says.
    pub section: Option<SectionId>,
    /// Their table.
    pub table: Option<TableId>,
    /// Their seat.
    pub seat: Option<SeatId>,
    /// Where they came in.
    pub door: DoorId,
    /// When they came in.
    pub checked_in_at: Timestamp,
    /// How the ticket's holder moves, where the ticket says so.
    pub ticket_profile: Option<Profile>,
    /// Whether this answers a scan that was admitted before.
    pub replayed: bool,
}

/// Why a guest is not let in, in the order in which the reasons are looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// Unknown, malformed or another tenant's.
    TicketUnknown,
    /// Revoked.
    TicketRevoked,
    /// Known, but for other events only.
    WrongEvent,
    /// Before `valid_from`.
    NotYetValid,
    /// After `valid_until`.
    NoLongerValid,
    /// Not at this door.
    WrongDoor,
    /// Somebody is in on it.
    AlreadyCheckedIn {
        /// When.
        first_checked_in_at: Timestamp,
        /// Where.
        first_door: DoorId,
    },
}

impl Refusal {
    /// The problem's code.
    pub fn code(&self) -> FaultCode {
        match self {
            Self::TicketUnknown => FaultCode::TicketUnknown,
            Self::TicketRevoked => FaultCode::TicketRevoked,
            Self::WrongEvent => FaultCode::WrongEvent,
            Self::NotYetValid => FaultCode::NotYetValid,
            Self::NoLongerValid => FaultCode::NoLongerValid,
            Self::WrongDoor => FaultCode::WrongDoor,
            Self::AlreadyCheckedIn { .. } => FaultCode::AlreadyCheckedIn,
        }
    }
}

/// What the statement answers for one scan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ScanAnswer {
    /// In.
    Admitted(Admission),
    /// Not in.
    Refused(Refusal),
    /// The scan's id is known with other members.
    ScanIdReused,
    /// More people than the ticket admits.
    PartyTooLarge {
        /// How many it admits.
        ticket_admits: u8,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_has_1_to_512_characters_of_any_unicode() {
        assert!(TicketCode::new("").is_none());
        assert!(TicketCode::new("x".repeat(512)).is_some());
        assert!(TicketCode::new("x".repeat(513)).is_none());
        assert!(TicketCode::new("席".repeat(512)).is_some());
        assert!(TicketCode::new("席".repeat(513)).is_none());
        assert!(TicketCode::new("\0").is_some());
    }

    #[test]
    fn a_ticket_is_never_printed() {
        let code = TicketCode::new("canary-7f3a").expect("a ticket");
        assert!(!format!("{code:?} {:?}", code.hash()).contains("canary"));
    }
}
