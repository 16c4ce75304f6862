//! Which tenants exist, read again and again from the database.

use std::{sync::Arc, time::Duration};

use seatpilot_metrics_api::Metrics;
use seatpilot_runtime::{Clock, ConfigFaults, DatabaseConfig, Deployment, Readiness, Shutdown};
use seatpilot_store::{Maps, Store, StoreSettings, Writes};

use crate::SERVICE;

/// How long a new tenant may be counted under `other`.
const EVERY: Duration = Duration::from_secs(10);
/// How soon a list that could not be read is read again.
const AGAIN: Duration = Duration::from_secs(1);

/// Reads the tenants in the background until the process is asked to end, and gives each its series.
///
/// # Errors
/// A URL that cannot be used, as a fault of the configuration. A database that does not answer is none:
/// `readiness` says so.
pub(crate) fn follow(
    database: DatabaseConfig,
    deployment: Deployment,
    metrics: Arc<Metrics>,
    readiness: Readiness,
    clock: Clock,
    shutdown: Shutdown,
) -> Result<(), ConfigFaults> {
    let mut contact = readiness.subscribe();
    let store = Store::open(StoreSettings {
        database,
        application_name: format!("seatpilot-{SERVICE}"),
        writes: Writes::Nothing,
        maps: Maps::NotKept,
        pool_size: 1,
        deployment,
        readiness,
        clock,
    })
    .map_err(|fault| ConfigFaults::of(fault.variable(), fault.to_string()))?;
    tokio::spawn(async move {
        loop {
            let pause = match store.tenants().await {
                Ok(tenants) => {
                    metrics.set_tenants(&tenants);
                    EVERY
                }
                // The store logs what it misses.
                Err(error) => {
                    tracing::debug!(%error, "tenants not read");
                    AGAIN
                }
            };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                // Whoever sees `/ready` say yes should find the tenants there.
                Ok(()) = contact.changed() => {}
                () = shutdown.begun() => return,
            }
        }
    });
    Ok(())
}
