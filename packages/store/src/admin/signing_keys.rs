//! Signing keys: made, listed, revoked. A secret is shown once, when it is made; who has a key file writes it sealed.

use jiff::Timestamp;
use seatpilot_domain_model::{KeyScope, TenantId};
use seatpilot_runtime::SecretBytes;
use seatpilot_signing::SessionKeyId;
use serde_json::json;

use super::{
    Admin, AdminError,
    credentials::{hex, random, revocation},
    key_sealing::{Opened, Stored, unsealed},
};
use crate::audit::{Act, record};

/// A signing key that was just made.
#[derive(Debug)]
pub struct NewKey {
    /// The id that senders name.
    pub key_id: String,
    /// The secret, 32 random bytes.
    pub secret: SecretBytes,
}

/// A signing key in a list.
#[derive(Debug, Clone)]
pub struct KeyRow {
    /// The id that senders name.
    pub key_id: String,
    /// What it may do.
    pub scopes: Vec<String>,
    /// Since when.
    pub created_at: Timestamp,
    /// Since when it has the secret that it has, where that is not its first.
    pub rotated_at: Option<Timestamp>,
    /// Until when the secret before that one verifies, too.
    pub previous_until: Option<Timestamp>,
    /// The name of the at-rest key that sealed its secrets; none where they are not sealed.
    pub sealed_with: Option<String>,
    /// Since when it is of no use.
    pub revoked_at: Option<Timestamp>,
}

/// What became of a key that was to be revoked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RevokedKey {
    /// Revoked now, or before.
    Revoked,
    /// The tenant has no such key.
    Unknown,
}

/// Whether a key signs with a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeldKey {
    /// It is the key's current secret.
    Current,
    /// The key has another one, is revoked, or cannot be opened.
    Otherwise,
    /// The tenant has no such key.
    Unknown,
}

impl Admin {
    /// Makes a signing key; without an id one is made up.
    ///
    /// # Errors
    /// [`AdminError::Refused`] where the id is taken.
    pub async fn add_key(
        &mut self,
        tenant: &TenantId,
        key_id: Option<&str>,
        scopes: &[KeyScope],
    ) -> Result<NewKey, AdminError> {
        let key_id = match key_id {
            Some(id) => id.to_owned(),
            None => format!("key_{}", hex(&random::<8>()?)),
        };
        let secret = SecretBytes::new(random::<32>()?.to_vec());
        if !self.put_key(tenant, &key_id, scopes, &secret).await? {
            return Err(AdminError::Refused(format!("a key {key_id} is there already: choose another id")));
        }
        Ok(NewKey { key_id, secret })
    }

    /// Makes a signing key with a secret that the caller made. False where the id is taken.
    ///
    /// # Errors
    /// [`AdminError::Refused`] where the tenant's other keys are sealed and there is no key to seal this one with, and for an
    /// id that would be taken for one of a browser's session.
    pub async fn put_key(
        &mut self,
        tenant: &TenantId,
        key_id: &str,
        scopes: &[KeyScope],
        secret: &SecretBytes,
    ) -> Result<bool, AdminError> {
        if SessionKeyId::is_reserved(key_id) {
            let reserved = format!("{key_id} begins like the keys of browsers' sessions: choose another id");
            return Err(AdminError::Refused(reserved));
        }
        let scopes: Vec<&str> = scopes.iter().map(|scope| scope.as_str()).collect();
        let (actor, sealing) = (self.actor(), self.sealing());
        let stored = Stored::of(sealing.as_deref(), tenant, key_id, secret, None)?;
        let transaction = self.claimed(tenant).await?;
        if sealing.is_none() {
            let sealed = "select exists (select from ops.signing_keys where tenant_id = $1 and sealed_with is not null)";
            if transaction.query_one(sealed, &[&tenant.as_str()]).await?.try_get(0)? {
                return Err(unsealed());
            }
        }
        let made = transaction
            .execute(
                "insert into ops.signing_keys (key_id, tenant_id, scopes, secret, sealed_with)
                 values ($1, $2::text, $3, $4, $5)
                 on conflict (key_id) do nothing",
                &[&key_id, &tenant.as_str(), &scopes, &stored.secret, &stored.sealed_with],
            )
            .await?;
        if made == 1 {
            let after = json!({ "scopes": scopes, "sealed_with": stored.sealed_with });
            let act = Act {
                action: "key.make",
                target_type: "key",
                target_id: key_id,
                before: None,
                after: Some(&after),
            };
            record(&transaction, &actor, act).await?;
        }
        transaction.commit().await?;
        Ok(made == 1)
    }

    /// Whether a key of the tenant signs with this secret now.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn holds_key(
        &mut self,
        tenant: &TenantId,
        key_id: &str,
        secret: &SecretBytes,
    ) -> Result<HeldKey, AdminError> {
        let sealing = self.sealing();
        let transaction = self.claimed(tenant).await?;
        let row = transaction
            .query_opt(
                "select key_id, secret, previous_secret, sealed_with, revoked_at
                 from ops.signing_keys where tenant_id = $1 and key_id = $2",
                &[&tenant.as_str(), &key_id],
            )
            .await?;
        let Some(row) = row else { return Ok(HeldKey::Unknown) };
        let revoked: Option<Timestamp> = row.try_get("revoked_at")?;
        let current = Opened::of(sealing.as_deref(), tenant, &row)?;
        let same = current.is_ok_and(|current| current.secret.expose_secret() == secret.expose_secret());
        Ok(if same && revoked.is_none() { HeldKey::Current } else { HeldKey::Otherwise })
    }

    /// The tenant's signing keys, oldest first, without their secrets.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn keys(&mut self, tenant: &TenantId) -> Result<Vec<KeyRow>, AdminError> {
        let transaction = self.claimed(tenant).await?;
        let rows = transaction
            .query(
                "select key_id, scopes, created_at, rotated_at,
                    case when previous_expires_at > now() then previous_expires_at end as previous_until,
                    sealed_with, revoked_at
                 from ops.signing_keys
                 where tenant_id = $1 order by created_at, key_id",
                &[&tenant.as_str()],
            )
            .await?;
        rows.iter()
            .map(|row| {
                Ok(KeyRow {
                    key_id: row.try_get("key_id")?,
                    scopes: row.try_get("scopes")?,
                    created_at: row.try_get("created_at")?,
                    rotated_at: row.try_get("rotated_at")?,
                    previous_until: row.try_get("previous_until")?,
                    sealed_with: row.try_get("sealed_with")?,
                    revoked_at: row.try_get("revoked_at")?,
                })
            })
            .collect()
    }

    /// Revokes a key, both of its secrets: within 5 s no instance takes it.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn revoke_key(&mut self, tenant: &TenantId, key_id: &str) -> Result<RevokedKey, AdminError> {
        const REVOKE: &str = "with was as (
                select k.key_id, k.revoked_at from ops.signing_keys k
                where k.key_id = $1 and k.tenant_id = $2 for update)
            update ops.signing_keys k set revoked_at = coalesce(k.revoked_at, now()) from was
            where k.key_id = was.key_id and k.tenant_id = $2
            returning was.revoked_at is null as changed";
        let actor = self.actor();
        let transaction = self.claimed(tenant).await?;
        let row = transaction.query_opt(REVOKE, &[&key_id, &tenant.as_str()]).await?;
        let Some(row) = row else { return Ok(RevokedKey::Unknown) };
        if row.try_get("changed")? {
            record(&transaction, &actor, revocation("key.revoke", "key", key_id)).await?;
        }
        transaction.commit().await?;
        Ok(RevokedKey::Revoked)
    }
}
