//! The store of telemetry-ingest over Supabase's REST interface (PostgREST), for where the database itself cannot be
//! reached.
//!
//! The service key goes around every policy, so there is one thing that this code does with it: it calls
//! `seatpilot_rest.ingest` (`supabase/sql/111_…`), which runs as a role that is bound like the service's own. Nonces,
//! events and dead letters of several requests are one call and one transaction, as by Postgres' own protocol. What
//! failed is sent again only where the function says so; after anything else the sender is told 503, and its nonce makes
//! sending the same again safe.

mod client;
mod fault;
mod hex;
mod ingest;
mod keeper;
mod store;

pub use client::RestSettingsFault;
pub use fault::RestFault;
pub use store::{RestSettings, RestStore};
