//! An amount of money as people read it.

use std::fmt;

/// Whole minor units of a currency.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Money {
    minor: i64,
    digits: u8,
    currency: String,
}

impl Money {
    pub(super) fn new(minor: i64, digits: u8, currency: &str) -> Self {
        Self { minor, digits, currency: currency.to_owned() }
    }
}

impl fmt::Display for Money {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = 10_u64.checked_pow(u32::from(self.digits)).unwrap_or(1);
        let (minor, width) = (self.minor.unsigned_abs(), usize::from(self.digits));
        // A minus that a line never breaks after.
        let sign = if self.minor < 0 { "\u{2212}" } else { "" };
        if width == 0 {
            write!(out, "{sign}{minor}")?;
        } else {
            write!(out, "{sign}{}.{:0width$}", minor / unit, minor % unit)?;
        }
        if self.currency.is_empty() { Ok(()) } else { write!(out, "\u{a0}{}", self.currency) }
    }
}

#[cfg(test)]
mod tests {
    use super::Money;

    #[test]
    fn an_amount_has_as_many_digits_as_its_currency() {
        for (minor, digits, currency, text) in [
            (24_900, 2, "EUR", "249.00\u{a0}EUR"),
            (-5, 2, "EUR", "\u{2212}0.05\u{a0}EUR"),
            (1_250, 0, "JPY", "1250\u{a0}JPY"),
            (1, 3, "KWD", "0.001\u{a0}KWD"),
            (i64::MIN, 2, "", "\u{2212}92233720368547758.08"),
        ] {
            assert_eq!(Money::new(minor, digits, currency).to_string(), text);
        }
    }
}
