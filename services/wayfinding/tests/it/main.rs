//! The wayfinding service on a real Postgres, by HTTP.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that fails, fails")]

mod arrival;
mod forged;
mod openapi;
mod quota;
mod route;
mod session_keys;
mod sign;
mod signed;
