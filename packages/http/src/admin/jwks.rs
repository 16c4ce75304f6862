//! The public keys that sign administrators' tokens, from their address, kept in memory (RFC 7517).
//!
//! A set is fresh for ten minutes. Then one request fetches it anew while the others go on with what is there; nobody
//! waits but the first, and whoever brings a key id that is not known: a key that was just rotated in is found at
//! once, and strangers with made-up ids cost one request a minute. While the address does not answer, the last set
//! stays good for an hour.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use arc_swap::ArcSwapOption;
use jsonwebtoken::{
    Algorithm, DecodingKey,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, KeyOperations, PublicKeyUse},
};
use reqwest::{Client, redirect::Policy};
use seatpilot_domain_model::{Fault, FaultCode};
use seatpilot_runtime::Clock;
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::Semaphore;

use super::guard::AdminGuardFault;

/// How long a set is taken as it is. A key that the issuer takes back is refused after this time at the latest.
const FRESH_MAX: Duration = Duration::from_secs(600);
/// How long a set is used while its address does not answer.
const STALE_MAX: Duration = Duration::from_secs(3600);
/// Between two fetches for key ids that nobody knows.
const UNKNOWN_ID_WAIT: Duration = Duration::from_secs(60);
/// Between two fetches while the address does not answer.
const FAILED_WAIT: Duration = Duration::from_secs(10);
const CONNECT_MAX: Duration = Duration::from_secs(1);
/// The whole fetch; an administrator waits for it, nobody else does.
const FETCH_MAX: Duration = Duration::from_secs(3);
/// Largest document and most keys. Supabase publishes two or three, of some hundred bytes each.
const DOCUMENT_BYTES_MAX: usize = 64 * 1024;
const KEYS_MAX: usize = 16;

/// The keys at one address.
pub(super) struct Jwks {
    client: Client,
    url: String,
    clock: Clock,
    set: ArcSwapOption<KeySet>,
    /// One fetch at a time.
    turnstile: Semaphore,
    tried_at: Mutex<Option<Instant>>,
}

/// The keys as they were fetched.
pub(super) struct KeySet {
    keys: Vec<Known>,
    fetched_at: Instant,
}

struct Known {
    id: Option<String>,
    algorithm: Algorithm,
    key: DecodingKey,
}

impl KeySet {
    /// The keys that a token's head points at. Without an id, all of its algorithm: there are few.
    pub(super) fn fitting(
        &self,
        id: Option<&str>,
        algorithm: Algorithm,
    ) -> impl Iterator<Item = &DecodingKey> {
        self.keys
            .iter()
            .filter(move |known| known.algorithm == algorithm && (id.is_none() || known.id.as_deref() == id))
            .map(|known| &known.key)
    }
}

impl Jwks {
    pub(super) fn new(url: String, clock: Clock) -> Result<Self, AdminGuardFault> {
        let client = Client::builder()
            .redirect(Policy::none())
            .https_only(url.starts_with("https://"))
            .connect_timeout(CONNECT_MAX)
            .timeout(FETCH_MAX)
            // Asked every ten minutes: a connection kept would only be found dead.
            .pool_max_idle_per_host(0)
            .build()
            .map_err(|error| AdminGuardFault(error.to_string()))?;
        Ok(Self {
            client,
            url,
            clock,
            set: ArcSwapOption::empty(),
            turnstile: Semaphore::new(1),
            tried_at: Mutex::default(),
        })
    }

    /// A set in which the key should be, fetched where there is reason to and time for it.
    ///
    /// # Errors
    /// `not_ready` where there is no set, or only one too old.
    pub(super) async fn having(&self, id: Option<&str>, algorithm: Algorithm) -> Result<Arc<KeySet>, Fault> {
        let now = self.clock.monotonic();
        let usable = |max: Duration| {
            self.set.load_full().filter(|set| now.saturating_duration_since(set.fetched_at) < max)
        };
        let there = usable(STALE_MAX);
        let knows = there.as_ref().is_some_and(|set| set.fitting(id, algorithm).next().is_some());
        if knows && usable(FRESH_MAX).is_some() {
            return there.ok_or_else(unreachable_keys);
        }
        let wait = if usable(FRESH_MAX).is_some() { UNKNOWN_ID_WAIT } else { FAILED_WAIT };
        // Whoever has a key goes on with it while another fetches.
        let turn =
            if knows { self.turnstile.try_acquire().ok() } else { self.turnstile.acquire().await.ok() };
        if turn.is_some() && self.is_due(now, wait) {
            match self.fetch().await {
                Ok(set) => self.set.store(Some(Arc::new(set))),
                Err(error) => {
                    tracing::warn!(%error, url = self.url, "the keys of administrators' tokens cannot be fetched");
                }
            }
        }
        drop(turn);
        usable(STALE_MAX).ok_or_else(unreachable_keys)
    }

    /// Notes a try, unless the last one was a moment ago: also by somebody for whom this request waited.
    fn is_due(&self, now: Instant, wait: Duration) -> bool {
        let mut tried_at = self.tried_at.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = tried_at.is_none_or(|last| now.saturating_duration_since(last) >= wait && now >= last);
        if is_due {
            *tried_at = Some(now);
        }
        is_due
    }

    async fn fetch(&self) -> Result<KeySet, FetchError> {
        let mut response = self.client.get(&self.url).send().await?.error_for_status()?;
        let mut document = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            if document.len() + chunk.len() > DOCUMENT_BYTES_MAX {
                return Err(FetchError::TooLarge);
            }
            document.extend_from_slice(&chunk);
        }
        #[derive(Deserialize)]
        struct Document {
            keys: Vec<Value>,
        }
        let document: Document = serde_json::from_slice(&document).map_err(|_| FetchError::NoSet)?;
        // A kind of key that is new to us is no reason to lose the others.
        let keys: Vec<Known> = document.keys.into_iter().filter_map(known).take(KEYS_MAX).collect();
        tracing::info!(keys = keys.len(), "fetched the keys of administrators' tokens");
        Ok(KeySet { keys, fetched_at: self.clock.monotonic() })
    }
}

/// A key of the two algorithms that may sign. One of another kind, a shared secret above all, is none.
fn known(value: Value) -> Option<Known> {
    let jwk: Jwk = serde_json::from_value(value).ok()?;
    let algorithm = match &jwk.algorithm {
        AlgorithmParameters::EllipticCurve(curve) if curve.curve == EllipticCurve::P256 => Algorithm::ES256,
        AlgorithmParameters::RSA(_) => Algorithm::RS256,
        _ => return None,
    };
    let said = match jwk.common.key_algorithm {
        None => true,
        Some(KeyAlgorithm::ES256) => algorithm == Algorithm::ES256,
        Some(KeyAlgorithm::RS256) => algorithm == Algorithm::RS256,
        Some(_) => false,
    };
    let signs = matches!(jwk.common.public_key_use, None | Some(PublicKeyUse::Signature));
    let verifies = jwk.common.key_operations.as_ref().is_none_or(|all| all.contains(&KeyOperations::Verify));
    let key = DecodingKey::from_jwk(&jwk).ok()?;
    (said && signs && verifies).then_some(Known { id: jwk.common.key_id, algorithm, key })
}

#[derive(Debug, thiserror::Error)]
enum FetchError {
    #[error("{0}")]
    Http(#[from] reqwest::Error),
    #[error("the answer has more than {DOCUMENT_BYTES_MAX} bytes")]
    TooLarge,
    #[error("the answer is no set of keys")]
    NoSet,
}

fn unreachable_keys() -> Fault {
    Fault::new(FaultCode::NotReady, "The keys that sign administrators' tokens cannot be had now. Try again.")
        .with_retry_after(10)
}
