//! What all workers share.

use std::{
    collections::HashSet,
    sync::{Arc, PoisonError, RwLock},
};

use seatpilot_domain_model::{CountedOnly, Receipt, TenantId};
use seatpilot_http::RateLimiter;
use seatpilot_metrics_api::{IngestMetrics, Metrics, TENANTS_MAX};
use seatpilot_runtime::Clock;
use seatpilot_store::{EventStore, keys::Keys};

use crate::{config::Config, load::Load};

/// What all workers share.
pub(crate) struct State {
    pub(crate) clock: Clock,
    pub(crate) store: EventStore,
    pub(crate) keys: Keys,
    pub(crate) rates: RateLimiter<String>,
    pub(crate) load: Load,
    metrics: Arc<Metrics>,
    ingest: Arc<IngestMetrics>,
    /// Tenants that have sent something; never many more than the metrics take.
    met: RwLock<HashSet<TenantId>>,
}

impl State {
    pub(crate) fn new(config: Config, store: EventStore, metrics: Arc<Metrics>, clock: Clock) -> Self {
        Self {
            keys: Keys::new(store.clone(), config.bootstrap, &config.at_rest, metrics.keys()),
            rates: RateLimiter::new(config.rate, clock.clone()),
            load: Load::new(),
            ingest: metrics.ingest(),
            met: RwLock::default(),
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

    /// Gives a tenant its series, if it came after the store last read the list of tenants.
    pub(crate) fn meet(&self, tenant: &TenantId) {
        let known = self.met.read().unwrap_or_else(PoisonError::into_inner);
        if known.contains(tenant) || known.len() >= TENANTS_MAX {
            return;
        }
        drop(known);
        self.metrics.set_tenants(std::slice::from_ref(tenant));
        self.met.write().unwrap_or_else(PoisonError::into_inner).insert(tenant.clone());
    }
}
