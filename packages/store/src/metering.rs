//! Usage as it is counted, and limits as they are in force. What counts for what, the database knows
//! (`app.v_metered_events`); here are the outcomes.

use std::{collections::HashMap, time::Duration};

use seatpilot_domain_model::{Entitlement, Limit, TenantId, VenueId};
use tokio_postgres::Row;
use uuid::Uuid;

use crate::{Behind, Error, Inner, Store};

/// Longer than the role's `statement_timeout` of 60 s, so that the server has the first word.
const COUNT_MAX: Duration = Duration::from_secs(65);
/// A claim a tenant, a few rows each.
const ENTITLEMENTS_MAX: Duration = Duration::from_secs(5);

/// What a beat of the counting came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Metered {
    /// What was committed is counted, or a bite of it.
    Counted {
        /// Events that were counted.
        events: u64,
        /// Whether more waited than one beat takes: count again at once.
        behind: Behind,
    },
    /// pg_cron drives the counting of this database.
    LeftToPgCron,
    /// Another instance is at it; nothing was done.
    Busy,
}

impl Store {
    /// Counts what was committed since the last time into the months that it is billed in, and runs the daily job
    /// when it is due.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn count_usage(&self) -> Result<Metered, Error> {
        const SQL: &str = include_str!("../sql/metering_tick.sql");
        let rows = self.inner.reader.look_up_within(COUNT_MAX, SQL, &[]).await?;
        let row = rows.first().ok_or_else(|| Error::Corrupt("metering_tick answered nothing".into()))?;
        match row.try_get("outcome")? {
            "counted" => Ok(Metered::Counted {
                events: u64::try_from(row.try_get::<_, i64>("rows_read")?).unwrap_or(0),
                behind: if row.try_get("caught_up")? { Behind::Nothing } else { Behind::More },
            }),
            "left_to_pg_cron" => Ok(Metered::LeftToPgCron),
            "busy" => Ok(Metered::Busy),
            other => Err(Error::Corrupt(format!("metering_tick answered {other}"))),
        }
    }

    /// What every tenant may use this month and what of it is used.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn entitlements(&self) -> Result<HashMap<TenantId, Vec<Entitlement>>, Error> {
        self.inner.entitlements().await
    }

    /// Writes down how many routes were answered, venue by venue. `batch` names what is written: the same again, after
    /// an error, counts once.
    ///
    /// # Errors
    /// [`Error`]; it may have been written.
    pub async fn record_routes(&self, tenant: &TenantId, batch: &[ServedRoutes]) -> Result<(), Error> {
        const SQL: &str = include_str!("../sql/routes_served.sql");
        let ids: Vec<Uuid> = batch.iter().map(|served| served.id).collect();
        let venues: Vec<&str> = batch.iter().map(|served| served.venue.as_str()).collect();
        let counts: Vec<i64> =
            batch.iter().map(|served| i64::try_from(served.count).unwrap_or(i64::MAX)).collect();
        self.inner.reader.look_up(SQL, &[&tenant.as_str(), &ids, &venues, &counts]).await?;
        Ok(())
    }
}

/// Routes that were answered at a venue, under the id that they are written with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServedRoutes {
    /// Of the event that says so.
    pub id: Uuid,
    /// Where.
    pub venue: VenueId,
    /// How many.
    pub count: u64,
}

impl Inner {
    pub(crate) async fn entitlements(&self) -> Result<HashMap<TenantId, Vec<Entitlement>>, Error> {
        const SQL: &str = include_str!("../sql/entitlements_in_force.sql");
        let rows = self.reader.look_up_within(ENTITLEMENTS_MAX, SQL, &[]).await?;
        let mut all: HashMap<TenantId, Vec<Entitlement>> = HashMap::new();
        for row in &rows {
            let tenant: TenantId = parsed(row.try_get("tenant_id")?)?;
            all.entry(tenant).or_default().push(entitlement(row)?);
        }
        Ok(all)
    }
}

/// Counts come as Postgres' signed `bigint` and are never negative.
pub(crate) fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

pub(crate) fn parsed<T: std::str::FromStr>(text: &str) -> Result<T, Error> {
    text.parse().map_err(|_| Error::Corrupt(format!("the database has {text} where none of ours belongs")))
}

/// A row of `entitlements_of`.
pub(crate) fn entitlement(row: &Row) -> Result<Entitlement, Error> {
    let limit = match (
        row.try_get::<_, Option<i64>>("limit_quantity")?,
        row.try_get::<_, Option<&str>>("limit_kind")?,
    ) {
        (Some(quantity), Some(kind)) => Some(Limit { quantity: unsigned(quantity), kind: parsed(kind)? }),
        _ => None,
    };
    Ok(Entitlement {
        feature: parsed(row.try_get("feature")?)?,
        enabled: row.try_get("enabled")?,
        value: row.try_get("value")?,
        limit,
        used: unsigned(row.try_get("used")?),
        period: parsed(row.try_get("period")?)?,
        resets_at: row.try_get("resets_at")?,
    })
}
