//! Whether two events with one id are the same event: as the database has it, where the members as `jsonb` prints them
//! are compared (`012_…`). White space and the order of members make no other event, another spelling of a number of the
//! same value and as many places behind the point does not either.

use std::collections::BTreeMap;

use seatpilot_domain_model::Event;
use serde::Deserialize;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

/// SHA-256 over the event's members.
pub(super) type Identity = [u8; 32];

/// None for what is no event after all.
pub(super) fn identity(event: &Event) -> Option<Identity> {
    #[derive(Deserialize)]
    struct Envelope<'a> {
        #[serde(borrow)]
        data: &'a RawValue,
    }
    let envelope: Envelope<'_> = serde_json::from_slice(&event.raw).ok()?;
    let mut members = Members(Sha256::new());
    members.text(event.kind);
    members.text(&event.occurred_at.as_microsecond().to_string());
    members.text(event.venue.as_str());
    members.text(&event.session_id.map(|id| id.to_string()).unwrap_or_default());
    members.text(event.channel.map(|channel| channel.as_str()).unwrap_or_default());
    members.value(envelope.data.get())?;
    Some(members.0.finalize().into())
}

/// What is hashed: each part with its kind and length before it, so that no two read alike.
struct Members(Sha256);

impl Members {
    fn part(&mut self, kind: u8, bytes: &[u8]) {
        self.0.update([kind]);
        self.0.update(bytes.len().to_be_bytes());
        self.0.update(bytes);
    }

    fn text(&mut self, text: &str) {
        self.part(b'"', text.as_bytes());
    }

    fn value(&mut self, json: &str) -> Option<()> {
        match json.as_bytes().first()? {
            b'{' => {
                let members: BTreeMap<String, &RawValue> = serde_json::from_str(json).ok()?;
                self.part(b'{', &members.len().to_be_bytes());
                for (name, value) in members {
                    self.text(&name);
                    self.value(value.get())?;
                }
            }
            b'[' => {
                let items: Vec<&RawValue> = serde_json::from_str(json).ok()?;
                self.part(b'[', &items.len().to_be_bytes());
                for item in items {
                    self.value(item.get())?;
                }
            }
            b'"' => self.text(&serde_json::from_str::<String>(json).ok()?),
            b'-' | b'0'..=b'9' => self.part(b'0', Number::parse(json)?.to_string().as_bytes()),
            _ => self.part(b'w', json.as_bytes()),
        }
        Some(())
    }
}

/// A number as Postgres' `numeric` holds it: its value, and how many places behind the point are printed.
struct Number<'a> {
    negative: bool,
    /// Digits before and behind the point, without the zeros at both ends.
    digits: (&'a str, &'a str),
    /// The power of ten of the last digit.
    power: i64,
    places: i64,
}

impl<'a> Number<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let (negative, text) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
        let (mantissa, exponent) = match text.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse::<i64>().ok()?),
            None => (text, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let behind = i64::try_from(fraction.len()).ok()?;
        let places = behind.saturating_sub(exponent).max(0);
        let mut power = exponent.saturating_sub(behind);
        let digits = (whole.trim_start_matches('0'), fraction);
        let digits = if digits.0.is_empty() { ("", fraction.trim_start_matches('0')) } else { digits };
        let cut = digits.1.trim_end_matches('0');
        let digits = if cut.is_empty() { (digits.0.trim_end_matches('0'), cut) } else { (digits.0, cut) };
        let zeros = (mantissa.len() - usize::from(mantissa.contains('.')))
            - (digits.0.len() + digits.1.len())
            - leading_zeros(whole, fraction);
        power = power.saturating_add(i64::try_from(zeros).ok()?);
        if digits.0.is_empty() && digits.1.is_empty() {
            return Some(Self { negative: false, digits, power: 0, places });
        }
        Some(Self { negative, digits, power, places })
    }
}

/// Zeros before the first other digit; all of them where there is no other.
fn leading_zeros(whole: &str, fraction: &str) -> usize {
    whole.bytes().chain(fraction.bytes()).take_while(|digit| *digit == b'0').count()
}

impl std::fmt::Display for Number<'_> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let sign = if self.negative { "-" } else { "" };
        write!(out, "{sign}{}{}e{}/{}", self.digits.0, self.digits.1, self.power, self.places)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(data: &str) -> Identity {
        let mut members = Members(Sha256::new());
        members.value(data).unwrap();
        members.0.finalize().into()
    }

    /// Whether the database takes the two for one is asked in `tests/it/stores.rs`, of these and of others.
    #[test]
    fn spelling_makes_no_other_event_and_content_does() {
        for (one, other) in [
            (r#"{"a":1,"b":[true,null]}"#, "{ \"b\" : [ true , null ],\n\"a\":1 }"),
            (r#""\u0041\u00e9""#, r#""Aé""#),
            ("100", "1e2"),
            ("100", "1E+2"),
            ("0.001", "1e-3"),
            ("15.0", "1.50e1"),
            ("-0", "0"),
            ("0.00", "-0.00"),
            ("1200", "1.2e3"),
            ("10.10", "1010e-2"),
        ] {
            assert_eq!(of(one), of(other), "{one} {other}");
        }
        for (one, other) in [
            ("1", "1.0"),
            ("1", "-1"),
            ("0", "0.0"),
            ("0.1", "0.01"),
            ("1", "10"),
            ("0.1", "0.1000000000000000055"),
            ("[1,2]", "[2,1]"),
            ("[[1],2]", "[[1,2]]"),
            (r#"{"a":{"b":1}}"#, r#"{"a":{},"b":1}"#),
            (r#""1""#, "1"),
            ("null", "false"),
            (r#"["ab","c"]"#, r#"["a","bc"]"#),
        ] {
            assert_ne!(of(one), of(other), "{one} {other}");
        }
    }
}
