//! The `/observe` door: what cannot be scraped (an SDK, a gate behind NAT) tells its observations here, and
//! Prometheus scrapes this process in its place (contract section 5).
//!
//! SeatPilot's own services never push: each occurrence is observed once, in the process where it happens.
//! Nothing is stored; a restart begins at 0, as counters may.

mod config;
mod door;
mod ingest_key;
mod observation;
pub mod openapi;
mod quantity;
mod tenants;

use std::sync::Arc;

use seatpilot_http::{Routes, ServeOptions, Server, Success, health};
use seatpilot_metrics_api::{Metrics, StoreKind};
use seatpilot_runtime::{Clock, Failure, Process, Readiness, Shutdown, logging};

pub use config::Config;

use crate::door::Door;

/// The binary's name.
pub const SERVICE: &str = "metrics-api";
/// The binary's version.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Serves until the process is asked to end.
///
/// # Errors
/// Configuration, or an address that cannot be listened on.
pub async fn run(process: Process) -> Result<(), Failure> {
    let Process { environment, clock, shutdown } = process;
    let config = environment.read(Config::read)?;
    logging::init(&config.service.service_name, &config.service.log);
    serve(config, clock, shutdown)?.run().await?;
    Ok(())
}

/// Binds the address and begins to read tenants; connections wait until the server runs. Must be called inside
/// a tokio runtime.
///
/// # Errors
/// A database URL that cannot be used, or an address that cannot be listened on.
pub fn serve(config: Config, clock: Clock, shutdown: Shutdown) -> Result<Server, Failure> {
    let metrics = Arc::new(Metrics::new(SERVICE, VERSION));
    metrics.set_tenants(&config.tenants);
    let door = Arc::new(Door::new(&metrics, &config.keys));
    let readiness = match config.database {
        Some(database) => {
            metrics.set_store(StoreKind::Postgres);
            let readiness = Readiness::starting(seatpilot_runtime::StoreKind::Postgres);
            tenants::follow(
                database,
                config.service.deployment,
                Arc::clone(&metrics),
                readiness.clone(),
                clock.clone(),
                shutdown.clone(),
            )?;
            readiness
        }
        None => {
            metrics.set_store(StoreKind::Memory);
            Readiness::without_store()
        }
    };
    let options = ServeOptions {
        config: config.service,
        version: VERSION,
        clock,
        shutdown,
        readiness,
        metrics,
        openapi: openapi::document(),
    };
    Ok(Server::bind(options, move |routes| add_routes(routes, &door))?)
}

fn add_routes(routes: &mut Routes, door: &Arc<Door>) {
    routes
        .state(Arc::clone(door))
        .get("/healthz", health)
        .post("/observe/checkin", Success::NoContent, door::checkin)
        .post("/observe/checkin-stage", Success::NoContent, door::checkin_stage)
        .post("/observe/door-to-seat", Success::NoContent, door::door_to_seat)
        .post("/observe/ingest", Success::NoContent, door::ingest)
        .post("/observe/mv-lag", Success::NoContent, door::mv_lag)
        .post("/observe/assign", Success::NoContent, door::assign);
}
