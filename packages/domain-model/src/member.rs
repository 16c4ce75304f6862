//! How members of request bodies are read, for `#[serde(deserialize_with = …)]`: stricter than the types' own
//! readers, which take several spellings.

use std::{fmt, marker::PhantomData};

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, de::Error};
use uuid::Uuid;

use crate::parse_rfc3339;

/// An optional member that is there: `null` is not the same as leaving it out, and is refused.
///
/// # Errors
/// As the type's own reader.
pub fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// A whole number, also one that is written `2.0`: JSON and JSON Schema know one kind of number, and some languages
/// print all of theirs so.
///
/// # Errors
/// For a fraction, and for a number outside the type's range.
pub fn whole<'de, D: Deserializer<'de>, T: TryFrom<u64>>(deserializer: D) -> Result<T, D::Error> {
    const RULE: &str = "must be a whole number in range";
    struct Whole;
    impl serde::de::Visitor<'_> for Whole {
        type Value = u64;
        fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
            out.write_str("a whole number")
        }
        fn visit_u64<E: Error>(self, number: u64) -> Result<u64, E> {
            Ok(number)
        }
        fn visit_i64<E: Error>(self, number: i64) -> Result<u64, E> {
            u64::try_from(number).map_err(|_| E::custom(RULE))
        }
        fn visit_f64<E: Error>(self, number: f64) -> Result<u64, E> {
            // Up to 2^53 a double holds every whole number exactly.
            let is_whole = (0.0..=9_007_199_254_740_992.0).contains(&number) && number.fract() == 0.0;
            if is_whole { Ok(number as u64) } else { Err(E::custom(RULE)) }
        }
    }
    let number = deserializer.deserialize_u64(Whole)?;
    T::try_from(number).map_err(|_| D::Error::custom(RULE))
}

/// A UUID in its one canonical form, 8-4-4-4-12 hexadecimal digits.
///
/// # Errors
/// For braces, URNs and forms without hyphens too.
pub fn uuid<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Uuid, D::Error> {
    text(deserializer, "a UUID", |text| if text.len() == 36 { Uuid::try_parse(text).ok() } else { None })
}

/// An RFC 3339 time that is there.
///
/// # Errors
/// As [`parse_rfc3339`].
pub fn time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
    text(deserializer, "an RFC 3339 time with an offset and at most microseconds", |text| {
        parse_rfc3339(text).ok()
    })
    .map(Some)
}

fn text<'de, D: Deserializer<'de>, T>(
    deserializer: D,
    expected: &'static str,
    read: impl Fn(&str) -> Option<T>,
) -> Result<T, D::Error> {
    struct Text<F, T>(&'static str, F, PhantomData<T>);
    impl<F: Fn(&str) -> Option<T>, T> serde::de::Visitor<'_> for Text<F, T> {
        type Value = T;
        fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
            out.write_str(self.0)
        }
        fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
            (self.1)(text).ok_or_else(|| E::custom(format_args!("must be {}", self.0)))
        }
    }
    deserializer.deserialize_str(Text(expected, read, PhantomData))
}
