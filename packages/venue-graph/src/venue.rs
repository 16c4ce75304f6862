//! The venue: an immutable document of nodes, links, places, amenities and landmarks.
//!
//! A [`Venue`] that exists is sound (see [`Venue::check`]'s list), whether it was imported, built in or decoded.
//! Everything is sorted by id, so equal maps have equal bytes, whatever the order of their files.

use seatpilot_domain_model::{NodeId, SLUG_MAX};
use serde::{Deserialize, Serialize};

use crate::kind::{
    AmenityKind, Direction, Exposure, LandmarkKind, LiftFitness, LinkKind, PlaceKind, Slope, Threshold,
};

/// Written into each document; another one is refused by name.
const FORMAT: &str = "seatpilot-venue";
/// Raised when a reader of the old version would misread the new one.
const VERSION: u32 = 1;
/// Largest document, in bytes: what the bounds below can add up to. The stadium has 0.8 MB.
const DOCUMENT_BYTES_MAX: usize = 256 << 20;
/// Most nodes.
pub(crate) const NODES_MAX: usize = 50_000;
/// Most links.
pub(crate) const LINKS_MAX: usize = 100_000;
/// Most places: more seats than any house has.
pub(crate) const PLACES_MAX: usize = 250_000;
/// Most amenities, and most landmarks.
pub(crate) const FEATURES_MAX: usize = 50_000;
/// Most points of one link's line.
pub(crate) const SHAPE_POINTS_MAX: usize = 2_000;
/// Most points of all links' lines.
pub(crate) const POINTS_MAX: usize = 500_000;
/// Longest name, in characters.
pub(crate) const NAME_CHARS_MAX: usize = 120;
/// Longest link, in metres.
pub(crate) const LINK_M_MAX: f64 = 10_000.0;
/// Highest and deepest storey.
pub(crate) const LEVEL_MAX: f64 = 300.0;

/// A point of the walking network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Node {
    /// Its id, unique in the venue.
    pub id: NodeId,
    /// Longitude, WGS 84.
    pub lon: f64,
    /// Latitude, WGS 84.
    pub lat: f64,
    /// The storey's ordinal: 0 is the ground outside, -1 the first basement, halves are mezzanines.
    pub level: f64,
    /// Outside, on the boundary, or inside.
    pub exposure: Exposure,
}

/// A way between two nodes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Link {
    /// Its id, unique in the venue.
    pub id: String,
    /// Index of the node that it starts at.
    pub start: u32,
    /// Index of the node that it ends at.
    pub end: u32,
    /// What one walks on.
    pub kind: LinkKind,
    /// Which way.
    pub direction: Direction,
    /// The map's own distance in metres, or the line's length where the map gives none.
    pub distance_m: f64,
    /// The highest single step.
    pub threshold: Threshold,
    /// The slope, from start to end.
    pub slope: Slope,
    /// For whom a lift is made.
    pub lift: LiftFitness,
    /// The line from start to end, longitude and latitude; empty where the map has none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shape: Vec<[f64; 2]>,
}

/// A door, section, table, seat or sign.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Place {
    /// What it is.
    pub kind: PlaceKind,
    /// Its id, a slug, unique within its kind.
    pub id: String,
    /// What is written on it, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The storey's ordinal.
    pub level: f64,
    /// Longitude, WGS 84.
    pub lon: f64,
    /// Latitude, WGS 84.
    pub lat: f64,
    /// Index of the node where one stands to be there.
    pub node: u32,
    /// The table that a seat belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<String>,
    /// The section that a seat or table belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub section: Option<String>,
}

/// Something that guests ask for the nearest of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Amenity {
    /// What it is.
    pub kind: AmenityKind,
    /// Index of the node in front of it.
    pub node: u32,
}

/// Something that one sees from a decision point.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Landmark {
    /// What it is.
    pub kind: LandmarkKind,
    /// Its name, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The storey's ordinal.
    pub level: f64,
    /// Longitude, WGS 84.
    pub lon: f64,
    /// Latitude, WGS 84.
    pub lat: f64,
}

/// What a venue is made of, before it was found sound.
#[derive(Debug, Clone, Default)]
pub(crate) struct Survey {
    pub(crate) nodes: Vec<Node>,
    pub(crate) links: Vec<Link>,
    pub(crate) places: Vec<Place>,
    pub(crate) amenities: Vec<Amenity>,
    pub(crate) landmarks: Vec<Landmark>,
}

/// A sound map.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Venue {
    format: String,
    version: u32,
    nodes: Vec<Node>,
    links: Vec<Link>,
    places: Vec<Place>,
    amenities: Vec<Amenity>,
    landmarks: Vec<Landmark>,
}

/// Why bytes are no venue.
#[derive(Debug, thiserror::Error)]
#[error("not a venue document: {0}")]
pub struct InvalidVenue(String);

impl Venue {
    /// Sorts a survey and finds it sound.
    ///
    /// # Errors
    /// [`InvalidVenue`] where it is not; an importer that leaves out what is broken never sees that.
    pub(crate) fn publish(survey: Survey) -> Result<Self, InvalidVenue> {
        let Survey { mut nodes, mut links, mut places, mut amenities, mut landmarks } = survey;
        let mut order: Vec<u32> = (0..index(nodes.len())?).collect();
        order.sort_by(|a, b| nodes[*a as usize].id.cmp(&nodes[*b as usize].id));
        let mut sorted_at = vec![0; nodes.len()];
        for (new, old) in (0..).zip(&order) {
            sorted_at[*old as usize] = new;
        }
        nodes.sort_by(|a, b| a.id.cmp(&b.id));
        let move_to = |node: &mut u32| {
            *node = sorted_at.get(*node as usize).copied().ok_or_else(|| invalid("a node is missing"))?;
            Ok::<_, InvalidVenue>(())
        };
        for link in &mut links {
            move_to(&mut link.start)?;
            move_to(&mut link.end)?;
        }
        places.iter_mut().try_for_each(|place| move_to(&mut place.node))?;
        amenities.iter_mut().try_for_each(|amenity| move_to(&mut amenity.node))?;
        links.sort_by(|a, b| a.id.cmp(&b.id));
        places.sort_by(|a, b| (a.kind, &a.id).cmp(&(b.kind, &b.id)));
        amenities.sort_unstable();
        amenities.dedup();
        landmarks.sort_by(|a, b| {
            (a.kind, &a.name).cmp(&(b.kind, &b.name)).then_with(|| {
                a.level.total_cmp(&b.level).then(a.lon.total_cmp(&b.lon)).then(a.lat.total_cmp(&b.lat))
            })
        });
        landmarks.dedup();
        let venue =
            Self { format: FORMAT.to_owned(), version: VERSION, nodes, links, places, amenities, landmarks };
        venue.check()?;
        Ok(venue)
    }

    /// The document, as it is stored. Equal venues have equal bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        // Strings, finite numbers and lists: nothing that JSON could refuse.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Reads a stored document and finds it sound again: what is stored may have been damaged.
    ///
    /// # Errors
    /// [`InvalidVenue`] with the first fault; never a panic.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, InvalidVenue> {
        if bytes.len() > DOCUMENT_BYTES_MAX {
            return Err(invalid("it has over 256 MiB"));
        }
        let venue: Self = serde_json::from_slice(bytes).map_err(|error| InvalidVenue(error.to_string()))?;
        venue.check()?;
        Ok(venue)
    }

    /// The nodes, by id.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The links, by id.
    pub fn links(&self) -> &[Link] {
        &self.links
    }

    /// The places, by kind and id.
    pub fn places(&self) -> &[Place] {
        &self.places
    }

    /// The amenities.
    pub fn amenities(&self) -> &[Amenity] {
        &self.amenities
    }

    /// The landmarks.
    pub fn landmarks(&self) -> &[Landmark] {
        &self.landmarks
    }

    /// The place of that kind and id.
    pub fn place(&self, kind: PlaceKind, id: &str) -> Option<&Place> {
        let found = self.places.binary_search_by(|place| (place.kind, place.id.as_str()).cmp(&(kind, id)));
        found.ok().and_then(|at| self.places.get(at))
    }

    /// The index of the node of that id.
    pub fn node(&self, id: &str) -> Option<u32> {
        let at = self.nodes.binary_search_by(|node| node.id.as_str().cmp(id)).ok()?;
        u32::try_from(at).ok()
    }

    /// Counts within bounds, ids slugs and unique, indexes in range, numbers finite and within theirs.
    fn check(&self) -> Result<(), InvalidVenue> {
        if self.format != FORMAT {
            return Err(invalid("its format is another"));
        }
        if self.version != VERSION {
            return Err(InvalidVenue(format!(
                "its version is {}, this program reads {VERSION}",
                self.version
            )));
        }
        within("nodes", self.nodes.len(), NODES_MAX)?;
        within("links", self.links.len(), LINKS_MAX)?;
        within("points", self.links.iter().map(|link| link.shape.len()).sum(), POINTS_MAX)?;
        within("places", self.places.len(), PLACES_MAX)?;
        within("amenities", self.amenities.len(), FEATURES_MAX)?;
        within("landmarks", self.landmarks.len(), FEATURES_MAX)?;
        let node_count = u32::try_from(self.nodes.len()).map_err(|_| invalid("too many nodes"))?;
        let on_map = |node: u32| if node < node_count { Ok(()) } else { Err(invalid("a node is missing")) };
        rising("node", self.nodes.iter().map(|node| node.id.as_str()))?;
        rising("link", self.links.iter().map(|link| link.id.as_str()))?;
        rising("place", self.places.iter().map(|place| (place.kind, place.id.as_str())))?;
        for node in &self.nodes {
            position(node.lon, node.lat, node.level)?;
        }
        for link in &self.links {
            on_map(link.start)?;
            on_map(link.end)?;
            slug(&link.id)?;
            if !(0.0..=LINK_M_MAX).contains(&link.distance_m) {
                return Err(invalid("a distance is out of range"));
            }
            if link.shape.len() == 1 || link.shape.len() > SHAPE_POINTS_MAX {
                return Err(invalid("a line has one point, or too many"));
            }
            link.shape.iter().try_for_each(|point| position(point[0], point[1], 0.0))?;
        }
        for place in &self.places {
            on_map(place.node)?;
            slug(&place.id)?;
            position(place.lon, place.lat, place.level)?;
            name(place.name.as_deref())?;
            place.table.as_deref().map_or(Ok(()), slug)?;
            place.section.as_deref().map_or(Ok(()), slug)?;
        }
        for amenity in &self.amenities {
            on_map(amenity.node)?;
        }
        for landmark in &self.landmarks {
            position(landmark.lon, landmark.lat, landmark.level)?;
            name(landmark.name.as_deref())?;
        }
        Ok(())
    }
}

/// Whether a longitude, latitude and level are on this planet and in a building.
pub(crate) fn is_position(lon: f64, lat: f64, level: f64) -> bool {
    (-180.0..=180.0).contains(&lon) && (-90.0..=90.0).contains(&lat) && level.abs() <= LEVEL_MAX
}

/// Whether a text is an identifier of the contract.
pub(crate) fn is_slug(text: &str) -> bool {
    text.len() <= SLUG_MAX && text.parse::<NodeId>().is_ok()
}

fn invalid(what: &str) -> InvalidVenue {
    InvalidVenue(what.to_owned())
}

fn index(count: usize) -> Result<u32, InvalidVenue> {
    u32::try_from(count).map_err(|_| invalid("too many nodes"))
}

fn within(what: &str, count: usize, most: usize) -> Result<(), InvalidVenue> {
    if count > most {
        return Err(InvalidVenue(format!("it has {count} {what}, the most is {most}")));
    }
    Ok(())
}

fn rising<K: PartialOrd>(what: &str, mut keys: impl Iterator<Item = K>) -> Result<(), InvalidVenue> {
    let Some(mut last) = keys.next() else { return Ok(()) };
    for key in keys {
        if last >= key {
            return Err(InvalidVenue(format!("a {what} is there twice, or out of order")));
        }
        last = key;
    }
    Ok(())
}

fn position(lon: f64, lat: f64, level: f64) -> Result<(), InvalidVenue> {
    if is_position(lon, lat, level) { Ok(()) } else { Err(invalid("a position is out of range")) }
}

fn slug(text: &str) -> Result<(), InvalidVenue> {
    if is_slug(text) { Ok(()) } else { Err(invalid("an id is no identifier")) }
}

fn name(text: Option<&str>) -> Result<(), InvalidVenue> {
    match text {
        Some(text) if text.chars().count() > NAME_CHARS_MAX => Err(invalid("a name is too long")),
        Some(_) | None => Ok(()),
    }
}
