//! The KPI views and the housekeeping of telemetry, as kpi-refresher's role may do them. What a refresh is, the
//! database knows (`telemetry.refresh_mv`); here are its outcomes.

use jiff::Timestamp;
use seatpilot_domain_model::View;
use seatpilot_metrics_api::Backlog;

use crate::{Error, Store, waits::HOUSEKEEPING};

/// Longest refresh.
const REFRESH_MAX: std::time::Duration = HOUSEKEEPING.read;

/// What a refresh came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refreshed {
    /// The view is fresh, or a bite fresher.
    Done {
        /// Events that were added up.
        events: u64,
        /// Rows of the view that were written.
        rows: u64,
        /// Whether more events waited than one refresh takes: refresh again at once.
        behind: Behind,
    },
    /// Another instance is at it; nothing was done.
    Busy,
    /// The view could not be refreshed: SQLSTATE and message. The other views are not concerned.
    Failed(String),
}

/// Whether events are left over after a refresh.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Behind {
    /// None that were committed when it began.
    Nothing,
    /// The next refresh goes on with them.
    More,
}

/// How fresh a view is.
#[derive(Debug, Clone, PartialEq)]
pub struct Staleness {
    /// Which.
    pub view: View,
    /// Every event written before then is in.
    pub complete_until: Timestamp,
    /// Seconds since then, by the database's clock.
    pub lag_seconds: f64,
}

/// What a round of housekeeping did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retained {
    /// Days of events made ahead.
    pub days_made: u32,
    /// Days of events dropped.
    pub days_dropped: u32,
    /// Event ids forgotten.
    pub ids: u32,
    /// Dead letters dropped.
    pub letters: u32,
    /// Slots of nonces emptied.
    pub nonce_slots: u32,
}

impl Store {
    /// Adds what was committed since the last refresh to a view.
    ///
    /// # Errors
    /// [`Error`] where the database did not answer; a broken view is [`Refreshed::Failed`].
    pub async fn refresh_view(&self, view: View) -> Result<Refreshed, Error> {
        const SQL: &str = include_str!("../sql/mv_refresh.sql");
        let rows = self.inner.reader.look_up_within(REFRESH_MAX, SQL, &[&view.as_str()]).await?;
        let row = rows.first().ok_or_else(|| Error::Corrupt("a refresh answered nothing".into()))?;
        match row.try_get::<_, &str>(0)? {
            "ok" => Ok(Refreshed::Done {
                events: count(row.try_get(1)?),
                rows: count(row.try_get(2)?),
                behind: if row.try_get(3)? { Behind::Nothing } else { Behind::More },
            }),
            "busy" => Ok(Refreshed::Busy),
            "failed" => Ok(Refreshed::Failed(row.try_get::<_, Option<String>>(4)?.unwrap_or_default())),
            other => Err(Error::Corrupt(format!("a refresh answered {other:?}"))),
        }
    }

    /// How fresh each view is.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn view_staleness(&self) -> Result<Vec<Staleness>, Error> {
        const SQL: &str = include_str!("../sql/mv_staleness.sql");
        let rows = self.inner.reader.look_up(SQL, &[]).await?;
        let mut views = Vec::with_capacity(rows.len());
        for row in rows {
            // A view that a later version brought is not ours to tell of.
            let Ok(view) = row.try_get::<_, &str>(0)?.parse() else { continue };
            views.push(Staleness { view, complete_until: row.try_get(1)?, lag_seconds: row.try_get(2)? });
        }
        Ok(views)
    }

    /// What waits and what ages, of every tenant: its dead letters, its keys. One round trip; of tenants there are as
    /// many as somebody added.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn backlogs(&self) -> Result<Vec<Backlog>, Error> {
        const SQL: &str = include_str!("../sql/backlog_list.sql");
        let rows = self.inner.reader.look_up_within(REFRESH_MAX, SQL, &[]).await?;
        rows.iter()
            .map(|row| {
                let tenant = row.try_get::<_, &str>(0)?;
                Ok(Backlog {
                    tenant: tenant.parse().map_err(|_| Error::Corrupt("a tenant's id is no slug".into()))?,
                    dlq_rows: count(row.try_get(1)?),
                    dlq_oldest_seconds: row.try_get(2)?,
                    key_age_seconds: row.try_get(3)?,
                })
            })
            .collect()
    }

    /// Makes days of events ahead and lets go of what is past its time. Any number of instances may call it;
    /// one does the work.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn retain(&self) -> Result<Retained, Error> {
        const SQL: &str = include_str!("../sql/telemetry_retain.sql");
        let rows = self.inner.reader.look_up_within(REFRESH_MAX, SQL, &[]).await?;
        let row = rows.first().ok_or_else(|| Error::Corrupt("retain answered nothing".into()))?;
        let number = |at: usize| row.try_get::<_, i32>(at).map(|number| u32::try_from(number).unwrap_or(0));
        Ok(Retained {
            days_made: number(0)?,
            days_dropped: number(1)?,
            ids: number(2)?,
            letters: number(3)?,
            nonce_slots: number(4)?,
        })
    }
}

/// Counts come as Postgres' signed `bigint` and are never negative.
fn count(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}
