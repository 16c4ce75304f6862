//! The operator's door: what needs the owner's login. Used by the `seatpilot` command and by tests, never by a
//! service. Every act names its tenant and sets that claim, so that it also works for an owner whom row level
//! security binds; and every act that changes something leaves a row in the audit log, in the same transaction.

mod audit;
mod bills;
mod credentials;
mod dead_letters;
mod guests;
mod kpis;
mod migrations;
mod roles;
mod turnout;
mod venues;

use std::sync::Arc;

use seatpilot_domain_model::TenantId;
use seatpilot_runtime::SecretString;
use serde_json::json;
use tokio_postgres::{Client, Transaction};

use crate::{
    Error, UrlFault,
    audit::{Act, record},
    connection::{Connection, Target},
};
pub use audit::AuditVerdict;
pub use crate::dead_letters::DeadLetterRow;
pub use bills::{CloseOutcome, ClosedMonth, GivenCredit, Miscount, TracedEvent};
pub use credentials::{DeviceRow, KeyRow, NewDevice, NewKey, RevokedKey};
pub use guests::{GuestRow, Imported, Revoked};
pub use kpis::{CheckinKpi, DoorToSeatKpi};
pub use migrations::{MIGRATIONS, Migration};
pub use roles::SERVICE_ROLES;
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
        Ok(Self { connection: target.open().await?, actor: ACTOR.into() })
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
