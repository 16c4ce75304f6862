//! Amenities, landmarks and doors, from facilities, spaces and openings.
//!
//! The categories are those of the GSI indoor specification; `docs/venues.md` has the tables. A category that is
//! not listed there is no fault: it is only of no use to a guest.

use std::collections::HashSet;

use geojson::Feature;

use super::{
    Ground, Refused, VenueFiles,
    document::{Entry, entries, legible, middle, name_in, number_of, text_of},
};
use crate::{
    kind::{AmenityKind, LandmarkKind, PlaceKind},
    venue::{Amenity, FEATURES_MAX, LEVEL_MAX, Landmark, Place, Survey, is_slug},
};

/// What a category of `facilities.geojson` is for a guest.
fn facility(category: &str) -> (Option<AmenityKind>, Option<LandmarkKind>) {
    match category {
        "F001" | "F002" | "F003" | "F004" => (Some(AmenityKind::Toilets), Some(LandmarkKind::Toilets)),
        "F005" | "F006" | "F007" | "F008" => {
            (Some(AmenityKind::AccessibleToilets), Some(LandmarkKind::AccessibleToilets))
        }
        "F012" => (Some(AmenityKind::Lift), Some(LandmarkKind::Lift)),
        "F017" => (Some(AmenityKind::Exit), Some(LandmarkKind::Entrance)),
        "F027" => (Some(AmenityKind::FirstAid), Some(LandmarkKind::FirstAid)),
        "F106" => (None, Some(LandmarkKind::TicketGate)),
        "F108" => (Some(AmenityKind::Exit), Some(LandmarkKind::Exit)),
        _ => (None, None),
    }
}

/// What a category of `spaces.geojson` is for a guest.
fn space(category: &str) -> (Option<AmenityKind>, Option<LandmarkKind>) {
    match category {
        "B001" => (None, Some(LandmarkKind::Shop)),
        "B005" => (None, Some(LandmarkKind::Tickets)),
        "B006" => (Some(AmenityKind::Information), Some(LandmarkKind::Information)),
        "B007" | "B008" | "B009" | "B010" => (Some(AmenityKind::Toilets), Some(LandmarkKind::Toilets)),
        "B011" | "B012" | "B013" | "B014" => {
            (Some(AmenityKind::AccessibleToilets), Some(LandmarkKind::AccessibleToilets))
        }
        _ => (None, None),
    }
}

/// An entrance of the building: a door where the map names no other.
pub(super) struct Entrance {
    name: Option<String>,
    lon: f64,
    lat: f64,
    level: f64,
    node: u32,
}

/// Reads amenities and landmarks into a survey, and answers the building's entrances.
pub(super) fn read(
    files: &VenueFiles,
    ground: &Ground,
    survey: &mut Survey,
    refused: &mut Vec<Refused>,
) -> Vec<Entrance> {
    let mut entrances = Vec::new();
    read_layer(
        "facilities.geojson",
        facility,
        files.facilities.as_deref(),
        ground,
        survey,
        refused,
        &mut entrances,
    );
    read_layer("spaces.geojson", space, files.spaces.as_deref(), ground, survey, refused, &mut Vec::new());
    entrances
}

fn read_layer(
    file: &'static str,
    meaning: fn(&str) -> (Option<AmenityKind>, Option<LandmarkKind>),
    bytes: Option<&[u8]>,
    ground: &Ground,
    survey: &mut Survey,
    refused: &mut Vec<Refused>,
    entrances: &mut Vec<Entrance>,
) {
    for Entry { feature, name, .. } in entries(file, "id", bytes, refused) {
        let category = text_of(&feature, "category").unwrap_or_default();
        let (amenity, landmark) = meaning(&category);
        if amenity.is_none() && landmark.is_none() {
            continue;
        }
        let mut refuse = |reason: String| refused.push(Refused { file, feature: name.clone(), reason });
        let (lon, lat, level) = match position(&feature, ground) {
            Ok(position) => position,
            Err(reason) => {
                refuse(reason);
                continue;
            }
        };
        if survey.landmarks.len() >= FEATURES_MAX || survey.amenities.len() >= FEATURES_MAX {
            refuse(format!("over {FEATURES_MAX} features"));
            continue;
        }
        let named = text_of(&feature, "name").and_then(|name| name_in(&name));
        if let Some(kind) = amenity {
            match ground.snap(lon, lat, level) {
                Ok(node) => {
                    survey.amenities.push(Amenity { kind, node });
                    if category == "F017" {
                        entrances.push(Entrance { name: named.clone(), lon, lat, level, node });
                    }
                }
                Err(reason) => {
                    refuse(reason);
                    continue;
                }
            }
        }
        if let Some(kind) = landmark {
            survey.landmarks.push(Landmark {
                kind,
                name: named.filter(|name| is_sayable(name)),
                level,
                lon,
                lat,
            });
        }
    }
}

/// Reads doors from the openings, or takes the entrances, where no door is named yet.
pub(super) fn doors(
    openings: Option<&[u8]>,
    entrances: Vec<Entrance>,
    ground: &Ground,
    survey: &mut Survey,
    refused: &mut Vec<Refused>,
) {
    const FILE: &str = "openings.geojson";
    let is_door = |place: &Place| place.kind == PlaceKind::Door;
    if survey.places.iter().any(is_door) {
        return;
    }
    let mut taken = HashSet::new();
    for Entry { feature, name, nth } in entries(FILE, "id", openings, refused) {
        let located = position(&feature, ground)
            .and_then(|(lon, lat, level)| Ok((lon, lat, level, ground.snap(lon, lat, level)?)));
        match located {
            Ok((lon, lat, level, node)) => {
                let called = text_of(&feature, "name").and_then(|name| name_in(&name));
                let id = door_id("opening", nth, called.as_deref(), &mut taken);
                survey.places.push(door(id, called, lon, lat, level, node));
            }
            Err(reason) => refused.push(Refused { file: FILE, feature: name, reason }),
        }
    }
    if survey.places.iter().any(is_door) {
        return;
    }
    for (nth, entrance) in (1..).zip(entrances) {
        let Entrance { name, lon, lat, level, node } = entrance;
        let id = door_id("entrance", nth, name.as_deref(), &mut taken);
        survey.places.push(door(id, name, lon, lat, level, node));
    }
}

fn door(id: String, name: Option<String>, lon: f64, lat: f64, level: f64, node: u32) -> Place {
    Place { kind: PlaceKind::Door, id, name, level, lon, lat, node, table: None, section: None }
}

/// Named doors are what one sees first; they are landmarks to everybody else.
pub(super) fn landmarks_of_doors(survey: &mut Survey) {
    let doors = survey.places.iter().filter(|place| place.kind == PlaceKind::Door);
    let landmarks = doors.map(|door| Landmark {
        kind: LandmarkKind::Door,
        name: door.name.clone().filter(|name| is_sayable(name)),
        level: door.level,
        lon: door.lon,
        lat: door.lat,
    });
    let room = FEATURES_MAX.saturating_sub(survey.landmarks.len());
    survey.landmarks.extend(landmarks.take(room));
}

/// A step-free way never mentions stairs, not even by a landmark's name.
fn is_sayable(name: &str) -> bool {
    let name = name.to_lowercase();
    !["stair", "escal", "階段"].iter().any(|word| name.contains(word))
}

/// A door's id from its name, where that makes one; else the nth of its layer.
fn door_id(layer: &str, nth: usize, name: Option<&str>, taken: &mut HashSet<String>) -> String {
    let from_name = name.filter(|name| name.is_ascii()).map(|name| {
        let lower = name.to_ascii_lowercase();
        let words =
            lower.split(|letter: char| !letter.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
        words.collect::<Vec<_>>().join("-")
    });
    let id = match from_name.filter(|id| is_slug(id)) {
        Some(id) if !taken.contains(&id) => id,
        _ => format!("{layer}-{nth}"),
    };
    // `opening-3` may be somebody's name: then the next free number.
    let free = (2_u32..).map(|again| format!("{id}-{again}"));
    let id = std::iter::once(id.clone()).chain(free).find(|id| !taken.contains(id)).unwrap_or(id);
    taken.insert(id.clone());
    id
}

/// Where a feature is, with the level of its floor or its own.
fn position(feature: &Feature, ground: &Ground) -> Result<(f64, f64, f64), String> {
    let [lon, lat] = middle(feature)?;
    let floor = text_of(feature, "floor_id").filter(|id| !id.is_empty());
    let level = match floor.as_ref().map(|id| ground.levels.get(id)) {
        Some(Some(level)) => *level,
        Some(None) | None => number_of(feature, "ordinal")?.ok_or_else(|| match &floor {
            Some(id) => format!("floor_id {} does not exist", legible(id)),
            None => "it has no floor_id".to_owned(),
        })?,
    };
    if level.abs() > LEVEL_MAX {
        return Err(format!("level {level} is out of range"));
    }
    Ok((lon, lat, level))
}
