//! Guest lists: what a line is, how a list is read and written, and how one is made up for a venue.

mod columns;
pub mod command;
mod dice;
mod generate;
mod import;
mod json;
mod line;
pub mod list;
mod names;
mod revoke;
mod rows;
mod seating;

pub(crate) use dice::Dice;
pub use generate::{GuestPlan, generate};
pub(crate) use import::venue_for;
pub use line::{GuestLine, Ticket};
pub use seating::{Block, Seating, Seats};
