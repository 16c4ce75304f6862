//! The store of telemetry-ingest in this process' memory: for trying it out, and for tests of senders. Asked for by
//! name only (`STORE=memory`), refused in production.
//!
//! It decides as the database does: nonces, ids, conflicts and dead letters, all of a request or nothing of it. What it
//! cannot promise: everything is lost at the end of the process, two processes know nothing of each other, nobody counts
//! usage or reads the dead letters, and there is one key, that of `HMAC_TENANT_SECRET`.

mod identity;
mod shelf;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use seatpilot_domain_model::{Item, Nonce, Submission, SubmitAnswer, TenantId};
use seatpilot_metrics_api::{Metrics, StoreKind};
use seatpilot_runtime::Clock;

pub use self::shelf::{KeptEvent, KeptLetter};
use self::{identity::identity, shelf::Shelf};
use crate::{Error, events::bury};

/// How much is kept. Nothing that is still owed to a sender is thrown away for something new: beyond it requests are
/// refused until what is there has expired.
pub const MEMORY_BYTES_MAX: usize = 256 << 20;

/// The store in memory. Clones share it.
#[derive(Clone)]
pub struct MemoryStore {
    shelf: Arc<Mutex<Shelf>>,
    clock: Clock,
    /// Whose the one key is.
    tenant: Option<TenantId>,
}

impl MemoryStore {
    /// An empty one, for so many bytes. `tenant` has its series from the first scrape.
    pub fn new(tenant: Option<TenantId>, bytes_max: usize, clock: Clock) -> Self {
        Self { shelf: Arc::new(Mutex::new(Shelf::new(bytes_max))), clock, tenant }
    }

    /// Every event that was accepted and is still kept, in the order received.
    pub fn events(&self) -> Vec<KeptEvent> {
        self.shelf().events()
    }

    /// Every dead letter that is still kept, in the order received.
    pub fn dead_letters(&self) -> Vec<KeptLetter> {
        self.shelf().letters()
    }

    /// How many nonces are remembered.
    pub fn nonces(&self) -> usize {
        self.shelf().nonces()
    }

    pub(crate) fn submit(&self, mut submission: Submission) -> Result<SubmitAnswer, Error> {
        // Before the lock: it is held for look-ups and moves only.
        let identities: Vec<_> = submission
            .items
            .iter()
            .map(|item| match item {
                Item::Event(event) => identity(event),
                Item::DeadLetter(_) => None,
            })
            .collect();
        // The strict parser let it through, so there is none; if there ever is, it is no event.
        let taken: Vec<bool> = identities
            .iter()
            .zip(&submission.items)
            .map(|(identity, item)| identity.is_some() || matches!(item, Item::DeadLetter(_)))
            .collect();
        let _ = bury(&mut submission, &taken);
        self.shelf().put(submission, &identities, self.clock.now())
    }

    pub(crate) fn knows_nonce(&self, nonce: &Nonce) -> bool {
        self.shelf().knows_nonce(nonce, self.clock.now())
    }

    pub(crate) fn observe(&self, metrics: &Metrics) {
        metrics.set_store(StoreKind::Memory);
        metrics.set_tenants(self.tenant.as_slice());
    }

    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
