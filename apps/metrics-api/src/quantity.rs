//! Numbers as senders tell them: finite, not negative, within a day.

use serde::{Deserialize, Deserializer, de::Error};
use serde_json::value::RawValue;

/// Most seconds of any duration: a day. What takes longer was measured wrong.
const DAY_SECONDS: f64 = 86_400.0;
/// Most occurrences that one observation stands for.
const COUNT_MAX: u64 = 1_000_000;

/// A number of JSON, whatever its size. Read from its text: a reader that makes a double of it at once calls
/// `1e400` broken JSON, where it is a number that is too large.
fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    let raw = Box::<RawValue>::deserialize(deserializer)?;
    let digits = raw.get().bytes().next().is_some_and(|first| first == b'-' || first.is_ascii_digit());
    let number = if digits { raw.get().parse().ok() } else { None };
    number.ok_or_else(|| D::Error::custom("must be a number"))
}

fn within<'de, D: Deserializer<'de>>(deserializer: D, max: f64, rule: &'static str) -> Result<f64, D::Error> {
    let number = number(deserializer)?;
    // No NaN and no infinity is in the range.
    if (0.0..=max).contains(&number) { Ok(number) } else { Err(D::Error::custom(rule)) }
}

/// A duration, told in seconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Seconds(f64);

impl Seconds {
    pub(crate) fn seconds(self) -> f64 {
        self.0
    }
}

impl<'de> Deserialize<'de> for Seconds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        within(deserializer, DAY_SECONDS, "must be 0 to 86400 seconds").map(Self)
    }
}

/// A duration, told in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Milliseconds(f64);

impl Milliseconds {
    pub(crate) fn seconds(self) -> f64 {
        self.0 / 1e3
    }
}

impl<'de> Deserialize<'de> for Milliseconds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        within(deserializer, DAY_SECONDS * 1e3, "must be 0 to 86400000 milliseconds").map(Self)
    }
}

/// How often something happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Count(u64);

impl Count {
    /// Once: what an observation without a count says.
    pub(crate) fn once() -> Self {
        Self(1)
    }

    pub(crate) fn times(self) -> u64 {
        self.0
    }
}

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        const RULE: &str = "must be a whole number from 0 to 1000000";
        let number = within(deserializer, COUNT_MAX as f64, RULE)?;
        // A million is far inside what a double holds exactly.
        if number.fract() == 0.0 { Ok(Self(number as u64)) } else { Err(D::Error::custom(RULE)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(text: &str) -> Option<f64> {
        serde_json::from_str::<Seconds>(text).ok().map(Seconds::seconds)
    }

    #[test]
    fn a_duration_is_a_number_from_nothing_to_a_day() {
        for (text, expected) in
            [("0", 0.0), ("-0", 0.0), ("-0.0", 0.0), ("0.25", 0.25), ("86400", 86_400.0), ("1e-400", 0.0)]
        {
            assert_eq!(seconds(text), Some(expected), "{text}");
        }
        let absurd =
            ["-1", "-1e-300", "86400.0001", "1e300", "1e400", "-1e400", "99999999999999999999999999"];
        for bad in absurd.into_iter().chain(["null", "\"1\"", "\"NaN\"", "true", "[1]", "{}"]) {
            assert_eq!(seconds(bad), None, "{bad}");
        }
        let ms = |text: &str| serde_json::from_str::<Milliseconds>(text).ok().map(Milliseconds::seconds);
        assert_eq!(ms("86400000"), Some(86_400.0));
        assert_eq!(ms("86400001"), None);
    }

    #[test]
    fn a_count_is_whole_and_at_most_a_million() {
        let count = |text: &str| serde_json::from_str::<Count>(text).ok().map(Count::times);
        assert_eq!((count("0"), count("3"), count("1000000")), (Some(0), Some(3), Some(1_000_000)));
        for bad in ["-1", "1.5", "1000001", "1e300", "null", "\"1\""] {
            assert_eq!(count(bad), None, "{bad}");
        }
    }
}
