//! Identifiers. All of them are slugs, `[A-Za-z0-9][A-Za-z0-9._-]{0,63}` (contract section 0), and each
//! noun has a type of its own, so that a door never travels as a section.

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Longest identifier, in characters (all of them ASCII).
pub const SLUG_MAX: usize = 64;

/// Why a text is no identifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be 1 to 64 of A-Z a-z 0-9 . _ - and begin with a letter or digit")]
pub struct InvalidSlug;

fn check(text: &str) -> Result<(), InvalidSlug> {
    let bytes = text.as_bytes();
    let inside = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    match bytes.first() {
        Some(first)
            if first.is_ascii_alphanumeric() && bytes.len() <= SLUG_MAX && bytes.iter().all(inside) =>
        {
            Ok(())
        }
        _ => Err(InvalidSlug),
    }
}

macro_rules! slug {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The identifier as it stands on the wire.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidSlug;
            fn from_str(text: &str) -> Result<Self, InvalidSlug> {
                check(text)?;
                Ok(Self(text.into()))
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidSlug;
            fn try_from(text: String) -> Result<Self, InvalidSlug> {
                text.parse()
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(out, "{}({})", stringify!($name), self.0)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Slug;
                impl serde::de::Visitor<'_> for Slug {
                    type Value = $name;
                    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                        out.write_str("an identifier")
                    }
                    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<$name, E> {
                        text.parse().map_err(E::custom)
                    }
                }
                deserializer.deserialize_str(Slug)
            }
        }
    };
}

slug!(/// A customer of SeatPilot; the boundary that row level security holds.
    TenantId);
slug!(/// A building or ground with one map and one time zone.
    VenueId);
slug!(/// One evening at a venue, for which tickets are sold.
    EventId);
slug!(/// A gate line or door, where tickets are scanned.
    DoorId);
slug!(/// A block of seats or tables.
    SectionId);
slug!(/// A table.
    TableId);
slug!(/// A single seat.
    SeatId);
slug!(/// A sign that shows ways and sends arrival pings.
    SignId);
slug!(/// A node of a venue's walking network.
    NodeId);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identifier_begins_with_a_letter_or_digit_and_has_at_most_64_characters() {
        for good in ["a", "0", "north-1", "U12", "a.b_c-d", &"x".repeat(64)] {
            assert!(good.parse::<DoorId>().is_ok(), "{good}");
        }
        for bad in ["", "-a", ".a", "_a", "a b", "é", "a/b", "a\n", "a\0", &"x".repeat(65)] {
            assert!(bad.parse::<DoorId>().is_err(), "{bad:?}");
        }
    }
}
