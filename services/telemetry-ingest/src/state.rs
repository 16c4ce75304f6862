//! What all workers share.

use std::{
    collections::HashSet,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use seatpilot_domain_model::{CountedOnly, Receipt, TenantId};
use seatpilot_http::RateLimiter;
use seatpilot_metrics_api::{IngestMetrics, Metrics, TENANTS_MAX};
use seatpilot_runtime::{Clock, Shutdown};
use seatpilot_store::Store;

use crate::{config::Config, keys::Keys, load::Load};

/// How often the list of tenants is read, so that each has its series at 0 before its first event.
const TENANTS_EVERY: Duration = Duration::from_secs(10);
/// The same, while the database does not answer.
const TENANTS_RETRY: Duration = Duration::from_millis(500);

/// What all workers share.
pub(crate) struct State {
    pub(crate) clock: Clock,
    pub(crate) store: Store,
    pub(crate) keys: Keys,
    pub(crate) rates: RateLimiter<String>,
    pub(crate) load: Load,
    metrics: Arc<Metrics>,
    ingest: Arc<IngestMetrics>,
    /// Tenants that have series; never more than the metrics take.
    tenants: RwLock<HashSet<TenantId>>,
}

impl State {
    pub(crate) fn new(config: Config, store: Store, metrics: Arc<Metrics>, clock: Clock) -> Self {
        Self {
            keys: Keys::new(store.clone(), config.bootstrap),
            rates: RateLimiter::new(config.rate, clock.clone()),
            load: Load::new(),
            ingest: metrics.ingest(),
            tenants: RwLock::default(),
            clock,
            store,
            metrics,
        }
    }

    /// Counts what became of items: the one place where outcomes become numbers.
    pub(crate) fn count(&self, tenant: &TenantId, receipts: &[Receipt]) {
        for receipt in receipts {
            self.ingest.count(tenant, receipt.outcome);
        }
    }

    /// Counts a refused request. It has a tenant from its verified tag on; before that anybody could have sent it,
    /// and it counts as `other`.
    pub(crate) fn refuse(&self, tenant: Option<&TenantId>, reason: CountedOnly) {
        self.ingest.refuse(tenant, reason);
    }

    /// Gives a tenant its series, if the list has not been read since it came.
    pub(crate) fn meet(&self, tenant: &TenantId) {
        let known = self.tenants.read().unwrap_or_else(PoisonError::into_inner);
        if !known.contains(tenant) && known.len() < TENANTS_MAX {
            drop(known);
            self.introduce(std::slice::from_ref(tenant));
        }
    }

    fn introduce(&self, tenants: &[TenantId]) {
        self.metrics.set_tenants(tenants);
        let mut known = self.tenants.write().unwrap_or_else(PoisonError::into_inner);
        let room = TENANTS_MAX.saturating_sub(known.len());
        known.extend(tenants.iter().take(room).cloned());
    }
}

/// Reads the list of tenants again and again, until the process is asked to end.
pub(crate) async fn follow_tenants(state: Arc<State>, shutdown: Shutdown) {
    loop {
        let pause = match state.store.tenants().await {
            Ok(tenants) => {
                state.introduce(&tenants);
                TENANTS_EVERY
            }
            // The store says so itself when it loses its database.
            Err(_) => TENANTS_RETRY,
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = shutdown.begun() => return,
        }
    }
}
