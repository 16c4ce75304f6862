//! The KPI rows of an event, as `seatpilot up` prints them.

use jiff::Timestamp;
use seatpilot_domain_model::{EventId, TenantId};

use super::{Admin, AdminError};

/// A minute of check-ins at a door.
#[derive(Debug, Clone)]
pub struct CheckinKpi {
    /// The minute's beginning.
    pub minute: Timestamp,
    /// The channel.
    pub channel: String,
    /// The door.
    pub door_id: String,
    /// Tickets.
    pub checkins: i64,
    /// People.
    pub guests: i64,
    /// Median of the time to decide, in ms.
    pub p50_ms: Option<f64>,
    /// Its 95th percentile, in ms.
    pub p95_ms: Option<f64>,
}

/// A minute of arrivals in a section.
#[derive(Debug, Clone)]
pub struct DoorToSeatKpi {
    /// The minute's beginning.
    pub minute: Timestamp,
    /// The channel of the check-ins.
    pub channel: String,
    /// The section.
    pub section: Option<String>,
    /// Arrivals in time.
    pub arrivals: i64,
    /// Arrivals after more than 15 min.
    pub outliers: i64,
    /// Median, in seconds.
    pub p50_seconds: Option<f64>,
    /// 95th percentile, in seconds.
    pub p95_seconds: Option<f64>,
}

impl Admin {
    /// Check-in KPIs of an event, newest minute first.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn checkin_kpis(
        &mut self,
        tenant: &TenantId,
        event: &EventId,
    ) -> Result<Vec<CheckinKpi>, AdminError> {
        let transaction = self.claimed(tenant).await?;
        let rows = transaction
            .query(
                "select minute, channel, door_id, checkins::bigint, guests::bigint, p50_ms::float8, p95_ms::float8
                 from telemetry.mv_kpi_checkin where tenant_id = $1 and event_id = $2
                 order by minute desc, door_id, channel limit 500",
                &[&tenant.as_str(), &event.as_str()],
            )
            .await?;
        rows.iter()
            .map(|row| {
                Ok(CheckinKpi {
                    minute: row.try_get(0)?,
                    channel: row.try_get(1)?,
                    door_id: row.try_get(2)?,
                    checkins: row.try_get(3)?,
                    guests: row.try_get(4)?,
                    p50_ms: row.try_get(5)?,
                    p95_ms: row.try_get(6)?,
                })
            })
            .collect()
    }

    /// Door-to-seat KPIs of an event, newest minute first.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn door_to_seat_kpis(
        &mut self,
        tenant: &TenantId,
        event: &EventId,
    ) -> Result<Vec<DoorToSeatKpi>, AdminError> {
        let transaction = self.claimed(tenant).await?;
        let rows = transaction
            .query(
                "select minute, channel, section, arrivals::bigint, outliers::bigint, p50_seconds::float8, p95_seconds::float8
                 from telemetry.mv_kpi_door2seat where tenant_id = $1 and event_id = $2
                 order by minute desc, section, channel limit 500",
                &[&tenant.as_str(), &event.as_str()],
            )
            .await?;
        rows.iter()
            .map(|row| {
                Ok(DoorToSeatKpi {
                    minute: row.try_get(0)?,
                    channel: row.try_get(1)?,
                    section: row.try_get(2)?,
                    arrivals: row.try_get(3)?,
                    outliers: row.try_get(4)?,
                    p50_seconds: row.try_get(5)?,
                    p95_seconds: row.try_get(6)?,
                })
            })
            .collect()
    }
}
