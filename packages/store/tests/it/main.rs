//! The store against a real Postgres: what it promises its callers, seen from the outside and in the rows.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test that fails, fails; and it may read the time"
)]

mod arrivals;
mod check_ins;
mod contact;
mod evening;
mod events;
mod migrations;
