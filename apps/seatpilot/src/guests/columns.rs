//! The columns of a guest list, and what each cell must be.

use std::fmt;

use csv::ByteRecord;
use seatpilot_domain_model::{PartySize, parse_rfc3339};

use super::line::{GuestLine, Ticket};

/// The columns, in the order in which we write them; `profile` may be missing.
pub const COLUMNS: [&str; 11] = [
    "ticket",
    "event_id",
    "name",
    "party_size",
    "section",
    "table_id",
    "seat_id",
    "doors",
    "valid_from",
    "valid_until",
    "profile",
];
/// How many of [`COLUMNS`] a header must have.
const COLUMNS_REQUIRED: usize = 10;
/// Longest name, in characters.
pub const NAME_CHARS_MAX: usize = 200;
/// Most doors on one ticket.
pub const DOORS_MAX: usize = 64;

/// Where each of [`COLUMNS`] stands in the list at hand.
pub(super) struct Columns {
    places: [Option<usize>; COLUMNS.len()],
    width: usize,
}

impl Columns {
    /// Reads the header.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn from_header(header: &ByteRecord) -> Result<Self, String> {
        let mut places = [None; COLUMNS.len()];
        for (at, cell) in header.iter().enumerate() {
            let name = std::str::from_utf8(cell).unwrap_or_default().trim();
            match COLUMNS.iter().position(|column| *column == name) {
                Some(column) if places[column].is_some() => return Err(format!("`{name}` is there twice")),
                Some(column) => places[column] = Some(at),
                None if header.len() == 1 => {
                    return Err("no header with commas between the columns, in UTF-8".to_owned());
                }
                None => return Err(format!("column {} has an unknown name", at + 1)),
            }
        }
        let missing: Vec<_> = (0..COLUMNS_REQUIRED).filter(|column| places[*column].is_none()).collect();
        if !missing.is_empty() {
            let names: Vec<_> = missing.into_iter().map(|column| COLUMNS[column]).collect();
            return Err(format!("the header lacks {}", names.join(", ")));
        }
        Ok(Self { places, width: header.len() })
    }

    /// One record as a guest.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub(super) fn line(&self, cells: &ByteRecord) -> Result<GuestLine, String> {
        if cells.len() != self.width {
            return Err(format!("{} cells instead of {}", cells.len(), self.width));
        }
        let Ok(cells) = csv::StringRecord::from_byte_record(cells.clone()) else {
            return Err("not UTF-8".to_owned());
        };
        let cell = |column: usize| self.places[column].and_then(|at| cells.get(at)).unwrap_or_default();
        let mut faults = Faults::default();
        let line = (
            faults.take(0, Ticket::new(cell(0)).ok_or("must have 1 to 512 characters")),
            faults.take(1, cell(1).parse()),
            faults.take(2, name(cell(2))),
            faults.take(3, party_size(cell(3))),
            faults.take(4, optional(cell(4), str::parse)),
            faults.take(5, optional(cell(5), str::parse)),
            faults.take(6, optional(cell(6), str::parse)),
            faults.take(7, doors(cell(7))),
            faults.take(8, optional(cell(8), parse_rfc3339)),
            faults.take(9, optional(cell(9), parse_rfc3339)),
            faults.take(10, optional(cell(10), |text| text.parse().map_err(|_| "must be walk or step_free"))),
        );
        let (
            Some(ticket),
            Some(event),
            Some(name),
            Some(party_size),
            Some(section),
            Some(table),
            Some(seat),
            Some(doors),
            Some(valid_from),
            Some(valid_until),
            Some(profile),
        ) = line
        else {
            return Err(faults.0);
        };
        if let (Some(from), Some(until)) = (valid_from, valid_until)
            && from > until
        {
            return Err("valid_until is before valid_from".to_owned());
        }
        Ok(GuestLine {
            ticket,
            event,
            name,
            party_size,
            section,
            table,
            seat,
            doors,
            valid_from,
            valid_until,
            profile,
        })
    }
}

/// Everything that is wrong with a line, as one reason.
#[derive(Default)]
struct Faults(String);

impl Faults {
    fn take<T>(&mut self, column: usize, cell: Result<T, impl fmt::Display>) -> Option<T> {
        cell.map_err(|why| {
            let gap = if self.0.is_empty() { "" } else { "; " };
            self.0.push_str(&format!("{gap}{} {why}", COLUMNS[column]));
        })
        .ok()
    }
}

fn optional<T, E>(cell: &str, parse: impl FnOnce(&str) -> Result<T, E>) -> Result<Option<T>, E> {
    if cell.is_empty() { Ok(None) } else { parse(cell).map(Some) }
}

fn name(cell: &str) -> Result<String, String> {
    if cell.chars().count() > NAME_CHARS_MAX {
        return Err(format!("must have at most {NAME_CHARS_MAX} characters"));
    }
    if cell.chars().any(char::is_control) {
        return Err("must have no control characters".to_owned());
    }
    Ok(cell.trim().to_owned())
}

fn party_size(cell: &str) -> Result<PartySize, &'static str> {
    let digits = !cell.is_empty() && cell.bytes().all(|byte| byte.is_ascii_digit());
    let size = if digits { cell.parse().ok().and_then(PartySize::new) } else { None };
    size.ok_or("must be 1 to 50")
}

fn doors<D: std::str::FromStr + PartialEq>(cell: &str) -> Result<Vec<D>, String> {
    let mut doors = Vec::new();
    for door in cell.split_ascii_whitespace() {
        let door = door.parse().map_err(|_| "must be door ids separated by spaces".to_owned())?;
        if !doors.contains(&door) {
            doors.push(door);
        }
        if doors.len() > DOORS_MAX {
            return Err(format!("must be at most {DOORS_MAX}"));
        }
    }
    Ok(doors)
}
