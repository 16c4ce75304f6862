//! Where telemetry-ingest keeps what it is sent: one of three stores, with the same nouns. A service holds this and does
//! not know which it is. An enum, not a trait object: a call costs a comparison.

use std::sync::Arc;

use seatpilot_domain_model::{Feature, Nonce, Submission, SubmitAnswer, TenantId};
use seatpilot_metrics_api::Metrics;

use crate::{Allowance, Error, MemoryStore, RestStore, SigningKey, Store};

/// A store of events. Clones share it.
#[derive(Clone)]
pub enum EventStore {
    /// Postgres, by its own protocol.
    Postgres(Store),
    /// Postgres, by Supabase's REST interface.
    Rest(RestStore),
    /// This process' memory.
    Memory(MemoryStore),
}

impl From<Store> for EventStore {
    fn from(store: Store) -> Self {
        Self::Postgres(store)
    }
}

impl EventStore {
    /// The database, where there is one to be asked directly: what people read comes from there.
    pub fn database(&self) -> Option<&Store> {
        match self {
            Self::Postgres(store) => Some(store),
            Self::Rest(_) | Self::Memory(_) => None,
        }
    }

    /// As [`Store::submit`].
    ///
    /// # Errors
    /// As [`Store::submit`].
    pub async fn submit(&self, submission: Submission) -> Result<SubmitAnswer, Error> {
        match self {
            Self::Postgres(store) => store.submit(submission).await,
            Self::Rest(store) => store.submit(submission).await,
            Self::Memory(store) => store.submit(submission),
        }
    }

    /// As [`Store::knows_nonce`].
    ///
    /// # Errors
    /// As [`Store::knows_nonce`].
    pub async fn knows_nonce(&self, tenant: &TenantId, nonce: &Nonce) -> Result<bool, Error> {
        match self {
            Self::Postgres(store) => store.knows_nonce(tenant, nonce).await,
            Self::Rest(store) => store.knows_nonce(tenant, nonce).await,
            Self::Memory(store) => Ok(store.knows_nonce(nonce)),
        }
    }

    /// As [`Store::signing_key`]. Memory has none: its one key comes from the environment.
    ///
    /// # Errors
    /// As [`Store::signing_key`].
    pub async fn signing_key(&self, key_id: &str) -> Result<Option<Arc<SigningKey>>, Error> {
        match self {
            Self::Postgres(store) => store.signing_key(key_id).await,
            Self::Rest(store) => store.signing_key(key_id).await,
            Self::Memory(_) => Ok(None),
        }
    }

    /// As [`Store::forget_signing_key`].
    pub(crate) async fn forget_signing_key(&self, stale: &Arc<SigningKey>) {
        match self {
            Self::Postgres(store) => store.forget_signing_key(stale).await,
            Self::Rest(store) => store.forget_signing_key(stale).await,
            Self::Memory(_) => {}
        }
    }

    /// As [`Store::limits`]. Memory has no plans.
    pub fn limits(&self, tenant: &TenantId) -> bool {
        match self {
            Self::Postgres(store) => store.limits(tenant),
            Self::Rest(store) => store.quotas().limits(tenant),
            Self::Memory(_) => false,
        }
    }

    /// As [`Store::take`].
    pub fn take(&self, tenant: &TenantId, feature: Feature, units: u64) -> Allowance {
        match self {
            Self::Postgres(store) => store.take(tenant, feature, units),
            Self::Rest(store) => store.quotas().take(tenant, feature, units),
            Self::Memory(_) => Allowance::All,
        }
    }

    /// As [`Store::give_back`].
    pub fn give_back(&self, tenant: &TenantId, feature: Feature, units: u64) {
        match self {
            Self::Postgres(store) => store.give_back(tenant, feature, units),
            Self::Rest(store) => store.quotas().give_back(tenant, feature, units),
            Self::Memory(_) => {}
        }
    }

    /// As [`Store::is_full`]. Memory takes what fits at once.
    pub fn is_full(&self) -> bool {
        match self {
            Self::Postgres(store) => store.is_full(),
            Self::Rest(store) => store.is_full(),
            Self::Memory(_) => false,
        }
    }

    /// As [`Store::observe`].
    pub fn observe(&self, metrics: &Arc<Metrics>) {
        match self {
            Self::Postgres(store) => store.observe(metrics),
            Self::Rest(store) => store.observe(metrics),
            Self::Memory(store) => store.observe(metrics),
        }
    }
}
