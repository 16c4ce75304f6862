//! The guest list's reader as the command has it, without the command.
#![allow(dead_code, unused_imports, reason = "the command uses all of it")]

#[path = "../../apps/seatpilot/src/guests/columns.rs"]
mod columns;
#[path = "../../apps/seatpilot/src/guests/line.rs"]
mod line;
#[path = "../../apps/seatpilot/src/guests/list.rs"]
pub mod list;
#[path = "../../apps/seatpilot/src/guests/rows.rs"]
mod rows;
