//! Takes signed telemetry: `POST /v1/events` (contract section 4), and mints the keys by which browsers sign it:
//! `POST /v1/keys/session` ([`session_keys`]).
//!
//! A request goes through the doors in a fixed order, and the first that stays shut is what is answered: header
//! grammar, size, key, tag, time, scope, rate ([`authenticate`]), then nonce, JSON and items ([`events`]). What is
//! not authenticated is counted and never stored; what is authenticated and bad goes to the dead-letter queue, item
//! by item, in the transaction that stores the good ones. Nobody is answered before it committed.
//!
//! And the pages of administrators, `/admin` ([`admin`]).

pub mod admin;
mod authenticate;
mod config;
mod events;
mod load;
mod openapi;
mod quota;
mod receipts;
mod session_keys;
mod state;
mod stores;

use std::sync::Arc;

use seatpilot_http::{
    Routes, ServeOptions, Server, Success,
    admin::{AdminGuard, AdminGuardSettings, Database},
};
use seatpilot_metrics_api::Metrics;
use seatpilot_runtime::{Clock, ConfigFaults, Failure, Process, Readiness, Shutdown, logging, variable};
use seatpilot_store::EventStore;

pub use config::Config;
pub use openapi::document as openapi_document;
pub use receipts::{ItemReceipt, Receipts};

use crate::state::State;

/// The process: configuration, then a server until it is asked to end.
///
/// # Errors
/// Bad configuration, an address that cannot be listened on.
pub async fn run(process: Process) -> Result<(), Failure> {
    let Process { environment, clock, shutdown } = process;
    let config = environment.read(Config::read)?;
    logging::init(&config.service.service_name, &config.service.log);
    bind(config, clock, shutdown)?.run().await?;
    Ok(())
}

/// A server that listens and waits to be run.
///
/// # Errors
/// A database URL or key that cannot be used, an address that cannot be listened on.
pub fn bind(config: Config, clock: Clock, shutdown: Shutdown) -> Result<Server, Failure> {
    let (store, readiness) = stores::open(&config, &clock)?;
    bind_to(store, readiness, config, clock, shutdown)
}

/// The same on a store that is open already.
///
/// # Errors
/// An address that cannot be listened on.
pub fn bind_to(
    store: EventStore,
    readiness: Readiness,
    config: Config,
    clock: Clock,
    shutdown: Shutdown,
) -> Result<Server, Failure> {
    let metrics = Arc::new(Metrics::new(config.service.service, env!("CARGO_PKG_VERSION")));
    store.observe(&metrics);
    let options = ServeOptions {
        config: config.service.clone(),
        version: env!("CARGO_PKG_VERSION"),
        clock: clock.clone(),
        shutdown,
        readiness,
        metrics: Arc::clone(&metrics),
        openapi: openapi::document(),
    };
    let guard = AdminGuard::new(AdminGuardSettings {
        access: config.admin.clone(),
        deployment: config.service.deployment,
        database: if store.database().is_some() { Database::Present } else { Database::Missing },
        clock: clock.clone(),
    })
    .map_err(|fault| ConfigFaults::of(&variable::SUPABASE_JWKS_URL, fault.to_string()))?
    .with_login_page(admin::form_for);
    let desk = Arc::new(admin::Desk::new(Arc::new(guard), store.database().cloned()));
    let state = Arc::new(State::new(config, store, metrics, clock));
    Ok(Server::bind(options, move |routes: &mut Routes| {
        routes
            .state(Arc::clone(&state))
            .post("/v1/events", Success::Accepted, events::post_events)
            .cross_origin("/v1/events", &seatpilot_signing::HEADERS)
            // Never of another origin: who may mint holds a secret that no page has.
            .post("/v1/keys/session", Success::Created, session_keys::post_session_key);
        admin::routes(routes, &desk);
    })?)
}
