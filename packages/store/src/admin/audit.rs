//! The audit log as an operator reads and checks it.

use seatpilot_domain_model::TenantId;

use super::{Admin, AdminError};
use crate::audit::{AuditEntry, AuditFault, AuditHead, Chain};

/// Rows that are read at once: a log of any length is checked in little memory.
const PAGE_ROWS: i64 = 1_000;

/// What became of a check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditVerdict {
    /// Rows that were looked at.
    pub rows: u64,
    /// Where the log ends; number 0 for an empty one. Noted elsewhere, it is what a later check is held to.
    pub head: AuditHead,
    /// What is wrong.
    pub faults: Vec<AuditFault>,
}

impl Admin {
    /// Every tenant's id, in order.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn tenants(&mut self) -> Result<Vec<TenantId>, AdminError> {
        let rows = self.client().query(include_str!("../../sql/tenant_list.sql"), &[]).await?;
        rows.iter()
            .map(|row| {
                let id: &str = row.try_get(0)?;
                id.parse().map_err(|_| AdminError::Refused("a tenant's id is no slug".into()))
            })
            .collect()
    }

    /// The tenant's acts, newest first.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn audit(&mut self, tenant: &TenantId, limit: u32) -> Result<Vec<AuditEntry>, AdminError> {
        let transaction = self.claimed(tenant).await?;
        let rows = transaction
            .query(
                include_str!("../../sql/audit_list.sql"),
                &[&tenant.as_str(), &i64::MAX, &i64::from(limit)],
            )
            .await?;
        Ok(rows.iter().map(AuditEntry::of_row).collect::<Result<_, _>>()?)
    }

    /// Checks the tenant's whole log, as it stood at one moment. With `noted`, also that this head was once its own.
    ///
    /// # Errors
    /// [`AdminError`]; what is wrong with the log is no error but in the verdict.
    pub async fn verify_audit(
        &mut self,
        tenant: &TenantId,
        noted: Option<AuditHead>,
    ) -> Result<AuditVerdict, AdminError> {
        // One snapshot, so that an act meanwhile is no cut log.
        let transaction = self
            .client()
            .build_transaction()
            .isolation_level(tokio_postgres::IsolationLevel::RepeatableRead)
            .read_only(true)
            .start()
            .await?;
        transaction.execute("select telemetry.claim($1)", &[&tenant.as_str()]).await?;
        let mut chain = Chain::of(tenant).expect(noted);
        let (mut after, mut seen) = (i64::MIN, 0);
        loop {
            let rows = transaction
                .query(include_str!("../../sql/audit_chain.sql"), &[&tenant.as_str(), &after, &PAGE_ROWS])
                .await?;
            for row in &rows {
                let entry = AuditEntry::of_row(row)?;
                after = entry.seq;
                seen += 1;
                chain.row(&entry);
            }
            if i64::try_from(rows.len()).unwrap_or(i64::MAX) < PAGE_ROWS {
                break;
            }
        }
        let head = transaction
            .query_opt("select seq, hash from audit.heads where tenant_id = $1::text", &[&tenant.as_str()])
            .await?;
        let head = head.as_ref().map(AuditHead::of_row).transpose()?;
        let (head, faults) = chain.end(head);
        Ok(AuditVerdict { rows: seen, head, faults })
    }
}
