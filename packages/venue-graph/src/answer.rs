//! A route as it is answered (contract section 3): words for people, GeoJSON for maps.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::kind::LinkKind;

/// What a step is done on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum StepKind {
    /// On foot or wheels: floor, moving walkways, crossings, links of unknown kind.
    Walk,
    /// Stairs.
    Stairs,
    /// An escalator.
    Escalator,
    /// A lift, with the wait for it.
    Lift,
    /// A ramp.
    Ramp,
    /// There.
    Arrive,
}

/// One thing to do, as a steward would say it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Step {
    /// What it is done on.
    pub kind: StepKind,
    /// In metres, to 0.1 m; the steps sum to the route.
    pub distance_m: f64,
    /// In seconds, to 0.1 s; the steps sum to the route.
    pub duration_s: f64,
    /// The storey's ordinal where it begins.
    pub from_level: f64,
    /// The storey's ordinal where it ends.
    pub to_level: f64,
    /// The compass direction in which it begins, in English (`north-east`), whatever the language.
    #[schema(required)]
    pub heading: Option<String>,
    /// The words.
    pub text: String,
    /// What one sees where it begins.
    #[schema(required)]
    pub landmark: Option<String>,
}

/// A route without its lines: what a check-in answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Way {
    /// The sum of the links' own distances, in metres, to 0.1 m.
    pub distance_m: f64,
    /// In seconds, to 0.1 s.
    pub duration_s: f64,
    /// Steps that end on another storey than they begin on.
    pub level_changes: u32,
    /// Whether it uses no stairs, escalator or link of unknown kind.
    pub step_free: bool,
    /// What to do, the last one `arrive`.
    pub steps: Vec<Step>,
}

/// A route.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Route {
    /// The sum of the links' own distances, in metres, to 0.1 m.
    pub distance_m: f64,
    /// In seconds, to 0.1 s.
    pub duration_s: f64,
    /// Steps that end on another storey than they begin on.
    pub level_changes: u32,
    /// Whether it uses no stairs, escalator or link of unknown kind.
    pub step_free: bool,
    /// What to do, the last one `arrive`.
    pub steps: Vec<Step>,
    /// The links walked, in order, each in the direction walked.
    pub geometry: Geometry,
}

/// A GeoJSON `FeatureCollection` (RFC 7946).
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Geometry {
    /// `FeatureCollection`.
    pub r#type: CollectionType,
    /// One feature a link.
    pub features: Vec<Feature>,
}

/// The type of a feature collection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub enum CollectionType {
    /// The only one.
    FeatureCollection,
}

/// A link of the route.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Feature {
    /// `Feature`.
    pub r#type: FeatureType,
    /// On which storey, and over what.
    pub properties: FeatureProperties,
    /// Its line.
    pub geometry: LineString,
}

/// The type of a feature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub enum FeatureType {
    /// The only one.
    Feature,
}

/// What is known of a link of the route.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct FeatureProperties {
    /// The storey's ordinal; the lower one of a vertical link.
    pub level: f64,
    /// The upper storey's ordinal, of a vertical link only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to_level: Option<f64>,
    /// What one walks on.
    pub kind: StepKind,
    /// The link's id in the map.
    pub link_id: String,
}

/// A line.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct LineString {
    /// `LineString`.
    pub r#type: LineStringType,
    /// Longitude and latitude, WGS 84, in the direction walked.
    pub coordinates: Vec<[f64; 2]>,
}

/// The type of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub enum LineStringType {
    /// The only one.
    LineString,
}

impl From<LinkKind> for StepKind {
    fn from(kind: LinkKind) -> Self {
        match kind {
            LinkKind::Plain | LinkKind::MovingWalkway | LinkKind::LevelCrossing | LinkKind::Unknown => {
                Self::Walk
            }
            LinkKind::Lift => Self::Lift,
            LinkKind::Escalator => Self::Escalator,
            LinkKind::Stairs => Self::Stairs,
            LinkKind::Ramp => Self::Ramp,
        }
    }
}
