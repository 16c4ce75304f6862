//! The store over REST, with the nouns of [`Store`](crate::Store) that telemetry-ingest uses.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use moka::future::Cache;
use seatpilot_domain_model::{Entitlement, Limit, Nonce, Submission, SubmitAnswer, TenantId};
use seatpilot_metrics_api::{Metrics, StoreKind};
use seatpilot_runtime::{Readiness, ReadinessState, SecretBytes, SecretString};
use serde::{Deserialize, Deserializer, Serialize, de::DeserializeOwned};
use tokio::runtime::Handle;

use super::{
    client::{RestClient, RestSettingsFault},
    hex,
    ingest::{Bytes, RestIngest},
    keeper,
};
use crate::{
    Error,
    credentials::{CREDENTIAL_TTL, CREDENTIALS_MAX, Miss, SigningKey, found},
    events::{bury, raws},
    metering::{parsed, unsigned},
    quotas::Quotas,
    waits::EVENTS,
    writer::{Limits, Writer},
};

/// Writers at a time: a call takes the network's way there and back, and each has a connection of PostgREST's ten.
const WRITERS: usize = 4;
/// Requests of one call: 16 of 256 KiB are 5 MiB as JSON, which every gateway takes.
const BATCH_ROWS: usize = 16;
const BATCH_ITEMS: usize = 500;
const DEADLINE: Duration = EVENTS.deadline;

/// What a process asks of its store over REST.
#[derive(Debug)]
pub struct RestSettings {
    /// Supabase's address, without a path.
    pub url: String,
    /// The service key: a token of role `service_role`, or `sb_secret_…`.
    pub key: SecretString,
    /// Moved as contact is made and lost.
    pub readiness: Readiness,
}

/// The store over REST. Clones share it.
#[derive(Clone)]
pub struct RestStore {
    inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub(super) client: Arc<RestClient>,
    pub(super) readiness: Readiness,
    pub(super) keys: Cache<String, Arc<SigningKey>>,
    pub(super) writer: Writer<RestIngest>,
    quotas: Quotas,
    /// Told of tenants as they are seen, so that each has its series at 0.
    metrics: OnceLock<Arc<Metrics>>,
    tenants: Mutex<Arc<[TenantId]>>,
}

impl RestStore {
    /// Starts the store: it makes contact in the background, and says through `readiness` when it has. Must be called
    /// inside a tokio runtime.
    ///
    /// # Errors
    /// [`RestSettingsFault`]; an address that does not answer is none.
    pub fn open(settings: RestSettings) -> Result<Self, RestSettingsFault> {
        let client = Arc::new(RestClient::new(&settings.url, &settings.key)?);
        let runtime = Handle::current();
        let limits = Limits {
            writers: WRITERS,
            queue_rows: 4_096,
            queue_bytes: 32 << 20,
            batch_rows: BATCH_ROWS,
            batch_items: BATCH_ITEMS,
            patience: EVENTS.queue,
            statement_max: EVENTS.write,
            deadline: DEADLINE,
        };
        let inner = Arc::new(Inner {
            writer: Writer::start(&runtime, &client, RestIngest, limits),
            client,
            readiness: settings.readiness,
            keys: Cache::builder().max_capacity(CREDENTIALS_MAX).time_to_live(CREDENTIAL_TTL).build(),
            quotas: Quotas::default(),
            metrics: OnceLock::new(),
            tenants: Mutex::default(),
        });
        runtime.spawn(keeper::keep(Arc::downgrade(&inner)));
        Ok(Self { inner })
    }

    pub(crate) async fn submit(&self, submission: Submission) -> Result<SubmitAnswer, Error> {
        #[derive(Serialize)]
        struct Given<'a> {
            payloads: Vec<Bytes<'a>>,
        }
        let submission = Arc::new(submission);
        match self.inner.writer.write(Arc::clone(&submission)).await {
            Err(Error::BadValue(cause)) if !cause.is_forgotten_time() => {
                let mut submission = Arc::unwrap_or_clone(submission);
                let given = Given { payloads: raws(&submission).map(Bytes).collect() };
                let taken: Vec<bool> = self.look_up("refused", &given).await?;
                let buried = bury(&mut submission, &taken);
                tracing::warn!(buried, error = %cause, "the database refused values that the parser let through");
                if buried == 0 {
                    Err(Error::BadValue(cause))
                } else {
                    self.inner.writer.write(Arc::new(submission)).await
                }
            }
            answer => answer,
        }
    }

    pub(crate) async fn knows_nonce(&self, tenant: &TenantId, nonce: &Nonce) -> Result<bool, Error> {
        #[derive(Serialize)]
        struct Given<'a> {
            tenant: &'a str,
            key_id: &'a str,
            ts: i64,
            nonce: &'a str,
        }
        let Nonce { key_id, ts, nonce, .. } = nonce;
        self.look_up("nonce", &Given { tenant: tenant.as_str(), key_id, ts: *ts, nonce }).await
    }

    /// The key of an id, revoked ones included. Unknown ids are not remembered.
    pub(crate) async fn signing_key(&self, key_id: &str) -> Result<Option<Arc<SigningKey>>, Error> {
        #[derive(Serialize)]
        struct Given<'a> {
            key_id: &'a str,
        }
        if let Some(key) = self.inner.keys.get(key_id).await {
            return Ok(Some(key));
        }
        let looked_up = self.inner.keys.try_get_with_by_ref(key_id, async {
            let row: Option<KeyRow> = self.look_up("key", &Given { key_id }).await.map_err(Miss::Failed)?;
            row.ok_or(Miss::None)?.key(key_id).map(Arc::new).map_err(Miss::Failed)
        });
        found(looked_up.await)
    }

    pub(crate) async fn forget_signing_key(&self, stale: &Arc<SigningKey>) {
        let known = self.inner.keys.get(&stale.key_id).await;
        if known.is_some_and(|known| Arc::ptr_eq(&known, stale)) {
            self.inner.keys.invalidate(&stale.key_id).await;
        }
    }

    pub(crate) fn quotas(&self) -> &Quotas {
        &self.inner.quotas
    }

    /// As [`Store::is_full`](crate::Store::is_full).
    pub(crate) fn is_full(&self) -> bool {
        self.inner.writer.is_full()
    }

    pub(crate) fn observe(&self, metrics: &Arc<Metrics>) {
        metrics.set_store(StoreKind::Supabase);
        self.inner.writer.observe(metrics);
        let _ = self.inner.metrics.set(Arc::clone(metrics));
        let tenants = Arc::clone(&self.inner.tenants.lock().unwrap_or_else(PoisonError::into_inner));
        metrics.set_tenants(&tenants);
    }

    async fn look_up<T: DeserializeOwned>(
        &self,
        task: &'static str,
        given: &impl Serialize,
    ) -> Result<T, Error> {
        match self.inner.readiness.state() {
            // Limits are still on their way; or the database is known to be away, and nobody waits to find out again.
            ReadinessState::Starting | ReadinessState::Degraded { .. } => return Err(Error::Unreachable),
            ReadinessState::Ready { .. } | ReadinessState::Draining { .. } => {}
        }
        self.inner.client.look_up(task, given).await
    }
}

impl Inner {
    /// Reads who there is and what limits them.
    pub(super) async fn look_around(&self) -> Result<(), Error> {
        let seen: Seen = self.client.look_up("look", &()).await?;
        let tenants: Vec<TenantId> =
            seen.tenants.iter().map(|text| parsed(text)).collect::<Result<_, _>>()?;
        *self.tenants.lock().unwrap_or_else(PoisonError::into_inner) = tenants.as_slice().into();
        if let Some(metrics) = self.metrics.get() {
            metrics.set_tenants(&tenants);
        }
        let mut limits: HashMap<TenantId, Vec<Entitlement>> = HashMap::new();
        for row in seen.entitlements {
            limits.entry(parsed(&row.tenant_id)?).or_default().push(row.entitlement()?);
        }
        self.quotas.put(limits);
        Ok(())
    }
}

#[derive(Deserialize)]
struct Seen {
    tenants: Vec<String>,
    entitlements: Vec<EntitlementRow>,
}

/// A row of `app.entitlements_in_force`.
#[derive(Deserialize)]
struct EntitlementRow {
    tenant_id: String,
    feature: String,
    enabled: bool,
    value: Option<i64>,
    limit_quantity: Option<i64>,
    limit_kind: Option<String>,
    used: i64,
    period: String,
    resets_at: Timestamp,
}

impl EntitlementRow {
    fn entitlement(&self) -> Result<Entitlement, Error> {
        let limit = match (self.limit_quantity, &self.limit_kind) {
            (Some(quantity), Some(kind)) => Some(Limit { quantity: unsigned(quantity), kind: parsed(kind)? }),
            (Some(_) | None, Some(_) | None) => None,
        };
        Ok(Entitlement {
            feature: parsed(&self.feature)?,
            enabled: self.enabled,
            value: self.value,
            limit,
            used: unsigned(self.used),
            period: parsed(&self.period)?,
            resets_at: self.resets_at,
        })
    }
}

/// A row of `ops.signing_key_by_id`.
#[derive(Deserialize)]
struct KeyRow {
    tenant_id: String,
    scopes: Vec<String>,
    #[serde(deserialize_with = "secret")]
    secret: SecretString,
    #[serde(default, deserialize_with = "optional_secret")]
    previous_secret: Option<SecretString>,
    previous_expires_at: Option<Timestamp>,
    sealed_with: Option<String>,
    revoked: bool,
}

fn secret<'de, D: Deserializer<'de>>(from: D) -> Result<SecretString, D::Error> {
    String::deserialize(from).map(SecretString::new)
}

fn optional_secret<'de, D: Deserializer<'de>>(from: D) -> Result<Option<SecretString>, D::Error> {
    Option::<String>::deserialize(from).map(|text| text.map(SecretString::new))
}

impl KeyRow {
    fn key(&self, key_id: &str) -> Result<SigningKey, Error> {
        let bytes = |text: &SecretString| {
            hex::bytea(text.expose_secret())
                .map(SecretBytes::new)
                .ok_or_else(|| Error::Corrupt("a signing key's secret is no bytea".to_owned()))
        };
        let mut secrets = vec![(bytes(&self.secret)?, None)];
        if let (Some(previous), Some(until)) = (&self.previous_secret, self.previous_expires_at) {
            secrets.push((bytes(previous)?, Some(until)));
        }
        Ok(SigningKey {
            key_id: key_id.to_owned(),
            tenant: parsed(&self.tenant_id)?,
            scopes: self.scopes.iter().map(|scope| parsed(scope)).collect::<Result<_, _>>()?,
            secrets,
            sealed_with: self.sealed_with.clone(),
            revoked: self.revoked,
        })
    }
}
