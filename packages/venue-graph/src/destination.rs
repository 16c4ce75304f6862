//! How a request names a place: `kind:id`, a bare id, `lon,lat,level`, or `amenity:<kind>` for the nearest.

use seatpilot_domain_model::NodeId;

use crate::{
    kind::{AmenityKind, PlaceKind},
    venue::{is_position, is_slug},
};

/// Longest reference, in bytes: a kind, a colon and an identifier fit three times over.
const REFERENCE_BYTES_MAX: usize = 256;

/// A place as a request names it (contract section 3).
#[derive(Debug, Clone, PartialEq)]
pub enum PlaceRef {
    /// `door:north-1`.
    Named {
        /// Its kind.
        kind: PlaceKind,
        /// Its id.
        id: String,
    },
    /// `node:<id>`.
    Node(NodeId),
    /// `T12`: whichever place has this id, if only one has.
    Bare(String),
    /// `139.60721,35.51072,4`: the nearest node of that level.
    At {
        /// Longitude, WGS 84.
        lon: f64,
        /// Latitude, WGS 84.
        lat: f64,
        /// The storey's ordinal.
        level: f64,
    },
    /// `amenity:toilets`: the nearest in time; only as a destination.
    Nearest(AmenityKind),
}

/// Why a text names no place, whatever the map. A bad parameter (422), unlike a place that the map does not
/// know (404).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidPlace(&'static str);

const FORMS: InvalidPlace = InvalidPlace(
    "must be kind:id with kind door, section, table, seat, sign or node, or an id, or lon,lat,level, or as a \
     destination amenity:kind",
);
const AMENITIES: InvalidPlace = InvalidPlace(
    "must be amenity: and one of toilets, accessible_toilets, lift, exit, information, first_aid",
);

impl PlaceRef {
    /// Reads a destination.
    ///
    /// # Errors
    /// [`InvalidPlace`] for text outside the grammar.
    pub fn parse(text: &str) -> Result<Self, InvalidPlace> {
        if text.len() > REFERENCE_BYTES_MAX {
            return Err(FORMS);
        }
        if text.contains(',') {
            return Self::coordinates(text);
        }
        let Some((kind, id)) = text.split_once(':') else {
            return if is_slug(text) { Ok(Self::Bare(text.to_owned())) } else { Err(FORMS) };
        };
        if kind == "amenity" {
            return AmenityKind::from_word(id).map(Self::Nearest).ok_or(AMENITIES);
        }
        if kind == "node" {
            return id.parse().map(Self::Node).map_err(|_| FORMS);
        }
        match PlaceKind::from_word(kind) {
            Some(kind) if is_slug(id) => Ok(Self::Named { kind, id: id.to_owned() }),
            Some(_) | None => Err(FORMS),
        }
    }

    /// Reads an origin: everything but an amenity.
    ///
    /// # Errors
    /// [`InvalidPlace`] for text outside the grammar, and for `amenity:`.
    pub fn parse_origin(text: &str) -> Result<Self, InvalidPlace> {
        match Self::parse(text)? {
            Self::Nearest(_) => Err(InvalidPlace("must be a place: amenity is for destinations only")),
            place => Ok(place),
        }
    }

    fn coordinates(text: &str) -> Result<Self, InvalidPlace> {
        const COORDINATES: InvalidPlace =
            InvalidPlace("must be lon,lat,level: degrees within -180 to 180 and -90 to 90, and a storey");
        let mut parts = text.split(',').map(|part| part.trim().parse::<f64>().ok());
        let (Some(Some(lon)), Some(Some(lat)), Some(Some(level)), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(COORDINATES);
        };
        if is_position(lon, lat, level) { Ok(Self::At { lon, lat, level }) } else { Err(COORDINATES) }
    }
}

impl std::str::FromStr for PlaceRef {
    type Err = InvalidPlace;
    fn from_str(text: &str) -> Result<Self, InvalidPlace> {
        Self::parse(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_kind_and_an_id_or_an_id_or_coordinates_or_an_amenity() {
        let named = |kind, id: &str| Ok(PlaceRef::Named { kind, id: id.to_owned() });
        assert_eq!(PlaceRef::parse("door:north-1"), named(PlaceKind::Door, "north-1"));
        assert_eq!(PlaceRef::parse("seat:T12-3"), named(PlaceKind::Seat, "T12-3"));
        assert_eq!(PlaceRef::parse("T12"), Ok(PlaceRef::Bare("T12".to_owned())));
        assert_eq!(PlaceRef::parse("1.5,-2,0.5"), Ok(PlaceRef::At { lon: 1.5, lat: -2.0, level: 0.5 }));
        assert_eq!(PlaceRef::parse("amenity:first_aid"), Ok(PlaceRef::Nearest(AmenityKind::FirstAid)));
        assert!(matches!(PlaceRef::parse("node:a1"), Ok(PlaceRef::Node(_))));
    }

    #[test]
    fn text_outside_the_grammar_is_refused() {
        for bad in [
            "",
            ":",
            "door:",
            ":x",
            "door:a b",
            "castle:x",
            "door:a:b",
            "amenity:pool",
            "amenity:",
            "1,2",
            "1,2,3,4",
            "NaN,0,0",
            "inf,0,0",
            "181,0,0",
            "0,91,0",
            "0,0,1e9",
            "0,,0",
            "é",
            "a/b",
            "node:",
            &"x".repeat(65),
            &"9".repeat(300),
        ] {
            assert!(PlaceRef::parse(bad).is_err(), "{bad:?}");
        }
        assert!(PlaceRef::parse_origin("amenity:lift").is_err());
        assert!(PlaceRef::parse_origin("door:a").is_ok());
    }
}
