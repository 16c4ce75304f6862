//! The nearest thing on a storey.

use std::collections::BTreeMap;

use rstar::{RTree, primitives::GeomWithData};

use crate::{
    kind::LinkKind,
    plane::{self, Point},
    venue::{Link, Node},
};

/// Things with an index, by storey and place on the sheet.
#[derive(Debug)]
pub(crate) struct Storeys(BTreeMap<i32, RTree<GeomWithData<Point, u32>>>);

impl Storeys {
    /// Things as level, point and index.
    pub(crate) fn of(things: impl Iterator<Item = (f64, Point, u32)>) -> Self {
        let mut storeys: BTreeMap<i32, Vec<_>> = BTreeMap::new();
        for (level, point, index) in things {
            storeys.entry(key(level)).or_default().push(GeomWithData::new(point, index));
        }
        Self(storeys.into_iter().map(|(level, things)| (level, RTree::bulk_load(things))).collect())
    }

    /// The nearest thing of a storey and its distance in metres; none where the storey is empty.
    pub(crate) fn nearest(&self, level: f64, point: Point) -> Option<(u32, f64)> {
        let nearest = self.0.get(&key(level))?.nearest_neighbor(&point)?;
        Some((nearest.data, plane::distance(point, *nearest.geom())))
    }
}

/// Where somebody stands who stands somewhere.
#[derive(Debug)]
pub(crate) struct Standing {
    /// Nodes that something other than a lift touches.
    on_foot: Storeys,
    /// All nodes: for storeys of which a map has nothing but a lift's door, and for loose nodes.
    any: Storeys,
}

impl Standing {
    /// `points` are the nodes' places on the sheet.
    pub(crate) fn of(nodes: &[Node], links: &[Link], points: &[Point]) -> Self {
        let mut on_foot = vec![false; nodes.len()];
        for link in links.iter().filter(|link| link.kind != LinkKind::Lift) {
            on_foot[link.start as usize] = true;
            on_foot[link.end as usize] = true;
        }
        let all = || {
            nodes.iter().zip(points).zip(0_u32..).map(|((node, point), index)| (node.level, *point, index))
        };
        Self {
            on_foot: Storeys::of(all().filter(|(_, _, index)| on_foot[*index as usize])),
            any: Storeys::of(all()),
        }
    }

    /// The node where one stands to be at a point: the nearest that one can walk to, else the nearest at all;
    /// none where there is none within so many metres.
    pub(crate) fn nearest(&self, level: f64, point: Point, within_m: f64) -> Option<u32> {
        let near =
            |storeys: &Storeys| storeys.nearest(level, point).filter(|(_, metres)| *metres <= within_m);
        near(&self.on_foot).or_else(|| near(&self.any)).map(|(node, _)| node)
    }
}

/// Thousandths of a storey: 0.1 + 0.2 is 0.3.
fn key(level: f64) -> i32 {
    #[expect(clippy::cast_possible_truncation, reason = "levels are within 300 of 0")]
    let key = (level * 1000.0).round() as i32;
    key
}
