//! Usage as it is counted, and limits as they are in force. What counts for what, the database knows
//! (`app.v_metered_events`); here are the outcomes.

use std::{collections::HashMap, time::Duration};

use seatpilot_domain_model::{Entitlement, Feature, Limit, TenantId};

use crate::{Behind, Error, Store};

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
        const SQL: &str = include_str!("../sql/entitlements_in_force.sql");
        let rows = self.inner.reader.look_up_within(ENTITLEMENTS_MAX, SQL, &[]).await?;
        let mut all: HashMap<TenantId, Vec<Entitlement>> = HashMap::new();
        for row in &rows {
            let tenant: TenantId = parsed(row.try_get("tenant_id")?)?;
            let feature: Feature = parsed(row.try_get("feature")?)?;
            let limit = match (
                row.try_get::<_, Option<i64>>("limit_quantity")?,
                row.try_get::<_, Option<&str>>("limit_kind")?,
            ) {
                (Some(quantity), Some(kind)) => {
                    Some(Limit { quantity: unsigned(quantity), kind: parsed(kind)? })
                }
                _ => None,
            };
            all.entry(tenant).or_default().push(Entitlement {
                feature,
                enabled: row.try_get("enabled")?,
                value: row.try_get("value")?,
                limit,
                used: unsigned(row.try_get("used")?),
                period: parsed(row.try_get("period")?)?,
                resets_at: row.try_get("resets_at")?,
            });
        }
        Ok(all)
    }
}

/// Counts come as Postgres' signed `bigint` and are never negative.
fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

fn parsed<T: std::str::FromStr>(text: &str) -> Result<T, Error> {
    text.parse().map_err(|_| Error::Corrupt(format!("the database has {text} where none of ours belongs")))
}
