//! Reads an MLIT indoor network (GeoJSON as the ministry's Shapefiles give it) and `places.csv`.
//!
//! A map comes from a stranger's hands: what is broken is left out by name and reason, the rest is published.
//! Only a map on which no route could ever be asked is no map.

mod document;
mod facilities;
mod network;
mod places;
mod whole;

use std::{collections::HashMap, fmt};

use serde::Serialize;

use crate::{
    lint::{Lint, lint},
    plane::Plane,
    storeys::Standing,
    venue::{Survey, Venue},
};

/// How far from a node of its level a place or amenity may lie, in metres: over this it stands somewhere else.
pub const SNAP_PLACE_M: f64 = 50.0;

/// What is read, for the error that says so.
const FORMATS: &str = "a folder with nodes.geojson and links.geojson of an MLIT / GSI indoor network, and where there \
                       are any floors.geojson, spaces.geojson, facilities.geojson, openings.geojson and places.csv \
                       (kind,id,name,level,lon,lat,node_id); or one GeoJSON file with the features of all of these";

/// The files of a venue, as bytes. Callers read the disk.
#[derive(Debug, Clone, Default)]
pub struct VenueFiles {
    /// `nodes.geojson`.
    pub nodes: Option<Vec<u8>>,
    /// `links.geojson`.
    pub links: Option<Vec<u8>>,
    /// `floors.geojson`.
    pub floors: Option<Vec<u8>>,
    /// `spaces.geojson`.
    pub spaces: Option<Vec<u8>>,
    /// `facilities.geojson`.
    pub facilities: Option<Vec<u8>>,
    /// `openings.geojson`.
    pub openings: Option<Vec<u8>>,
    /// `places.csv`.
    pub places: Option<Vec<u8>>,
}

impl VenueFiles {
    /// The names of the files that are read. The first two must be there.
    pub const NAMES: [&'static str; 7] = [
        "nodes.geojson",
        "links.geojson",
        "floors.geojson",
        "spaces.geojson",
        "facilities.geojson",
        "openings.geojson",
        "places.csv",
    ];

    /// Takes the files that are read out of named ones; others are ignored. A single file of another name is taken
    /// for the features of all layers together; it has no `places.csv`.
    ///
    /// # Errors
    /// [`ImportError::NotANetwork`] where nodes or links are not among them.
    pub fn gather(named: impl IntoIterator<Item = (String, Vec<u8>)>) -> Result<Self, ImportError> {
        let (mut files, mut seen) = (Self::default(), Vec::new());
        for (name, bytes) in named {
            let slot = match name.as_str() {
                "nodes.geojson" => &mut files.nodes,
                "links.geojson" => &mut files.links,
                "floors.geojson" => &mut files.floors,
                "spaces.geojson" => &mut files.spaces,
                "facilities.geojson" => &mut files.facilities,
                "openings.geojson" => &mut files.openings,
                "places.csv" => &mut files.places,
                _ => {
                    seen.push((name, bytes));
                    continue;
                }
            };
            *slot = Some(bytes);
        }
        let missing = match (&files.nodes, &files.links) {
            (Some(_), Some(_)) => return Ok(files),
            (Some(_), None) => "links.geojson is missing".to_owned(),
            (None, Some(_)) => "nodes.geojson is missing".to_owned(),
            (None, None) if seen.is_empty() => "there is no file of a venue".to_owned(),
            (None, None) => {
                if let [(_, bytes)] = &seen[..]
                    && let Some(files) = whole::split(bytes)
                {
                    return Ok(files);
                }
                seen.sort();
                let named: Vec<_> = seen.iter().take(3).map(|(name, _)| document::legible(name)).collect();
                let named = named.join(", ");
                format!("{named}: not a format that is read")
            }
        };
        Err(ImportError::NotANetwork { missing })
    }
}

/// Why there is no map at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ImportError {
    /// It is something else.
    #[error("{missing}. What is read: {FORMATS}.")]
    NotANetwork {
        /// What is missing or strange.
        missing: String,
    },
    /// It is a network, but there is nothing to walk on.
    #[error(
        "No route could ever be asked: {nodes} nodes and {links} links are usable. What is read: {FORMATS}."
    )]
    NothingToWalkOn {
        /// Usable nodes.
        nodes: usize,
        /// Usable links.
        links: usize,
    },
}

/// A feature that was left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Refused {
    /// The file that it stands in.
    pub file: &'static str,
    /// Its id; `#12` for the twelfth of its file where it has none, `line 12` in a table, empty for a whole file.
    pub feature: String,
    /// Why.
    pub reason: String,
}

impl fmt::Display for Refused {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.feature.is_empty() {
            write!(out, "{}: {}", self.file, self.reason)
        } else {
            write!(out, "{} {}: {}", self.file, self.feature, self.reason)
        }
    }
}

/// What became of an import.
#[derive(Debug)]
pub struct Import {
    /// The map, or why there is none.
    pub venue: Result<Venue, ImportError>,
    /// What was left out, in the files' order.
    pub refused: Vec<Refused>,
}

impl Import {
    /// What the map cannot do.
    pub fn lint(&self) -> Option<Lint> {
        self.venue.as_ref().ok().map(|venue| lint(venue, &self.refused))
    }
}

/// Reads a venue's files. Never fails as a whole but in [`Import::venue`]; never panics, whatever the bytes.
pub fn import_mlit(files: &VenueFiles) -> Import {
    let mut refused = Vec::new();
    let levels = network::read_floors(files.floors.as_deref(), &mut refused);
    let mut survey = Survey::default();
    let nodes = network::read_nodes(files.nodes.as_deref(), &mut survey, &mut refused);
    network::read_links(files.links.as_deref(), &nodes, &mut survey, &mut refused);
    if survey.links.is_empty() {
        let venue =
            Err(ImportError::NothingToWalkOn { nodes: survey.nodes.len(), links: survey.links.len() });
        return Import { venue, refused };
    }
    let ground = Ground::of(&survey, nodes.at, levels);
    let facilities = facilities::read(files, &ground, &mut survey, &mut refused);
    places::read(files.places.as_deref(), &ground, &mut survey, &mut refused);
    facilities::doors(files.openings.as_deref(), facilities, &ground, &mut survey, &mut refused);
    facilities::landmarks_of_doors(&mut survey);
    let (nodes, links) = (survey.nodes.len(), survey.links.len());
    // The readers let nothing unsound through; if one did, there is no map rather than an unsound one.
    let venue = Venue::publish(survey).map_err(|_| ImportError::NothingToWalkOn { nodes, links });
    Import { venue, refused }
}

/// The walkable ground that places are put on.
struct Ground {
    plane: Plane,
    /// The index of each node by id.
    at: HashMap<String, u32>,
    /// The level of each floor by id.
    levels: HashMap<String, f64>,
    standing: Standing,
}

impl Ground {
    fn of(survey: &Survey, at: HashMap<String, u32>, levels: HashMap<String, f64>) -> Self {
        let plane = Plane::around(survey.nodes.iter().map(|node| (node.lon, node.lat)));
        let points: Vec<_> = survey.nodes.iter().map(|node| plane.place(node.lon, node.lat)).collect();
        let standing = Standing::of(&survey.nodes, &survey.links, &points);
        Self { plane, at, levels, standing }
    }

    /// The node where one stands to be at a position.
    ///
    /// # Errors
    /// The reason, where the level has no node within [`SNAP_PLACE_M`].
    fn snap(&self, lon: f64, lat: f64, level: f64) -> Result<u32, String> {
        self.standing
            .nearest(level, self.plane.place(lon, lat), SNAP_PLACE_M)
            .ok_or_else(|| format!("no node of level {level} within {SNAP_PLACE_M} m"))
    }
}
