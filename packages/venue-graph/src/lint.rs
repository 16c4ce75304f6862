//! What a map cannot do: places that nobody reaches, storeys without a step-free way, links to nowhere.

use std::fmt;

use seatpilot_domain_model::Profile;
use serde::Serialize;

use crate::{
    graph::Graph,
    import::Refused,
    kind::{Exposure, PlaceKind},
    venue::Venue,
};

/// Lines of one kind in the text; the rest is counted.
const LINES_MAX: usize = 20;

/// What a map cannot do.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Lint {
    /// How many nodes count as a way in: those outside and on the boundary; those of doors, where a map has none.
    pub ways_in: usize,
    /// Places that no way leads to, as `kind:id`, from any door; from any way in, where there is no door.
    pub unreachable: Vec<String>,
    /// How far one comes without steps from the ways in, storey by storey.
    pub levels: Vec<LevelReach>,
    /// Links that lead to a node that is not there.
    pub links_to_nowhere: Vec<Refused>,
    /// Nodes that no link touches.
    pub loose_nodes: usize,
}

/// How far one comes without steps on a storey.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LevelReach {
    /// The storey's ordinal.
    pub level: f64,
    /// Its nodes.
    pub nodes: usize,
    /// Those reached step-free.
    pub nodes_step_free: usize,
    /// Its places.
    pub places: usize,
    /// Those reached step-free.
    pub places_step_free: usize,
}

/// Looks for what a map cannot do. `refused` is what its import left out.
pub fn lint(venue: &Venue, refused: &[Refused]) -> Lint {
    let graph = Graph::new(venue.clone());
    let doors: Vec<u32> =
        venue.places().iter().filter(|place| place.kind == PlaceKind::Door).map(|door| door.node).collect();
    let open = |exposure| matches!(exposure, Exposure::Outside | Exposure::Boundary);
    let nodes = (0..).zip(venue.nodes());
    let mut ways_in: Vec<u32> =
        nodes.filter(|(_, node)| open(node.exposure)).map(|(index, _)| index).collect();
    if ways_in.is_empty() {
        ways_in.clone_from(&doors);
        ways_in.sort_unstable();
        ways_in.dedup();
    }
    let sources = if doors.is_empty() { &ways_in } else { &doors };
    let reached = graph.reach(sources.iter().copied(), Profile::Walk);
    let step_free = graph.reach(ways_in.iter().copied(), Profile::StepFree);
    let unreachable = venue.places().iter().filter(|place| !reached[place.node as usize]);
    Lint {
        ways_in: ways_in.len(),
        unreachable: unreachable.map(|place| format!("{}:{}", place.kind.as_str(), place.id)).collect(),
        levels: levels(venue, &step_free),
        links_to_nowhere: refused
            .iter()
            .filter(|refused| refused.file == "links.geojson" && refused.reason.contains(": that node "))
            .cloned()
            .collect(),
        loose_nodes: loose(venue),
    }
}

fn levels(venue: &Venue, step_free: &[bool]) -> Vec<LevelReach> {
    let mut ordinals: Vec<f64> = venue.nodes().iter().map(|node| node.level).collect();
    ordinals.extend(venue.places().iter().map(|place| place.level));
    ordinals.sort_by(f64::total_cmp);
    ordinals.dedup();
    let reach = |level| {
        let nodes = venue.nodes().iter().zip(step_free).filter(|(node, _)| node.level == level);
        let places = venue.places().iter().filter(|place| place.level == level);
        LevelReach {
            level,
            nodes: nodes.clone().count(),
            nodes_step_free: nodes.filter(|(_, reached)| **reached).count(),
            places: places.clone().count(),
            places_step_free: places.filter(|place| step_free[place.node as usize]).count(),
        }
    };
    ordinals.into_iter().map(reach).collect()
}

fn loose(venue: &Venue) -> usize {
    let mut touched = vec![false; venue.nodes().len()];
    for link in venue.links() {
        touched[link.start as usize] = true;
        touched[link.end as usize] = true;
    }
    touched.iter().filter(|touched| !**touched).count()
}

impl fmt::Display for Lint {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "Step-free reach from {} ways in:", self.ways_in)?;
        writeln!(out, "  level     nodes  step-free    places  step-free")?;
        for reach in &self.levels {
            let LevelReach { level, nodes, nodes_step_free, places, places_step_free } = reach;
            writeln!(
                out,
                "  {level:>5}  {nodes:>8}  {nodes_step_free:>9}  {places:>8}  {places_step_free:>9}"
            )?;
        }
        list(out, "Places that cannot be reached", &self.unreachable)?;
        list(out, "Links to nowhere", &self.links_to_nowhere)?;
        write!(out, "Nodes that no link touches: {}", self.loose_nodes)
    }
}

fn list<T: fmt::Display>(out: &mut fmt::Formatter<'_>, title: &str, lines: &[T]) -> fmt::Result {
    if lines.is_empty() {
        return writeln!(out, "{title}: none");
    }
    writeln!(out, "{title}: {}", lines.len())?;
    for line in lines.iter().take(LINES_MAX) {
        writeln!(out, "  {line}")?;
    }
    match lines.len().saturating_sub(LINES_MAX) {
        0 => Ok(()),
        more => writeln!(out, "  and {more} more"),
    }
}
