//! A signing key's secret, changed while it is in use: the old one verifies until the end of its grace, and never are
//! there more than two.

use jiff::{SignedDuration, Timestamp};
use seatpilot_domain_model::TenantId;
use seatpilot_runtime::SecretBytes;
use serde_json::json;

use super::{
    Admin, AdminError,
    credentials::random,
    key_sealing::{Opened, Stored, unsealed},
};
use crate::audit::{Act, record};

/// How long the previous secret of a key verifies, where nobody says otherwise.
pub const DEFAULT_GRACE: SignedDuration = SignedDuration::from_hours(24);
/// The longest grace: who needs more has forgotten a sender.
pub const GRACE_MAX: SignedDuration = SignedDuration::from_hours(30 * 24);

/// What becomes of a previous secret whose grace is not over when its key is rotated again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PreviousSecret {
    /// It is kept, and the rotation refused.
    Kept,
    /// It is dropped, and verifies nothing from now on.
    Dropped,
}

/// A key with a new secret.
#[derive(Debug)]
pub struct RotatedKey {
    /// The new secret, 32 random bytes.
    pub secret: SecretBytes,
    /// When it took the old one's place, by the database's clock.
    pub rotated_at: Timestamp,
    /// Until when the old one verifies, too; none without a grace.
    pub previous_until: Option<Timestamp>,
}

/// What became of a key that was to be rotated.
#[derive(Debug)]
pub enum Rotation {
    /// It has a new secret.
    Done(RotatedKey),
    /// A previous secret still verifies, for so long.
    StillLive {
        /// Until when.
        until: Timestamp,
        /// How long that is.
        left: SignedDuration,
    },
    /// The key is revoked.
    Revoked,
    /// The tenant has no such key.
    Unknown,
}

impl Admin {
    /// Gives a key a new secret. The old one verifies until so long after the rotation, to the microsecond by the
    /// clocks of the services; a previous one that is still live is `before`'s business.
    ///
    /// # Errors
    /// [`AdminError::Refused`] for a grace outside 0 to [`GRACE_MAX`], and where the secret cannot be opened.
    pub async fn rotate_key(
        &mut self,
        tenant: &TenantId,
        key_id: &str,
        grace: SignedDuration,
        before: PreviousSecret,
    ) -> Result<Rotation, AdminError> {
        if grace.is_negative() || grace > GRACE_MAX {
            return Err(AdminError::Refused(format!("a grace lasts at most {} h", GRACE_MAX.as_hours())));
        }
        let new = SecretBytes::new(random::<32>()?.to_vec());
        let (actor, sealing) = (self.actor(), self.sealing());
        let transaction = self.claimed(tenant).await?;
        // Two rotations at once are one after the other, and the second one sees what the first one wrote.
        let row = transaction
            .query_opt(
                "select key_id, secret, previous_secret, sealed_with, revoked_at, rotated_at,
                    case when previous_expires_at > now() then previous_expires_at end as live_until,
                    now() as moment
                 from ops.signing_keys where tenant_id = $1 and key_id = $2 for update",
                &[&tenant.as_str(), &key_id],
            )
            .await?;
        let Some(row) = row else { return Ok(Rotation::Unknown) };
        if row.try_get::<_, Option<Timestamp>>("revoked_at")?.is_some() {
            return Ok(Rotation::Revoked);
        }
        let moment: Timestamp = row.try_get("moment")?;
        let live_until: Option<Timestamp> = row.try_get("live_until")?;
        if let (Some(until), PreviousSecret::Kept) = (live_until, before) {
            return Ok(Rotation::StillLive { until, left: until.duration_since(moment) });
        }
        let was_sealed: Option<&str> = row.try_get("sealed_with")?;
        if was_sealed.is_some() && sealing.is_none() {
            return Err(unsealed());
        }
        let old = Opened::of(sealing.as_deref(), tenant, &row)?.map_err(|reason| {
            AdminError::Refused(format!(
                "the secret of {key_id} cannot be opened: {reason}; revoke the key and make another one"
            ))
        })?;
        // Without a grace nothing of the old secret is kept.
        let previous = (!grace.is_zero()).then_some(&old.secret);
        let previous_until = previous.map(|_| moment.saturating_add(grace)).transpose();
        let previous_until =
            previous_until.map_err(|_| AdminError::Refused("such a grace has no end".into()))?;
        let stored = Stored::of(sealing.as_deref(), tenant, key_id, &new, previous)?;
        transaction
            .execute(
                "update ops.signing_keys set secret = $3, previous_secret = $4, previous_expires_at = $5,
                    sealed_with = $6, rotated_at = $7
                 where tenant_id = $1 and key_id = $2",
                &[
                    &tenant.as_str(),
                    &key_id,
                    &stored.secret,
                    &stored.previous,
                    &previous_until,
                    &stored.sealed_with,
                    &moment,
                ],
            )
            .await?;
        let was = json!({
            "rotated_at": row.try_get::<_, Option<Timestamp>>("rotated_at")?,
            "previous_until": live_until,
        });
        let is = json!({
            "rotated_at": moment, "previous_until": previous_until, "sealed_with": stored.sealed_with,
            "previous_dropped": live_until.is_some(),
        });
        let act = Act {
            action: "key.rotate",
            target_type: "key",
            target_id: key_id,
            before: Some(&was),
            after: Some(&is),
        };
        record(&transaction, &actor, act).await?;
        transaction.commit().await?;
        Ok(Rotation::Done(RotatedKey { secret: new, rotated_at: moment, previous_until }))
    }
}
