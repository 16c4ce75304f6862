//! The closed words of a map: what the codes of the MLIT / GSI indoor network mean, and what a place can be.
//!
//! A code outside its list becomes the careful reading (unknown), never a guess in the guest's favour.

use serde::{Deserialize, Serialize};

/// An enum that is stored as the code of the MLIT specification.
macro_rules! codes {
    ($(#[$doc:meta])* $name:ident { $($(#[$word:meta])* $variant:ident = $code:literal),+ $(,)? } else $other:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(from = "u8", into = "u8")]
        pub enum $name { $($(#[$word])* $variant),+ }

        impl $name {
            /// The meaning of a code; a code outside the list is read as the last resort of the list.
            pub fn from_code(code: u8) -> Self {
                match code { $($code => Self::$variant,)+ _ => Self::$other }
            }

            /// The code.
            pub fn code(self) -> u8 {
                match self { $(Self::$variant => $code),+ }
            }
        }

        impl From<u8> for $name {
            fn from(code: u8) -> Self { Self::from_code(code) }
        }

        impl From<$name> for u8 {
            fn from(kind: $name) -> u8 { kind.code() }
        }
    };
}

codes!(
    /// `links.route_type`: what one walks on.
    LinkKind {
        /// Level floor.
        Plain = 1,
        /// Moving walkway.
        MovingWalkway = 2,
        /// Level crossing.
        LevelCrossing = 3,
        /// Lift: along the shaft, or in and out of the car.
        Lift = 4,
        /// Escalator.
        Escalator = 5,
        /// Stairs.
        Stairs = 6,
        /// Ramp.
        Ramp = 7,
        /// Not known; it may be stairs.
        Unknown = 99,
    } else Unknown
);

impl LinkKind {
    /// Whether the step-free profile may use it: everything but stairs, escalators and the unknown.
    pub fn is_step_free(self) -> bool {
        !matches!(self, Self::Stairs | Self::Escalator | Self::Unknown)
    }
}

codes!(
    /// `links.direction`: which way a link may be walked.
    Direction {
        /// Both ways.
        Both = 1,
        /// From start to end only.
        Forward = 2,
        /// From end to start only.
        Backward = 3,
    } else Both
);

impl Direction {
    /// Whether the link may be walked from start to end (`forward`), or from end to start.
    pub fn allows(self, forward: bool) -> bool {
        match self {
            Self::Both => true,
            Self::Forward => forward,
            Self::Backward => !forward,
        }
    }
}

codes!(
    /// `links.lev_diff`: the highest single step on a link.
    Threshold {
        /// 2 cm or less.
        Low = 1,
        /// Over 2 cm.
        Over2Cm = 2,
        /// Not known.
        Unknown = 99,
    } else Unknown
);

codes!(
    /// `links.vtcl_slope`, from start to end.
    Slope {
        /// 5 % or less.
        Gentle = 1,
        /// Over 5 % up.
        SteepUp = 2,
        /// Over 5 % down.
        SteepDown = 3,
        /// Not known.
        Unknown = 99,
    } else Unknown
);

impl Slope {
    /// The slope as met by somebody who walks the link the other way.
    pub fn reversed(self) -> Self {
        match self {
            Self::SteepUp => Self::SteepDown,
            Self::SteepDown => Self::SteepUp,
            Self::Gentle | Self::Unknown => self,
        }
    }
}

codes!(
    /// `links.elevator`: for whom a lift is made.
    LiftFitness {
        /// No lift.
        None = 1,
        /// A lift without accessibility.
        Plain = 2,
        /// Made for wheelchairs.
        Wheelchair = 3,
        /// Made for the blind.
        Blind = 4,
        /// Made for both.
        WheelchairAndBlind = 5,
        /// Not known.
        Unknown = 99,
    } else Unknown
);

impl LiftFitness {
    /// Whether the map says that it is made for wheelchairs.
    pub fn takes_wheelchairs(self) -> bool {
        matches!(self, Self::Wheelchair | Self::WheelchairAndBlind)
    }
}

codes!(
    /// `nodes.in_out`: where a node stands.
    Exposure {
        /// Outside the building.
        Outside = 1,
        /// On the boundary: a way in or out.
        Boundary = 2,
        /// Inside.
        Inside = 3,
    } else Inside
);

/// An enum whose variants are words of the wire.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$word:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum $name { $($(#[$word])* #[serde(rename = $text)] $variant),+ }

        impl $name {
            /// Every word.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word as it stands on the wire and in `places.csv`.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }

            /// The variant of a word.
            pub fn from_word(word: &str) -> Option<Self> {
                match word { $($text => Some(Self::$variant),)+ _ => None }
            }
        }
    };
}

words!(
    /// What a named place is.
    PlaceKind {
        /// A gate line or door, where tickets are scanned.
        Door = "door",
        /// A block of seats or tables.
        Section = "section",
        /// A table.
        Table = "table",
        /// A seat.
        Seat = "seat",
        /// A sign that shows ways.
        Sign = "sign",
    }
);

words!(
    /// What a guest asks for the nearest of.
    AmenityKind {
        /// Toilets.
        Toilets = "toilets",
        /// Toilets for wheelchair users.
        AccessibleToilets = "accessible_toilets",
        /// A lift.
        Lift = "lift",
        /// A way out of the building.
        Exit = "exit",
        /// An information desk.
        Information = "information",
        /// A defibrillator or first-aid room.
        FirstAid = "first_aid",
    }
);

words!(
    /// What a landmark is. Stairs and escalators are none on purpose: a step-free way never mentions them.
    LandmarkKind {
        /// Toilets.
        Toilets = "toilets",
        /// Toilets for wheelchair users.
        AccessibleToilets = "accessible_toilets",
        /// A lift.
        Lift = "lift",
        /// A way out.
        Exit = "exit",
        /// An entrance of the building.
        Entrance = "entrance",
        /// An information desk.
        Information = "information",
        /// A defibrillator or first-aid room.
        FirstAid = "first_aid",
        /// A shop.
        Shop = "shop",
        /// A ticket office.
        Tickets = "tickets",
        /// A line of ticket gates.
        TicketGate = "ticket_gate",
        /// A door of the venue.
        Door = "door",
    }
);
