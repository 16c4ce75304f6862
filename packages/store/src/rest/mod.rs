//! The store of telemetry-ingest over Supabase's REST interface (PostgREST), where the database itself cannot be
//! reached.
//!
//! The service key goes around every policy, so there is one thing that this code does with it: it calls
//! `seatpilot_rest.ingest` (`supabase/sql/111_…`), which runs as a role that is bound like the service's own.

mod fault;

pub use fault::RestFault;
