//! What all workers share.

use std::{
    collections::HashSet,
    num::NonZeroU32,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use seatpilot_domain_model::{CountedOnly, Receipt, Submission, SubmitAnswer, TenantId, TraceParent};
use seatpilot_http::{Problem, RateLimiter, RatePolicy};
use seatpilot_metrics_api::{IngestMetrics, Metrics, TENANTS_MAX};
use seatpilot_runtime::Clock;
use seatpilot_store::{
    EventStore,
    keys::{Keys, Signer},
};
use uuid::Uuid;

use crate::{
    config::Config,
    load::Load,
    way::{SubmitFault, Way},
};

/// What one session may send, whichever of its keys it signs with: one page has not more to say, and whoever stole its key
/// must not use up what its parent's rate leaves to all the others.
const SESSION_RATE: RatePolicy = RatePolicy {
    name: "session",
    quota: NonZeroU32::new(600).unwrap(),
    window: Duration::from_secs(60),
    burst: NonZeroU32::new(60).unwrap(),
};
/// How many session keys one key may mint: 30,000 pages that each ask anew every 12 minutes, a thousand of them at once.
const MINT_RATE: RatePolicy = RatePolicy {
    name: "session-keys",
    quota: NonZeroU32::new(3_000).unwrap(),
    window: Duration::from_secs(60),
    burst: NonZeroU32::new(1_000).unwrap(),
};

/// What all workers share.
pub(crate) struct State {
    pub(crate) clock: Clock,
    pub(crate) store: EventStore,
    way: Way,
    pub(crate) keys: Keys,
    rates: RateLimiter<String>,
    session_rates: RateLimiter<(String, Uuid)>,
    mint_rates: RateLimiter<String>,
    pub(crate) load: Load,
    metrics: Arc<Metrics>,
    ingest: Arc<IngestMetrics>,
    /// Tenants that have sent something; never many more than the metrics take.
    met: RwLock<HashSet<TenantId>>,
}

impl State {
    pub(crate) fn new(
        config: Config,
        store: EventStore,
        way: Way,
        metrics: Arc<Metrics>,
        clock: Clock,
    ) -> Self {
        Self {
            keys: Keys::new(store.clone(), config.bootstrap, &config.at_rest, metrics.keys()),
            rates: RateLimiter::new(config.rate, clock.clone()),
            session_rates: RateLimiter::new(SESSION_RATE, clock.clone()),
            mint_rates: RateLimiter::new(MINT_RATE, clock.clone()),
            load: Load::new(),
            ingest: metrics.ingest(),
            met: RwLock::default(),
            clock,
            store,
            way,
            metrics,
        }
    }

    /// Stores a verified request, here or where the bus brings it; answered after its commit.
    ///
    /// # Errors
    /// [`SubmitFault`].
    pub(crate) async fn submit(
        &self,
        submission: Submission,
        trace: TraceParent,
    ) -> Result<SubmitAnswer, SubmitFault> {
        self.way.submit(&self.store, submission, trace).await
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

    /// Holds a sender to its rate: a key to its own, a session key to its session's and then to its parent's.
    ///
    /// # Errors
    /// `rate_limited`.
    pub(crate) fn check_rate(&self, signer: &Signer) -> Result<(), Problem> {
        let stored = &signer.stored().key_id;
        let session = signer.session().map(|session| (stored.clone(), session));
        session
            .map_or(Ok(()), |session| self.session_rates.check(&session))
            .and_then(|()| self.rates.check(stored))
            .inspect_err(|_| self.refuse(Some(signer.tenant()), CountedOnly::RateLimited))
    }

    /// Holds a key to the rate of session keys that it may mint.
    ///
    /// # Errors
    /// `rate_limited`.
    pub(crate) fn check_mint_rate(&self, signer: &Signer) -> Result<(), Problem> {
        self.mint_rates
            .check(&signer.stored().key_id)
            .inspect_err(|_| self.refuse(Some(signer.tenant()), CountedOnly::RateLimited))
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
