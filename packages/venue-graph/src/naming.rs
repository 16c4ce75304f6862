//! What things are called, in English and Spanish: places, landmarks, storeys, winds, distances.
//!
//! Landmarks without a name in Latin letters are called by what they are; names of places are never translated.

use seatpilot_domain_model::Lang;

use crate::{
    kind::{AmenityKind, LandmarkKind, PlaceKind},
    venue::{Landmark, Place},
};

/// What a place is called: doors and signs by their name, what stands on tickets by its id too.
pub(crate) fn place(lang: Lang, place: &Place) -> String {
    let kind = match (place.kind, lang) {
        (PlaceKind::Door, Lang::En) => "door",
        (PlaceKind::Section, Lang::En) => "section",
        (PlaceKind::Table, Lang::En) => "table",
        (PlaceKind::Seat, Lang::En) => "seat",
        (PlaceKind::Sign, Lang::En) => "sign",
        (PlaceKind::Door, Lang::Es) => "la puerta",
        (PlaceKind::Section, Lang::Es) => "la sección",
        (PlaceKind::Table, Lang::Es) => "la mesa",
        (PlaceKind::Seat, Lang::Es) => "el asiento",
        (PlaceKind::Sign, Lang::Es) => "el cartel",
    };
    let id = &place.id;
    let says_more = |name: &&str| {
        !name.eq_ignore_ascii_case(id) && !name.eq_ignore_ascii_case(&format!("{} {id}", place.kind.as_str()))
    };
    match (place.kind, place.name.as_deref().filter(says_more)) {
        (PlaceKind::Door | PlaceKind::Sign, Some(name)) if is_latin(name) => name.to_owned(),
        (_, Some(name)) => format!("{kind} {id}, {name}"),
        (_, None) => format!("{kind} {id}"),
    }
}

/// What an amenity is called, with its article.
pub(crate) fn amenity(lang: Lang, kind: AmenityKind) -> &'static str {
    landmark_words(
        lang,
        match kind {
            AmenityKind::Toilets => LandmarkKind::Toilets,
            AmenityKind::AccessibleToilets => LandmarkKind::AccessibleToilets,
            AmenityKind::Lift => LandmarkKind::Lift,
            AmenityKind::Exit => LandmarkKind::Exit,
            AmenityKind::Information => LandmarkKind::Information,
            AmenityKind::FirstAid => LandmarkKind::FirstAid,
        },
    )
}

/// What a landmark is called, with its article: its name if that is in Latin letters, else what it is.
pub(crate) fn landmark(lang: Lang, landmark: &Landmark) -> String {
    let words = landmark_words(lang, landmark.kind);
    match landmark.name.as_deref().filter(|name| is_latin(name)) {
        Some(name) if landmark.kind == LandmarkKind::Door => name.to_owned(),
        Some(name) => format!("{words} {name}"),
        None => words.to_owned(),
    }
}

fn landmark_words(lang: Lang, kind: LandmarkKind) -> &'static str {
    let (en, es) = match kind {
        LandmarkKind::Toilets => ("the toilets", "los aseos"),
        LandmarkKind::AccessibleToilets => ("the accessible toilets", "los aseos adaptados"),
        LandmarkKind::Lift => ("the lift", "el ascensor"),
        LandmarkKind::Exit => ("the exit", "la salida"),
        LandmarkKind::Entrance => ("the entrance", "la entrada"),
        LandmarkKind::Information => ("the information desk", "el punto de información"),
        LandmarkKind::FirstAid => ("the first-aid point", "el punto de primeros auxilios"),
        LandmarkKind::Shop => ("the shop", "la tienda"),
        LandmarkKind::Tickets => ("the ticket office", "la taquilla"),
        LandmarkKind::TicketGate => ("the ticket gates", "los tornos"),
        LandmarkKind::Door => ("the gate", "la puerta"),
    };
    match lang {
        Lang::En => en,
        Lang::Es => es,
    }
}

/// A storey as it is written in a building.
pub(crate) fn level(lang: Lang, level: f64) -> String {
    let word = match lang {
        Lang::En => "level",
        Lang::Es => "el nivel",
    };
    match lang {
        Lang::En if level == 0.0 => "ground level".to_owned(),
        Lang::Es if level == 0.0 => "la planta baja".to_owned(),
        _ if level < 0.0 => format!("{word} B{}", -level),
        _ => format!("{word} {level}"),
    }
}

/// One of the eight winds.
pub(crate) fn compass(lang: Lang, bearing: f64) -> &'static str {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 8 after the remainder")]
    let wind = (bearing.rem_euclid(360.0) / 45.0).round() as usize % 8;
    match lang {
        Lang::En => {
            ["north", "north-east", "east", "south-east", "south", "south-west", "west", "north-west"][wind]
        }
        Lang::Es => ["norte", "noreste", "este", "sureste", "sur", "suroeste", "oeste", "noroeste"][wind],
    }
}

/// A distance as one would say it: to the metre up to 20, then to 5, then to 10.
pub(crate) fn metres(lang: Lang, metres: f64) -> String {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "`as` saturates; whole metres"
    )]
    let to = |unit: f64| ((metres / unit).round() * unit) as u64;
    match lang {
        Lang::En if metres < 2.5 => "a few metres".to_owned(),
        Lang::Es if metres < 2.5 => "unos metros".to_owned(),
        _ if metres < 20.0 => format!("{} m", to(1.0)),
        _ if metres < 100.0 => format!("{} m", to(5.0)),
        _ => format!("{} m", to(10.0)),
    }
}

/// Whether a guest who reads English or Spanish can read a name.
fn is_latin(name: &str) -> bool {
    name.chars().all(|letter| letter <= '\u{24f}' || ('\u{2010}'..='\u{2027}').contains(&letter))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_winds_turn_clockwise() {
        assert_eq!(compass(Lang::En, 359.0), "north");
        assert_eq!(compass(Lang::En, 44.0), "north-east");
        assert_eq!(compass(Lang::Es, 225.0), "suroeste");
    }

    #[test]
    fn places_are_called_by_what_stands_on_tickets_and_doors_by_their_name() {
        let named = |kind, id: &str, name: Option<&str>| {
            let (id, name) = (id.to_owned(), name.map(str::to_owned));
            let at =
                Place { kind, id, name, level: 0.0, lon: 0.0, lat: 0.0, node: 0, table: None, section: None };
            place(Lang::En, &at)
        };
        assert_eq!(named(PlaceKind::Section, "U12", Some("Upper stand 12")), "section U12, Upper stand 12");
        assert_eq!(named(PlaceKind::Table, "T7", Some("Table T7")), "table T7");
        assert_eq!(named(PlaceKind::Door, "east-1", Some("East gate 1")), "East gate 1");
        assert_eq!(named(PlaceKind::Door, "opening-1", Some("東ゲート")), "door opening-1, 東ゲート");
        assert_eq!(named(PlaceKind::Seat, "T7-1", None), "seat T7-1");
    }
}
