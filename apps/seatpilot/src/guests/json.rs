//! Guest lists as JSON: an array of objects, a ticket each, with the columns of the CSV as members.

use std::io::{self, Write};

use jiff::Timestamp;
use serde::{Serialize, Serializer};

use super::line::GuestLine;

/// A line as its columns name it; what is empty in the CSV is null.
#[derive(Serialize)]
struct Columns<'a> {
    ticket: &'a str,
    event_id: &'a str,
    name: &'a str,
    party_size: u8,
    section: Option<&'a str>,
    table_id: Option<&'a str>,
    seat_id: Option<&'a str>,
    doors: Vec<&'a str>,
    valid_from: Option<Timestamp>,
    valid_until: Option<Timestamp>,
    profile: Option<&'static str>,
}

impl<'a> Columns<'a> {
    fn of(line: &'a GuestLine) -> Self {
        Self {
            ticket: line.ticket.code(),
            event_id: line.event.as_str(),
            name: &line.name,
            party_size: line.party_size.get(),
            section: line.section.as_ref().map(AsRef::as_ref),
            table_id: line.table.as_ref().map(AsRef::as_ref),
            seat_id: line.seat.as_ref().map(AsRef::as_ref),
            doors: line.doors.iter().map(AsRef::as_ref).collect(),
            valid_from: line.valid_from,
            valid_until: line.valid_until,
            profile: line.profile.map(|profile| profile.as_str()),
        }
    }
}

/// Writes a list on one line, ticket by ticket: a million of them are never held a second time.
///
/// # Errors
/// What the writer says.
pub(super) fn write(mut out: impl Write, lines: &[GuestLine]) -> io::Result<()> {
    serde_json::Serializer::new(&mut out).collect_seq(lines.iter().map(Columns::of))?;
    writeln!(out)?;
    out.flush()
}
