//! Admits a ticket exactly once and answers with seat and way (contract section 1).
//!
//! A scan goes through device guard, body, cached facts and the one statement; each part is a stage that is timed.
//! The statement decides: nothing here admits or refuses a guest from memory.

mod check_in;
mod config;
mod fault_point;
mod openapi;
mod state;
mod wire;

use std::sync::Arc;

use seatpilot_domain_model::AdminAction;
use seatpilot_http::{
    Routes, ServeOptions, Server, Success,
    admin::{AdminGuard, AdminGuardSettings, Database},
};
use seatpilot_metrics_api::Metrics;
use seatpilot_runtime::{
    AdminAccess, Clock, ConfigFaults, Failure, Process, Readiness, ServiceConfig, Shutdown, StoreKind,
    logging, variable,
};
use seatpilot_store::{Maps, Store, StoreSettings, Writes};

pub use config::Config;
pub use openapi::document as openapi_document;

use crate::{fault_point::FaultPoint, state::State};

/// Connections of the reading pool: devices and places, all of them cached.
const POOL_SIZE: usize = 4;

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
/// A database URL that cannot be used, an address that cannot be listened on.
pub fn bind(config: Config, clock: Clock, shutdown: Shutdown) -> Result<Server, Failure> {
    let metrics = Arc::new(Metrics::new(config.service.service, env!("CARGO_PKG_VERSION")));
    let readiness = Readiness::starting(StoreKind::Postgres);
    let store = Store::open_without_writers(StoreSettings {
        database: config.database,
        application_name: config.service.service_name.clone(),
        writes: Writes::CheckIns,
        maps: Maps::Kept,
        pool_size: POOL_SIZE,
        deployment: config.service.deployment,
        readiness: readiness.clone(),
        clock: clock.clone(),
    })
    .map_err(|fault| ConfigFaults::of(fault.variable(), fault.to_string()))?;
    store.observe(&metrics);
    let injected = config.fault_points.map(|access| faults(access, &config.service, &clock)).transpose()?;
    let point = injected.as_ref().map(|(point, _)| Arc::clone(point));
    let state = Arc::new(State::new(store, &metrics, clock.clone(), point));
    let options = ServeOptions {
        config: config.service,
        version: env!("CARGO_PKG_VERSION"),
        clock,
        shutdown,
        readiness,
        metrics,
        openapi: openapi::document(),
    };
    Ok(Server::bind(options, move |routes: &mut Routes| {
        let writing = state.store.clone();
        routes.at_worker(move || writing.write_here());
        routes.state(Arc::clone(&state)).post("/api/checkin/success", Success::Created, check_in::check_in);
        if let Some((point, guard)) = &injected {
            let path = "/admin/faults/stage-delay";
            routes
                .state(Arc::clone(point))
                .guarded(guard)
                .put(path, AdminAction::InjectFaults, fault_point::delay)
                .delete(path, AdminAction::InjectFaults, fault_point::lift);
        }
    })?)
}

/// What makes scans slow on purpose, and who stands before it.
fn faults(
    access: AdminAccess,
    config: &ServiceConfig,
    clock: &Clock,
) -> Result<(Arc<FaultPoint>, Arc<AdminGuard>), Failure> {
    tracing::warn!("FAULT_POINTS is on: administrators may make check-ins slow");
    let guard = AdminGuard::new(AdminGuardSettings {
        access,
        deployment: config.deployment,
        database: Database::Present,
        clock: clock.clone(),
    })
    .map_err(|fault| ConfigFaults::of(&variable::SUPABASE_JWKS_URL, fault.to_string()))?;
    Ok((Arc::new(FaultPoint::new(clock.clone())), Arc::new(guard)))
}
