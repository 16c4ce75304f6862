//! Where a venue has room: its sections and tables with their seats, and the doors that lie next to each.

use seatpilot_domain_model::{DoorId, SeatId, SectionId, TableId};

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
    /// A hall with eight sections and no doors that matter, for a list without a venue.
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
