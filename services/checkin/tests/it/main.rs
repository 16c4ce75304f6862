//! The check-in service on a real Postgres, by HTTP.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that fails, fails")]

mod admission;
mod door;
mod fault_point;
mod gates;
mod guessing;
mod instances;
mod openapi;
mod refusal;
mod repeats;
mod replay;
mod revocation;
mod welch;
