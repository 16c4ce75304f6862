//! The whole path from every door to every place, beside contraction hierarchies of the same graph.

use std::{hint::black_box, time::Instant};

use anyhow::ensure;
use fast_paths::{FastGraph, InputGraph, PathCalculator};
use seatpilot_domain_model::{Lang, Profile};
use seatpilot_venue_graph::{Graph, Place, PlaceKind};

use super::Bench;
use crate::{
    report::{Aim, Figure},
    rounds::{Arm, Spread, interleaved},
    stadium::Stadium,
};

/// The other one takes no arc of no time, and ours lead out of a car in none: each arc takes this more in units of
/// [`UNITS_PER_MS`], which no way adds up to a millisecond.
const UNIT: usize = 1;
/// More than a way has arcs.
const UNITS_PER_MS: usize = 1 << 14;
/// A path takes about as long as reading the clock: so many are read off between two readings.
const TIMES: u32 = 8;

/// A door and a place.
struct Pair<'a> {
    door: &'a Place,
    place: &'a Place,
}

pub(super) async fn measure(bench: &Bench) -> anyhow::Result<Vec<Figure>> {
    let stadium = Stadium::find()?;
    let graph = Graph::new(stadium.venue);
    let places =
        |door: bool| graph.venue().places().iter().filter(move |one| (one.kind == PlaceKind::Door) == door);
    let pairs: Vec<Pair<'_>> =
        places(true).flat_map(|door| places(false).map(move |place| Pair { door, place })).collect();
    let hierarchy = hierarchy(&graph);
    let mut calculator = fast_paths::create_calculator(&hierarchy);
    same_times(&graph, &hierarchy, &mut calculator, &pairs)?;

    let ours: Arm<'_, f64> = Box::new(|_| {
        let median = median_ns(&pairs, |pair| graph.shortest(pair.door.node, pair.place.node, Profile::Walk));
        Box::pin(async move { Ok(median) })
    });
    let theirs: Arm<'_, f64> = Box::new(|_| {
        let median = median_ns(&pairs, |pair| {
            calculator.calc_path(&hierarchy, pair.door.node as usize, pair.place.node as usize)
        });
        Box::pin(async move { Ok(median) })
    });
    let told: Arm<'_, f64> = Box::new(|_| {
        let median = median_ns(&pairs, |Pair { door, place }| {
            let at = |kind| (place.kind == kind).then_some(place.id.as_str());
            let (seat, table, section) = (at(PlaceKind::Seat), at(PlaceKind::Table), at(PlaceKind::Section));
            graph.way(&door.id, seat, table, section, Profile::Walk, Lang::En)
        });
        Box::pin(async move { Ok(median) })
    });
    let mut arms = [("path", ours), ("contraction hierarchies", theirs), ("path in words", told)];
    let (rounds, _) = interleaved(bench.plan, &bench.progress, &mut arms).await?;
    drop(arms);
    let column = |arm: usize| -> Vec<f64> { rounds.iter().map(|round| round[arm] / 1e3).collect() };
    let beside: Vec<(f64, f64)> = column(0).into_iter().zip(column(1)).collect();
    let case = format!("path to a known place, {}", stadium.name);
    let vertices =
        pairs.iter().filter_map(|pair| graph.shortest(pair.door.node, pair.place.node, Profile::Walk));
    let vertices = Spread::of(vertices.map(|(_, vertices)| vertices.len() as f64)).median;
    let note = format!(
        "{} pairs, the same times to the millisecond; {vertices:.0} vertices in the middle",
        pairs.len()
    );
    Ok(vec![
        Figure::compared(&case, "p50, µs", "fast_paths, prepared", &beside, Aim::AtMost(0.05), note),
        Figure::alone(&case, "p50 of the whole answer in words, µs", &column(2), Aim::Told, String::new()),
    ])
}

fn hierarchy(graph: &Graph) -> FastGraph {
    let mut input = InputGraph::new();
    for (tail, head, ms) in graph.arcs_for(Profile::Walk) {
        input.add_edge(tail as usize, head as usize, ms as usize * UNITS_PER_MS + UNIT);
    }
    input.freeze();
    fast_paths::prepare(&input)
}

/// Both find ways of the same time, or none.
fn same_times(
    graph: &Graph,
    hierarchy: &FastGraph,
    calculator: &mut PathCalculator,
    pairs: &[Pair<'_>],
) -> anyhow::Result<()> {
    ensure!(!pairs.is_empty(), "a map without doors or places");
    for Pair { door, place } in pairs {
        let ours = graph.shortest(door.node, place.node, Profile::Walk).map(|(ms, _)| ms);
        let theirs = calculator.calc_path(hierarchy, door.node as usize, place.node as usize);
        let theirs = theirs.map(|path| (path.get_weight() / UNITS_PER_MS) as u64);
        ensure!(ours == theirs, "{} to {}: {ours:?} ms, the other {theirs:?}", door.id, place.id);
        ensure!(ours.is_some(), "there is no way from {} to {}", door.id, place.id);
    }
    Ok(())
}

/// The middle one of all pairs, in nanoseconds.
fn median_ns<R>(pairs: &[Pair<'_>], mut find: impl FnMut(&Pair<'_>) -> R) -> f64 {
    let each = pairs.iter().map(|pair| {
        let from = Instant::now();
        for _ in 0..TIMES {
            black_box(find(black_box(pair)));
        }
        from.elapsed().as_secs_f64() * 1e9 / f64::from(TIMES)
    });
    Spread::of(each).median
}
