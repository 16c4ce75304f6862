//! A venue's map as a graph: places, links, profiles, routes, directions in words. No IO, no clock, no async.
//!
//! ```text
//! bytes of GeoJSON and CSV ─ import ─▶ Venue (immutable, versioned bytes) ─ Graph::new ─▶ route, way, resolve
//! ```
//!
//! [`import_mlit`] reads an MLIT indoor network and names what it leaves out; [`lint`] says what the map
//! cannot do. A [`Venue`] that exists is sound: ids are unique, every index is in range, every number finite.
//! A [`Graph`] answers the same bytes for the same map, always. What a link costs, and by which source,
//! stands in `docs/venues.md` and beside the constants of `cost.rs`.

mod answer;
mod cost;
mod demo;
mod destination;
mod graph;
mod import;
mod journey;
mod kind;
mod lint;
mod naming;
mod plane;
mod route;
mod search;
mod shortest;
mod storeys;
mod stretch;
mod venue;
mod wording;

pub use answer::{
    CollectionType, Feature, FeatureProperties, FeatureType, Geometry, LineString, LineStringType, Route,
    Step, StepKind, Way,
};
pub use destination::{InvalidPlace, PlaceRef};
pub use graph::{Graph, SNAP_QUERY_M};
pub use import::{Import, ImportError, Refused, SNAP_PLACE_M, VenueFiles, import_mlit};
pub use kind::{
    AmenityKind, Direction, Exposure, LandmarkKind, LiftFitness, LinkKind, PlaceKind, Slope, Threshold,
};
pub use lint::{LevelReach, Lint, lint};
pub use route::{RouteFault, RouteQuery};
pub use venue::{Amenity, InvalidVenue, Landmark, Link, Node, Place, Venue};
