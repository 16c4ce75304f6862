//! The cheapest way as numbers, without its words: for whoever holds it beside another algorithm on the same graph.

use seatpilot_domain_model::Profile;

use crate::{graph::Graph, search};

impl Graph {
    /// Every arc that serves a profile: its tail, its head, and the time that it takes in whole milliseconds. Vertices
    /// below the number of nodes are the nodes of [`Venue::nodes`](crate::Venue::nodes), on foot; the others are cars of
    /// lifts.
    pub fn arcs_for(&self, profile: Profile) -> impl Iterator<Item = (u32, u32, u32)> {
        self.arcs.iter().filter(move |arc| arc.serves(profile)).map(|arc| (arc.tail, arc.head, arc.ms))
    }

    /// The cheapest way between two nodes: its time in milliseconds, and every vertex on it, both ends included. None
    /// where there is no way. As [`Graph::route`] finds it.
    pub fn shortest(&self, from: u32, to: u32, profile: Profile) -> Option<(u64, Vec<u32>)> {
        if let Some(tree) = self.tree_to(to, profile) {
            return tree.vertices(self, from);
        }
        let path = search::find_path(self, from, to, profile)?;
        let arcs = path.iter().map(|arc| &self.arcs[*arc as usize]);
        let ms = arcs.clone().map(|arc| u64::from(arc.ms)).sum();
        Some((ms, std::iter::once(from).chain(arcs.map(|arc| arc.head)).collect()))
    }

    /// The arcs of the cheapest way between two nodes.
    pub(crate) fn path(&self, from: u32, to: u32, profile: Profile) -> Option<Vec<u32>> {
        match self.tree_to(to, profile) {
            Some(tree) => tree.path(from),
            None => search::find_path(self, from, to, profile),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{PlaceKind, Venue};

    #[test]
    fn the_way_in_numbers_goes_along_arcs_and_takes_their_time() {
        let graph = Graph::new(Venue::demo());
        let node = |kind| graph.venue().places().iter().find(|place| place.kind == kind).unwrap().node;
        let (from, to) = (node(PlaceKind::Door), node(PlaceKind::Section));
        let (ms, vertices) = graph.shortest(from, to, Profile::Walk).unwrap();
        assert_eq!((vertices.first(), vertices.last()), (Some(&from), Some(&to)));
        let arc = |tail, head| {
            let between = graph.arcs_for(Profile::Walk).filter(|arc| (arc.0, arc.1) == (tail, head));
            between.map(|arc| u64::from(arc.2)).min().unwrap()
        };
        assert_eq!(vertices.windows(2).map(|step| arc(step[0], step[1])).sum::<u64>(), ms);
    }
}
