//! The `seatpilot` command as its users run it: the real binary, its output and its exit codes.

#![expect(clippy::unwrap_used, reason = "a test that fails, fails")]

mod billing;
mod command;
mod corpus;
mod database;
mod dead_letters;
mod doctor;
mod generate;
mod house;
mod keys;
mod plan;
mod redrive;
mod runbooks;
mod running;
mod sign;
mod simulate;
mod terminal;
mod up;
mod usage;
mod watch;
