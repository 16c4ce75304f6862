//! Bytes as hexadecimal digits, both ways: what Postgres prints of a `bytea` in JSON is `\x` and its digits.

use std::fmt;

/// Two lower digits a byte.
pub(super) struct Lower<'a>(pub(super) &'a [u8]);

impl fmt::Display for Lower<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(out, "{byte:02x}"))
    }
}

/// The bytes of a `bytea` as Postgres prints it.
pub(super) fn bytea(text: &str) -> Option<Vec<u8>> {
    let digits = text.strip_prefix("\\x")?.as_bytes();
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let pairs = digits.chunks_exact(2);
    if !pairs.remainder().is_empty() {
        return None;
    }
    pairs.map(|pair| Some(digit(pair[0])? << 4 | digit(pair[1])?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_back_as_they_went() {
        let bytes: Vec<u8> = (0..=255).collect();
        assert_eq!(bytea(&format!("\\x{}", Lower(&bytes))), Some(bytes));
        assert_eq!(bytea("\\x"), Some(Vec::new()));
        for bad in ["", "00", "\\x0", "\\xzz", "\\x0g", "x00"] {
            assert_eq!(bytea(bad), None, "{bad}");
        }
    }
}
