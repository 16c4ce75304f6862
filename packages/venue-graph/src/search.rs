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
/// A time of 49 days or more, which is summed where it is asked for.
const LONG: u32 = u32::MAX - 1;

/// Where the way from a vertex begins among the steps of its tree.
#[derive(Debug, Clone, Copy)]
struct Spot {
    /// Its own step; [`NONE`] where there is no way.
    step: u32,
    /// The end of the stretch that its step is in. Empty at a root: arrived.
    end: u32,
    /// The time to the root, in milliseconds, or [`LONG`].
    ms: u32,
}

/// The shortest ways from each vertex to the nearest root. A way to a known place is then only read off.
///
/// Where ways meet they go on together, so the steps lie stretch by stretch: each goes on with the vertex that most
/// others come through, up to where that joins a longer one. A way is a few stretches, each copied in one piece,
/// instead of a chain in which every step has to be read before the next one is known. At most one more than the
/// binary logarithm of the vertices, for each joining at least doubles how many come along.
#[derive(Debug)]
pub(crate) struct Tree {
    spots: Box<[Spot]>,
    /// The arcs of the steps, and the vertices that they lead to.
    arcs: Box<[u32]>,
    heads: Box<[u32]>,
}

impl Tree {
    /// The most memory that a tree takes, in bytes.
    pub(crate) const fn bytes(vertices: usize) -> usize {
        vertices * (size_of::<Spot>() + 2 * size_of::<u32>())
    }

    /// Dijkstra against the arcs, from all roots (nodes) at once.
    pub(crate) fn grow(graph: &Graph, roots: impl Iterator<Item = u32>, profile: Profile) -> Self {
        let mut next = vec![NONE; graph.vertices()];
        let mut least = vec![u64::MAX; graph.vertices()];
        let mut heap = BinaryHeap::new();
        for root in roots {
            least[root as usize] = 0;
            heap.push(Reverse((0, root)));
        }
        let mut settled = Vec::with_capacity(graph.vertices());
        while let Some(Reverse((ms, vertex))) = heap.pop() {
            if ms > least[vertex as usize] {
                continue;
            }
            settled.push(vertex);
            for &index in graph.arcs_in(vertex) {
                let arc = &graph.arcs[index as usize];
                let through = ms + u64::from(arc.ms);
                if arc.serves(profile) && through < least[arc.tail as usize] {
                    least[arc.tail as usize] = through;
                    next[arc.tail as usize] = index;
                    heap.push(Reverse((through, arc.tail)));
                }
            }
        }
        Self::laid_out(graph, &next, &least, &settled)
    }

    /// Lays the steps in stretches. `next` is the arc to take of each vertex, `settled` has the vertices that have a way,
    /// each after the one that its arc leads to.
    fn laid_out(graph: &Graph, next: &[u32], least: &[u64], settled: &[u32]) -> Self {
        let onward = |vertex: u32| graph.arcs.get(next[vertex as usize] as usize).map(|arc| arc.head);
        // How many ways come through a vertex, its own included; and by which neighbour most of them come.
        let mut through = vec![1_u32; next.len()];
        let mut mainly_from = vec![NONE; next.len()];
        for &vertex in settled.iter().rev() {
            if let Some(head) = onward(vertex) {
                through[head as usize] += through[vertex as usize];
                let main = &mut mainly_from[head as usize];
                if *main == NONE || through[vertex as usize] > through[*main as usize] {
                    *main = vertex;
                }
            }
        }
        let nowhere = Spot { step: NONE, end: NONE, ms: NONE };
        let mut spots = vec![nowhere; next.len()].into_boxed_slice();
        let (mut arcs, mut heads) = (Vec::with_capacity(settled.len()), Vec::with_capacity(settled.len()));
        let mut stretch = Vec::new();
        for &vertex in settled {
            let ms = |vertex: u32| u32::try_from(least[vertex as usize]).map_or(LONG, |ms| ms.min(LONG));
            let Some(head) = onward(vertex) else {
                spots[vertex as usize] = Spot { step: 0, end: 0, ms: ms(vertex) };
                continue;
            };
            // In the stretch of the vertex that it leads to, unless that is a root, which has no step.
            if mainly_from[head as usize] == vertex && onward(head).is_some() {
                continue;
            }
            stretch.clear();
            stretch.extend(std::iter::successors(Some(vertex), |last| {
                Some(mainly_from[*last as usize]).filter(|from| *from != NONE)
            }));
            let end = arcs.len() + stretch.len();
            for vertex in stretch.iter().rev().copied() {
                let [step, end] = [arcs.len(), end].map(|at| u32::try_from(at).unwrap_or(NONE));
                spots[vertex as usize] = Spot { step, end, ms: ms(vertex) };
                arcs.push(next[vertex as usize]);
                heads.extend(onward(vertex));
            }
        }
        Self { spots, arcs: arcs.into(), heads: heads.into() }
    }

    /// The arcs of the way from a node, or none where there is no way.
    pub(crate) fn path(&self, from: u32) -> Option<Vec<u32>> {
        let mut path = Vec::with_capacity(ARCS_USUAL);
        self.follow(from, |arcs, _| path.extend_from_slice(arcs)).then_some(path)
    }

    /// The time of the way from a node in milliseconds, and its vertices, both ends included.
    pub(crate) fn vertices(&self, graph: &Graph, from: u32) -> Option<(u64, Vec<u32>)> {
        let mut vertices = Vec::with_capacity(ARCS_USUAL);
        vertices.push(from);
        if !self.follow(from, |_, heads| vertices.extend_from_slice(heads)) {
            return None;
        }
        let ms = match self.spots[from as usize].ms {
            LONG => self.path(from)?.iter().map(|arc| u64::from(graph.arcs[*arc as usize].ms)).sum(),
            ms => u64::from(ms),
        };
        Some((ms, vertices))
    }

    /// Calls with the arcs of every stretch of the way from a node, and the vertices that they lead to; whether there is
    /// a way.
    fn follow(&self, from: u32, mut each: impl FnMut(&[u32], &[u32])) -> bool {
        let mut spot = self.spots[from as usize];
        while spot.step != spot.end {
            let stretch = spot.step as usize..spot.end as usize;
            let heads = &self.heads[stretch.clone()];
            each(&self.arcs[stretch], heads);
            let Some(last) = heads.last() else { return false };
            spot = self.spots[*last as usize];
        }
        spot.step != NONE
    }

    /// Whether there is a way from a node.
    pub(crate) fn reaches(&self, from: u32) -> bool {
        self.spots[from as usize].step != NONE
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Venue;

    #[test]
    fn a_time_too_long_to_be_kept_is_summed() {
        let graph = Graph::new(Venue::demo());
        let mut tree = Tree::grow(&graph, std::iter::once(0), Profile::Walk);
        let from = u32::try_from(graph.venue().nodes().len()).unwrap() - 1;
        let kept = tree.vertices(&graph, from);
        assert!(kept.as_ref().is_some_and(|(ms, vertices)| *ms > 0 && vertices.len() > 2));
        tree.spots.iter_mut().for_each(|spot| spot.ms = LONG);
        assert_eq!(tree.vertices(&graph, from), kept);
    }

    #[test]
    fn a_tree_takes_no_more_memory_than_is_reckoned_with() {
        let graph = Graph::new(Venue::demo());
        let tree = Tree::grow(&graph, std::iter::once(0), Profile::Walk);
        let taken = size_of_val(&*tree.spots) + size_of_val(&*tree.arcs) + size_of_val(&*tree.heads);
        assert!(taken <= Tree::bytes(graph.vertices()), "{taken}");
    }
}
