//! `seatpilot billing`: what each month costs, and why.

use std::io::Write as _;

use clap::Subcommand;
use futures_util::TryStreamExt as _;
use seatpilot_domain_model::{Period, TenantId};
use seatpilot_store::{BillLine, admin::ClosedMonth};
use serde_json::json;

use crate::{
    failure::Failure,
    global::Global,
    output::{Output, Style, columns},
    running::Running,
};

/// Who closes and credits, as the record names whoever holds the owner's login.
const OPERATOR: &str = "operator";

/// What to do with bills.
#[derive(Debug, Clone, Subcommand)]
pub enum Command {
    /// Show a month line by line: as closed, or as it stands now.
    #[command(after_help = "Example:\n  seatpilot billing report 2026-10 --tenant acme")]
    Report {
        /// The month.
        #[arg(value_name = "YYYY-MM")]
        period: Period,
    },
    /// Close a month for good. Possible 72 hours after it ended at the last venue; twice gives the same answer.
    #[command(
        after_help = "Examples:\n  seatpilot billing close 2026-10\n  seatpilot billing close 2026-10 --all"
    )]
    Close {
        /// The month.
        #[arg(value_name = "YYYY-MM")]
        period: Period,
        /// Every tenant, not only the one that --tenant names.
        #[arg(long)]
        all: bool,
    },
    /// List the events behind a line of a bill.
    #[command(after_help = "Example:\n  seatpilot billing trace 2026-10 3 --limit 20")]
    Trace {
        /// The month.
        #[arg(value_name = "YYYY-MM")]
        period: Period,
        /// The line's number, as `report` shows it.
        #[arg(value_parser = clap::value_parser!(i32).range(1..))]
        line: i32,
        /// How many at most.
        #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(i32).range(1..=1_000_000))]
        limit: i32,
    },
    /// Write a month's CSV to standard output; of a closed month always the same bytes.
    #[command(after_help = "Example:\n  seatpilot billing export 2026-10 > acme-2026-10.csv")]
    Export {
        /// The month.
        #[arg(value_name = "YYYY-MM")]
        period: Period,
    },
    /// Correct a closed month by a credit in an open one.
    #[command(
        after_help = "Example:\n  seatpilot billing credit 2026-10 1250 \"Two gates were down on the 3rd\""
    )]
    Credit {
        /// The closed month.
        #[arg(value_name = "YYYY-MM")]
        period: Period,
        /// What is given back, in minor units of the currency (cents).
        #[arg(value_parser = clap::value_parser!(u32).range(1..))]
        amount_minor: u32,
        /// Why; it stands on the bill.
        reason: String,
    },
    /// Give the tenant a plan, from a month on that is not closed.
    #[command(after_help = "Example:\n  seatpilot billing assign house --from 2026-11 --tenant acme")]
    Assign {
        /// The plan's id.
        plan: String,
        /// The first month.
        #[arg(long, value_name = "YYYY-MM")]
        from: Period,
    },
    /// Check a month: counters against the stored events, closed bills against their hashes.
    #[command(after_help = "Example:\n  seatpilot billing verify 2026-11")]
    Verify {
        /// The month whose counters are compared.
        #[arg(value_name = "YYYY-MM")]
        period: Period,
    },
}

/// Does it.
///
/// # Errors
/// Where the database does not answer, or what was asked for cannot be done.
pub async fn run(command: &Command, global: &Global) -> Result<(), Failure> {
    let (running, mut admin) = Running::connect(global).await?;
    let (output, tenant) = (global.output(), &running.tenant);
    match command {
        Command::Report { period } => {
            let lines = admin.bill(tenant, period).await?;
            if lines.is_empty() {
                return Err(Failure::new(format!("tenant {tenant} has nothing in {period}")));
            }
            report(output, &lines)
        }
        Command::Close { period, all } => {
            let one = if *all { None } else { Some(tenant) };
            closed(output, &admin.close_month(period, one, OPERATOR).await?)
        }
        Command::Trace { period, line, limit } => {
            let events = admin.trace_bill(tenant, period, *line, *limit, None).await?;
            let rows = events.iter().map(|event| {
                json!({
                    "id": event.id,
                    "received_at": event.received_at,
                    "occurred_at": event.occurred_at,
                    "type": event.event_type,
                    "source": event.source,
                    "venue_id": event.venue_id,
                    "session_id": event.session_id,
                    "quantity": event.quantity,
                })
            });
            let names =
                ["id", "received_at", "occurred_at", "type", "source", "venue_id", "session_id", "quantity"];
            output.list(&names, &rows.collect::<Vec<_>>(), columns(&names))?;
            if events.len() == usize::try_from(*limit).unwrap_or(usize::MAX) && output.style() != Style::Json
            {
                output.note(format!("the first {limit}: --limit shows more"))?;
            }
            Ok(())
        }
        Command::Export { period } => {
            let mut lines = std::pin::pin!(admin.bill_csv(tenant, period).await?);
            let mut out = std::io::BufWriter::new(std::io::stdout());
            while let Some(line) = lines.try_next().await? {
                out.write_all(line.as_bytes())?;
                out.write_all(b"\r\n")?;
            }
            Ok(out.flush()?)
        }
        Command::Credit { period, amount_minor, reason } => {
            let given = admin.credit(tenant, period, *amount_minor, reason, OPERATOR).await?;
            output.result(
                &format!("credited in {}", given.period),
                &json!({ "credit_id": given.credit_id, "period": given.period, "for_period": period.as_str() }),
            )
        }
        Command::Assign { plan, from } => {
            if !admin.assign_plan(tenant, plan, from, OPERATOR).await? {
                return Err(Failure::new(format!("there is no plan {plan}")));
            }
            output.result(
                &format!("{tenant} has plan {plan} from {from} on"),
                &json!({ "tenant_id": tenant, "plan_id": plan, "from_period": from.as_str() }),
            )
        }
        Command::Verify { period } => {
            let miscounts = admin.recount(tenant, period).await?;
            let altered = admin.altered_bills(tenant).await?;
            verified(output, tenant, period, miscounts.len(), &altered)
        }
    }
}

fn report(output: Output, lines: &[BillLine]) -> Result<(), Failure> {
    let rows: Vec<_> = lines
        .iter()
        .map(|line| {
            json!({
                "line": line.line,
                "state": line.state,
                "kind": line.kind,
                "feature": line.feature,
                "for_period": line.for_period,
                "quantity": line.quantity,
                "included": line.included,
                "billable": line.billable,
                "amount_minor": line.amount_minor,
                "amount": money(line.amount_minor, line.minor_digits),
                "currency": line.currency,
                "description": line.description,
            })
        })
        .collect();
    let names = [
        "line",
        "state",
        "kind",
        "feature",
        "for_period",
        "quantity",
        "included",
        "billable",
        "amount",
        "currency",
    ];
    output.list(&names, &rows, columns(&names))?;
    if let (Some(first), true) = (lines.first(), output.style() != Style::Json) {
        let total = lines.iter().map(|line| line.amount_minor).sum();
        output.note(format!("total {} {}", money(total, first.minor_digits), first.currency))?;
    }
    Ok(())
}

fn closed(output: Output, months: &[ClosedMonth]) -> Result<(), Failure> {
    let rows: Vec<_> = months
        .iter()
        .map(|month| {
            json!({
                "tenant_id": month.tenant_id,
                "outcome": month.outcome.as_str(),
                "lines": month.lines,
                "total_minor": month.total_minor,
                "currency": month.currency,
                "sha256": month.sha256,
                "detail": month.detail,
            })
        })
        .collect();
    let names = ["tenant_id", "outcome", "lines", "total_minor", "currency", "sha256", "detail"];
    output.list(&names, &rows, columns(&names))?;
    let open = months.iter().filter(|month| !month.outcome.is_closed()).count();
    if open > 0 {
        return Err(Failure::new(format!("{open} of {} months could not be closed yet", months.len())));
    }
    Ok(())
}

fn verified(
    output: Output,
    tenant: &TenantId,
    period: &Period,
    miscounts: usize,
    altered: &[String],
) -> Result<(), Failure> {
    let value =
        json!({ "tenant_id": tenant, "period": period.as_str(), "miscounts": miscounts, "altered": altered });
    if miscounts == 0 && altered.is_empty() {
        return output.result(
            &format!("{period} of {tenant}: the counters are those of the events, no bill was altered"),
            &value,
        );
    }
    if output.style() == Style::Json {
        output.result("", &value)?;
    }
    let mut faults = Vec::new();
    if miscounts > 0 {
        faults.push(format!("{miscounts} counters of {period} differ from the stored events"));
    }
    if !altered.is_empty() {
        faults.push(format!("closed months were altered: {}", altered.join(" ")));
    }
    Err(Failure::new(faults.join("; ")))
}

/// An amount as people write it: `12.50`, `-0.05`, `1250` where the currency has no cents.
pub(crate) fn money(minor: i64, digits: u8) -> String {
    if digits == 0 {
        return minor.to_string();
    }
    let unit = 10_u64.pow(u32::from(digits));
    let sign = if minor < 0 { "-" } else { "" };
    let minor = minor.unsigned_abs();
    format!("{sign}{}.{:0width$}", minor / unit, minor % unit, width = usize::from(digits))
}

#[cfg(test)]
mod tests {
    use super::money;

    #[test]
    fn money_has_as_many_digits_as_its_currency() {
        assert_eq!(money(1250, 2), "12.50");
        assert_eq!(money(-5, 2), "-0.05");
        assert_eq!(money(1250, 0), "1250");
        assert_eq!(money(1, 3), "0.001");
        assert_eq!(money(i64::MIN, 2), "-92233720368547758.08");
    }
}
