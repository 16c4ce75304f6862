//! A tenant's bill as a person of that tenant reads it: months, lines, the CSV, what is used of the plan.

use futures_util::Stream;
use jiff::Timestamp;
use seatpilot_domain_model::{Entitlement, Period};
use tokio_postgres::{Row, types::ToSql};

use crate::{
    Error,
    caller::Caller,
    download::{Wanted, download},
    metering::entitlement,
};

/// Months of the list; ten years.
const MONTHS_MAX: i64 = 120;

/// A month in the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BillMonth {
    /// Which.
    pub period: String,
    /// When it was closed; none while it is open.
    pub closed_at: Option<Timestamp>,
    /// Its sum so far, in minor units.
    pub total_minor: i64,
    /// ISO 4217.
    pub currency: String,
    /// How many digits of an amount stand behind the point.
    pub minor_digits: u8,
    /// SHA-256 of its CSV, in hex; none while it is open.
    pub sha256: Option<String>,
}

/// A line of a month. Amounts are in minor units.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BillLine {
    /// The tenant's name, as it was at the close.
    pub tenant_name: String,
    /// `open` or `closed`.
    pub state: String,
    /// Its number, from 1.
    pub line: i32,
    /// `base`, `usage`, `adjustment` or `credit`.
    pub kind: String,
    /// What was used; empty for the base price and for credits.
    pub feature: String,
    /// The month that it happened in.
    pub for_period: String,
    /// In words.
    pub description: String,
    /// Units.
    pub quantity: i64,
    /// Units that the base price includes; none = without limit.
    pub included: Option<i64>,
    /// Units that are charged.
    pub billable: i64,
    /// Price of each `unit_per` units.
    pub unit_price_minor: i64,
    /// See `unit_price_minor`.
    pub unit_per: i64,
    /// What it costs.
    pub amount_minor: i64,
    /// ISO 4217.
    pub currency: String,
    /// How many digits of an amount stand behind the point.
    pub minor_digits: u8,
    /// The plan's name; empty where there is none.
    pub plan_name: String,
    /// When the month was closed; none while it is open.
    pub closed_at: Option<String>,
}

impl BillLine {
    /// The lines of a tenant's month, as far as the one who asks may see them: tenant, month, how many at most.
    pub(crate) const SQL: &str = include_str!("../sql/bill_lines.sql");

    pub(crate) fn of_row(row: &Row) -> Result<Self, Error> {
        Ok(Self {
            tenant_name: row.try_get("tenant_name")?,
            state: row.try_get("state")?,
            line: row.try_get("line")?,
            kind: row.try_get("kind")?,
            feature: row.try_get("feature")?,
            for_period: row.try_get("for_period")?,
            description: row.try_get("description")?,
            quantity: row.try_get("quantity")?,
            included: row.try_get("included")?,
            billable: row.try_get("billable")?,
            unit_price_minor: row.try_get("unit_price_minor")?,
            unit_per: row.try_get("unit_per")?,
            amount_minor: row.try_get("amount_minor")?,
            currency: row.try_get("currency")?,
            minor_digits: digits(row)?,
            plan_name: row.try_get("plan_name")?,
            closed_at: row.try_get("closed_at")?,
        })
    }
}

impl Caller<'_> {
    /// The months that have a bill, newest first.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn bill_months(&self) -> Result<Vec<BillMonth>, Error> {
        const SQL: &str = include_str!("../sql/bill_months.sql");
        let rows = self.people.as_person(&self.claims, SQL, &[&self.tenant, &MONTHS_MAX]).await?;
        rows.iter()
            .map(|row| {
                Ok(BillMonth {
                    period: row.try_get("period")?,
                    closed_at: row.try_get("closed_at")?,
                    total_minor: row.try_get("total_minor")?,
                    currency: row.try_get("currency")?,
                    minor_digits: digits(row)?,
                    sha256: row.try_get("sha256")?,
                })
            })
            .collect()
    }

    /// The first lines of a month.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn bill_lines(&self, period: &Period, limit: u32) -> Result<Vec<BillLine>, Error> {
        let values: [&(dyn ToSql + Sync); 3] = [&self.tenant, &period.as_str(), &i64::from(limit)];
        let rows = self.people.as_person(&self.claims, BillLine::SQL, &values).await?;
        rows.iter().map(BillLine::of_row).collect()
    }

    /// What the plan allows this month and what of it is used.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn usage(&self) -> Result<Vec<Entitlement>, Error> {
        const SQL: &str = include_str!("../sql/usage_list.sql");
        let rows = self.people.as_person(&self.claims, SQL, &[&self.tenant]).await?;
        rows.iter().map(entitlement).collect()
    }

    /// A month's CSV, its header first, a line at a time as the database sends them, each without its end. Nothing is
    /// gathered on the way, however many lines there are.
    ///
    /// # Errors
    /// [`Error`] before the first line; later ones come in the stream, which they end.
    pub async fn bill_csv(
        &self,
        period: &Period,
    ) -> Result<impl Stream<Item = Result<String, Error>> + use<>, Error> {
        let wanted = Wanted {
            claims: self.claims.clone(),
            header: include_str!("../sql/bill_csv_header.sql"),
            sql: include_str!("../sql/bill_csv.sql"),
            values: [self.tenant.clone(), period.to_string()],
        };
        download(self.downloads, wanted).await
    }
}

fn digits(row: &Row) -> Result<u8, Error> {
    Ok(u8::try_from(row.try_get::<_, i16>("minor_digits")?).unwrap_or(2))
}
