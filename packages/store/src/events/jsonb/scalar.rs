//! Strings and numbers as `jsonb` prints them.

use seatpilot_domain_model::strict_json;

/// Most digits after the point in Postgres' `numeric`.
const SCALE_MAX: usize = 16_383;

/// Prints a string that stands in a text as `raw`, quotes included. `None` where jsonb has no such string.
pub(super) fn print_string(raw: &str, out: &mut Vec<u8>) -> Option<()> {
    if raw.contains('\\') {
        quote(&strict_json::string(raw)?, out)
    } else {
        // Nothing in it that would be printed otherwise.
        out.extend_from_slice(raw.as_bytes());
        Some(())
    }
}

/// Prints a text as a string. `None` where it has U+0000, which jsonb refuses.
pub(in crate::events) fn quote(text: &str, out: &mut Vec<u8>) -> Option<()> {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    out.push(b'"');
    for byte in text.bytes() {
        match byte {
            0 => return None,
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            0x08 => out.extend_from_slice(b"\\b"),
            0x0c => out.extend_from_slice(b"\\f"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0x01..=0x1f => {
                out.extend_from_slice(b"\\u00");
                out.push(HEX[usize::from(byte >> 4)]);
                out.push(HEX[usize::from(byte & 15)]);
            }
            _ => out.push(byte),
        }
    }
    out.push(b'"');
    Some(())
}

/// Prints the digits before and after a point, shifted by a power of ten, as `numeric` does: no exponent, no zero in front,
/// and as many digits behind the point as were written there, less the exponent. `None` where that are more than `numeric`
/// has.
pub(super) fn print_numeric(whole: &str, fraction: &str, exponent: i32, out: &mut Vec<u8>) -> Option<()> {
    let length = |digits: &str| i64::try_from(digits.len()).ok();
    let point = length(whole)? + i64::from(exponent);
    let scale = usize::try_from((length(fraction)? - i64::from(exponent)).max(0)).ok()?;
    if scale > SCALE_MAX {
        return None;
    }
    let digit = |place: i64| {
        let place = usize::try_from(place).ok();
        let found = place.and_then(|place| match place.checked_sub(whole.len()) {
            None => whole.as_bytes().get(place),
            Some(behind) => fraction.as_bytes().get(behind),
        });
        found.copied().unwrap_or(b'0')
    };
    let begin = out.len();
    out.extend((0..point).map(digit).skip_while(|digit| *digit == b'0'));
    if out.len() == begin {
        out.push(b'0');
    }
    if scale > 0 {
        out.push(b'.');
        out.extend((point..).map(digit).take(scale));
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numeric(whole: &str, fraction: &str, exponent: i32) -> String {
        let mut out = Vec::new();
        print_numeric(whole, fraction, exponent, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_number_keeps_its_digits_and_loses_its_exponent() {
        for (whole, fraction, exponent, printed) in [
            ("0", "", 0, "0"),
            ("0", "00", 0, "0.00"),
            ("0", "", 10, "0"),
            ("0", "", -3, "0.000"),
            ("1", "", 5, "100000"),
            ("1", "50", 0, "1.50"),
            ("1", "50", 1, "15.0"),
            ("1", "50", 2, "150"),
            ("1", "50", 3, "1500"),
            ("1", "", -7, "0.0000001"),
            ("12", "34", -3, "0.01234"),
            ("123456789012345678901234567890", "1", 0, "123456789012345678901234567890.1"),
        ] {
            assert_eq!(numeric(whole, fraction, exponent), printed, "{whole}.{fraction}e{exponent}");
        }
    }

    #[test]
    fn more_digits_than_numeric_has_and_a_nul_have_no_text() {
        assert_eq!(print_numeric("0", &"1".repeat(SCALE_MAX), 0, &mut Vec::new()), Some(()));
        assert_eq!(print_numeric("0", &"1".repeat(SCALE_MAX + 1), 0, &mut Vec::new()), None);
        assert_eq!(print_string(r#""a\u0000""#, &mut Vec::new()), None);
    }
}
