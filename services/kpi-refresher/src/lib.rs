//! Keeps the KPI views fresh: every `REFRESH_EVERY_SEC` each view adds what was committed since, and
//! `seatpilot_mv_lag_seconds` says how far behind it is.
//!
//! Any number of instances may run: the database lets one at a time refresh a view, the others find it busy and
//! only watch. How a refresh works is the database's (`supabase/sql/003_views_kpi.sql`, `docs/kpi.md`); this
//! service knows when, what to do when one fails, and when to stop.

mod api;
mod config;
mod lag;
mod refresh;

use std::{sync::Arc, time::Duration};

use seatpilot_http::{ServeOptions, Server};
use seatpilot_metrics_api::Metrics;
use seatpilot_runtime::{ConfigFaults, Failure, Process, Readiness, StoreKind, logging};
use seatpilot_store::{Maps, Store, StoreSettings, Writes};

pub use crate::{api::openapi, config::Config};
use crate::{lag::Lags, refresh::Refresher};

/// The binary's name.
pub const SERVICE: &str = "kpi-refresher";
const VERSION: &str = env!("CARGO_PKG_VERSION");
/// One connection refreshes while another one watches.
const POOL_SIZE: usize = 2;
/// How long the refresh of a view may still take once requests have drained. It is one transaction: what does
/// not end in time is rolled back, and the next process does it.
const LAST_REFRESH_MAX: Duration = Duration::from_secs(1);

/// Runs the service until it is asked to end.
///
/// # Errors
/// Bad configuration, or a port that is in use.
pub async fn run(process: Process) -> Result<(), Failure> {
    let Process { environment, clock, shutdown } = process;
    let config = environment.read(Config::read)?;
    logging::init(&config.service.service_name, &config.service.log);

    let metrics = Arc::new(Metrics::new(SERVICE, VERSION));
    let lags = Arc::new(Lags::new(metrics.kpi(), clock.clone()));
    let refreshes = metrics.refresher();
    let usage = metrics.usage();
    let readiness = Readiness::starting(StoreKind::Postgres);
    let store = Store::open(StoreSettings {
        database: config.database,
        application_name: config.service.service_name.clone(),
        writes: Writes::Nothing,
        maps: Maps::NotKept,
        pool_size: POOL_SIZE,
        deployment: config.service.deployment,
        readiness: readiness.clone(),
        clock: clock.clone(),
    })
    .map_err(|fault| ConfigFaults::of(fault.variable(), fault.to_string()))?;
    store.observe(&metrics);
    let server = Server::bind(
        ServeOptions {
            config: config.service,
            version: VERSION,
            clock,
            shutdown: shutdown.clone(),
            readiness: readiness.clone(),
            metrics,
            openapi: openapi(),
        },
        |_| {},
    )?;

    let watching = tokio::spawn(lag::watch(Arc::clone(&lags), store.clone(), readiness.clone()));
    let refresher =
        Refresher { store, lags, metrics: refreshes, usage, readiness, shutdown, every: config.every };
    let mut refreshing = tokio::spawn(refresher.run());
    server.run().await?;
    if tokio::time::timeout(LAST_REFRESH_MAX, &mut refreshing).await.is_err() {
        tracing::warn!("a refresh is still under way: left to the next process");
        refreshing.abort();
    }
    watching.abort();
    Ok(())
}
