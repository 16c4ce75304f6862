//! One line of a guest list: a ticket for an event, whose it is, and where they sit.

use std::fmt;

use jiff::Timestamp;
use seatpilot_domain_model::{
    DoorId, EventId, PartySize, Profile, SeatId, SectionId, TableId, TicketCode, TicketHash,
};

/// A ticket's code as the list gives it, with its hash. Never printed except into a guest list.
#[derive(Clone)]
pub struct Ticket {
    code: String,
    hash: TicketHash,
}

impl Ticket {
    /// A code, if it has 1 to 512 characters.
    pub fn new(code: impl Into<String>) -> Option<Self> {
        let code = code.into();
        let hash = TicketCode::new(code.as_str())?.hash();
        Some(Self { code, hash })
    }

    /// The code, for a scan or for a list's cell.
    pub fn code(&self) -> &str {
        &self.code
    }

    /// What is stored instead of the code.
    pub fn hash(&self) -> TicketHash {
        self.hash
    }
}

impl PartialEq for Ticket {
    fn eq(&self, other: &Self) -> bool {
        self.hash == other.hash
    }
}

impl Eq for Ticket {}

impl fmt::Debug for Ticket {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Ticket(..)")
    }
}

/// A line whose every cell is inside its grammar. Its key is (event, ticket).
#[derive(Clone, PartialEq, Eq)]
pub struct GuestLine {
    /// The ticket.
    pub ticket: Ticket,
    /// For which event.
    pub event: EventId,
    /// Who booked; may be empty. Never logged.
    pub name: String,
    /// How many the ticket admits.
    pub party_size: PartySize,
    /// Where they sit, as finely as the list says.
    pub section: Option<SectionId>,
    /// Their table.
    pub table: Option<TableId>,
    /// Their seat; of a party, the first one.
    pub seat: Option<SeatId>,
    /// The doors that let them in, each once; none for any.
    pub doors: Vec<DoorId>,
    /// Not before.
    pub valid_from: Option<Timestamp>,
    /// Not after.
    pub valid_until: Option<Timestamp>,
    /// How they move, where the list says so.
    pub profile: Option<Profile>,
}

impl fmt::Debug for GuestLine {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Neither the ticket nor the name: both would end in a log sooner or later.
        out.debug_struct("GuestLine")
            .field("event", &self.event)
            .field("party_size", &self.party_size)
            .field("section", &self.section)
            .field("table", &self.table)
            .field("seat", &self.seat)
            .field("doors", &self.doors)
            .finish_non_exhaustive()
    }
}
