//! What becomes of a guest, and how many share which fate.

use seatpilot_domain_model::{DoorId, PartySize};

/// What happens to one ticket. Each has exactly one.
#[derive(Debug, Clone, PartialEq)]
pub enum Fate {
    /// Never comes.
    NoShow,
    /// Comes in time and walks to the seat.
    Seated,
    /// The same, after the curtain.
    Late,
    /// Tries a door that the ticket is not for, then walks to the right one.
    WrongDoor {
        /// The wrong one.
        door: DoorId,
        /// Seconds from one to the other.
        walk_s: f64,
    },
    /// Takes minutes to the seat, but fewer than fifteen.
    Slow,
    /// Takes over fifteen minutes: stored, but no KPI (contract section 2).
    Outlier,
    /// The network loses answers: the gate asks again with the same scan, the phone pings again.
    LostAnswer {
        /// Seconds until it is asked again.
        after_s: f64,
    },
    /// Sits down, but the phone never says so.
    Unseen,
    /// Somebody comes later with a copy of the ticket.
    Copied {
        /// Seconds later.
        after_s: f64,
    },
    /// Two come with the same ticket at the same moment: one is let in.
    Raced,
    /// Comes with fewer people than the ticket is for.
    Fewer {
        /// So many.
        people: PartySize,
    },
}

/// A fate without what belongs to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lot {
    NoShow,
    Late,
    WrongDoor,
    Slow,
    Outlier,
    LostAnswer,
    Unseen,
    Copied,
    Raced,
    Fewer,
}

/// How many of a thousand draw each; all others are simply seated.
pub(super) const LOTS: [(Lot, usize); 10] = [
    (Lot::NoShow, 30),
    (Lot::Late, 60),
    (Lot::WrongDoor, 35),
    (Lot::Slow, 20),
    (Lot::Outlier, 8),
    (Lot::LostAnswer, 25),
    (Lot::Unseen, 40),
    (Lot::Copied, 8),
    (Lot::Raced, 5),
    (Lot::Fewer, 30),
];

impl Fate {
    /// Whether anybody is let in with this ticket.
    pub fn is_admitted(&self) -> bool {
        match self {
            Self::NoShow => false,
            Self::Seated
            | Self::Late
            | Self::WrongDoor { .. }
            | Self::Slow
            | Self::Outlier
            | Self::LostAnswer { .. }
            | Self::Unseen
            | Self::Copied { .. }
            | Self::Raced
            | Self::Fewer { .. } => true,
        }
    }

    /// Whether the guest is seen at the seat.
    pub fn is_seen(&self) -> bool {
        self.is_admitted() && *self != Self::Unseen
    }
}
