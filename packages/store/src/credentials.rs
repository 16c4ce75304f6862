//! Who is calling: devices by their token, keys by their id. Cached for a few seconds, so that a revocation
//! holds everywhere within five, and dropped at once when the database says that something changed.

use std::{str::FromStr, sync::Arc, time::Duration};

use jiff::Timestamp;
use moka::future::Cache;
use seatpilot_domain_model::{Device, DeviceScope, KeyScopes, TenantId, TokenHash};
use seatpilot_runtime::SecretBytes;
use tokio_postgres::Row;

use crate::{
    Error,
    reader::Reader,
    shelf::{Holds, Shelf},
};

/// A revocation reaches every instance within 5 s, also where the notification is lost.
pub(crate) const CREDENTIAL_TTL: Duration = Duration::from_secs(4);
/// Devices and keys that are remembered; beyond it the least used are looked up again.
pub(crate) const CREDENTIALS_MAX: u64 = 20_000;

/// A key that signs, as it stands in the store.
#[derive(Debug)]
pub struct SigningKey {
    /// The id that senders name.
    pub key_id: String,
    /// Whose it is.
    pub tenant: TenantId,
    /// What it may do.
    pub scopes: KeyScopes,
    /// Secrets, the current one first; the previous one with the end of its grace. Sealed where `sealed_with` says so.
    pub secrets: Vec<(SecretBytes, Option<Timestamp>)>,
    /// The name of the at-rest key that sealed the secrets; none where they stand as they were made.
    pub sealed_with: Option<String>,
    /// Whether it was revoked: then nothing verifies.
    pub revoked: bool,
}

/// Devices and keys, as they were last looked up.
pub(crate) struct Credentials {
    /// Devices that scanned lately, at hand.
    shelf: Shelf<TokenHash, Arc<Device>>,
    caches: Caches,
}

struct Caches {
    devices: Cache<TokenHash, (Arc<Device>, Holds)>,
    keys: Cache<String, Arc<SigningKey>>,
}

/// A look-up that found nothing, or could not look.
#[derive(Clone)]
pub(crate) enum Miss {
    None,
    Failed(Error),
}

impl Caches {
    pub(crate) fn new() -> Self {
        Self {
            devices: Cache::builder().max_capacity(CREDENTIALS_MAX).time_to_live(CREDENTIAL_TTL).build(),
            keys: Cache::builder().max_capacity(CREDENTIALS_MAX).time_to_live(CREDENTIAL_TTL).build(),
        }
    }

    async fn forget_key(&self, stale: &Arc<SigningKey>) {
        let known = self.keys.get(&stale.key_id).await;
        if known.is_some_and(|known| Arc::ptr_eq(&known, stale)) {
            self.keys.invalidate(&stale.key_id).await;
        }
    }
}

impl Credentials {
    pub(crate) fn new() -> Self {
        Self { shelf: Shelf::new(), caches: Caches::new() }
    }

    pub(crate) fn forget_devices(&self) {
        self.shelf.forget();
        self.caches.devices.invalidate_all();
    }

    pub(crate) fn forget_keys(&self) {
        self.caches.keys.invalidate_all();
    }

    /// The device of a token, unless it is unknown or revoked. Unknown tokens are not remembered.
    pub(crate) async fn device(
        &self,
        reader: &Reader,
        token: TokenHash,
    ) -> Result<Option<Arc<Device>>, Error> {
        if let Some(device) = self.shelf.get(&token, |key| *key == token) {
            return Ok(Some(device));
        }
        let looked_up = self.caches.devices.try_get_with(token, async {
            let holds = self.shelf.asking(CREDENTIAL_TTL);
            const SQL: &str = include_str!("../sql/device_by_token_hash.sql");
            let rows = reader.look_up(SQL, &[&token.as_bytes().as_slice()]).await.map_err(Miss::Failed)?;
            let row = rows.first().ok_or(Miss::None)?;
            let device = device(row, token).map_err(Miss::Failed)?;
            Ok((Arc::new(device), holds))
        });
        let known = found(looked_up.await)?;
        Ok(known.map(|(device, holds)| {
            self.shelf.put(token, Arc::clone(&device), holds);
            device
        }))
    }

    /// Forgets a key, if what is remembered is still this answer: another one is newer.
    pub(crate) async fn forget_key(&self, stale: &Arc<SigningKey>) {
        self.caches.forget_key(stale).await;
    }

    /// The key of an id, revoked ones included. Unknown ids are not remembered.
    pub(crate) async fn key(&self, reader: &Reader, key_id: &str) -> Result<Option<Arc<SigningKey>>, Error> {
        if let Some(key) = self.caches.keys.get(key_id).await {
            return Ok(Some(key));
        }
        let looked_up = self.caches.keys.try_get_with_by_ref(key_id, async {
            const SQL: &str = include_str!("../sql/signing_key_by_id.sql");
            let rows = reader.look_up(SQL, &[&key_id]).await.map_err(Miss::Failed)?;
            let row = rows.first().ok_or(Miss::None)?;
            signing_key(row, key_id).map(Arc::new).map_err(Miss::Failed)
        });
        found(looked_up.await)
    }
}

pub(crate) fn found<T>(looked_up: Result<T, Arc<Miss>>) -> Result<Option<T>, Error> {
    match looked_up {
        Ok(value) => Ok(Some(value)),
        Err(miss) => match &*miss {
            Miss::None => Ok(None),
            Miss::Failed(error) => Err(error.clone()),
        },
    }
}

fn device(row: &Row, token: TokenHash) -> Result<Device, Error> {
    // The index has compared byte by byte; the hash of a 256-bit secret gives nothing away, but what is
    // answered as "this device" is compared once more without an early end.
    let stored: &[u8] = row.try_get("token_hash")?;
    let differs =
        stored.iter().zip(token.as_bytes()).fold(stored.len() ^ 32, |sum, (a, b)| sum | usize::from(a ^ b));
    if differs != 0 {
        return Err(Error::Corrupt("a device was found by another token".into()));
    }
    Ok(Device {
        id: row.try_get("device_id")?,
        tenant: word(row.try_get("tenant_id")?)?,
        scope: DeviceScope {
            venues: words(row, "venues")?,
            events: words(row, "events")?,
            doors: words(row, "doors")?,
            channels: words(row, "channels")?,
        },
    })
}

fn signing_key(row: &Row, key_id: &str) -> Result<SigningKey, Error> {
    let mut secrets = vec![(SecretBytes::new(row.try_get("secret")?), None)];
    let previous: Option<Vec<u8>> = row.try_get("previous_secret")?;
    let until: Option<Timestamp> = row.try_get("previous_expires_at")?;
    if let (Some(previous), Some(until)) = (previous, until) {
        secrets.push((SecretBytes::new(previous), Some(until)));
    }
    Ok(SigningKey {
        key_id: key_id.to_owned(),
        tenant: word(row.try_get("tenant_id")?)?,
        scopes: words(row, "scopes")?.unwrap_or_default(),
        secrets,
        sealed_with: row.try_get("sealed_with")?,
        revoked: row.try_get("revoked")?,
    })
}

fn words<T: FromStr + Ord>(row: &Row, column: &str) -> Result<Option<std::collections::BTreeSet<T>>, Error> {
    let texts: Option<Vec<&str>> = row.try_get(column)?;
    texts.map(|texts| texts.into_iter().map(word).collect()).transpose()
}

fn word<T: FromStr>(text: &str) -> Result<T, Error> {
    text.parse().map_err(|_| Error::Corrupt("a credential holds a word that is not one".into()))
}
