//! The compiled map: arcs in compressed rows, nearest nodes per storey, and a shortest-path tree per known
//! place and profile.
//!
//! A vertex is a node on foot. Nodes that a lift link touches have a second vertex, the car: one boards into it
//! once per ride and pays the wait there, so a lift over five storeys is waited for once. A lift link along one
//! storey is the way in or out of a car: it leads from foot to car and from car to foot, never from car to car,
//! or one could change lifts in a lobby without waiting.

use std::sync::OnceLock;

use seatpilot_domain_model::Profile;

use crate::{
    cost::{LIFT_WAIT_MS, link_ms},
    kind::{AmenityKind, LinkKind, PlaceKind},
    plane::{self, Plane, Point},
    search::Tree,
    storeys::{Standing, Storeys},
    venue::{Link, Place, Venue},
};

/// How far from a node of its level a `lon,lat,level` may lie, in metres: further off somebody is not in the
/// venue.
pub const SNAP_QUERY_M: f64 = 200.0;
/// How far a landmark may be from a decision point to be named there, in metres: what one sees without looking.
const LANDMARK_M: f64 = 12.0;
/// Memory for all trees, in bytes. The stadium's 96 places need 6.5 MB; places beyond this are searched with A*.
const TREES_BYTES_MAX: usize = 24 << 20;

/// No arc, no vertex, no slot.
pub(crate) const NONE: u32 = u32::MAX;

/// One way over one link, or a step between foot and car (`link` is [`NONE`]).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Arc {
    pub(crate) tail: u32,
    pub(crate) head: u32,
    pub(crate) link: u32,
    pub(crate) ms: u32,
    pub(crate) forward: bool,
    pub(crate) boards: bool,
    pub(crate) step_free: bool,
}

impl Arc {
    /// Whether somebody of that profile may use it.
    pub(crate) fn serves(&self, profile: Profile) -> bool {
        match profile {
            Profile::Walk => true,
            Profile::StepFree => self.step_free,
        }
    }
}

/// A venue, ready to answer. Immutable; share it between threads as it is.
#[derive(Debug)]
pub struct Graph {
    venue: Venue,
    pub(crate) plane: Plane,
    /// The node of each vertex; the first `nodes` vertices are the nodes on foot.
    node_of: Vec<u32>,
    pub(crate) points: Vec<Point>,
    pub(crate) arcs: Vec<Arc>,
    first_out: Vec<u32>,
    first_in: Vec<u32>,
    arcs_in: Vec<u32>,
    /// A lower bound of time over straight distance, ms per metre: what makes A* exact.
    pub(crate) ms_per_m: f64,
    standing: Standing,
    landmark_at: Vec<u32>,
    slot_of: Vec<u32>,
    trees: Vec<OnceLock<Tree>>,
    amenity_trees: Vec<OnceLock<Tree>>,
}

impl Graph {
    /// Compiles a venue. The stadium takes a few milliseconds; trees are grown when first asked for.
    pub fn new(venue: Venue) -> Self {
        let plane = Plane::around(venue.nodes().iter().map(|node| (node.lon, node.lat)));
        let mut points: Vec<Point> =
            venue.nodes().iter().map(|node| plane.place(node.lon, node.lat)).collect();
        let mut node_of: Vec<u32> = (0..).take(points.len()).collect();
        let mut car_of = vec![NONE; points.len()];
        for link in venue.links().iter().filter(|link| link.kind == LinkKind::Lift) {
            for node in [link.start, link.end] {
                if car_of[node as usize] == NONE {
                    car_of[node as usize] = u32::try_from(node_of.len()).unwrap_or(NONE);
                    node_of.push(node);
                    points.push(points[node as usize]);
                }
            }
        }
        let mut arcs = Vec::with_capacity(venue.links().len() * 2);
        for (index, link) in (0..).zip(venue.links()) {
            push_link(&venue, &plane, &car_of, index, link, &mut arcs);
        }
        // By tail, then in the order of the links' ids: the same map always has the same arcs.
        arcs.sort_by_key(|arc| arc.tail);
        let first_out = rows(points.len(), arcs.iter().map(|arc| arc.tail));
        let mut arcs_in: Vec<u32> = (0..).take(arcs.len()).collect();
        arcs_in.sort_by_key(|arc| arcs[*arc as usize].head);
        let first_in = rows(points.len(), arcs_in.iter().map(|arc| arcs[*arc as usize].head));
        let ms_per_m = slowest_bound(&arcs, &points);
        let standing = Standing::of(venue.nodes(), venue.links(), &points);
        let landmark_at = landmarks_at(&venue, &plane, &points);
        let (slot_of, slots) = tree_slots(&venue, points.len());
        Self {
            plane,
            node_of,
            points,
            arcs,
            first_out,
            first_in,
            arcs_in,
            ms_per_m,
            standing,
            landmark_at,
            slot_of,
            trees: (0..slots * Profile::ALL.len()).map(|_| OnceLock::new()).collect(),
            amenity_trees: (0..AmenityKind::ALL.len() * Profile::ALL.len())
                .map(|_| OnceLock::new())
                .collect(),
            venue,
        }
    }

    /// The map that this was compiled from.
    pub fn venue(&self) -> &Venue {
        &self.venue
    }

    /// The place where a guest sits, as finely as the map knows it: the seat, else its table, else its section.
    pub fn resolve(&self, seat: Option<&str>, table: Option<&str>, section: Option<&str>) -> Option<&Place> {
        let find = |kind, id: Option<&str>| id.and_then(|id| self.venue.place(kind, id));
        find(PlaceKind::Seat, seat)
            .or_else(|| find(PlaceKind::Table, table))
            .or_else(|| find(PlaceKind::Section, section))
    }

    /// The node where somebody stands who is at that position, within [`SNAP_QUERY_M`].
    pub(crate) fn nearest(&self, lon: f64, lat: f64, level: f64) -> Option<u32> {
        self.standing.nearest(level, self.plane.place(lon, lat), SNAP_QUERY_M)
    }

    /// The landmark that one sees from a node.
    pub(crate) fn landmark_at(&self, node: u32) -> Option<u32> {
        self.landmark_at.get(node as usize).copied().filter(|landmark| *landmark != NONE)
    }

    pub(crate) fn vertices(&self) -> usize {
        self.points.len()
    }

    pub(crate) fn arcs_out(&self, vertex: u32) -> std::ops::Range<u32> {
        self.first_out[vertex as usize]..self.first_out[vertex as usize + 1]
    }

    pub(crate) fn arcs_in(&self, vertex: u32) -> &[u32] {
        &self.arcs_in[self.first_in[vertex as usize] as usize..self.first_in[vertex as usize + 1] as usize]
    }

    /// The tree that leads to a node, if it is the node of a place that has one.
    pub(crate) fn tree_to(&self, node: u32, profile: Profile) -> Option<&Tree> {
        let slot = self.slot_of.get(node as usize).copied().filter(|slot| *slot != NONE)?;
        let cell = self.trees.get(slot as usize * Profile::ALL.len() + profile as usize)?;
        Some(cell.get_or_init(|| Tree::grow(self, std::iter::once(node), profile)))
    }

    /// The tree that leads to the nearest amenity of a kind.
    pub(crate) fn tree_to_amenity(&self, kind: AmenityKind, profile: Profile) -> &Tree {
        let roots = || self.venue.amenities().iter().filter(move |amenity| amenity.kind == kind);
        self.amenity_trees[kind as usize * Profile::ALL.len() + profile as usize]
            .get_or_init(|| Tree::grow(self, roots().map(|amenity| amenity.node), profile))
    }

    /// Which nodes can be reached from these, on foot or in a car.
    pub(crate) fn reach(&self, from: impl Iterator<Item = u32>, profile: Profile) -> Vec<bool> {
        let mut seen = vec![false; self.vertices()];
        let mut stack: Vec<u32> = from.collect();
        while let Some(vertex) = stack.pop() {
            if !std::mem::replace(&mut seen[vertex as usize], true) {
                let arcs = self.arcs_out(vertex).map(|arc| &self.arcs[arc as usize]);
                stack.extend(arcs.filter(|arc| arc.serves(profile)).map(|arc| arc.head));
            }
        }
        for vertex in self.venue.nodes().len()..self.vertices() {
            let node = self.node_of[vertex] as usize;
            seen[node] |= seen[vertex];
        }
        seen.truncate(self.venue.nodes().len());
        seen
    }
}

fn push_link(venue: &Venue, plane: &Plane, car_of: &[u32], index: u32, link: &Link, arcs: &mut Vec<Arc>) {
    let level = |node: u32| venue.nodes()[node as usize].level;
    let rise = level(link.end) - level(link.start);
    let length_m = if link.distance_m > 0.0 { link.distance_m } else { plane.length(&link.shape) };
    for forward in [true, false] {
        if !link.direction.allows(forward) {
            continue;
        }
        let (tail, head, rise, slope) = if forward {
            (link.start, link.end, rise, link.slope)
        } else {
            (link.end, link.start, -rise, link.slope.reversed())
        };
        let ms = link_ms(link.kind, slope, rise, length_m);
        let (tail_car, head_car) = (car_of[tail as usize], car_of[head as usize]);
        let arc =
            Arc { tail, head, link: index, ms, forward, boards: false, step_free: link.kind.is_step_free() };
        let board =
            |node, car| Arc { tail: node, head: car, link: NONE, ms: LIFT_WAIT_MS, boards: true, ..arc };
        match link.kind {
            LinkKind::Lift if rise == 0.0 => {
                arcs.push(Arc { head: head_car, ms: ms + LIFT_WAIT_MS, boards: true, ..arc });
                arcs.push(Arc { tail: tail_car, ..arc });
            }
            LinkKind::Lift => {
                arcs.push(board(tail, tail_car));
                arcs.push(Arc { tail: tail_car, head: head_car, ..arc });
                arcs.push(Arc { tail: head_car, head, link: NONE, ms: 0, ..arc });
            }
            _ => arcs.push(arc),
        }
        if link.kind == LinkKind::Lift && rise == 0.0 {
            // Somebody whose way ends in the car, as where a map names a node there.
            arcs.push(Arc { tail: head_car, head, link: NONE, ms: 0, ..arc });
        }
    }
}

/// Where each row begins, given the sorted keys.
fn rows(count: usize, keys: impl Iterator<Item = u32>) -> Vec<u32> {
    let mut first = vec![0_u32; count + 1];
    for key in keys {
        first[key as usize + 1] += 1;
    }
    for row in 0..count {
        first[row + 1] += first[row];
    }
    first
}

/// The least time per straight metre of any arc. However odd a map's distances are, an estimate with this
/// bound never exceeds the truth.
fn slowest_bound(arcs: &[Arc], points: &[Point]) -> f64 {
    let pace = |arc: &Arc| {
        let straight = plane::distance(points[arc.tail as usize], points[arc.head as usize]);
        (straight > 1e-6).then(|| f64::from(arc.ms) / straight)
    };
    let least = arcs.iter().filter_map(pace).fold(f64::INFINITY, f64::min);
    // A hair less than the least, for the rounding of floating point.
    if least.is_finite() { least * (1.0 - 1e-9) } else { 0.0 }
}

fn landmarks_at(venue: &Venue, plane: &Plane, points: &[Point]) -> Vec<u32> {
    let landmarks = (0..).zip(venue.landmarks());
    let landmarks =
        Storeys::of(landmarks.map(|(index, mark)| (mark.level, plane.place(mark.lon, mark.lat), index)));
    let seen_from =
        |level, point| landmarks.nearest(level, point).filter(|(_, metres)| *metres <= LANDMARK_M);
    let nodes = venue.nodes().iter().zip(points);
    nodes.map(|(node, point)| seen_from(node.level, *point).map_or(NONE, |(mark, _)| mark)).collect()
}

/// Which nodes get a tree: those of places, in the places' order (doors first), while memory lasts.
fn tree_slots(venue: &Venue, vertices: usize) -> (Vec<u32>, usize) {
    let tree_bytes = Tree::bytes(vertices).max(1);
    let most = TREES_BYTES_MAX / tree_bytes / Profile::ALL.len();
    let mut slot_of = vec![NONE; venue.nodes().len()];
    let mut slots = 0;
    for place in venue.places() {
        if slots as usize >= most {
            break;
        }
        let slot = &mut slot_of[place.node as usize];
        if *slot == NONE {
            *slot = slots;
            slots += 1;
        }
    }
    (slot_of, slots as usize)
}
