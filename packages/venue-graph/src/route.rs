//! Asking for a route: from names to nodes, from nodes to links, from links to an answer (contract section 3).

use seatpilot_domain_model::{Fault, FaultCode, Lang, Profile};

use crate::{
    answer::{
        CollectionType, Feature, FeatureProperties, FeatureType, Geometry, LineString, LineStringType, Route,
        Way,
    },
    destination::PlaceRef,
    graph::{Graph, SNAP_QUERY_M},
    journey::{End, Journey},
    kind::{AmenityKind, PlaceKind},
    stretch::{Leg, line_of},
    venue::Place,
};

/// What is asked.
#[derive(Debug, Clone, PartialEq)]
pub struct RouteQuery {
    /// From where; never an amenity (see [`PlaceRef::parse_origin`]).
    pub from: PlaceRef,
    /// To where.
    pub to: PlaceRef,
    /// For whom.
    pub profile: Profile,
    /// In which language.
    pub lang: Lang,
}

/// Why there is no route.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RouteFault {
    /// The map has no such place, or more than one of that id. The text is for the caller.
    #[error("{0}")]
    PlaceUnknown(String),
    /// The places are not connected.
    #[error("There is no way between these places.")]
    NoRoute,
    /// Only a way with stairs, escalators or links of unknown kind.
    #[error("There is no step-free way between these places.")]
    NoStepFreeRoute,
}

impl RouteFault {
    /// The problem's code.
    pub fn code(&self) -> FaultCode {
        match self {
            Self::PlaceUnknown(_) => FaultCode::PlaceUnknown,
            Self::NoRoute => FaultCode::NoRoute,
            Self::NoStepFreeRoute => FaultCode::NoStepFreeRoute,
        }
    }
}

impl From<RouteFault> for Fault {
    fn from(fault: RouteFault) -> Self {
        Self::new(fault.code(), fault.to_string())
    }
}

/// A destination that the map knows.
enum Target<'a> {
    Node(u32, End<'a>),
    Nearest(AmenityKind),
}

impl Graph {
    /// The cheapest way in time.
    ///
    /// # Errors
    /// [`RouteFault`] where the map does not know a place, or has no way.
    pub fn route(&self, query: &RouteQuery) -> Result<Route, RouteFault> {
        let from = match self.target(&query.from)? {
            Target::Node(node, _) => node,
            Target::Nearest(_) => {
                return Err(RouteFault::PlaceUnknown(
                    "An amenity is a destination, not an origin.".to_owned(),
                ));
            }
        };
        let target = self.target(&query.to)?;
        let legs = self.legs(from, &target, query.profile)?;
        let features = legs.iter().map(|leg| self.feature(*leg)).collect();
        let Way { distance_m, duration_s, level_changes, step_free, steps } =
            self.tell(from, &legs, &target, query.profile, query.lang);
        let geometry = Geometry { r#type: CollectionType::FeatureCollection, features };
        Ok(Route { distance_m, duration_s, level_changes, step_free, steps, geometry })
    }

    /// The way of a guest from a door to where they sit, as finely as the map knows it; none where the map
    /// knows neither, or has no way.
    pub fn way(
        &self,
        door: &str,
        seat: Option<&str>,
        table: Option<&str>,
        section: Option<&str>,
        profile: Profile,
        lang: Lang,
    ) -> Option<Way> {
        let from = self.venue().place(PlaceKind::Door, door)?.node;
        let place = self.resolve(seat, table, section)?;
        let target = Target::Node(place.node, End::Place(place));
        let legs = self.legs(from, &target, profile).ok()?;
        Some(self.tell(from, &legs, &target, profile, lang))
    }

    fn tell(&self, from: u32, legs: &[Leg], target: &Target<'_>, profile: Profile, lang: Lang) -> Way {
        let end = match target {
            Target::Node(_, end) => *end,
            Target::Nearest(kind) => End::Amenity(*kind),
        };
        Journey::new(self, from, legs, profile).tell(end, lang)
    }

    fn target(&self, place: &PlaceRef) -> Result<Target<'_>, RouteFault> {
        let venue = self.venue();
        match place {
            PlaceRef::Named { kind, id } => match venue.place(*kind, id) {
                Some(place) => Ok(Target::Node(place.node, End::Place(place))),
                None => Err(RouteFault::PlaceUnknown(format!("The map has no {} {id}.", kind.as_str()))),
            },
            PlaceRef::Node(id) => match venue.node(id.as_str()) {
                Some(node) => Ok(Target::Node(node, End::Point)),
                None => Err(RouteFault::PlaceUnknown(format!("The map has no node {id}."))),
            },
            PlaceRef::Bare(id) => self.bare(id),
            PlaceRef::At { lon, lat, level } => match self.nearest(*lon, *lat, *level) {
                Some(node) => Ok(Target::Node(node, End::Point)),
                None => Err(RouteFault::PlaceUnknown(format!(
                    "The map has nothing within {SNAP_QUERY_M} m of {lon},{lat} on level {level}."
                ))),
            },
            PlaceRef::Nearest(kind) => {
                if venue.amenities().iter().any(|amenity| amenity.kind == *kind) {
                    Ok(Target::Nearest(*kind))
                } else {
                    Err(RouteFault::PlaceUnknown(format!("The map has no {}.", kind.as_str())))
                }
            }
        }
    }

    fn bare(&self, id: &str) -> Result<Target<'_>, RouteFault> {
        let places: Vec<&Place> =
            PlaceKind::ALL.iter().filter_map(|kind| self.venue().place(*kind, id)).collect();
        let node = self.venue().node(id);
        match (places.as_slice(), node) {
            ([place], None) => Ok(Target::Node(place.node, End::Place(place))),
            ([], Some(node)) => Ok(Target::Node(node, End::Point)),
            ([], None) => Err(RouteFault::PlaceUnknown(format!(
                "The map has no door, section, table, seat, sign or node {id}."
            ))),
            _ => {
                let mut kinds: Vec<&str> = places.iter().map(|place| place.kind.as_str()).collect();
                kinds.extend(node.map(|_| "node"));
                Err(RouteFault::PlaceUnknown(format!(
                    "More than one place has the id {id}: say which kind, of {}.",
                    kinds.join(", ")
                )))
            }
        }
    }

    /// The links of the cheapest way.
    fn legs(&self, from: u32, target: &Target<'_>, profile: Profile) -> Result<Vec<Leg>, RouteFault> {
        let path = match target {
            Target::Node(to, _) => self.path(from, *to, profile),
            Target::Nearest(kind) => self.tree_to_amenity(*kind, profile).path(from),
        };
        let Some(path) = path else {
            return Err(match profile {
                Profile::StepFree if self.is_walkable(from, target) => RouteFault::NoStepFreeRoute,
                Profile::StepFree | Profile::Walk => RouteFault::NoRoute,
            });
        };
        let mut legs = Vec::with_capacity(path.len());
        let (mut waited_ms, mut boards) = (0, false);
        for arc in path.into_iter().map(|arc| self.arcs[arc as usize]) {
            waited_ms += u64::from(arc.ms);
            boards |= arc.boards;
            if arc.link != crate::graph::NONE {
                legs.push(Leg { link: arc.link, forward: arc.forward, ms: waited_ms, boards });
                (waited_ms, boards) = (0, false);
            }
        }
        Ok(legs)
    }

    fn is_walkable(&self, from: u32, target: &Target<'_>) -> bool {
        match target {
            Target::Node(to, _) => match self.tree_to(*to, Profile::Walk) {
                Some(tree) => tree.reaches(from),
                None => self.reach(std::iter::once(from), Profile::Walk)[*to as usize],
            },
            Target::Nearest(kind) => self.tree_to_amenity(*kind, Profile::Walk).reaches(from),
        }
    }

    fn feature(&self, leg: Leg) -> Feature {
        let link = &self.venue().links()[leg.link as usize];
        let [start, end] = [link.start, link.end].map(|node| self.venue().nodes()[node as usize].level);
        Feature {
            r#type: FeatureType::Feature,
            properties: FeatureProperties {
                level: start.min(end),
                to_level: (start != end).then(|| start.max(end)),
                kind: link.kind.into(),
                link_id: link.id.clone(),
            },
            geometry: LineString { r#type: LineStringType::LineString, coordinates: line_of(self, leg) },
        }
    }
}
