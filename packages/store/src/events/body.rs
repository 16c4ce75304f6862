//! The hash that tells a repeat of an event from another event with its id: of the event's members, as the database's
//! `telemetry.event_body` (migration 117) prints them. White space and the order of members make no other event.

#[cfg(test)]
mod judged;
#[cfg(test)]
mod made_up;

use std::io::Write;

use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use seatpilot_domain_model::Event;
use sha2::{Digest, Sha256};

use super::jsonb::{Printer, quote};

/// Postgres' epoch, 2000-01-01, in Unix seconds: times are cut to whole microseconds from there.
const EPOCH: SignedDuration = SignedDuration::from_secs(946_684_800);

/// What the database need not work out of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Body {
    /// Of the members' text.
    pub(crate) sha256: [u8; 32],
    /// Which byte of the event is the first of its `data`; the event's first is 1.
    pub(crate) data_begin: i32,
    /// How many bytes `data` has.
    pub(crate) data_length: i32,
}

impl Body {
    /// `None` where the text cannot be told here: the database works it out then. `text` is room that is used again.
    pub(crate) fn of(event: &Event, text: &mut Vec<u8>) -> Option<Self> {
        text.clear();
        text.push(b'[');
        quote(event.kind, text)?;
        text.extend_from_slice(b", \"");
        print_time(event.occurred_at, text)?;
        text.extend_from_slice(b"\", ");
        quote(event.venue.as_str(), text)?;
        match event.session_id {
            Some(id) => write!(text, ", \"{id}\", ").ok()?,
            None => text.extend_from_slice(b", null, "),
        }
        match event.channel {
            Some(channel) => quote(channel.as_str(), text)?,
            None => text.extend_from_slice(b"null"),
        }
        text.extend_from_slice(b", ");
        let data = Printer::new(std::str::from_utf8(&event.raw).ok()?, text).member("data")?;
        text.push(b']');
        Some(Self {
            sha256: Sha256::digest(text.as_slice()).into(),
            data_begin: i32::try_from(data.start + 1).ok()?,
            data_length: i32::try_from(data.len()).ok()?,
        })
    }
}

/// As jsonb prints a time in UTC: microseconds without the zeros at their end. `None` outside the years 1 to 9999.
fn print_time(time: Timestamp, out: &mut Vec<u8>) -> Option<()> {
    let micros = i64::try_from(time.as_duration().checked_sub(EPOCH)?.as_micros()).ok()?;
    let kept = EPOCH.checked_add(SignedDuration::from_micros(micros))?;
    let civil = TimeZone::UTC.to_datetime(Timestamp::from_duration(kept).ok()?);
    if civil.year() < 1 {
        return None;
    }
    write!(
        out,
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}",
        civil.year(),
        civil.month(),
        civil.day(),
        civil.hour(),
        civil.minute(),
        civil.second()
    )
    .ok()?;
    let micros = civil.subsec_nanosecond() / 1_000;
    if micros > 0 {
        write!(out, ".{micros:06}").ok()?;
        while out.last() == Some(&b'0') {
            out.pop();
        }
    }
    out.extend_from_slice(b"+00:00");
    Some(())
}
