//! Guest lists as CSV (RFC 4180): read line by line into [`GuestLine`]s, with a number and a reason for each
//! line that is none, and written.
//!
//! A reason names columns, never a cell's text: a list whose columns slipped has names anywhere, and reasons
//! end in logs.

use std::{
    collections::HashMap,
    fmt,
    io::{self, Read, Write},
};

use seatpilot_domain_model::{EventId, TicketHash};
use serde::Serialize;

use super::{columns::Columns, line::GuestLine, rows::Rows};

pub use super::columns::{COLUMNS, DOORS_MAX, NAME_CHARS_MAX};

/// Largest list that is read, in bytes: some two million guests.
pub const LIST_BYTES_MAX: u64 = 256 << 20;

/// What was read.
#[derive(Debug, Default)]
pub struct GuestList {
    /// The good lines, each (event, ticket) once, in the list's order.
    pub lines: Vec<GuestLine>,
    /// The bad ones.
    pub refused: Vec<RefusedLine>,
    /// How many lines said again, word for word, what an earlier one had said.
    pub repeated: usize,
}

/// A line that is no guest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RefusedLine {
    /// Where it begins, counted from 1, the header included.
    pub line: u64,
    /// What is wrong with it.
    pub reason: String,
}

impl fmt::Display for RefusedLine {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "line {}: {}", self.line, self.reason)
    }
}

/// Why nothing of a list could be read.
#[derive(Debug)]
pub enum ListFault {
    /// The file itself.
    Unreadable(io::Error),
    /// Over [`LIST_BYTES_MAX`].
    TooLarge,
    /// The first line is not the header, with what is wrong.
    Header(String),
}

impl fmt::Display for ListFault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(error) => write!(out, "the list cannot be read: {error}"),
            Self::TooLarge => write!(out, "the list is over {} MiB; split it", LIST_BYTES_MAX >> 20),
            Self::Header(what) => write!(out, "line 1: {what}; the columns are {}", COLUMNS.join(",")),
        }
    }
}

impl std::error::Error for ListFault {}

/// Reads a list. A byte order mark, CRLF, quoted cells and any order of columns are fine.
///
/// # Errors
/// [`ListFault`] where there is no list to speak of; bad lines are in [`GuestList::refused`].
pub fn read(input: impl Read) -> Result<GuestList, ListFault> {
    let mut bytes = Vec::new();
    input.take(LIST_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(ListFault::Unreadable)?;
    if bytes.len() as u64 > LIST_BYTES_MAX {
        return Err(ListFault::TooLarge);
    }
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
    let mut rows = Rows::new(bytes);
    let header = rows.next().ok_or_else(|| ListFault::Header("the list is empty".to_owned()))?;
    let columns = Columns::from_header(&header.cells).map_err(ListFault::Header)?;

    let mut list = GuestList::default();
    let mut seen: HashMap<(EventId, TicketHash), (usize, u64)> = HashMap::new();
    for row in rows {
        match row.whole().and_then(|()| columns.line(&row.cells)) {
            Err(reason) => list.refused.push(RefusedLine { line: row.line, reason }),
            Ok(line) => match seen.get(&(line.event.clone(), line.ticket.hash())) {
                Some((first, _)) if list.lines[*first] == line => list.repeated += 1,
                Some((_, first_line)) => list.refused.push(RefusedLine {
                    line: row.line,
                    reason: format!(
                        "the ticket is on line {first_line} too, for the same event, with other cells"
                    ),
                }),
                None => {
                    seen.insert((line.event.clone(), line.ticket.hash()), (list.lines.len(), row.line));
                    list.lines.push(line);
                }
            },
        }
    }
    Ok(list)
}

/// Writes a list, header first.
///
/// # Errors
/// What the writer says.
pub fn write(out: impl Write, lines: &[GuestLine]) -> io::Result<()> {
    let mut csv = csv::Writer::from_writer(out);
    csv.write_record(COLUMNS).map_err(io_error)?;
    for line in lines {
        let doors = line.doors.iter().map(AsRef::as_ref).collect::<Vec<&str>>().join(" ");
        let time = |time: Option<jiff::Timestamp>| time.map(|time| time.to_string()).unwrap_or_default();
        csv.write_record([
            line.ticket.code(),
            line.event.as_str(),
            &line.name,
            &line.party_size.get().to_string(),
            line.section.as_ref().map_or("", AsRef::as_ref),
            line.table.as_ref().map_or("", AsRef::as_ref),
            line.seat.as_ref().map_or("", AsRef::as_ref),
            &doors,
            &time(line.valid_from),
            &time(line.valid_until),
            line.profile.map_or("", |profile| profile.as_str()),
        ])
        .map_err(io_error)?;
    }
    csv.flush()
}

/// The cause itself: a pipe that nobody reads must still be known as one.
fn io_error(error: csv::Error) -> io::Error {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error,
        other => io::Error::other(format!("{other:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str =
        "ticket,event_id,name,party_size,section,table_id,seat_id,doors,valid_from,valid_until,profile\n";

    fn read_lines(lines: &str) -> GuestList {
        read(format!("{HEADER}{lines}").as_bytes()).expect("a list")
    }

    fn refused(list: &GuestList) -> Vec<String> {
        list.refused.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_list_as_spreadsheets_write_it_is_read() {
        let text = "\u{feff}\"doors\",ticket,event_id,name,party_size,section,table_id,seat_id,valid_from,valid_until\r\n\
            north-1  north-2 north-1,T-1,derby,\"Núñez, Ana \"\"Nita\"\"\",2,U12,,U12-1-1,2026-11-22T18:00:00+01:00,\r\n\
            \r\n\
            ,\" t 2\",derby,,1,,,,,\r\n";
        let list = read(text.as_bytes()).expect("a list");
        assert_eq!(refused(&list), [""; 0]);
        let [first, second] = list.lines.as_slice() else { panic!("two lines, not {}", list.lines.len()) };
        assert_eq!(first.name, "Núñez, Ana \"Nita\"");
        assert_eq!(first.doors.iter().map(AsRef::as_ref).collect::<Vec<&str>>(), ["north-1", "north-2"]);
        assert_eq!(first.valid_from.expect("a time").to_string(), "2026-11-22T17:00:00Z");
        assert_eq!(second.ticket.code(), " t 2", "a ticket is taken exactly as it stands");
        assert_eq!((second.section.clone(), second.profile), (None, None));
    }

    #[test]
    fn every_bad_line_has_its_number_and_all_its_reasons() {
        let list = read_lines(
            "T-1,derby,Ana,2,U12,,,,,,\r\n\r\n\
             ,der by,Bo,0,U 12,T/1,-,north/1,yesterday,2026-11-22T18:00:00,run\r\n\
             T-3,derby,Cy,2\n\
             T-4,derby,Di,2,,,,,2026-11-22T18:00:00Z,2026-11-22T17:00:00Z,\n\
             T-5,derby,Ed,+2,,,,,,,walk\n",
        );
        let slug = "must be 1 to 64 of A-Z a-z 0-9 . _ - and begin with a letter or digit";
        let time = "must be an RFC 3339 time with an offset and at most microseconds, such as \
                    2026-11-22T19:30:00.5+01:00";
        assert_eq!(
            refused(&list),
            [
                format!(
                    "line 4: ticket must have 1 to 512 characters; event_id {slug}; party_size must be 1 to 50; \
                     section {slug}; table_id {slug}; seat_id {slug}; doors must be door ids separated by spaces; \
                     valid_from {time}; valid_until {time}; profile must be walk or step_free"
                ),
                "line 5: 4 cells instead of 11".to_owned(),
                "line 6: valid_until is before valid_from".to_owned(),
                "line 7: party_size must be 1 to 50".to_owned(),
            ]
        );
        assert_eq!(list.lines.len(), 1);
    }

    #[test]
    fn a_ticket_may_come_twice_if_it_says_the_same() {
        let list = read_lines(
            "T-1,derby,Ana,2,,,,,,,\nT-1,derby,Ana,2,,,,,,,\nT-1,final,Ana,2,,,,,,,\nT-1,derby,Ana,3,,,,,,,\n",
        );
        assert_eq!((list.lines.len(), list.repeated), (2, 1));
        assert_eq!(
            refused(&list),
            ["line 5: the ticket is on line 2 too, for the same event, with other cells"]
        );
    }

    #[test]
    fn a_quote_that_is_never_closed_is_named_with_the_lines_that_it_swallows() {
        let list = read_lines("T-1,derby,Ana,2,,,,,,,\nT-2,derby,\"Bo,2,,,,,,,\nT-3,derby,Cy,2,,,,,,,\n");
        assert_eq!(list.lines.len(), 1);
        assert_eq!(refused(&list), ["line 3: a quoted cell runs on to line 4: a closing quote is missing"]);
    }

    #[test]
    fn neither_a_name_nor_a_ticket_is_in_a_reason_or_a_debug_text() {
        let list = read_lines(
            "CANARY,derby,Canary,2,Canary Canary,Canary!,,Canary!,Canary,Canary,Canary\nCANARY-2,derby,Canary,2,,,,,,,\n",
        );
        assert_eq!((list.lines.len(), list.refused.len()), (1, 1));
        assert!(!format!("{list:?}").to_lowercase().contains("canary"), "{list:?}");
    }

    #[test]
    fn a_text_that_is_no_guest_list_is_refused_whole_with_the_columns_it_should_have() {
        for (text, why) in [
            ("", "the list is empty"),
            ("ticket;event_id\n", "no header with commas"),
            ("ticket,event_id,name\n", "lacks party_size, section"),
            ("ticket,event_id,name,profil\n", "column 4 has an unknown name"),
            ("ticket,event_id,ticket\n", "`ticket` is there twice"),
            ("\u{0}\u{1},\n", "column 1 has an unknown name"),
        ] {
            let fault = read(text.as_bytes()).expect_err(text).to_string();
            assert!(fault.contains(why) && fault.contains("ticket,event_id,name,party_size"), "{fault}");
        }
    }

    #[test]
    fn bytes_that_are_no_text_are_a_bad_line_and_no_more() {
        let mut bytes = HEADER.as_bytes().to_vec();
        bytes.extend_from_slice(b"T-1,derby,\xff,2,,,,,,,\nT-2,derby,a\0b,2,,,,,,,\nT-3,derby,ok,2,,,,,,,\n");
        let list = read(bytes.as_slice()).expect("a list");
        assert_eq!(refused(&list), ["line 2: not UTF-8", "line 3: name must have no control characters"]);
        assert_eq!(list.lines.len(), 1);
    }

    #[test]
    fn what_is_written_is_read_back() {
        let plan = crate::guests::GuestPlan {
            event: "derby".parse().expect("a slug"),
            count: 2_000,
            seed: 11,
            seating: crate::guests::Seating::plain(),
            valid_from: Some("2026-11-22T18:00:00Z".parse().expect("a time")),
            valid_until: None,
        };
        let lines = crate::guests::generate(&plan);
        let mut bytes = Vec::new();
        write(&mut bytes, &lines).expect("written");
        let list = read(bytes.as_slice()).expect("a list");
        assert_eq!(refused(&list), [""; 0]);
        assert!(list.lines == lines);
    }

    #[test]
    fn whatever_the_bytes_no_line_is_lost_without_a_word() {
        let good = format!("{HEADER}{}", "T-1,derby,\"Ana, B\",2,A,,A-1-1,north-1,,,\r\n".repeat(4));
        let mut dice = crate::guests::dice::Dice::new(5, 5);
        for _ in 0..3_000 {
            let mut bytes = good.clone().into_bytes();
            for _ in 0..=dice.below(6) {
                let at = HEADER.len() + dice.below(bytes.len() - HEADER.len());
                bytes[at] = *dice.pick(b"\",\r\n\0\xff a").unwrap_or(&b' ');
            }
            let list = read(bytes.as_slice()).expect("the header is whole");
            let said = list.lines.len() + list.repeated + list.refused.len();
            let last = list.refused.iter().map(|line| line.line).max().unwrap_or(1);
            let line_ends = bytes.iter().filter(|byte| matches!(byte, b'\r' | b'\n')).count();
            assert!(last as usize <= line_ends + 1, "{list:?}");
            assert!(said >= 4 || !list.refused.is_empty(), "{list:?} of {bytes:?}");
        }
    }
}
