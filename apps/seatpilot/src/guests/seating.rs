//! Where a venue has room: its sections and tables with their seats, and the doors that lie next to each.

use std::collections::{BTreeMap, HashMap};

use seatpilot_domain_model::{DoorId, Lang, Profile, SeatId, SectionId, TableId};
use seatpilot_venue_graph::{Graph, Place, PlaceKind};

/// Most doors on a ticket: the nearest ones.
const DOORS_MAX: usize = 4;
/// A door is as good as the nearest up to this much longer: a third, and fifteen seconds.
const DETOUR_RATIO: f64 = 1.33;
/// See [`DETOUR_RATIO`].
const DETOUR_SECONDS: f64 = 15.0;
/// Chairs around a table whose chairs the map does not name: what caterers lay round tables for.
const CHAIRS: usize = 10;
/// Seats in a row where the map names none: from this many …
const ROW_MIN: usize = 20;
/// … up to so many more, by section, always the same for the same id.
const ROW_SPREAD: usize = 13;

/// All the room of a venue.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seating {
    /// Its parts, each with seats of its own.
    pub blocks: Vec<Block>,
}

/// A section, or a table, or both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// The section.
    pub section: Option<SectionId>,
    /// The table.
    pub table: Option<TableId>,
    /// Its seats.
    pub seats: Seats,
    /// The doors next to it, nearest first; none where any door will do.
    pub doors: Vec<DoorId>,
    /// The same for guests who cannot take stairs; none where no step-free way leads here.
    pub step_free_doors: Vec<DoorId>,
}

/// What is known about the seats of a block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seats {
    /// The map names them, neighbours beside each other.
    Named(Vec<SeatId>),
    /// The map names none: rows of so many seats are numbered from the front, as many as are needed.
    Rows {
        /// Seats in a row.
        wide: usize,
    },
    /// A table for so many.
    Table {
        /// Chairs around it.
        chairs: usize,
    },
}

impl Seating {
    /// The room of a venue. A map that knows no section, table or seat gets the plain hall's sections, with its
    /// own doors open to all of them.
    pub fn of(graph: &Graph) -> Self {
        let mut seats_of: BTreeMap<(Option<&str>, Option<&str>), Vec<&Place>> = BTreeMap::new();
        for seat in places(graph, PlaceKind::Seat) {
            // A seat at a table is its table's, whatever section the seat itself names.
            let section = if seat.table.is_some() { None } else { seat.section.as_deref() };
            seats_of.entry((seat.table.as_deref(), section)).or_default().push(seat);
        }
        let mut doors = Doors { graph, near: HashMap::new() };
        let mut blocks = Vec::new();
        let mut has_tables: Vec<&str> = Vec::new();
        for table in places(graph, PlaceKind::Table) {
            let seats = match seats_of.remove(&(Some(&table.id), None)) {
                Some(seats) => named(seats),
                None => Seats::Table { chairs: CHAIRS },
            };
            has_tables.extend(table.section.as_deref());
            blocks.push(doors.block(table, table.section.as_deref(), Some(&table.id), seats));
        }
        for section in places(graph, PlaceKind::Section) {
            let seats = match seats_of.remove(&(None, Some(&section.id))) {
                Some(seats) => named(seats),
                None if has_tables.contains(&section.id.as_str()) => continue,
                None => Seats::Rows { wide: row_width(&section.id) },
            };
            blocks.push(doors.block(section, Some(&section.id), None, seats));
        }
        for ((table, section), seats) in seats_of {
            if let Some(first) = seats.first().copied() {
                blocks.push(doors.block(first, section, table, named(seats)));
            }
        }
        if blocks.is_empty() { Self::plain() } else { Self { blocks } }
    }

    /// A hall with eight sections and no doors that matter.
    pub fn plain() -> Self {
        let blocks = ["A", "B", "C", "D", "E", "F", "G", "H"]
            .iter()
            .filter_map(|section| section.parse().ok())
            .map(|section| Block {
                section: Some(section),
                table: None,
                seats: Seats::Rows { wide: 24 },
                doors: Vec::new(),
                step_free_doors: Vec::new(),
            })
            .collect();
        Self { blocks }
    }
}

fn places(graph: &Graph, kind: PlaceKind) -> impl Iterator<Item = &Place> {
    graph.venue().places().iter().filter(move |place| place.kind == kind)
}

/// Seats in the order in which one walks past them: `A-2` before `A-10`.
fn named(seats: Vec<&Place>) -> Seats {
    let mut seats: Vec<SeatId> = seats.iter().filter_map(|seat| seat.id.parse().ok()).collect();
    seats.sort_by(|a, b| row_and_number(a.as_str()).cmp(&row_and_number(b.as_str())));
    Seats::Named(seats)
}

/// What stands before a seat's number, and the number.
pub(super) fn row_and_number(seat: &str) -> (&str, u64) {
    let row = seat.trim_end_matches(|character: char| character.is_ascii_digit());
    (row, seat[row.len()..].parse().unwrap_or(0))
}

fn row_width(section: &str) -> usize {
    ROW_MIN + section.bytes().fold(0, |sum, byte| (sum * 31 + usize::from(byte)) % ROW_SPREAD)
}

/// Looks up which doors are near, once for each place that guests walk to.
struct Doors<'a> {
    graph: &'a Graph,
    near: HashMap<(u32, Profile), Vec<DoorId>>,
}

impl Doors<'_> {
    fn block(&mut self, place: &Place, section: Option<&str>, table: Option<&str>, seats: Seats) -> Block {
        Block {
            section: section.and_then(|id| id.parse().ok()),
            table: table.and_then(|id| id.parse().ok()),
            seats,
            doors: self.near(place, Profile::Walk),
            step_free_doors: self.near(place, Profile::StepFree),
        }
    }

    fn near(&mut self, place: &Place, profile: Profile) -> Vec<DoorId> {
        let graph = self.graph;
        self.near.entry((place.node, profile)).or_insert_with(|| nearest_doors(graph, place, profile)).clone()
    }
}

fn nearest_doors(graph: &Graph, place: &Place, profile: Profile) -> Vec<DoorId> {
    let id = Some(place.id.as_str());
    let (seat, table, section) = match place.kind {
        PlaceKind::Seat => (id, None, None),
        PlaceKind::Table => (None, id, None),
        _ => (None, None, id),
    };
    let mut reached: Vec<(f64, &str)> = places(graph, PlaceKind::Door)
        .filter_map(|door| {
            let way = graph.way(&door.id, seat, table, section, profile, Lang::En)?;
            Some((way.duration_s, door.id.as_str()))
        })
        .collect();
    reached.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(b.1)));
    let far = reached.first().map_or(0.0, |(nearest, _)| nearest * DETOUR_RATIO + DETOUR_SECONDS);
    let near = reached.into_iter().take_while(|(seconds, _)| *seconds <= far).take(DOORS_MAX);
    near.filter_map(|(_, door)| door.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use seatpilot_venue_graph::Venue;

    use super::*;

    #[test]
    fn every_block_of_the_built_in_venue_has_doors_of_it_nearest_first() {
        let graph = Graph::new(Venue::demo());
        let seating = Seating::of(&graph);
        assert!(seating.blocks.len() > 10, "{}", seating.blocks.len());
        for block in &seating.blocks {
            assert!((1..=DOORS_MAX).contains(&block.doors.len()), "{block:?}");
            assert!(
                block.doors.iter().all(|door| graph.venue().place(PlaceKind::Door, door.as_str()).is_some())
            );
        }
        assert!(seating.blocks.iter().any(|block| block.table.is_some()));
        assert!(seating.blocks.iter().any(|block| matches!(block.seats, Seats::Named(_))));
    }

    #[test]
    fn seats_stand_in_the_order_of_their_numbers() {
        let mut seats = ["A-10", "A-9", "B-1", "A-1"];
        seats.sort_by_key(|seat| row_and_number(seat));
        assert_eq!(seats, ["A-1", "A-9", "A-10", "B-1"]);
    }
}
