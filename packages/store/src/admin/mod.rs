//! The operator's door: what needs the owner's login. Used by the `seatpilot` command and by tests, never by a
//! service. Every act names its tenant and sets that claim, so that it also works for an owner whom row level
//! security binds; and every act that changes something leaves a row in the audit log, in the same transaction.

mod audit;
mod bills;
mod credentials;
mod dead_letters;
mod guests;
mod key_rotation;
mod key_sealing;
mod kpis;
mod migrations;
mod roles;
mod signing_keys;
mod turnout;
mod venues;

use std::sync::Arc;

use seatpilot_domain_model::TenantId;
use seatpilot_runtime::{AtRest, SecretString};
use serde_json::json;
use tokio_postgres::{Client, Transaction};

pub use crate::dead_letters::DeadLetterRow;
use crate::{
    Error, UrlFault,
    audit::{Act, record},
    connection::{Connection, Target},
    sealing::Sealing,
};
pub use audit::AuditVerdict;
pub use bills::{CloseOutcome, ClosedMonth, GivenCredit, Miscount, TracedEvent};
pub use credentials::{DeviceRow, NewDevice};
pub use guests::{GuestRow, Imported, Revoked};
pub use key_rotation::{DEFAULT_GRACE, GRACE_MAX, PreviousSecret, RotatedKey, Rotation};
pub use key_sealing::Resealed;
pub use kpis::{CheckinKpi, DoorToSeatKpi};
pub use migrations::{MIGRATIONS, Migration};
pub use roles::SERVICE_ROLES;
pub use signing_keys::{HeldKey, KeyRow, NewKey, RevokedKey};
pub use turnout::Turnout;

/// Why an operator's act failed.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// The URL cannot be used.
    #[error("the database URL {0}")]
    Url(#[from] UrlFault),
    /// The database.
    #[error(transparent)]
    Store(#[from] Error),
    /// What was asked for cannot be done; a sentence for the operator.
    #[error("{0}")]
    Refused(String),
}

impl From<tokio_postgres::Error> for AdminError {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Store(error.into())
    }
}

/// A connection as the owner of the schema. Dropped, it is closed.
pub struct Admin {
    connection: Connection,
    /// Who is written down as the one who acts.
    actor: Arc<str>,
    /// Seals the secrets that it writes; none where they are written as they are made.
    sealing: Option<Arc<Sealing>>,
}

/// Who acts where nobody says so.
const ACTOR: &str = "seatpilot";
/// Longest name of an actor in the audit log, in characters.
const ACTOR_CHARACTERS_MAX: usize = 255;

impl Admin {
    /// Connects.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn connect(url: &SecretString) -> Result<Self, AdminError> {
        let target = Target::parse(url, "seatpilot")?;
        Ok(Self { connection: target.open().await?, actor: ACTOR.into(), sealing: None })
    }

    /// Names the one who acts, for the audit log: the account that runs the command.
    #[must_use]
    pub fn acting_as(mut self, actor: &str) -> Self {
        let name: String = actor.chars().filter(|c| !c.is_control()).take(ACTOR_CHARACTERS_MAX).collect();
        if !name.is_empty() {
            self.actor = name.into();
        }
        self
    }

    /// Gives it the keys with which secrets are sealed and opened.
    #[must_use]
    pub fn sealing_with(mut self, at_rest: &AtRest) -> Self {
        self.sealing = Sealing::new(&at_rest.keys).map(Arc::new);
        self
    }

    /// What seals; a copy, for a transaction borrows the connection.
    pub(crate) fn sealing(&self) -> Option<Arc<Sealing>> {
        self.sealing.clone()
    }

    /// Who is written down; a copy, for a transaction borrows the connection.
    pub(crate) fn actor(&self) -> Arc<str> {
        Arc::clone(&self.actor)
    }

    pub(crate) fn client(&mut self) -> &mut Client {
        &mut self.connection.client
    }

    /// A transaction under a tenant's claim.
    pub(crate) async fn claimed(&mut self, tenant: &TenantId) -> Result<Transaction<'_>, AdminError> {
        let transaction = self.client().transaction().await?;
        transaction.execute("select telemetry.claim($1)", &[&tenant.as_str()]).await?;
        Ok(transaction)
    }

    /// Makes a tenant, unless it is there.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn ensure_tenant(&mut self, tenant: &TenantId, name: &str) -> Result<(), AdminError> {
        let actor = self.actor();
        let transaction = self.claimed(tenant).await?;
        let made = transaction
            .execute(
                "insert into ops.tenants (tenant_id, name) values ($1::text, $2) on conflict do nothing",
                &[&tenant.as_str(), &name],
            )
            .await?;
        if made == 1 {
            let after = json!({ "name": name });
            let act = Act {
                action: "tenant.make",
                target_type: "tenant",
                target_id: tenant.as_str(),
                before: None,
                after: Some(&after),
            };
            record(&transaction, &actor, act).await?;
        }
        transaction.commit().await?;
        Ok(())
    }
}
