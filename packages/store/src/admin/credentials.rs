//! Devices. A token is shown once, when it is made.

use jiff::Timestamp;
use seatpilot_domain_model::{DeviceScope, TenantId, TokenHash};
use seatpilot_runtime::SecretString;
use serde_json::json;
use uuid::Uuid;

use super::{Admin, AdminError};
use crate::audit::{Act, record};

/// A device that was just made.
#[derive(Debug)]
pub struct NewDevice {
    /// Its id.
    pub id: Uuid,
    /// Its bearer token, 256 random bits. Only its hash is stored.
    pub token: SecretString,
}

/// A device in a list.
#[derive(Debug, Clone)]
pub struct DeviceRow {
    /// Its id.
    pub id: Uuid,
    /// What people call it.
    pub name: String,
    /// Its limits.
    pub venues: Option<Vec<String>>,
    /// Its limits.
    pub events: Option<Vec<String>>,
    /// Its limits.
    pub doors: Option<Vec<String>>,
    /// Its limits.
    pub channels: Option<Vec<String>>,
    /// Since when.
    pub created_at: Timestamp,
    /// Since when it is of no use.
    pub revoked_at: Option<Timestamp>,
}

impl Admin {
    /// Makes a device.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn add_device(
        &mut self,
        tenant: &TenantId,
        name: &str,
        scope: &DeviceScope,
    ) -> Result<NewDevice, AdminError> {
        let token = format!("spd_{}", hex(&random::<32>()?));
        let id = self.put_device(tenant, name, scope, &SecretString::from(token.as_str())).await?;
        Ok(NewDevice { id, token: SecretString::from(token.as_str()) })
    }

    /// Makes a device with a token that the caller made, unless a device with that token is there.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn put_device(
        &mut self,
        tenant: &TenantId,
        name: &str,
        scope: &DeviceScope,
        token: &SecretString,
    ) -> Result<Uuid, AdminError> {
        fn words<T: AsRef<str>>(set: Option<&std::collections::BTreeSet<T>>) -> Option<Vec<&str>> {
            set.map(|set| set.iter().map(AsRef::as_ref).collect())
        }
        let hash = TokenHash::of(token.expose_secret().as_bytes());
        let channels: Option<Vec<&str>> =
            scope.channels.as_ref().map(|set| set.iter().map(|channel| channel.as_str()).collect());
        let limits = json!({
            "venues": words(scope.venues.as_ref()), "events": words(scope.events.as_ref()),
            "doors": words(scope.doors.as_ref()), "channels": channels,
        });
        let actor = self.actor();
        let transaction = self.claimed(tenant).await?;
        let row = transaction
            .query_one(
                "with was as (select d.name from ops.devices d where d.token_hash = $4)
                 insert into ops.devices (device_id, tenant_id, name, token_hash, venues, events, doors, channels)
                 values ($1, $2::text, $3, $4, $5, $6, $7, $8)
                 on conflict (token_hash) do update set name = excluded.name
                 returning device_id, xmax = 0 as made, (select was.name from was) as was",
                &[
                    &Uuid::now_v7(),
                    &tenant.as_str(),
                    &name,
                    &hash.as_bytes().as_slice(),
                    &words(scope.venues.as_ref()),
                    &words(scope.events.as_ref()),
                    &words(scope.doors.as_ref()),
                    &channels,
                ],
            )
            .await?;
        let id: Uuid = row.try_get("device_id")?;
        let was: Option<&str> = row.try_get("was")?;
        let (target_id, before) = (id.to_string(), was.map(|name| json!({ "name": name })));
        let act = if row.try_get("made")? {
            Some(("device.make", json!({ "name": name, "limits": limits })))
        } else {
            (was != Some(name)).then(|| ("device.rename", json!({ "name": name })))
        };
        if let Some((action, after)) = act {
            let (target_id, before) = (target_id.as_str(), before.as_ref());
            let act = Act { action, target_type: "device", target_id, before, after: Some(&after) };
            record(&transaction, &actor, act).await?;
        }
        transaction.commit().await?;
        Ok(id)
    }

    /// The tenant's devices, oldest first.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn devices(&mut self, tenant: &TenantId) -> Result<Vec<DeviceRow>, AdminError> {
        let transaction = self.claimed(tenant).await?;
        let rows = transaction
            .query(
                "select device_id, name, venues, events, doors, channels, created_at, revoked_at
                 from ops.devices where tenant_id = $1 order by created_at, device_id",
                &[&tenant.as_str()],
            )
            .await?;
        rows.iter()
            .map(|row| {
                Ok(DeviceRow {
                    id: row.try_get("device_id")?,
                    name: row.try_get("name")?,
                    venues: row.try_get("venues")?,
                    events: row.try_get("events")?,
                    doors: row.try_get("doors")?,
                    channels: row.try_get("channels")?,
                    created_at: row.try_get("created_at")?,
                    revoked_at: row.try_get("revoked_at")?,
                })
            })
            .collect()
    }

    /// Revokes a device: within 5 s no instance knows it. False where the tenant has no such device.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn revoke_device(&mut self, tenant: &TenantId, device: Uuid) -> Result<bool, AdminError> {
        const REVOKE: &str = "with was as (
                select d.device_id, d.revoked_at from ops.devices d
                where d.device_id = $1 and d.tenant_id = $2 for update)
            update ops.devices d set revoked_at = coalesce(d.revoked_at, now()) from was
            where d.device_id = was.device_id and d.tenant_id = $2
            returning was.revoked_at is null as changed";
        let actor = self.actor();
        let transaction = self.claimed(tenant).await?;
        let row = transaction.query_opt(REVOKE, &[&device, &tenant.as_str()]).await?;
        let Some(row) = row else { return Ok(false) };
        if row.try_get("changed")? {
            let target_id = device.to_string();
            record(&transaction, &actor, revocation("device.revoke", "device", &target_id)).await?;
        }
        transaction.commit().await?;
        Ok(true)
    }
}

pub(super) fn revocation<'a>(action: &'static str, target_type: &'static str, target_id: &'a str) -> Act<'a> {
    Act { action, target_type, target_id, before: None, after: None }
}

pub(super) fn random<const N: usize>() -> Result<[u8; N], AdminError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| {
        AdminError::Refused(format!("the operating system gives no random bytes: {error}"))
    })?;
    Ok(bytes)
}

pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
