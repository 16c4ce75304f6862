//! `/admin/billing`: what each month costs, as a page and as CSV, and what is used of the plan.

#![expect(unused_qualifications, reason = "utoipa writes the name of the parameters' type with its path")]

use actix_web::{HttpRequest, web::Data};
use askama::Template;
use futures_util::TryStreamExt as _;
use seatpilot_domain_model::{Entitlement, Fault, FaultCode, LimitKind, Period, TenantId};
use seatpilot_http::{
    Answer, Download, Problem, Success,
    admin::{Page, Session},
    parse_query,
};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::IntoParams;

use super::{
    Desk,
    frame::Frame,
    month::{LINES_MAX, Month, Shown, listed, shown},
    render,
};

const CSV: &str = "text/csv; charset=utf-8; header=present";

/// Which month.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Wanted {
    /// The month, `YYYY-MM`; the page shows the newest where nobody says so.
    #[param(pattern = "^[0-9]{4}-(0[1-9]|1[0-2])$")]
    period: Option<String>,
    /// The tenant: none but one's own.
    tenant: Option<String>,
}

/// Which month, and whose.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes what is read as `Wanted`, of which the file needs the month")]
struct MonthWanted {
    /// The month, `YYYY-MM`.
    #[param(pattern = "^[0-9]{4}-(0[1-9]|1[0-2])$")]
    period: String,
    /// The tenant: none but one's own.
    tenant: Option<String>,
}

/// Whose.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Whose {
    /// The tenant: none but one's own.
    tenant: Option<String>,
}

/// Somebody else's bill is not there, whoever asks.
fn own(wanted: Option<&str>, tenant: &TenantId) -> Result<(), Fault> {
    match wanted {
        Some(wanted) if wanted != tenant.as_str() => {
            Err(Fault::new(FaultCode::Forbidden, "The token is of another tenant."))
        }
        Some(_) | None => Ok(()),
    }
}

impl Wanted {
    fn period(&self) -> Result<Option<Period>, Fault> {
        let parsed = self.period.as_deref().map(str::parse).transpose();
        parsed.map_err(|_| Fault::schema("/query/period", "must be a month as YYYY-MM"))
    }
}

#[derive(Template)]
#[template(path = "admin/billing.html")]
struct Billing<'a> {
    frame: Frame,
    tenant: &'a str,
    months: Vec<Month>,
    /// The month that is shown; none where there is no bill at all.
    shown: Option<Shown>,
    usage: Vec<Used>,
    usage_period: String,
    resets_at: String,
}

/// A metered feature, this month.
struct Used {
    feature: &'static str,
    used: u64,
    limit: Option<u64>,
    kind: &'static str,
    is_over: bool,
    /// From three quarters of the limit the bar warns, from nine tenths more so.
    low: u64,
    high: u64,
}

/// The bill
///
/// Months, the lines of one of them, and what is used of the plan. It works without script and prints.
#[utoipa::path(
    get, path = "/admin/billing", tag = "administration", security(("admin" = [])), params(Wanted),
    responses(
        (status = 200, description = "The page.", body = String, content_type = "text/html"),
        (status = 403, description = "Not an administrator or owner, or of another tenant.", body = Object, content_type = "application/problem+json"),
        (status = 422, description = "`schema_violation`: the period is no month.", body = Object, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn get_billing(
    desk: Data<Desk>,
    session: Session,
    request: HttpRequest,
) -> Result<Page, Problem> {
    let wanted: Wanted = parse_query(&request)?;
    let period = wanted.period()?;
    let tenant = &session.who().tenant;
    own(wanted.tenant.as_deref(), tenant)?;
    let caller = desk.store()?.as_caller(session.who());
    let months = caller.bill_months().await.map_err(Fault::from)?;
    let newest = months.first().and_then(|month| month.period.parse().ok());
    let shown = match period.or(newest) {
        Some(period) => {
            let lines = caller.bill_lines(&period, LINES_MAX + 1).await.map_err(Fault::from)?;
            Some(shown(&period, &months, lines))
        }
        None => None,
    };
    let usage = caller.usage().await.map_err(Fault::from)?;
    let page = Billing {
        frame: Frame::of(&session, "/admin/billing"),
        tenant: tenant.as_str(),
        months: months.iter().map(|month| listed(month, shown.as_ref())).collect(),
        shown,
        usage_period: usage.first().map(|first| first.period.to_string()).unwrap_or_default(),
        resets_at: usage.first().map(|first| first.resets_at.to_string()).unwrap_or_default(),
        usage: usage.iter().filter_map(used).collect(),
    };
    Ok(Page::ok(render(&page)?))
}

fn used(entitlement: &Entitlement) -> Option<Used> {
    if !seatpilot_domain_model::Feature::METERED.contains(&entitlement.feature) {
        return None;
    }
    Some(Used {
        feature: entitlement.feature.as_str(),
        used: entitlement.used,
        limit: entitlement.limit.map(|limit| limit.quantity),
        kind: entitlement.limit.map_or("", |limit| match limit.kind {
            LimitKind::Soft => "more is charged",
            LimitKind::Hard => "more is refused",
        }),
        is_over: entitlement.limit.is_some_and(|limit| entitlement.used > limit.quantity),
        low: entitlement.limit.map_or(0, |limit| limit.quantity / 4 * 3),
        high: entitlement.limit.map_or(0, |limit| limit.quantity - limit.quantity / 10),
    })
}

/// The bill as CSV
///
/// RFC 4180; of a closed month always the same bytes. No cell that a spreadsheet would run.
#[utoipa::path(
    get, path = "/admin/billing/csv", tag = "administration", security(("admin" = [])), params(MonthWanted),
    responses(
        (status = 200, description = "The lines of the month.", body = String, content_type = "text/csv"),
        (status = 403, description = "Not an administrator or owner, or of another tenant.", body = Object, content_type = "application/problem+json"),
        (status = 422, description = "`schema_violation`: the period is no month, or missing.", body = Object, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn get_billing_csv(
    desk: Data<Desk>,
    session: Session,
    request: HttpRequest,
) -> Result<Download, Problem> {
    let wanted: Wanted = parse_query(&request)?;
    let period = wanted.period()?.ok_or_else(|| Fault::schema("/query/period", "is required, as YYYY-MM"))?;
    let tenant = &session.who().tenant;
    own(wanted.tenant.as_deref(), tenant)?;
    let lines = desk.store()?.as_caller(session.who()).bill_csv(&period).await.map_err(Fault::from)?;
    let name = format!("seatpilot-{tenant}-{period}.csv");
    Ok(Download::of_lines(CSV, name, lines.map_err(Fault::from)))
}

/// What is used of the plan
///
/// For the tenant's own dashboard: every feature of this month, its limit, its use, when it resets.
#[utoipa::path(
    get, path = "/admin/billing/usage", tag = "administration", security(("admin" = [])), params(Whose),
    responses(
        (status = 200, description = "Limits and use.", body = Object),
        (status = 403, description = "Of another tenant.", body = Object, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn get_billing_usage(
    desk: Data<Desk>,
    session: Session,
    request: HttpRequest,
) -> Result<Answer, Problem> {
    let whose: Whose = parse_query(&request)?;
    own(whose.tenant.as_deref(), &session.who().tenant)?;
    let usage = desk.store()?.as_caller(session.who()).usage().await.map_err(Fault::from)?;
    let items: Vec<Value> = usage
        .iter()
        .map(|entitlement| {
            json!({
                "feature": entitlement.feature,
                "enabled": entitlement.enabled,
                "value": entitlement.value,
                "limit": entitlement.limit.map(|limit| limit.quantity),
                "limit_kind": entitlement.limit.map(|limit| limit.kind),
                "used": entitlement.used,
                "period": entitlement.period.as_str(),
                "resets_at": entitlement.resets_at,
            })
        })
        .collect();
    Ok(Answer::json(Success::Ok, &json!({ "tenant_id": session.who().tenant, "items": items })))
}
