//! Closes the door-to-seat time and shows routes (contract sections 2 and 3).
//!
//! An arrival is one statement, answered after its commit. A route is computed from the published map in memory and
//! touches no database.

mod arrive_table;
mod caller;
mod config;
mod openapi;
mod quota;
mod route;
mod served;
mod state;
mod wire;

use std::{sync::Arc, time::Duration};

use seatpilot_http::{Routes, ServeOptions, Server, Success};
use seatpilot_metrics_api::Metrics;
use seatpilot_runtime::{Clock, ConfigFaults, Failure, Process, Readiness, Shutdown, StoreKind, logging};
use seatpilot_store::{Maps, Store, StoreSettings, Writes};

pub use config::Config;
pub use openapi::document as openapi_document;

use crate::{served::Ledger, state::State};

/// Connections of the reading pool: devices and keys, all of them cached.
const POOL_SIZE: usize = 4;
/// How long the last counts may take to be written once requests have drained.
const LAST_WRITE_MAX: Duration = Duration::from_secs(1);

/// The process: configuration, then a server until it is asked to end.
///
/// # Errors
/// Bad configuration, an address that cannot be listened on.
pub async fn run(process: Process) -> Result<(), Failure> {
    let Process { environment, clock, shutdown } = process;
    let config = environment.read(Config::read)?;
    logging::init(&config.service.service_name, &config.service.log);
    let (server, ledger) = open(config, clock, shutdown)?;
    let keeping = tokio::spawn(Arc::clone(&ledger).keep());
    server.run().await?;
    keeping.abort();
    if tokio::time::timeout(LAST_WRITE_MAX, ledger.write()).await.is_err() {
        tracing::warn!(
            "the last routes that were answered are not on any bill: the database did not answer in time"
        );
    }
    Ok(())
}

/// A server that listens and waits to be run.
///
/// # Errors
/// A database URL that cannot be used, an address that cannot be listened on.
pub fn bind(config: Config, clock: Clock, shutdown: Shutdown) -> Result<Server, Failure> {
    let (server, ledger) = open(config, clock, shutdown)?;
    tokio::spawn(ledger.keep());
    Ok(server)
}

fn open(config: Config, clock: Clock, shutdown: Shutdown) -> Result<(Server, Arc<Ledger>), Failure> {
    let metrics = Arc::new(Metrics::new(config.service.service, env!("CARGO_PKG_VERSION")));
    let readiness = Readiness::starting(StoreKind::Postgres);
    let store = Store::open_without_writers(StoreSettings {
        database: config.database,
        application_name: config.service.service_name.clone(),
        writes: Writes::Arrivals,
        maps: Maps::Kept,
        pool_size: POOL_SIZE,
        deployment: config.service.deployment,
        readiness: readiness.clone(),
        clock: clock.clone(),
    })
    .map_err(|fault| ConfigFaults::of(fault.variable(), fault.to_string()))?;
    store.observe(&metrics);
    let state =
        Arc::new(State::new(store.clone(), config.bootstrap, &config.at_rest, &metrics, clock.clone()));
    let ledger = Ledger::new(Arc::clone(&state.served), store, clock.clone());
    let options = ServeOptions {
        config: config.service,
        version: env!("CARGO_PKG_VERSION"),
        clock,
        shutdown,
        readiness,
        metrics,
        openapi: openapi::document(),
    };
    let server = Server::bind(options, move |routes: &mut Routes| {
        let writing = state.store.clone();
        routes
            .at_worker(move || writing.write_here())
            .state(Arc::clone(&state))
            .post("/api/wayfinding/arrive-table", Success::Created, arrive_table::arrive_table)
            .cross_origin("/api/wayfinding/arrive-table", &seatpilot_signing::HEADERS)
            .get("/api/wayfinding/route", route::route);
    })?;
    Ok((server, Arc::new(ledger)))
}
