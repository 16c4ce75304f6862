//! Dev only: a real Postgres for the tests, and the real binaries run against it.
//!
//! - [`TestDb::new`] is an empty, migrated database of its own, cloned from a template within milliseconds and
//!   dropped with the value. The server behind it is one per test run: `scripts/test.sh` starts it
//!   (`testkit-postgres`) and names it in `SEATPILOT_TEST_PG`; a bare `cargo nextest run` shares one in
//!   `target/test-postgres`, which stops by itself some minutes after the last test.
//! - [`Cluster`](seatpilot_private_postgres::Cluster) from [`own_cluster`] is a server of the test's own, to be
//!   killed and started again.
//! - [`Effort::of_run`] says whether a run can afford the numbers that a guarantee is published with.
//! - [`Wire`] is a line between two of them, to be slowed, stalled and cut after so many bytes.
//! - [`Binary`] is a process of a built binary, its output kept, ended with the value.
//! - [`forgeries`] is every way to change one thing about a signed request.
//! - [`Nats`] is a real `nats-server` of the test's own.
//! - [`PgBouncer`] is a real pgBouncer before a test's database.
//! - [`PostgRest`] is a strict stand-in for Supabase's REST interface, over a test's database.
//!
//! It may panic: a test that cannot have its database has failed.

#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "only tests use this: what goes wrong here is a failed test, said where it is called"
)]

mod binary;
mod client_log;
mod dice;
mod effort;
mod evening;
mod fake_clock;
mod forgery;
mod nats;
mod pgbouncer;
mod postgrest;
mod server;
mod template;
mod test_db;
mod verdict;
mod volume;
mod wire;

pub use binary::{Binary, binary_path};
pub use client_log::{Cargo, ClientLog, Heard, Logged, read_client_logs};
pub use dice::Dice;
pub use effort::Effort;
pub use evening::Evening;
pub use fake_clock::FakeClock;
pub use forgery::{Forgery, Refused, forgeries};
pub use nats::{Nats, Syncs};
pub use pgbouncer::{PgBouncer, PgBouncerOf};
pub use postgrest::{Called, Manner, PostgRest};
pub use seatpilot_private_postgres::{Binaries, Cluster, ClusterOptions, Durability};
pub use server::{
    connect, guarded_cluster, own_cluster, own_cluster_with, postgres_program, settings as server_settings,
    tools_folder,
};
pub use template::{TEMPLATE, make as make_template};
pub use test_db::TestDb;
pub use verdict::{Doubts, Verdict};
pub use volume::Volume;
pub use wire::{Way, Wire};
