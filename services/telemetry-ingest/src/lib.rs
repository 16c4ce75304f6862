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
mod way;

use std::{pin::pin, sync::Arc, time::Instant};

use futures_util::future::{Either, select};
use seatpilot_bus::Writing;
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

use crate::{
    state::State,
    way::{OnBus, WRITTEN_WITHIN},
};

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

/// A telemetry-ingest that listens and waits to be run.
#[derive(Debug)]
pub struct Ingest {
    server: Server,
    shutdown: Shutdown,
    /// What takes requests off the bus, where it does.
    writing: Option<Writing>,
}

impl Ingest {
    /// As [`Server::url`].
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// As [`Server::run`]. What comes over the bus is written until the last request of its own was answered, for that
    /// may be among it.
    ///
    /// # Errors
    /// As [`Server::run`].
    pub async fn run(self) -> Result<(), Failure> {
        let Self { server, shutdown, writing } = self;
        let asked = pin!(async {
            shutdown.begun().await;
            Instant::now()
        });
        match select(pin!(server.run()), asked).await {
            Either::Left((ended, _)) => ended,
            Either::Right((asked_at, serving)) => {
                let ended = serving.await;
                if let Some(writing) = writing {
                    writing.end(WRITTEN_WITHIN.saturating_sub(asked_at.elapsed())).await;
                }
                ended
            }
        }
    }
}

/// A server that listens and waits to be run.
///
/// # Errors
/// A database URL or key that cannot be used, an address that cannot be listened on.
pub fn bind(config: Config, clock: Clock, shutdown: Shutdown) -> Result<Ingest, Failure> {
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
) -> Result<Ingest, Failure> {
    let metrics = Arc::new(Metrics::new(config.service.service, env!("CARGO_PKG_VERSION")));
    store.observe(&metrics);
    let OnBus { way, writing, bus, readiness } = match &config.bus {
        None => OnBus::none(readiness),
        Some(bus) => OnBus::open(bus, &config.service.service_name, &store, readiness, metrics.bus())?,
    };
    let options = ServeOptions {
        config: config.service.clone(),
        version: env!("CARGO_PKG_VERSION"),
        clock: clock.clone(),
        shutdown: shutdown.clone(),
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
    let database = store.database().cloned();
    let state = Arc::new(State::new(config, store, way, metrics, clock));
    let server = Server::bind(options, move |routes: &mut Routes| {
        let database = database.clone();
        routes
            .at_worker(move || {
                if let Some(database) = database {
                    database.write_here();
                }
            })
            .state(Arc::clone(&state))
            .post("/v1/events", Success::Accepted, events::post_events)
            .cross_origin("/v1/events", &seatpilot_signing::HEADERS)
            // Never of another origin: who may mint holds a secret that no page has.
            .post("/v1/keys/session", Success::Created, session_keys::post_session_key);
        admin::routes(routes, &desk);
    })?;
    if let (Some(bus), Some(tracer)) = (bus, server.tracer()) {
        bus.trace_with(tracer.clone());
    }
    Ok(Ingest { server, shutdown, writing })
}
