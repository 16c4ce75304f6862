//! The keys that sign: found by id, with the secrets that verify at this moment. For every service that takes
//! signed requests.
//!
//! [`Store::signing_key`] keeps keys for a few seconds, so that a revocation holds within five; here each one's HMAC schedules
//! are kept for as long as the store hands out the same key, and the bootstrap key of a single-tenant box is added.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock, Weak},
};

use jiff::Timestamp;
use seatpilot_domain_model::{CountedOnly, KeyScope};
use seatpilot_runtime::HmacTenantSecret;
use seatpilot_signing::{Key, KeyRing};

use crate::{Error, SigningKey, Store};

/// Most keys whose schedules are kept, about 600 bytes each; beyond it all are made anew.
const SCHEDULES_MAX: usize = 10_000;

/// Finds keys.
pub struct Keys {
    store: Store,
    bootstrap: Option<Arc<SigningKey>>,
    schedules: RwLock<HashMap<String, Schedules>>,
}

/// A key's HMAC schedules, each with the end of its grace, and which answer of the store they were made of. The
/// weak pointer keeps the address from being used again, not the secret from being wiped.
struct Schedules {
    of: Weak<SigningKey>,
    secrets: Arc<[(Key, Option<Timestamp>)]>,
}

/// A key's id, looked up.
pub struct Found {
    /// Verifies nothing where `key` says why.
    pub ring: KeyRing,
    /// The key, or why there is none that may sign.
    pub key: Result<Arc<SigningKey>, CountedOnly>,
}

impl Keys {
    /// Keys of the store, and the bootstrap key of a single-tenant box.
    pub fn new(store: Store, bootstrap: Option<HmacTenantSecret>) -> Self {
        let bootstrap = bootstrap.map(|given| {
            Arc::new(SigningKey {
                key_id: given.key_id,
                tenant: given.tenant,
                scopes: [KeyScope::Ingest, KeyScope::Arrive].into(),
                secrets: vec![(given.secret, None)],
                revoked: false,
            })
        });
        Self { store, bootstrap, schedules: RwLock::default() }
    }

    /// The key of an id, with its ring as of `now`. The database goes before the environment: whoever revokes the
    /// bootstrap key there means it.
    ///
    /// # Errors
    /// The store's, where it has to be asked and cannot be.
    pub async fn find(&self, key_id: &str, now: Timestamp) -> Result<Found, Error> {
        let named = |key: &&Arc<SigningKey>| key.key_id == key_id;
        let key =
            self.store.signing_key(key_id).await?.or_else(|| self.bootstrap.as_ref().filter(named).cloned());
        Ok(match key {
            None => Found { ring: KeyRing::dummy(), key: Err(CountedOnly::UnknownKey) },
            Some(key) if key.revoked => Found { ring: KeyRing::dummy(), key: Err(CountedOnly::RevokedKey) },
            Some(key) => {
                let schedules = self.schedules(&key);
                let mut live = schedules.iter().filter(|(_, until)| until.is_none_or(|until| now < until));
                match (live.next(), live.next()) {
                    (Some((current, _)), previous) => Found {
                        ring: KeyRing::new(current.clone(), previous.map(|(previous, _)| previous.clone())),
                        key: Ok(key),
                    },
                    (None, _) => Found { ring: KeyRing::dummy(), key: Err(CountedOnly::RevokedKey) },
                }
            }
        })
    }

    fn schedules(&self, key: &Arc<SigningKey>) -> Arc<[(Key, Option<Timestamp>)]> {
        let known = self.schedules.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = known.get(&key.key_id)
            && found.of.as_ptr() == Arc::as_ptr(key)
        {
            return Arc::clone(&found.secrets);
        }
        drop(known);
        let secrets =
            key.secrets.iter().filter_map(|(secret, until)| match Key::new(secret.expose_secret()) {
                Ok(schedule) => Some((schedule, *until)),
                Err(error) => {
                    tracing::error!(key_id = %key.key_id, "a stored secret verifies nothing: {error}");
                    None
                }
            });
        let secrets: Arc<[_]> = secrets.collect();
        let mut known = self.schedules.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= SCHEDULES_MAX {
            known.clear();
        }
        known
            .insert(key.key_id.clone(), Schedules { of: Arc::downgrade(key), secrets: Arc::clone(&secrets) });
        secrets
    }
}
