//! Every metric family of SeatPilot, its registry and its exposition. No other crate names a series.
//!
//! A process makes one [`Metrics`], asks it at start for the groups that it fills ([`Metrics::checkin`],
//! [`Metrics::ingest`] and so on) and hands [`Metrics::render`] to whoever scrapes. What it asked for is there
//! from the first scrape, at 0 for every tenant that [`Metrics::set_tenants`] told of; what it never asked for
//! is not.
//!
//! Labels come from closed sets, from route templates and from tenants that exist. Anything else counts under
//! [`OTHER`], so that nobody outside can make series.
//!
//! It knows no HTTP, no database and no environment. [`families`] is the reference, `docs/metrics.md` its copy.

mod arrival;
mod bus;
mod checkin;
mod exposition;
pub mod families;
mod family;
mod http;
mod ingest;
mod keys;
mod kpi;
mod refresher;
mod seating;
mod sliding;
mod store;
mod summary;
mod tally;
mod tenant;
mod text;
mod traces;
mod usage;

pub use arrival::ArrivalMetrics;
pub use bus::{BusAnswer, BusMetrics, BusReceived, BusSent};
pub use checkin::{CheckinMetrics, CheckinSeries};
pub use exposition::{CONTENT_TYPE, Metrics};
pub use family::{Family, Kind};
pub use http::{HTTP_SERIES_MAX, HttpMetrics, UNMATCHED};
pub use ingest::{CountedAs, IngestMetrics, RejectedFor};
pub use keys::KeyMetrics;
pub use kpi::KpiMetrics;
pub use refresher::{Backlog, RefreshedAs, RefresherMetrics};
pub use seating::{Assigned, SeatingMetrics};
pub use store::{PoolReading, StoreKind, WriterMetrics};
pub use tenant::{OTHER, TENANTS_MAX};
pub use traces::SpanReading;
pub use usage::UsageMetrics;
