//! Bills as an operator sees and closes them. The numbers and their rules are the database's (`supabase/sql/100_…`
//! to `107_…`); here are the nouns.

use futures_util::{Stream, StreamExt, TryStreamExt};
use jiff::Timestamp;
use seatpilot_domain_model::{Period, TenantId};
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::{Admin, AdminError};
use crate::{BillLine, Error};

/// What became of a month that was to be closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClosedMonth {
    /// Whose.
    pub tenant_id: String,
    /// What happened.
    pub outcome: CloseOutcome,
    /// Why it is not closed; none where it is.
    pub detail: Option<String>,
    /// Lines of the bill.
    pub lines: Option<i32>,
    /// Its sum, in minor units.
    pub total_minor: Option<i64>,
    /// ISO 4217.
    pub currency: Option<String>,
    /// SHA-256 of its CSV, in hex.
    pub sha256: Option<String>,
}

/// What became of a month that was to be closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CloseOutcome {
    /// It is closed now.
    Closed,
    /// It was closed before; nothing changed.
    WasClosed,
    /// Its events may still come in time.
    TooEarly,
    /// A transaction that may hold events of it is still open.
    Waiting,
}

impl CloseOutcome {
    /// As the database says it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::WasClosed => "was_closed",
            Self::TooEarly => "too_early",
            Self::Waiting => "waiting",
        }
    }

    /// Whether the month is closed, now or before.
    pub const fn is_closed(self) -> bool {
        matches!(self, Self::Closed | Self::WasClosed)
    }
}

/// An event behind a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TracedEvent {
    /// Its id.
    pub id: Uuid,
    /// When it was stored.
    pub received_at: Timestamp,
    /// When it happened.
    pub occurred_at: Timestamp,
    /// Its type.
    pub event_type: String,
    /// `service`, or the key's id.
    pub source: String,
    /// Where.
    pub venue_id: String,
    /// Whose way.
    pub session_id: Option<Uuid>,
    /// What it counts for.
    pub quantity: i64,
}

/// A credit that was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GivenCredit {
    /// Its id.
    pub credit_id: Uuid,
    /// The open month that it is credited in.
    pub period: String,
}

/// A counter that differs from the stored events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Miscount {
    /// What was counted.
    pub feature: String,
    /// The month that it happened in.
    pub for_period: String,
    /// Where; empty where the venue is not known.
    pub venue_id: String,
    /// As the counter has it.
    pub counted: i64,
    /// As the stored events have it.
    pub stored: i64,
}

impl Admin {
    /// The lines of a tenant's month, as closed or as it stands.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn bill(&mut self, tenant: &TenantId, period: &Period) -> Result<Vec<BillLine>, AdminError> {
        let transaction = self.claimed(tenant).await?;
        let rows = transaction.query(BillLine::SQL, &[&tenant.as_str(), &period.as_str(), &i64::MAX]).await?;
        rows.iter().map(|row| Ok(BillLine::of_row(row)?)).collect()
    }

    /// The CSV of a tenant's month: its header, then a line at a time as the database sends them, each without its
    /// end (CRLF).
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn bill_csv(
        &mut self,
        tenant: &TenantId,
        period: &Period,
    ) -> Result<impl Stream<Item = Result<String, AdminError>> + use<>, AdminError> {
        let client = self.client();
        // For the whole connection: the stream outlives this call. An operator's connection has one tenant.
        client
            .execute(
                "select set_config('request.jwt.claims', jsonb_build_object('tenant_id', $1::text)::text, false)",
                &[&tenant.as_str()],
            )
            .await?;
        let header: String = client.query_one("select app.csv_header()", &[]).await?.try_get(0)?;
        let values: [&(dyn ToSql + Sync); 2] = [&tenant.as_str(), &period.as_str()];
        let rows = client
            .query_raw(
                "select app.csv_line(r) from app.v_tenant_billing_report r
                 where r.tenant_id = $1 and r.period = $2 order by r.line",
                values,
            )
            .await?;
        let lines = rows
            .map_err(|error| AdminError::Store(error.into()))
            .and_then(|row| async move { row.try_get(0).map_err(|error| AdminError::Store(error.into())) });
        Ok(futures_util::stream::iter([Ok(header)]).chain(lines))
    }

    /// Closes a month, of one tenant or of all. Twice gives the same answer.
    ///
    /// # Errors
    /// [`AdminError`]; there is no such tenant.
    pub async fn close_month(
        &mut self,
        period: &Period,
        tenant: Option<&TenantId>,
        closed_by: &str,
    ) -> Result<Vec<ClosedMonth>, AdminError> {
        let tenant = tenant.map(TenantId::as_str);
        let rows = self
            .client()
            .query(
                "select * from app.billing_close_month($1::text, $2, $3)",
                &[&period.as_str(), &tenant, &closed_by],
            )
            .await
            .map_err(refused)?;
        rows.iter()
            .map(|row| {
                Ok(ClosedMonth {
                    tenant_id: row.try_get("tenant_id")?,
                    outcome: match row.try_get("outcome")? {
                        "closed" => CloseOutcome::Closed,
                        "was_closed" => CloseOutcome::WasClosed,
                        "too_early" => CloseOutcome::TooEarly,
                        "waiting" => CloseOutcome::Waiting,
                        other => return Err(Error::Corrupt(format!("a month cannot be {other}")).into()),
                    },
                    detail: row.try_get("detail")?,
                    lines: row.try_get("lines")?,
                    total_minor: row.try_get("total_minor")?,
                    currency: row.try_get("currency")?,
                    sha256: row.try_get("sha256")?,
                })
            })
            .collect()
    }

    /// The events behind a line, at most `limit`, those after `after` in the order of receipt.
    ///
    /// # Errors
    /// [`AdminError`]; there is no such line.
    pub async fn trace_bill(
        &mut self,
        tenant: &TenantId,
        period: &Period,
        line: i32,
        limit: i32,
        after: Option<(Timestamp, Uuid)>,
    ) -> Result<Vec<TracedEvent>, AdminError> {
        let (after_received, after_id) = after.unzip();
        let transaction = self.claimed(tenant).await?;
        let rows = transaction
            .query(
                "select * from app.billing_trace($1, $2, $3, $4, coalesce($5, '-infinity'::timestamptz),
                    coalesce($6, '00000000-0000-0000-0000-000000000000'::uuid))",
                &[&tenant.as_str(), &period.as_str(), &line, &limit, &after_received, &after_id],
            )
            .await
            .map_err(refused)?;
        rows.iter()
            .map(|row| {
                Ok(TracedEvent {
                    id: row.try_get("id")?,
                    received_at: row.try_get("received_at")?,
                    occurred_at: row.try_get("occurred_at")?,
                    event_type: row.try_get("type")?,
                    source: row.try_get("source")?,
                    venue_id: row.try_get("venue_id")?,
                    session_id: row.try_get("session_id")?,
                    quantity: row.try_get("quantity")?,
                })
            })
            .collect()
    }

    /// Credits a closed month, in an open one. `amount_minor` is what is given back, above 0.
    ///
    /// # Errors
    /// [`AdminError`]; the month is not closed.
    pub async fn credit(
        &mut self,
        tenant: &TenantId,
        period: &Period,
        amount_minor: u32,
        reason: &str,
        made_by: &str,
    ) -> Result<GivenCredit, AdminError> {
        let transaction = self.claimed(tenant).await?;
        let row = transaction
            .query_one(
                "select * from app.billing_credit($1, $2, $3, $4, $5)",
                &[&tenant.as_str(), &period.as_str(), &-i64::from(amount_minor), &reason, &made_by],
            )
            .await
            .map_err(refused)?;
        let given = GivenCredit { credit_id: row.try_get("credit_id")?, period: row.try_get("period")? };
        transaction.commit().await?;
        Ok(given)
    }

    /// Gives a tenant a plan from a month on. False where there is no such plan.
    ///
    /// # Errors
    /// [`AdminError`]; the month is closed.
    pub async fn assign_plan(
        &mut self,
        tenant: &TenantId,
        plan: &str,
        from: &Period,
        made_by: &str,
    ) -> Result<bool, AdminError> {
        let transaction = self.claimed(tenant).await?;
        let known = transaction.query_opt("select 1 from app.plans where plan_id = $1", &[&plan]).await?;
        if known.is_none() {
            return Ok(false);
        }
        let closed = transaction
            .query_opt(
                "select period::text from app.billing_periods where tenant_id = $1 and period >= $2 order by period desc limit 1",
                &[&tenant.as_str(), &from.as_str()],
            )
            .await?;
        if let Some(row) = closed {
            let month: String = row.try_get(0)?;
            return Err(AdminError::Refused(format!(
                "{month} is closed: a plan can change from the month after it on"
            )));
        }
        transaction
            .execute(
                "insert into app.tenant_plans (tenant_id, from_period, plan_id) values ($1::text, $2::text, $3::text)
                 on conflict (tenant_id, from_period) do update set plan_id = excluded.plan_id",
                &[&tenant.as_str(), &from.as_str(), &plan],
            )
            .await?;
        transaction
            .query(
                "select audit.append('operator', $1, 'billing.assign_plan', 'plan', $2, null,
                    jsonb_build_object('from_period', $3::text))",
                &[&made_by, &plan, &from.as_str()],
            )
            .await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// Counters of a tenant's month that differ from a count of the stored events; none where all is well.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn recount(&mut self, tenant: &TenantId, period: &Period) -> Result<Vec<Miscount>, AdminError> {
        let transaction = self.claimed(tenant).await?;
        let rows = transaction
            .query(
                "select * from app.metering_recount($1) where tenant_id = $2",
                &[&period.as_str(), &tenant.as_str()],
            )
            .await?;
        rows.iter()
            .map(|row| {
                Ok(Miscount {
                    feature: row.try_get("feature")?,
                    for_period: row.try_get("for_period")?,
                    venue_id: row.try_get("venue_id")?,
                    counted: row.try_get("counted")?,
                    stored: row.try_get("stored")?,
                })
            })
            .collect()
    }

    /// Closed months of a tenant whose lines no longer give the hash that they were closed with.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn altered_bills(&mut self, tenant: &TenantId) -> Result<Vec<String>, AdminError> {
        let transaction = self.claimed(tenant).await?;
        let rows = transaction
            .query("select period from app.billing_verify() where tenant_id = $1", &[&tenant.as_str()])
            .await?;
        rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
    }
}

/// What our own functions raise for the operator is a refusal in words, not a fault of the database.
fn refused(error: tokio_postgres::Error) -> AdminError {
    let words = error.as_db_error().filter(|raised| {
        // no_data_found, object_not_in_prerequisite_state, restrict_violation
        matches!(raised.code().code(), "P0002" | "02000" | "55000" | "23001")
    });
    match words {
        Some(raised) => AdminError::Refused(raised.message().to_owned()),
        None => error.into(),
    }
}
