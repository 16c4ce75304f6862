//! The closed words of the contract. Each word's `as_str` is what stands on the wire, in a metric label
//! and in the database, so there is one spelling.

/// A word outside its closed set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be one of {0}")]
pub struct UnknownWord(pub &'static str);

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$word_doc:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name { $($(#[$word_doc])* $variant),+ }

        impl $name {
            /// Every word, in the contract's order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word as it stands on the wire, in labels and in the database.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
        }

        impl ::std::str::FromStr for $name {
            type Err = $crate::UnknownWord;
            fn from_str(text: &str) -> Result<Self, $crate::UnknownWord> {
                match text {
                    $($text => Ok(Self::$variant),)+
                    _ => Err($crate::UnknownWord(concat!($($text, " "),+).trim_end())),
                }
            }
        }

        impl ::std::fmt::Display for $name {
            fn fmt(&self, out: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                out.write_str(self.as_str())
            }
        }

        impl ::serde::Serialize for $name {
            fn serialize<S: ::serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> ::serde::Deserialize<'de> for $name {
            fn deserialize<D: ::serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Word;
                impl ::serde::de::Visitor<'_> for Word {
                    type Value = $name;
                    fn expecting(&self, out: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                        out.write_str(concat!("one of ", $($text, " "),+))
                    }
                    fn visit_str<E: ::serde::de::Error>(self, text: &str) -> Result<$name, E> {
                        text.parse().map_err(E::custom)
                    }
                }
                deserializer.deserialize_str(Word)
            }
        }
    };
}
pub(crate) use words;

words!(
    /// What scanned the ticket.
    Channel {
        /// A steward's phone.
        Mobile = "mobile",
        /// A self-service kiosk.
        Kiosk = "kiosk",
        /// A staffed desk.
        Desk = "desk",
        /// A sign at the door.
        Signage = "signage",
    }
);

words!(
    /// The parts of a check-in that are timed.
    Stage {
        /// Bytes to a typed request.
        Parse = "parse",
        /// The facts that cannot change: device, venue, map.
        Lookup = "lookup",
        /// The one statement, from the queue to its commit.
        Persist = "persist",
        /// Everything, from the request's head to its answer.
        Total = "total",
    }
);

words!(
    /// How somebody moves.
    Profile {
        /// Every link.
        Walk = "walk",
        /// No stairs, no escalators, no links of unknown kind.
        StepFree = "step_free",
    }
);

words!(
    /// The languages that guests and stewards read.
    Lang {
        /// English.
        En = "en",
        /// Spanish.
        Es = "es",
    }
);

words!(
    /// The KPI views that `refresh_mv` keeps.
    View {
        /// Check-ins by minute.
        Checkin = "mv_kpi_checkin",
        /// Door-to-seat times by minute.
        DoorToSeat = "mv_kpi_door2seat",
    }
);
