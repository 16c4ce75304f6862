//! A stretch of links as one line, and where on it a walker would say that they turned.
//!
//! Surveys have many short links and small jogs, and a stadium's concourse curves all the time. So a turn is
//! judged over a few metres on both sides of a point, and of neighbouring candidates only the sharpest counts.

use std::ops::Range;

use crate::{
    graph::Graph,
    plane::{self, Point},
};

/// Metres before and after a point over which a turn is judged.
const WINDOW_M: f64 = 6.0;
/// With less than this on either side nothing is said of a turn, in metres.
const WINDOW_LEAST_M: f64 = 1.0;
/// Less than this is straight on, in degrees.
pub(crate) const STRAIGHT_DEG: f64 = 30.0;
/// Two turns are at least this far apart, in metres: nearer ones are one corner.
const CORNER_M: f64 = 8.0;

/// A link as it is walked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Leg {
    /// Its index.
    pub(crate) link: u32,
    /// From start to end.
    pub(crate) forward: bool,
    /// With the wait for the lift, where one is boarded here.
    pub(crate) ms: u64,
    /// Whether a lift is boarded here.
    pub(crate) boards: bool,
}

/// A point of the line.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Vertex {
    pub(crate) at: Point,
    /// Straight metres along the line.
    pub(crate) along: f64,
    /// The map's metres since the stretch began.
    pub(crate) metres: f64,
    /// Milliseconds since the stretch began.
    pub(crate) ms: f64,
    /// The leg that leaves or passes here; the last one at the end.
    pub(crate) leg: usize,
    /// Whether the leg begins here.
    pub(crate) begins: bool,
}

/// The line of some legs.
#[derive(Debug)]
pub(crate) struct Stretch {
    pub(crate) line: Vec<Vertex>,
}

impl Stretch {
    /// Traces legs `range` of a journey.
    pub(crate) fn trace(graph: &Graph, legs: &[Leg], range: Range<usize>) -> Self {
        // Most links are straight, and a leg begins where the last one ended.
        let mut line: Vec<Vertex> = Vec::with_capacity(range.len() + 8);
        // Of one leg: each point with its metres from the one before.
        let mut points: Vec<(Point, f64)> = Vec::new();
        let (mut along, mut metres, mut ms) = (0.0, 0.0, 0.0);
        for index in range {
            let leg = legs[index];
            points.clear();
            each_point(graph, leg, |[lon, lat]| {
                let at = graph.plane.place(lon, lat);
                let apart = points.last().map_or(0.0, |(before, _)| plane::distance(*before, at));
                points.push((at, apart));
            });
            let length: f64 = points.iter().map(|(_, apart)| apart).sum();
            let link = &graph.venue().links()[leg.link as usize];
            let mut walked = 0.0;
            // A leg begins where the last one ended.
            line.pop();
            for (nth, (at, apart)) in points.iter().enumerate() {
                walked += apart;
                let last = nth + 1 == points.len();
                let share = if last {
                    1.0
                } else if length > 0.0 {
                    walked / length
                } else {
                    0.0
                };
                #[expect(clippy::cast_precision_loss, reason = "a route takes hours at most")]
                let leg_ms = leg.ms as f64;
                line.push(Vertex {
                    at: *at,
                    along: along + walked,
                    metres: metres + link.distance_m * share,
                    ms: ms + leg_ms * share,
                    leg: index,
                    begins: nth == 0,
                });
            }
            if let Some(end) = line.last() {
                (along, metres, ms) = (end.along, end.metres, end.ms);
            }
        }
        Self { line }
    }

    /// The vertices where it turns by [`STRAIGHT_DEG`] or more, in order, each with its turn in degrees.
    pub(crate) fn corners(&self) -> Vec<(usize, f64)> {
        let mut candidates: Vec<(usize, f64)> = (1..self.line.len().saturating_sub(1))
            .filter_map(|index| self.turn_at(index).map(|turn| (index, turn)))
            .filter(|(_, turn)| turn.abs() >= STRAIGHT_DEG)
            .collect();
        candidates.sort_by(|a, b| b.1.abs().total_cmp(&a.1.abs()).then(a.0.cmp(&b.0)));
        let mut corners: Vec<(usize, f64)> = Vec::new();
        for (index, turn) in candidates {
            let far = |other: usize| (self.line[index].along - self.line[other].along).abs() >= CORNER_M;
            if corners.iter().all(|(other, _)| far(*other)) {
                corners.push((index, turn));
            }
        }
        corners.sort_by_key(|(index, _)| *index);
        corners
    }

    /// Its length in straight metres.
    pub(crate) fn length(&self) -> f64 {
        self.line.last().map_or(0.0, |end| end.along)
    }

    /// The bearing in which one sets off at a vertex.
    pub(crate) fn bearing_from(&self, index: usize) -> Option<f64> {
        self.bearing_over(index, true)
    }

    /// The bearing in which one arrives at its end.
    pub(crate) fn bearing_at_end(&self) -> Option<f64> {
        self.bearing_over(self.line.len().checked_sub(1)?, false)
    }

    fn turn_at(&self, index: usize) -> Option<f64> {
        let (first, last, here) = (self.line.first()?, self.line.last()?, self.line[index]);
        if here.along - first.along < WINDOW_LEAST_M || last.along - here.along < WINDOW_LEAST_M {
            return None;
        }
        Some(plane::turn(self.bearing_over(index, false)?, self.bearing_over(index, true)?))
    }

    /// The bearing over the window after a vertex, or before it.
    fn bearing_over(&self, index: usize, after: bool) -> Option<f64> {
        let here = self.line.get(index)?;
        let end = if after { here.along + WINDOW_M } else { here.along - WINDOW_M };
        let there = self.point_at(index, end);
        if after { plane::bearing(here.at, there) } else { plane::bearing(there, here.at) }
    }

    /// The point that many metres along, looked for from a vertex that is near.
    fn point_at(&self, near: usize, along: f64) -> Point {
        let mut index = near;
        while index + 1 < self.line.len() && self.line[index].along < along {
            index += 1;
        }
        while index > 0 && self.line[index - 1].along > along {
            index -= 1;
        }
        let b = self.line[index];
        let a = self.line[index.saturating_sub(1)];
        if b.along <= along || b.along - a.along <= 0.0 {
            return b.at;
        }
        let share = ((along - a.along) / (b.along - a.along)).clamp(0.0, 1.0);
        [a.at[0] + (b.at[0] - a.at[0]) * share, a.at[1] + (b.at[1] - a.at[1]) * share]
    }
}

/// The line of a leg in the direction walked, longitude and latitude; straight where the map has no line.
pub(crate) fn line_of(graph: &Graph, leg: Leg) -> Vec<[f64; 2]> {
    let mut line = Vec::with_capacity(graph.venue().links()[leg.link as usize].shape.len().max(2));
    each_point(graph, leg, |point| line.push(point));
    line
}

/// Calls with each point of that line.
fn each_point(graph: &Graph, leg: Leg, each: impl FnMut([f64; 2])) {
    let venue = graph.venue();
    let link = &venue.links()[leg.link as usize];
    let ends = [link.start, link.end].map(|node| &venue.nodes()[node as usize]);
    let straight = ends.map(|node| [node.lon, node.lat]);
    let line = if link.shape.is_empty() { &straight[..] } else { &link.shape[..] };
    if leg.forward { line.iter().copied().for_each(each) } else { line.iter().rev().copied().for_each(each) }
}
