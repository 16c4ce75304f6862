//! Who works on a tenant's letters, and how their statements reach the database.

use seatpilot_domain_model::{REDRIVE_ATTEMPTS_MAX, TenantId};
use tokio_postgres::{Row, types::ToSql};
use uuid::Uuid;

use super::{DeadLetterRow, KeptDeadLetter, LetterCursor, LetterFilter, plan::Plan};
use crate::{
    Error,
    admin::{Admin, AdminError},
    audit::Origin,
    quotas::Quotas,
    reader::Reader,
};

/// Somebody who works on a tenant's letters.
pub struct DeadLetterDesk<'a> {
    pub(super) by: By<'a>,
    pub(super) tenant: TenantId,
    /// Where a person's request came from.
    pub(super) origin: Origin<'a>,
    pub(super) plan: Plan<'a>,
}

/// By which door.
pub(crate) enum By<'a> {
    /// The owner's login.
    Operator(&'a mut Admin),
    /// The service, under a person's claims.
    Person {
        /// Their connections.
        people: &'a Reader,
        /// As a policy reads them.
        claims: String,
    },
}

impl<'a> DeadLetterDesk<'a> {
    pub(crate) fn new(by: By<'a>, tenant: TenantId, origin: Origin<'a>, quotas: Option<&'a Quotas>) -> Self {
        Self { by, tenant, origin, plan: Plan::of(quotas) }
    }

    /// Letters, newest first, behind a cursor.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn list(
        &mut self,
        filter: &LetterFilter,
        after: Option<LetterCursor>,
        limit: u32,
    ) -> Result<Vec<DeadLetterRow>, Error> {
        const SQL: &str = include_str!("../../sql/dlq_list.sql");
        let tenant = self.tenant.clone();
        let rows = self
            .read(
                SQL,
                &[
                    &tenant.as_str(),
                    &filter.reason.map(|reason| reason.as_str()),
                    &filter.event_type,
                    &filter.key_id,
                    &filter.state.map(|state| state.as_str()),
                    &filter.received_from,
                    &filter.received_before,
                    &after.map(|cursor| cursor.received_at),
                    &after.map(|cursor| cursor.dlq_id),
                    &i64::from(limit),
                ],
            )
            .await?;
        rows.iter().map(DeadLetterRow::of_row).collect()
    }

    /// One letter with its bytes; none where the tenant has no such letter.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn show(&mut self, dlq_id: Uuid) -> Result<Option<KeptDeadLetter>, Error> {
        Ok(self.letters(&[dlq_id]).await?.pop())
    }

    /// The letters that wait, match and may be sent again, oldest first, behind a cursor. A filter's state is not asked.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn redrivable(
        &mut self,
        filter: &LetterFilter,
        after: Option<LetterCursor>,
        limit: u32,
    ) -> Result<Vec<LetterCursor>, Error> {
        self.waiting(filter, Some(REDRIVE_ATTEMPTS_MAX), after, limit).await
    }

    /// The letters that wait and match, oldest first, behind a cursor. A filter's state is not asked.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn discardable(
        &mut self,
        filter: &LetterFilter,
        after: Option<LetterCursor>,
        limit: u32,
    ) -> Result<Vec<LetterCursor>, Error> {
        self.waiting(filter, None, after, limit).await
    }

    async fn waiting(
        &mut self,
        filter: &LetterFilter,
        attempts_below: Option<i32>,
        after: Option<LetterCursor>,
        limit: u32,
    ) -> Result<Vec<LetterCursor>, Error> {
        const SQL: &str = include_str!("../../sql/dlq_waiting.sql");
        let tenant = self.tenant.clone();
        let rows = self
            .read(
                SQL,
                &[
                    &tenant.as_str(),
                    &filter.reason.map(|reason| reason.as_str()),
                    &filter.event_type,
                    &filter.key_id,
                    &filter.received_from,
                    &filter.received_before,
                    &attempts_below,
                    &after.map(|cursor| cursor.received_at),
                    &after.map(|cursor| cursor.dlq_id),
                    &i64::from(limit),
                ],
            )
            .await?;
        rows.iter()
            .map(|row| {
                Ok(LetterCursor { dlq_id: row.try_get("dlq_id")?, received_at: row.try_get("received_at")? })
            })
            .collect()
    }

    pub(super) async fn letters(&mut self, ids: &[Uuid]) -> Result<Vec<KeptDeadLetter>, Error> {
        const SQL: &str = include_str!("../../sql/dlq_letters.sql");
        let tenant = self.tenant.clone();
        let rows = self.read(SQL, &[&tenant.as_str(), &ids]).await?;
        rows.iter().map(KeptDeadLetter::of_row).collect()
    }

    /// What the audit log calls the one who acts.
    pub(super) fn actor(&self) -> (&'static str, String) {
        match &self.by {
            By::Operator(admin) => ("operator", admin.actor().to_string()),
            // Who it is, the database reads in the claims.
            By::Person { .. } => ("person", String::new()),
        }
    }

    /// Reads what the one who asks may see.
    pub(super) async fn read(
        &mut self,
        sql: &'static str,
        values: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, Error> {
        match &mut self.by {
            By::Operator(admin) => operator(admin, &self.tenant, sql, values).await,
            By::Person { people, claims } => people.as_person(claims, sql, values).await,
        }
    }

    /// Runs a function of the queue, in a transaction of its own.
    pub(super) async fn act(
        &mut self,
        sql: &'static str,
        values: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, Error> {
        match &mut self.by {
            By::Operator(admin) => operator(admin, &self.tenant, sql, values).await,
            By::Person { people, claims } => people.for_person(claims, sql, values).await,
        }
    }
}

async fn operator(
    admin: &mut Admin,
    tenant: &TenantId,
    sql: &'static str,
    values: &[&(dyn ToSql + Sync)],
) -> Result<Vec<Row>, Error> {
    let transaction = admin.claimed(tenant).await.map_err(|error| match error {
        AdminError::Store(error) => error,
        other @ (AdminError::Url(_) | AdminError::Refused(_)) => Error::Corrupt(other.to_string()),
    })?;
    let rows = transaction.query(sql, values).await?;
    transaction.commit().await?;
    Ok(rows)
}
