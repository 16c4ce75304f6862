//! Points in time as the contract writes them: RFC 3339 with an offset and at most microseconds.

use jiff::Timestamp;

/// Why a text is no time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "must be an RFC 3339 time with an offset and at most microseconds, such as 2026-11-22T19:30:00.5+01:00"
)]
pub struct InvalidTime;

/// Reads an RFC 3339 `date-time`. Stricter than ISO 8601 readers: `T` and the offset are required (lower
/// case `t` and `z` are RFC 3339's), a fraction has 1 to 6 digits. A leap second `:60` is read as the
/// second before it, as Postgres would have to.
///
/// The last hours of the year 9999 are times in that grammar, and more than [`Timestamp`] holds: they are read
/// as the last second that it does, so that a list's "for ever" is one, and a scan of then is out of range
/// and not out of grammar.
///
/// # Errors
/// [`InvalidTime`] outside that grammar, and for dates that do not exist.
pub fn parse_rfc3339(text: &str) -> Result<Timestamp, InvalidTime> {
    let bytes = text.as_bytes();
    let digits = |range: std::ops::Range<usize>| {
        bytes.get(range).is_some_and(|part| !part.is_empty() && part.iter().all(u8::is_ascii_digit))
    };
    let at = |index: usize, allowed: &[u8]| bytes.get(index).is_some_and(|byte| allowed.contains(byte));
    let head = digits(0..4)
        && at(4, b"-")
        && digits(5..7)
        && at(7, b"-")
        && digits(8..10)
        && at(10, b"Tt")
        && digits(11..13)
        && at(13, b":")
        && digits(14..16)
        && at(16, b":")
        && digits(17..19);
    if !head {
        return Err(InvalidTime);
    }
    let mut end = 19;
    if at(end, b".") {
        let fraction = bytes[end + 1..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        if !(1..=6).contains(&fraction) {
            return Err(InvalidTime);
        }
        end += 1 + fraction;
    }
    let offset = match &bytes[end..] {
        [b'Z' | b'z'] => true,
        [b'+' | b'-', ..] => {
            bytes.len() == end + 6
                && digits(end + 1..end + 3)
                && at(end + 3, b":")
                && digits(end + 4..end + 6)
                // RFC 3339 knows hours 00 to 23 and minutes 00 to 59; the reader below is more generous.
                && bytes[end + 1..end + 3] <= b"23"[..]
                && bytes[end + 4..end + 6] <= b"59"[..]
        }
        _ => false,
    };
    if !offset {
        return Err(InvalidTime);
    }
    text.parse().or_else(|_| {
        let rest = text.strip_prefix("9999-12-3").ok_or(InvalidTime)?;
        let _same_a_year_before: Timestamp = format!("9998-12-3{rest}").parse().map_err(|_| InvalidTime)?;
        Timestamp::from_second(Timestamp::MAX.as_second()).map_err(|_| InvalidTime)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_an_offset_and_at_most_microseconds() {
        for good in [
            "2026-11-22T19:30:00Z",
            "2026-11-22t19:30:00z",
            "2026-11-22T19:30:00.1+01:00",
            "2026-11-22T19:30:00.123456-00:00",
            "2024-02-29T00:00:00+14:00",
        ] {
            assert!(parse_rfc3339(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "2026-11-22",
            "2026-11-22T19:30:00",
            "2026-11-22 19:30:00Z",
            "2026-11-22T19:30Z",
            "2026-11-22T19:30:00.1234567Z",
            "2026-11-22T19:30:00.Z",
            "2026-11-22T19:30:00+0100",
            "2026-11-22T19:30:00+01",
            "2026-11-22T19:30:00+24:00",
            "2026-11-22T19:30:00+01:60",
            "2026-02-30T00:00:00Z",
            "2026-11-22T24:00:00Z",
            "2026-11-22T19:30:00Z[Europe/Madrid]",
            "+002026-11-22T19:30:00Z",
            "infinity",
            "２026-11-22T19:30:00Z",
        ] {
            assert!(parse_rfc3339(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_last_hours_that_four_digits_write_are_times() {
        for good in ["9999-12-30T22:00:01Z", "9999-12-31T23:59:59Z", "9999-12-31T23:59:59.999999-14:00"] {
            let read = parse_rfc3339(good).unwrap();
            assert!(read > parse_rfc3339("9999-12-30T21:59:59Z").unwrap(), "{good}");
            assert_eq!(read.subsec_nanosecond(), 0, "Postgres holds no nanoseconds");
        }
        for bad in
            ["9999-12-32T00:00:00Z", "9999-12-31T24:00:00Z", "9999-12-31T23:59:59", "9999-11-31T00:00:00Z"]
        {
            assert!(parse_rfc3339(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn equal_instants_with_other_offsets_are_equal() {
        assert_eq!(parse_rfc3339("2026-11-22T20:30:00+01:00"), parse_rfc3339("2026-11-22T19:30:00Z"));
    }
}
