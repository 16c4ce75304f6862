//! The dead-letter queue, as an operator reads it.

use jiff::Timestamp;
use seatpilot_domain_model::TenantId;
use uuid::Uuid;

use super::{Admin, AdminError};

/// One refused item.
#[derive(Debug, Clone)]
pub struct DeadLetterRow {
    /// Its id.
    pub dlq_id: Uuid,
    /// Why it was refused.
    pub reason: String,
    /// What exactly.
    pub detail: String,
    /// When it came in.
    pub received_at: Timestamp,
    /// Who signed it.
    pub key_id: String,
    /// With which request it came.
    pub request_id: String,
    /// Its own id, where it could be read.
    pub event_id: Option<Uuid>,
    /// Its type, where it could be read.
    pub event_type: Option<String>,
    /// How many bytes were sent.
    pub payload_len: i32,
    /// `parked`, `redriving`, `redriven` or `discarded`.
    pub state: String,
}

impl Admin {
    /// The newest dead letters of a tenant, without their payloads.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn dead_letters(
        &mut self,
        tenant: &TenantId,
        limit: u32,
    ) -> Result<Vec<DeadLetterRow>, AdminError> {
        let transaction = self.claimed(tenant).await?;
        let rows = transaction
            .query(
                "select dlq_id, reason, reason_detail, received_at, source_key_id, request_id, event_id, event_type,
                        payload_len, state
                 from telemetry.events_dlq where tenant_id = $1 order by received_at desc, dlq_id desc limit $2",
                &[&tenant.as_str(), &i64::from(limit)],
            )
            .await?;
        rows.iter()
            .map(|row| {
                Ok(DeadLetterRow {
                    dlq_id: row.try_get("dlq_id")?,
                    reason: row.try_get("reason")?,
                    detail: row.try_get("reason_detail")?,
                    received_at: row.try_get("received_at")?,
                    key_id: row.try_get("source_key_id")?,
                    request_id: row.try_get("request_id")?,
                    event_id: row.try_get("event_id")?,
                    event_type: row.try_get("event_type")?,
                    payload_len: row.try_get("payload_len")?,
                    state: row.try_get("state")?,
                })
            })
            .collect()
    }
}
