//! The wayfinding service on a real Postgres, by HTTP.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test that fails, fails; it may say how much it did"
)]

mod arrival;
mod forged;
mod openapi;
mod quota;
mod route;
mod sign;
mod signed;
