//! The secrets of signing keys as they are written and read: sealed where there is a key file; and all of them sealed
//! anew, after an at-rest key came or went.

use jiff::Timestamp;
use seatpilot_domain_model::TenantId;
use seatpilot_runtime::SecretBytes;
use serde_json::json;
use tokio_postgres::Row;

use super::{Admin, AdminError};
use crate::{
    audit::{Act, record},
    sealing::{Column, Place, SealFault, Sealing},
};

/// Rows that are sealed anew in one transaction.
const RESEALED_AT_ONCE: i64 = 200;

/// A step of sealing a tenant's keys anew.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Resealed {
    /// Rows that were looked at.
    pub looked_at: u64,
    /// Rows that were written.
    pub sealed: u64,
    /// Keys whose secret cannot be opened, each with the reason; left as they are.
    pub unreadable: Vec<(String, String)>,
    /// The last key that was looked at: where the next step begins. None at the end.
    pub next: Option<String>,
}

impl Admin {
    /// Seals the next of a tenant's keys with the first at-rest key, from the key after `after` on: those that are not
    /// sealed with it, and those that keep a previous secret whose grace is over, which goes. To be called again with
    /// what it says comes next; stopped anywhere and begun anew, it does what is left.
    ///
    /// # Errors
    /// [`AdminError::Refused`] without an at-rest key.
    pub async fn reseal_keys(
        &mut self,
        tenant: &TenantId,
        after: Option<&str>,
    ) -> Result<Resealed, AdminError> {
        let (actor, sealing) = (self.actor(), self.sealing());
        let sealing = sealing.as_deref().ok_or_else(unsealed)?;
        let transaction = self.claimed(tenant).await?;
        let rows = transaction
            .query(
                "select key_id, secret, previous_secret, previous_expires_at, sealed_with,
                    coalesce(previous_expires_at <= now(), false) as over
                 from ops.signing_keys
                 where tenant_id = $1 and key_id > $2
                    and (sealed_with is distinct from $3::text or previous_expires_at <= now())
                 order by key_id limit $4 for update",
                &[&tenant.as_str(), &after.unwrap_or_default(), &sealing.name(), &RESEALED_AT_ONCE],
            )
            .await?;
        let mut done = Resealed { looked_at: rows.len() as u64, ..Resealed::default() };
        for row in &rows {
            let key_id: &str = row.try_get("key_id")?;
            let opened = match Opened::of(Some(sealing), tenant, row)? {
                Ok(opened) => opened,
                Err(fault) => {
                    done.unreadable.push((key_id.to_owned(), fault.to_string()));
                    continue;
                }
            };
            let over: bool = row.try_get("over")?;
            let previous = opened.previous.as_ref().filter(|_| !over);
            let until: Option<Timestamp> = row.try_get("previous_expires_at")?;
            let stored = Stored::of(Some(sealing), tenant, key_id, &opened.secret, previous)?;
            done.sealed += transaction
                .execute(
                    "update ops.signing_keys
                     set secret = $3, previous_secret = $4, previous_expires_at = $5, sealed_with = $6
                     where tenant_id = $1 and key_id = $2",
                    &[
                        &tenant.as_str(),
                        &key_id,
                        &stored.secret,
                        &stored.previous,
                        &until.filter(|_| previous.is_some()),
                        &stored.sealed_with,
                    ],
                )
                .await?;
        }
        if done.sealed > 0 {
            let after = json!({ "keys": done.sealed, "sealed_with": sealing.name() });
            let act = Act {
                action: "key.reencrypt",
                target_type: "tenant",
                target_id: tenant.as_str(),
                before: None,
                after: Some(&after),
            };
            record(&transaction, &actor, act).await?;
        }
        if i64::try_from(rows.len()).unwrap_or(i64::MAX) == RESEALED_AT_ONCE {
            done.next = rows.last().map(|row| row.try_get("key_id")).transpose()?;
        }
        transaction.commit().await?;
        Ok(done)
    }
}

/// There are sealed secrets, and nothing to open or seal them with.
pub(super) fn unsealed() -> AdminError {
    AdminError::Refused(
        "the secrets of this database are sealed: set SEATPILOT_SECRETS_KEY_FILE to the file with its keys"
            .into(),
    )
}

/// A row's secrets as they are written.
pub(super) struct Stored {
    pub(super) secret: Vec<u8>,
    pub(super) previous: Option<Vec<u8>>,
    pub(super) sealed_with: Option<String>,
}

impl Stored {
    pub(super) fn of(
        sealing: Option<&Sealing>,
        tenant: &TenantId,
        key_id: &str,
        secret: &SecretBytes,
        previous: Option<&SecretBytes>,
    ) -> Result<Self, AdminError> {
        let write = |column, secret: &SecretBytes| match sealing {
            Some(sealing) => sealing.seal(Place { tenant, key_id, column }, secret),
            None => Ok(secret.expose_secret().clone()),
        };
        let refused = |fault: SealFault| AdminError::Refused(format!("the secret of {key_id}: {fault}"));
        Ok(Self {
            secret: write(Column::Secret, secret).map_err(refused)?,
            previous: previous
                .map(|previous| write(Column::PreviousSecret, previous))
                .transpose()
                .map_err(refused)?,
            sealed_with: sealing.map(|sealing| sealing.name().to_owned()),
        })
    }
}

/// A row's secrets as they were made.
pub(super) struct Opened {
    pub(super) secret: SecretBytes,
    pub(super) previous: Option<SecretBytes>,
}

impl Opened {
    /// Of a row with `key_id`, `secret`, `previous_secret` and `sealed_with`.
    pub(super) fn of(
        sealing: Option<&Sealing>,
        tenant: &TenantId,
        row: &Row,
    ) -> Result<Result<Self, SealFault>, AdminError> {
        let key_id: &str = row.try_get("key_id")?;
        let (secret, previous): (&[u8], Option<&[u8]>) =
            (row.try_get("secret")?, row.try_get("previous_secret")?);
        let name: Option<&str> = row.try_get("sealed_with")?;
        let read = |column, stored: &[u8]| match (name, sealing) {
            (None, _) => Ok(SecretBytes::new(stored.to_vec())),
            (Some(name), Some(sealing)) => sealing.open(Place { tenant, key_id, column }, name, stored),
            (Some(_), None) => Err(SealFault::OtherKey),
        };
        let opened = || {
            Ok(Self {
                secret: read(Column::Secret, secret)?,
                previous: previous.map(|previous| read(Column::PreviousSecret, previous)).transpose()?,
            })
        };
        Ok(opened())
    }
}
