//! `GET /admin/audit`: what was done, newest first. Owners only, twice: by the table of roles, and by row level
//! security under their claims.

#![expect(unused_qualifications, reason = "utoipa writes the name of the parameters' type with its path")]

use actix_web::{HttpRequest, web::Data};
use seatpilot_domain_model::Fault;
use seatpilot_http::{Answer, Problem, Success, admin::Session, parse_query};
use seatpilot_store::audit::AuditEntry;
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::IntoParams;

use super::Desk;

/// Rows of one answer, where nobody says how many, and at most.
const LIMIT: u32 = 100;
const LIMIT_MAX: u32 = 1_000;

/// Which rows.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Wanted {
    /// Rows older than this number.
    #[param(minimum = 1)]
    before: Option<i64>,
    /// How many; 100 where nobody says so.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
}

/// The audit log
///
/// Administrative acts of the tenant, newest first. `next_before` leads to older ones; null where there are none.
#[utoipa::path(
    get, path = "/admin/audit", tag = "administration", security(("admin" = [])), params(Wanted),
    responses((status = 200, description = "Acts.", body = Object))
)]
pub(crate) async fn get_audit(
    desk: Data<Desk>,
    session: Session,
    request: HttpRequest,
) -> Result<Answer, Problem> {
    let wanted: Wanted = parse_query(&request)?;
    let limit = wanted.limit.unwrap_or(LIMIT);
    if !(1..=LIMIT_MAX).contains(&limit) {
        return Err(Fault::schema("/query/limit", format!("must be from 1 to {LIMIT_MAX}")).into());
    }
    let before = wanted.before.unwrap_or(i64::MAX);
    if before < 1 {
        return Err(Fault::schema("/query/before", "must be 1 or more").into());
    }
    let caller = desk.store()?.as_caller(session.who());
    let entries = caller.audit(before, limit).await.map_err(Fault::from)?;
    let next = (entries.len() == limit as usize).then(|| entries.last().map(|last| last.seq)).flatten();
    let items: Vec<Value> = entries.iter().map(document).collect();
    Ok(Answer::json(Success::Ok, &json!({ "items": items, "next_before": next })))
}

fn document(entry: &AuditEntry) -> Value {
    let raw = |text: &Option<String>| text.as_ref().and_then(|text| serde_json::from_str::<Value>(text).ok());
    json!({
        "seq": entry.seq, "at": entry.at, "actor_type": entry.actor_type, "actor_id": entry.actor_id,
        "role": entry.role, "ip": entry.ip, "request_id": entry.request_id, "action": entry.action,
        "target_type": entry.target_type, "target_id": entry.target_id,
        "before": raw(&entry.before), "after": raw(&entry.after), "result": entry.result,
    })
}
