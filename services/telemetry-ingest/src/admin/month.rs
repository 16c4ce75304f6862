//! A month of a bill as its page shows it: amounts with their currency, columns in words for a phone.

use seatpilot_domain_model::Period;
use seatpilot_store::{BillLine, BillMonth};

use super::money::Money;

/// Lines that the page shows; a bill has about ten, and the CSV has all of them.
pub(super) const LINES_MAX: u32 = 1_000;

/// A month in the list.
pub(super) struct Month {
    pub(super) period: String,
    pub(super) is_shown: bool,
    pub(super) closed_on: Option<String>,
    pub(super) total: Money,
}

/// The month that is shown.
pub(super) struct Shown {
    pub(super) period: String,
    pub(super) tenant_name: String,
    pub(super) plan_name: String,
    pub(super) closed_at: Option<String>,
    pub(super) sha256: Option<String>,
    pub(super) lines: Vec<Line>,
    pub(super) total: Money,
    pub(super) has_more: bool,
}

/// A line of it.
pub(super) struct Line {
    pub(super) number: i32,
    pub(super) kind: String,
    pub(super) description: String,
    pub(super) quantity: String,
    pub(super) included: String,
    pub(super) billable: String,
    pub(super) price: String,
    /// All of it in words, where a screen has no room for the columns; none where there is nothing to say.
    pub(super) detail: Option<String>,
    pub(super) amount: Money,
}

/// A month as the list has it.
pub(super) fn listed(month: &BillMonth, shown: Option<&Shown>) -> Month {
    Month {
        period: month.period.clone(),
        is_shown: shown.is_some_and(|shown| shown.period == month.period),
        closed_on: month.closed_at.map(|at| at.strftime("%Y-%m-%d").to_string()),
        total: Money::new(month.total_minor, month.minor_digits, &month.currency),
    }
}

/// A month with its lines; of more than [`LINES_MAX`] the first.
pub(super) fn shown(period: &Period, months: &[BillMonth], mut lines: Vec<BillLine>) -> Shown {
    let has_more = lines.len() > LINES_MAX as usize;
    lines.truncate(LINES_MAX as usize);
    let month = months.iter().find(|month| month.period == period.as_str());
    let first = lines.first();
    let total = match (month, first) {
        (Some(month), _) => Money::new(month.total_minor, month.minor_digits, &month.currency),
        (None, Some(first)) => {
            Money::new(lines.iter().map(|line| line.amount_minor).sum(), first.minor_digits, &first.currency)
        }
        (None, None) => Money::new(0, 2, ""),
    };
    Shown {
        period: period.to_string(),
        tenant_name: first.map(|first| first.tenant_name.clone()).unwrap_or_default(),
        plan_name: first.map(|first| first.plan_name.clone()).unwrap_or_default(),
        closed_at: first.and_then(|first| first.closed_at.clone()),
        sha256: month.and_then(|month| month.sha256.clone()),
        total,
        has_more,
        lines: lines.iter().map(line).collect(),
    }
}

fn line(line: &BillLine) -> Line {
    let is_metered = matches!(line.kind.as_str(), "usage" | "adjustment");
    let metered = |number: String| if is_metered { number } else { String::new() };
    let price = Money::new(line.unit_price_minor, line.minor_digits, &line.currency);
    let included = line.included.map_or_else(|| "all".to_owned(), |included| included.to_string());
    let price = match line.unit_per {
        _ if line.billable == 0 || !is_metered => String::new(),
        1 => price.to_string(),
        per => format!("{price} per {per}"),
    };
    let detail = is_metered.then(|| match &*price {
        "" => format!("{} used, {included} included", line.quantity),
        price => format!("{} used, {included} included, {} charged at {price}", line.quantity, line.billable),
    });
    Line {
        number: line.line,
        kind: line.kind.clone(),
        description: line.description.clone(),
        quantity: metered(line.quantity.to_string()),
        included: metered(included),
        billable: metered(line.billable.to_string()),
        price,
        detail,
        amount: Money::new(line.amount_minor, line.minor_digits, &line.currency),
    }
}
