//! A store in this process, as a service holds it: for what is measured without HTTP.

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use seatpilot_metrics_api::Metrics;
use seatpilot_runtime::{Clock, Deployment, Readiness, ReadinessState, SecretString, StoreKind};
use seatpilot_store::{Maps, Store, StoreSettings, Writes};
use seatpilot_testkit::Evening;

/// How long it may take to reach its database.
const READY_MAX: Duration = Duration::from_secs(10);

/// Opens one as a role, and waits until it has reached its database.
///
/// # Errors
/// It has not.
pub(crate) async fn open(
    evening: &Evening,
    role: &str,
    writes: Writes,
    metrics: &Arc<Metrics>,
) -> anyhow::Result<Store> {
    // Only those who show the way may read the maps.
    let maps = if writes == Writes::CheckIns { Maps::Kept } else { Maps::NotKept };
    let readiness = Readiness::starting(StoreKind::Postgres);
    let mut state = readiness.subscribe();
    let store = Store::open(StoreSettings {
        database: SecretString::from(evening.db.url_as(role).as_str()).into(),
        application_name: "bench".to_owned(),
        writes,
        maps,
        pool_size: 4,
        deployment: Deployment::Development,
        readiness,
        clock: Clock::system(),
    })?;
    store.observe(metrics);
    let reached = state.wait_for(|state| matches!(state, ReadinessState::Ready { .. }));
    tokio::time::timeout(READY_MAX, reached).await.context("the store did not reach its database")??;
    Ok(store)
}
