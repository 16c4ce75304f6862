//! What each process needs before it serves: configuration, logs, a clock, secrets, signals, exit codes.
//!
//! The only crate that reads the environment, and the only one that reads the time: everybody else is
//! handed a [`Environment`], a [`Clock`], a [`Shutdown`], and can be tested with ones of his own. It knows
//! nothing of the database, and of HTTP no more than a post to the collector of traces.

mod admin_access;
mod at_rest;
mod bus_config;
mod clock;
mod config;
mod environment;
mod exit;
mod fault_points;
mod guessable;
mod invocation;
pub mod logging;
mod readiness;
mod secret;
mod shutdown;
mod store_config;
pub mod traces;
pub mod variable;

pub use admin_access::AdminAccess;
pub use at_rest::{AT_REST_KEY_BYTES, AtRest, AtRestKey, PlainSecrets};
pub use bus_config::{BusConfig, BusRole};
pub use clock::{Clock, ManualClock};
pub use config::{
    Deployment, HmacTenantSecret, ServiceConfig, ServiceDefaults, hmac_tenant_secret, metrics_ingest_keys,
    metrics_tenants,
};
pub use environment::{ConfigFault, ConfigFaults, Environment};
pub use exit::{Failure, Process, UsageError, main_exit, run_service};
pub use fault_points::FaultPoints;
pub use invocation::service_main;
pub use readiness::{BusState, Readiness, ReadinessState, StoreKind};
pub use secret::{Secret, SecretBytes, SecretString};
pub use shutdown::Shutdown;
pub use store_config::{DatabaseConfig, Pooler, RestConfig, StoreConfig};
