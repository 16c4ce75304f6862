//! What a venue promises, on the built-in one and, where `SEATPILOT_VENUES` names their folder, on real ones.

#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test that fails, fails; a run says on what it ran"
)]

mod corpus;
mod hostile;
mod optimal;
mod real;
mod routes;
mod small;
mod venues;
