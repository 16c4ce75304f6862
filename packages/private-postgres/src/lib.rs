//! A real Postgres server of our own, in a folder, for as long as its owner lives.
//!
//! [`Binaries::find`] looks for an installed server, [`Cluster::start`] makes the folder where it is new,
//! starts `postgres -D` as a child, and answers when it takes connections. The owner stops it
//! ([`Cluster::stop`]) or drops it; on Linux the kernel stops it when the owner is killed.
//!
//! It knows nothing of what is kept in the database, and reads no environment: paths arrive as arguments.
//! `pg_ctl` is not used: a server that it starts is nobody's child, so that a killed one stays a zombie where
//! PID 1 does not reap, and its lock can then never be taken again.

mod account;
mod binaries;
mod cluster;
mod error;
mod folder;
mod initdb;
mod log;
mod options;
mod server;

pub use binaries::{Binaries, MAJOR_MIN};
pub use cluster::Cluster;
pub use error::Error;
pub use options::{Auth, ClusterOptions, Durability, Lifetime, Lingering, Tcp};
