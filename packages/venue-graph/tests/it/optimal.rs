//! The search against a plain Dijkstra of another crate, which knows nothing of trees, cars or arcs: it walks the
//! venue's links with "am I in a lift" as part of where it is.

use std::collections::{BTreeSet, HashMap};

use pathfinding::directed::dijkstra::{dijkstra, dijkstra_all};
use proptest::prelude::*;
use seatpilot_domain_model::Profile;
use seatpilot_venue_graph::{Graph, LinkKind, Slope, Venue};

use crate::{
    routes::{by_node, route},
    small::without_link,
    venues,
};

/// The documented time of a link in ms, written down a second time.
fn documented_ms(venue: &Venue, link: usize, forward: bool) -> u64 {
    let link = &venue.links()[link];
    let level = |node: u32| venue.nodes()[node as usize].level;
    let rise =
        if forward { level(link.end) - level(link.start) } else { level(link.start) - level(link.end) };
    let slope = if forward { link.slope } else { link.slope.reversed() };
    let speed = match (link.kind, slope) {
        (LinkKind::Lift, _) if rise != 0.0 => return (rise.abs() * 4000.0).max(2000.0).round() as u64,
        (LinkKind::Stairs, _) if rise > 0.0 => 0.61,
        (LinkKind::Stairs, _) if rise < 0.0 => 0.69,
        (LinkKind::Stairs, _) => 0.65,
        (LinkKind::Escalator, _) => 0.43,
        (LinkKind::Unknown, _) => 0.61,
        (LinkKind::Ramp, Slope::SteepDown) => 1.34,
        (LinkKind::Ramp, Slope::Gentle | Slope::Unknown) if rise < 0.0 => 1.34,
        (LinkKind::Ramp, _)
        | (LinkKind::Plain | LinkKind::MovingWalkway | LinkKind::LevelCrossing, Slope::SteepUp) => 1.24,
        _ => 1.34,
    };
    let metres = if link.distance_m > 0.0 { link.distance_m } else { line_m(&link.shape) };
    let ms = (metres / speed * 1000.0).round() as u64;
    if link.kind == LinkKind::Lift { ms.max(2000) } else { ms.max(1) }
}

fn line_m(shape: &[[f64; 2]]) -> f64 {
    let metres = |a: [f64; 2], b: [f64; 2]| {
        let east = (b[0] - a[0]) * 111_195.08 * a[1].to_radians().cos();
        east.hypot((b[1] - a[1]) * 111_195.08)
    };
    shape.windows(2).map(|pair| metres(pair[0], pair[1])).sum()
}

/// Where the judge is: a node, in a lift car or not.
type Spot = (u32, bool);

fn judge(venue: &Venue, from: u32, to: u32, profile: Profile) -> Option<u64> {
    let mut links_at = vec![Vec::new(); venue.nodes().len()];
    for (index, link) in venue.links().iter().enumerate() {
        links_at[link.start as usize].push((index, true));
        links_at[link.end as usize].push((index, false));
    }
    let moves = |&(node, in_car): &Spot| -> Vec<(Spot, u64)> {
        let mut moves: Vec<(Spot, u64)> = if in_car { vec![((node, false), 0)] } else { Vec::new() };
        for (index, forward) in &links_at[node as usize] {
            let link = &venue.links()[*index];
            let usable = profile == Profile::Walk || link.kind.is_step_free();
            if !usable || !link.direction.allows(*forward) {
                continue;
            }
            let there = if *forward { link.end } else { link.start };
            let ms = documented_ms(venue, *index, *forward);
            let vertical = venue.nodes()[node as usize].level != venue.nodes()[there as usize].level;
            match (link.kind, vertical, in_car) {
                (LinkKind::Lift, true, true) => moves.push(((there, true), ms)),
                (LinkKind::Lift, true, false) => moves.push(((there, true), ms + 30_000)),
                (LinkKind::Lift, false, true) => moves.push(((there, false), ms)),
                (LinkKind::Lift, false, false) => moves.push(((there, true), ms + 30_000)),
                (_, _, false) => moves.push(((there, false), ms)),
                (_, _, true) => {}
            }
        }
        moves
    };
    dijkstra(&(from, false), moves, |&(node, in_car)| node == to && !in_car).map(|(_, ms)| ms)
}

fn duration_ms(graph: &Graph, from: u32, to: u32, profile: Profile) -> Option<f64> {
    let venue = graph.venue();
    route(graph, &by_node(venue, from), &by_node(venue, to), profile)
        .ok()
        .map(|route| route.duration_s * 1000.0)
}

fn assert_optimal(graph: &Graph, from: u32, to: u32, profile: Profile) {
    let (ours, theirs) = (duration_ms(graph, from, to, profile), judge(graph.venue(), from, to, profile));
    match (ours, theirs) {
        // Half of the tenth of a second that answers are rounded to, and the metres of a lift's odd line.
        (Some(ours), Some(theirs)) => {
            assert!((ours - theirs as f64).abs() <= 52.0, "{from} to {to}: {ours} {theirs}")
        }
        (ours, theirs) => assert_eq!(ours.is_some(), theirs.is_some(), "{from} to {to}"),
    }
}

/// Pairs of nodes that look random and are the same each time.
fn pairs(venue: &Venue, count: usize) -> impl Iterator<Item = (u32, u32)> {
    let nodes = venue.nodes().len() as u64;
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((state >> 33) % nodes) as u32
    };
    std::iter::repeat_with(move || (next(), next())).take(count)
}

#[test]
fn no_way_is_quicker_than_the_one_that_is_answered() {
    for venue in venues::all() {
        let graph = Graph::new(venue);
        for (from, to) in pairs(graph.venue(), 150) {
            for profile in Profile::ALL {
                assert_optimal(&graph, from, to, *profile);
            }
        }
        // Known places are read off trees: the same answers.
        let doors = graph.venue().places().iter().map(|place| place.node);
        for (to, (from, _)) in doors.zip(pairs(graph.venue(), 60)) {
            assert_optimal(&graph, from, to, Profile::Walk);
            assert_optimal(&graph, from, to, Profile::StepFree);
        }
    }
}

/// From every node to places all over the map, by the judge's times over the same arcs; and every vertex of a way is
/// where an arc leads that takes what the way takes.
#[test]
fn the_way_that_is_read_off_to_a_known_place_is_whole_and_the_quickest() {
    for venue in venues::all() {
        let graph = Graph::new(venue);
        let places: BTreeSet<u32> = graph.venue().places().iter().map(|place| place.node).collect();
        for profile in Profile::ALL {
            let (mut quickest, mut into) = (HashMap::new(), HashMap::<u32, Vec<(u32, u32)>>::new());
            for (tail, head, ms) in graph.arcs_for(*profile) {
                let least = quickest.entry((tail, head)).or_insert(ms);
                *least = ms.min(*least);
                into.entry(head).or_default().push((tail, ms));
            }
            for to in places.iter().copied().step_by(1 + places.len() / 12) {
                let back = |vertex: &u32| {
                    let arcs = into.get(vertex).into_iter().flatten();
                    arcs.map(|(tail, ms)| (*tail, u64::from(*ms))).collect::<Vec<_>>()
                };
                let judged = dijkstra_all(&to, back);
                for from in 0..u32::try_from(graph.venue().nodes().len()).unwrap() {
                    let judged = if from == to { Some(0) } else { judged.get(&from).map(|(_, ms)| *ms) };
                    let ours = graph.shortest(from, to, *profile);
                    assert_eq!(ours.as_ref().map(|(ms, _)| *ms), judged, "{from} to {to}");
                    let Some((ms, vertices)) = ours else { continue };
                    assert_eq!((vertices.first(), vertices.last()), (Some(&from), Some(&to)));
                    let steps = vertices.windows(2).map(|step| u64::from(quickest[&(step[0], step[1])]));
                    assert_eq!(steps.sum::<u64>(), ms, "{from} to {to}");
                }
            }
        }
    }
}

#[test]
fn a_way_without_steps_is_never_quicker_than_the_way_with_them() {
    for venue in venues::all() {
        let graph = Graph::new(venue);
        for (from, to) in pairs(graph.venue(), 300) {
            let walk = duration_ms(&graph, from, to, Profile::Walk);
            if let Some(step_free) = duration_ms(&graph, from, to, Profile::StepFree) {
                assert!(walk.is_some_and(|walk| walk <= step_free), "{from} to {to}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn closing_a_link_never_shortens_a_way(link in 0_usize..200, from in 0_u32..150, to in 0_u32..150) {
        let venue = Venue::demo();
        let (from, to) = (from % venue.nodes().len() as u32, to % venue.nodes().len() as u32);
        let closed = Graph::new(without_link(&venue, link % venue.links().len()));
        let open = Graph::new(venue);
        for profile in Profile::ALL {
            let before = duration_ms(&open, from, to, *profile);
            let after = duration_ms(&closed, from, to, *profile);
            match (before, after) {
                (Some(before), Some(after)) => prop_assert!(before <= after),
                (before, after) => prop_assert!(before.is_some() || after.is_none()),
            }
        }
    }
}
