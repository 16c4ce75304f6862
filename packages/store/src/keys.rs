//! The keys that sign: found by id, opened, and asked whether a request is theirs. For every service that takes signed
//! requests.
//!
//! [`EventStore::signing_key`] keeps keys for a few seconds, so that a revocation holds within five; here each one's HMAC schedules
//! are kept for as long as the store hands out the same key, each with the end of its grace, which is held against the
//! clock at every request. The bootstrap key of a single-tenant box is added.
//!
//! A session key is not looked up: its parent is, and what verifies is made of the parent's schedules
//! ([ADR 0010](../../../docs/adr/0010-session-keys.md)). So it dies with its parent, wherever that is revoked.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock, Weak},
    time::{Duration, Instant},
};

use jiff::Timestamp;
use seatpilot_domain_model::{CountedOnly, KeyScope, WEB_ORIGIN_MAX, WebOrigin};
use seatpilot_metrics_api::KeyMetrics;
use seatpilot_runtime::{AtRest, HmacTenantSecret, PlainSecrets, SecretBytes};
use seatpilot_signing::{Key, KeyRing, SessionKeyId, SignedRequest};

use crate::{
    Error, EventStore, SigningKey,
    sealing::{Column, Place, SealFault, Sealing},
};

pub use crate::signer::Signer;

/// Most keys whose schedules are kept, about 600 bytes each; beyond it all are made anew.
const SCHEDULES_MAX: usize = 10_000;
/// How often the database is asked once more because a tag does not fit: the key may just have been rotated. Whoever sends
/// nothing but bad tags costs ten look-ups a second and key, less than with ids that nobody has.
const ASKED_EVERY: Duration = Duration::from_millis(100);

/// Finds keys.
pub struct Keys {
    store: EventStore,
    sealing: Option<Sealing>,
    plain: PlainSecrets,
    bootstrap: Option<Arc<SigningKey>>,
    metrics: Arc<KeyMetrics>,
    schedules: RwLock<HashMap<String, Schedules>>,
}

/// A secret that can verify, with the end of its grace where it is a previous one.
type Schedule = (Key, Option<Timestamp>);

/// A key's HMAC schedules, and which answer of the store they were made of. The weak pointer keeps the address from
/// being used again, not the secret from being wiped.
struct Schedules {
    of: Weak<SigningKey>,
    /// When the database was last asked for this key because a tag did not fit.
    asked: Option<Instant>,
    secrets: Arc<[Schedule]>,
}

/// A key's id, looked up.
struct Found {
    /// Verifies nothing where `key` says why.
    ring: KeyRing,
    /// The key, or why there is none that may sign.
    key: Result<Arc<SigningKey>, CountedOnly>,
}

impl Keys {
    /// Keys of the store, and the bootstrap key of a single-tenant box.
    pub fn new(
        store: impl Into<EventStore>,
        bootstrap: Option<HmacTenantSecret>,
        at_rest: &AtRest,
        metrics: Arc<KeyMetrics>,
    ) -> Self {
        let bootstrap = bootstrap.map(|given| {
            Arc::new(SigningKey {
                key_id: given.key_id,
                tenant: given.tenant,
                scopes: [KeyScope::Ingest, KeyScope::Arrive].into(),
                secrets: vec![(given.secret, None)],
                sealed_with: None,
                revoked: false,
            })
        });
        let sealing = Sealing::new(&at_rest.keys);
        Self {
            store: store.into(),
            sealing,
            plain: at_rest.plain,
            bootstrap,
            metrics,
            schedules: RwLock::default(),
        }
    }

    /// Who signed a request, if a key did; else why it is not believed, which is for metrics and log only. Two tags are
    /// computed whatever was found, so that an unknown key takes as long as a wrong tag. `origin` is what a browser says of
    /// its page: only a session key is held to it, for of another origin, or none, it has another secret.
    ///
    /// # Errors
    /// The store's, where it has to be asked and cannot be.
    pub async fn verify(
        &self,
        key_id: &str,
        origin: Option<&[u8]>,
        request: &SignedRequest<'_>,
        now: Timestamp,
    ) -> Result<Result<Signer, CountedOnly>, Error> {
        let session = SessionKeyId::parse(key_id);
        let origin = origin.filter(|origin| origin.len() <= WEB_ORIGIN_MAX).unwrap_or_default();
        let verifies = |ring: &KeyRing| match &session {
            None => ring.verify(request),
            Some(id) => ring.session(id, origin).verify(request),
        };
        let stored = session.as_ref().map_or(key_id, SessionKeyId::parent);
        let found = self.find(stored, now).await?;
        let mut verified = verifies(&found.ring);
        let mut key = match found.key {
            Err(reason) => return Ok(Err(reason)),
            Ok(key) => key,
        };
        if !verified {
            if self.may_ask(&key) {
                self.store.forget_signing_key(&key).await;
                self.has_asked(&key);
            }
            // Also where somebody else asks at this moment: then this is their answer.
            let again = self.find(stored, now).await?;
            if again.key.as_ref().is_ok_and(|same| Arc::ptr_eq(same, &key)) {
                return Ok(Err(CountedOnly::BadSignature));
            }
            verified = verifies(&again.ring);
            key = match again.key {
                Err(reason) => return Ok(Err(reason)),
                Ok(key) => key,
            };
        }
        Ok(if !verified {
            Err(CountedOnly::BadSignature)
        } else if session.as_ref().is_some_and(|id| !id.is_good_at(now.as_second())) {
            Err(CountedOnly::Stale)
        } else {
            Ok(Signer::new(key, session))
        })
    }

    /// The secret of a session key, for whoever holds its parent; none where the parent may sign nothing any more.
    ///
    /// # Errors
    /// The store's, where it has to be asked and cannot be.
    pub async fn session_secret(
        &self,
        id: &SessionKeyId,
        origin: &WebOrigin,
        now: Timestamp,
    ) -> Result<Option<SecretBytes>, Error> {
        let found = self.find(id.parent(), now).await?;
        let secret = found.ring.session_secret(id, origin.as_str().as_bytes());
        Ok(secret.map(SecretBytes::new).inspect(|_| self.metrics.count_minted()))
    }

    /// The key of an id, with its ring as of `now`. The database goes before the environment: whoever revokes the
    /// bootstrap key there means it.
    async fn find(&self, key_id: &str, now: Timestamp) -> Result<Found, Error> {
        let named = |key: &&Arc<SigningKey>| key.key_id == key_id;
        let key =
            self.store.signing_key(key_id).await?.or_else(|| self.bootstrap.as_ref().filter(named).cloned());
        let nobody = |reason| Found { ring: KeyRing::dummy(), key: Err(reason) };
        Ok(match key {
            None => nobody(CountedOnly::UnknownKey),
            Some(key) if key.revoked => nobody(CountedOnly::RevokedKey),
            Some(key) => {
                let schedules = self.schedules(&key);
                let mut live = schedules.iter().filter(|(_, until)| until.is_none_or(|until| now < until));
                match (live.next(), live.next()) {
                    (Some((current, _)), previous) => Found {
                        ring: KeyRing::new(current.clone(), previous.map(|(previous, _)| previous.clone())),
                        key: Ok(key),
                    },
                    // Its secret cannot be opened.
                    (None, _) => nobody(CountedOnly::UnknownKey),
                }
            }
        })
    }

    /// Whether the database may be asked what it says of this key by now.
    fn may_ask(&self, key: &SigningKey) -> bool {
        let known = self.schedules.read().unwrap_or_else(PoisonError::into_inner);
        let asked = known.get(&key.key_id).and_then(|known| known.asked);
        !self.is_bootstrap(key) && asked.is_none_or(|asked| asked.elapsed() >= ASKED_EVERY)
    }

    fn has_asked(&self, key: &SigningKey) {
        let mut known = self.schedules.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = known.get_mut(&key.key_id) {
            known.asked = Some(Instant::now());
        }
    }

    fn schedules(&self, key: &Arc<SigningKey>) -> Arc<[Schedule]> {
        let known = self.schedules.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = known.get(&key.key_id)
            && found.of.as_ptr() == Arc::as_ptr(key)
        {
            return Arc::clone(&found.secrets);
        }
        drop(known);
        let secrets: Arc<[_]> = self.open(key).into();
        let mut known = self.schedules.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= SCHEDULES_MAX {
            known.clear();
        }
        let asked = known.get(&key.key_id).and_then(|known| known.asked);
        let made = Schedules { of: Arc::downgrade(key), asked, secrets: Arc::clone(&secrets) };
        known.insert(key.key_id.clone(), made);
        secrets
    }

    /// The schedules of a key's secrets: all of them or none, for with only the previous one it would work until its
    /// grace is over, and nobody would look.
    fn open(&self, key: &SigningKey) -> Vec<Schedule> {
        let columns = [Column::Secret, Column::PreviousSecret];
        let opened: Result<Vec<_>, String> = std::iter::zip(&key.secrets, columns)
            .map(|((secret, until), column)| {
                let schedule = match &key.sealed_with {
                    None => match self.plain {
                        PlainSecrets::Refused if !self.is_bootstrap(key) => Err(SealFault::Plain.to_string()),
                        PlainSecrets::Read | PlainSecrets::Refused => schedule(secret),
                    },
                    Some(name) => {
                        let place = Place { tenant: &key.tenant, key_id: &key.key_id, column };
                        let sealing = self.sealing.as_ref().ok_or(SealFault::OtherKey);
                        let opened = sealing.and_then(|keys| keys.open(place, name, secret.expose_secret()));
                        opened.map_err(|fault| fault.to_string()).and_then(|secret| schedule(&secret))
                    }
                };
                schedule.map(|schedule| (schedule, *until))
            })
            .collect();
        opened.unwrap_or_else(|reason| {
            self.metrics.count_unreadable();
            tracing::error!(
                key_id = %key.key_id,
                tenant = key.tenant.as_str(),
                reason,
                "a key's secret cannot be used, and the key is refused as if it were unknown"
            );
            Vec::new()
        })
    }

    fn is_bootstrap(&self, key: &SigningKey) -> bool {
        self.bootstrap.as_deref().is_some_and(|bootstrap| std::ptr::eq(bootstrap, key))
    }
}

fn schedule(secret: &SecretBytes) -> Result<Key, String> {
    Key::new(secret.expose_secret()).map_err(|error| error.to_string())
}
