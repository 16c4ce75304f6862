//! How many routes were answered, for the bill. A route touches no database: it is counted here, and every few seconds
//! the counts are written down as events, venue by venue. A process that is killed forgets the last of them, in the
//! customer's favour.

use std::{
    collections::HashMap,
    mem,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use seatpilot_domain_model::{TenantId, VenueId};
use seatpilot_runtime::Clock;
use seatpilot_store::{ServedRoutes, Store};

/// How often counts are written down: what a killed process forgets.
const WRITE_EVERY: Duration = Duration::from_secs(5);

/// Counts by tenant and venue. Only venues with a map get here, so there are never more than those.
#[derive(Default)]
pub(crate) struct Served {
    counts: Mutex<HashMap<TenantId, HashMap<VenueId, u64>>>,
}

impl Served {
    /// Counts one route.
    pub(crate) fn count(&self, tenant: &TenantId, venue: &VenueId) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(tenant).and_then(|venues| venues.get_mut(venue)) {
            *count += 1;
        } else {
            counts.entry(tenant.clone()).or_default().insert(venue.clone(), 1);
        }
    }

    fn drain(&self, clock: &Clock) -> Vec<(TenantId, Vec<ServedRoutes>)> {
        let counts = mem::take(&mut *self.counts.lock().unwrap_or_else(PoisonError::into_inner));
        let batches = counts.into_iter().map(|(tenant, venues)| {
            let batch = venues
                .into_iter()
                .map(|(venue, count)| ServedRoutes { id: clock.uuid_v7(), venue, count })
                .collect();
            (tenant, batch)
        });
        batches.collect()
    }
}

/// Writes the counts down.
pub(crate) struct Ledger {
    pub(crate) served: Arc<Served>,
    pub(crate) store: Store,
    pub(crate) clock: Clock,
    /// What could not be written keeps its ids and is tried again before anything newer is taken, so nothing counts
    /// twice and memory stays bounded.
    owed: tokio::sync::Mutex<Vec<(TenantId, Vec<ServedRoutes>)>>,
}

impl Ledger {
    pub(crate) fn new(served: Arc<Served>, store: Store, clock: Clock) -> Self {
        Self { served, store, clock, owed: tokio::sync::Mutex::default() }
    }

    /// Every few seconds, for as long as the process runs.
    pub(crate) async fn keep(self: Arc<Self>) {
        loop {
            tokio::time::sleep(WRITE_EVERY).await;
            self.write().await;
        }
    }

    /// Once, now: also when the last request is answered.
    pub(crate) async fn write(&self) {
        let mut owed = self.owed.lock().await;
        if owed.is_empty() {
            *owed = self.served.drain(&self.clock);
        }
        let mut left: Vec<(TenantId, Vec<ServedRoutes>)> = Vec::new();
        for (tenant, batch) in owed.drain(..) {
            if let Err(error) = self.store.record_routes(&tenant, &batch).await {
                tracing::warn!(%tenant, %error, "routes that were answered could not be written down; trying again");
                left.push((tenant, batch));
            }
        }
        *owed = left;
    }
}
