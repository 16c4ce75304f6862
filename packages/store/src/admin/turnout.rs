//! What became of an event's guests and of a key's telemetry, counted from the rows: what a simulated evening is
//! held against.

use std::collections::BTreeMap;

use jiff::Timestamp;
use seatpilot_domain_model::{EventId, TenantId};

use super::{Admin, AdminError};

/// The rows of one event and one key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Turnout {
    /// Tickets on the event's list.
    pub listed: u64,
    /// Admissions.
    pub sessions: u64,
    /// Tickets that were admitted; as many as there are sessions, or a ticket was admitted twice.
    pub tickets: u64,
    /// People who were admitted.
    pub people: u64,
    /// Guests who were seen at their seats.
    pub arrivals: u64,
    /// Of these, over 900 s after the door.
    pub outliers: u64,
    /// `checkin.success` that our own service wrote for these sessions: what the KPIs count.
    pub checkin_events: u64,
    /// `wayfinding.arrive_table` that our own service wrote for these sessions.
    pub arrival_events: u64,
    /// Events that came signed with the key.
    pub events: u64,
    /// Dead letters of the key, by reason.
    pub dead_letters: BTreeMap<String, u64>,
}

impl Admin {
    /// Counts them. Telemetry is counted from `since` on, so that no older day has to be read.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn turnout(
        &mut self,
        tenant: &TenantId,
        event: &EventId,
        key_id: &str,
        since: Timestamp,
    ) -> Result<Turnout, AdminError> {
        let (tenant_id, event) = (tenant.as_str(), event.as_str());
        let transaction = self.claimed(tenant).await?;
        let listed = transaction
            .query_one(
                "select count(*) from ops.tickets where tenant_id = $1 and event_id = $2",
                &[&tenant_id, &event],
            )
            .await?;
        let sessions = transaction
            .query_one(
                "select count(*), count(distinct ticket_id), coalesce(sum(party_size), 0)::bigint, count(arrived_at),
                        count(*) filter (where arrived_at - checked_in_at > interval '900 seconds')
                 from ops.checkin_sessions where tenant_id = $1 and event_id = $2",
                &[&tenant_id, &event],
            )
            .await?;
        let own = transaction
            .query_one(
                "select count(*) filter (where e.type = 'checkin.success'),
                        count(*) filter (where e.type = 'wayfinding.arrive_table')
                 from telemetry.events_raw e join ops.checkin_sessions s
                   on s.session_id = e.session_id and s.tenant_id = e.tenant_id
                 where e.tenant_id = $1 and s.event_id = $2 and e.source = 'service' and e.received_at >= $3",
                &[&tenant_id, &event, &since],
            )
            .await?;
        let signed = transaction
            .query_one(
                "select count(*) from telemetry.events_raw
                 where tenant_id = $1 and source = $2 and received_at >= $3",
                &[&tenant_id, &key_id, &since],
            )
            .await?;
        let letters = transaction
            .query(
                "select reason, count(*) from telemetry.events_dlq
                 where tenant_id = $1 and source_key_id = $2 and received_at >= $3 group by reason",
                &[&tenant_id, &key_id, &since],
            )
            .await?;
        // A count is never negative.
        let count = |row: &tokio_postgres::Row, at: usize| -> Result<u64, AdminError> {
            Ok(u64::try_from(row.try_get::<_, i64>(at)?).unwrap_or_default())
        };
        Ok(Turnout {
            listed: count(&listed, 0)?,
            sessions: count(&sessions, 0)?,
            tickets: count(&sessions, 1)?,
            people: count(&sessions, 2)?,
            arrivals: count(&sessions, 3)?,
            outliers: count(&sessions, 4)?,
            checkin_events: count(&own, 0)?,
            arrival_events: count(&own, 1)?,
            events: count(&signed, 0)?,
            dead_letters: letters
                .iter()
                .map(|row| Ok((row.try_get(0)?, count(row, 1)?)))
                .collect::<Result<_, AdminError>>()?,
        })
    }
}
