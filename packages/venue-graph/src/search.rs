//! Shortest paths in time. Times are whole milliseconds, so sums are exact, and ties fall the same way each
//! time: the same map gives the same path, whether or not it was asked before.

use std::{cmp::Reverse, collections::BinaryHeap};

use seatpilot_domain_model::Profile;

use crate::{
    graph::{Graph, NONE},
    plane,
};

/// Ways of the stadium have 37 arcs in the middle; a longer one takes another allocation.
pub(crate) const ARCS_USUAL: usize = 64;
/// The arc to take of a vertex where the way ends.
const ARRIVED: u32 = NONE - 1;

/// A step of a way: the arc, and where it leads. Together, so that reading a way off waits for memory once a step.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Hop {
    arc: u32,
    head: u32,
}

/// From each vertex, the next arc of the shortest way to the nearest root. A way to a known place is then only
/// read off.
#[derive(Debug)]
pub(crate) struct Tree {
    next: Box<[Hop]>,
}

impl Tree {
    /// Dijkstra against the arcs, from all roots (nodes) at once.
    pub(crate) fn grow(graph: &Graph, roots: impl Iterator<Item = u32>, profile: Profile) -> Self {
        let nowhere = Hop { arc: NONE, head: NONE };
        let mut next = vec![nowhere; graph.vertices()].into_boxed_slice();
        let mut least = vec![u64::MAX; graph.vertices()];
        let mut heap = BinaryHeap::new();
        for root in roots {
            least[root as usize] = 0;
            next[root as usize] = Hop { arc: ARRIVED, head: root };
            heap.push(Reverse((0, root)));
        }
        while let Some(Reverse((ms, vertex))) = heap.pop() {
            if ms > least[vertex as usize] {
                continue;
            }
            for &index in graph.arcs_in(vertex) {
                let arc = &graph.arcs[index as usize];
                let through = ms + u64::from(arc.ms);
                if arc.serves(profile) && through < least[arc.tail as usize] {
                    least[arc.tail as usize] = through;
                    next[arc.tail as usize] = Hop { arc: index, head: arc.head };
                    heap.push(Reverse((through, arc.tail)));
                }
            }
        }
        Self { next }
    }

    /// The arcs of the way from a node, or none where there is no way.
    pub(crate) fn path(&self, from: u32) -> Option<Vec<u32>> {
        let mut path = Vec::with_capacity(ARCS_USUAL);
        self.follow(from, |arc| path.push(arc)).then_some(path)
    }

    /// Calls with every arc of the way from a node; whether there is a way.
    pub(crate) fn follow(&self, from: u32, mut each: impl FnMut(u32)) -> bool {
        let mut vertex = from;
        loop {
            let hop = self.next[vertex as usize];
            match hop.arc {
                NONE => return false,
                ARRIVED => return true,
                arc => {
                    each(arc);
                    vertex = hop.head;
                }
            }
        }
    }

    /// Whether there is a way from a node.
    pub(crate) fn reaches(&self, from: u32) -> bool {
        self.next[from as usize].arc != NONE
    }
}

/// A* between two nodes, for destinations without a tree.
pub(crate) fn find_path(graph: &Graph, from: u32, to: u32, profile: Profile) -> Option<Vec<u32>> {
    let goal = graph.points[to as usize];
    // Whole milliseconds, rounded down: the estimate stays below the truth and falls by no more than an arc's
    // time along it, so a vertex is settled once.
    let left = |vertex: u32| {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "`as` saturates, and the product is not negative"
        )]
        let ms = (plane::distance(graph.points[vertex as usize], goal) * graph.ms_per_m) as u64;
        ms
    };
    let mut least = vec![u64::MAX; graph.vertices()];
    let mut came_by = vec![NONE; graph.vertices()];
    let mut heap = BinaryHeap::new();
    least[from as usize] = 0;
    heap.push(Reverse((left(from), 0_u64, from)));
    while let Some(Reverse((_, ms, vertex))) = heap.pop() {
        if vertex == to {
            break;
        }
        if ms > least[vertex as usize] {
            continue;
        }
        for index in graph.arcs_out(vertex) {
            let arc = &graph.arcs[index as usize];
            let through = ms + u64::from(arc.ms);
            if arc.serves(profile) && through < least[arc.head as usize] {
                least[arc.head as usize] = through;
                came_by[arc.head as usize] = index;
                heap.push(Reverse((through + left(arc.head), through, arc.head)));
            }
        }
    }
    if least[to as usize] == u64::MAX {
        return None;
    }
    let mut path = Vec::new();
    let mut vertex = to;
    while vertex != from {
        let arc = came_by[vertex as usize];
        path.push(arc);
        vertex = graph.arcs[arc as usize].tail;
    }
    path.reverse();
    Some(path)
}
