//! `/admin`: what administrators reach. Login and stylesheet are open; everything else stands behind the guard of
//! `http`, names the action that it is, and reads under the caller's own claims.

mod audit;
mod billing;
mod dlq;
mod frame;
mod house;
mod login;
mod money;
mod month;

use std::sync::Arc;

use actix_web::http::header::{CACHE_CONTROL, HeaderValue};
use askama::Template;
use seatpilot_domain_model::{AdminAction, Fault};
use seatpilot_http::{Answer, InFlight, Problem, Routes, Success, admin::AdminGuard};
use seatpilot_store::Store;

pub(crate) use audit::__path_get_audit;
pub(crate) use billing::{__path_get_billing, __path_get_billing_csv, __path_get_billing_usage};
pub(crate) use dlq::{
    __path_get_dlq, __path_get_letter, __path_post_discard, __path_post_dry_run, __path_post_redrive,
};
pub(crate) use house::__path_get_house;
pub(crate) use login::{__path_get_login, __path_post_login, __path_post_logout, form_for};

const STYLESHEET: &str = include_str!("../../assets/admin.css");

/// What the pages share.
pub struct Desk {
    guard: Arc<AdminGuard>,
    store: Option<Store>,
    /// One request at a time sends dead letters again: their pace is that of the process.
    redrives: InFlight,
}

impl Desk {
    /// With no store, every page but the stylesheet is 503 and names the variable that is missing.
    pub fn new(guard: Arc<AdminGuard>, store: Option<Store>) -> Self {
        Self { guard, store, redrives: InFlight::new(1) }
    }

    fn store(&self) -> Result<&Store, Fault> {
        self.store.as_ref().ok_or_else(Fault::database_required)
    }
}

/// The routes. Each that is behind the guard stands in the table of the test `access`, with its roles.
pub fn routes(routes: &mut Routes, desk: &Arc<Desk>) {
    routes
        .state(Arc::clone(desk))
        .get("/admin/login", login::get_login)
        .post("/admin/login", Success::Ok, login::post_login)
        .get("/admin/admin.css", stylesheet);
    routes
        .guarded(&desk.guard)
        .get("/admin", AdminAction::ReadDashboards, house::get_house)
        .post("/admin/logout", AdminAction::ReadDashboards, Success::Ok, login::post_logout)
        .get("/admin/audit", AdminAction::ReadAudit, audit::get_audit)
        .get("/admin/billing", AdminAction::ReadBilling, billing::get_billing)
        .get("/admin/billing/csv", AdminAction::ReadBilling, billing::get_billing_csv)
        .get("/admin/billing/usage", AdminAction::ReadDashboards, billing::get_billing_usage)
        .get("/admin/dlq", AdminAction::ReadDeadLetters, dlq::get_dlq)
        .post("/admin/dlq/dry-run", AdminAction::ReadDeadLetters, Success::Ok, dlq::post_dry_run)
        .post("/admin/dlq/redrive", AdminAction::HandleDeadLetters, Success::Ok, dlq::post_redrive)
        .post("/admin/dlq/discard", AdminAction::HandleDeadLetters, Success::Ok, dlq::post_discard)
        .get("/admin/dlq/{dlq_id}", AdminAction::ReadDeadLetters, dlq::get_letter);
}

async fn stylesheet() -> Answer {
    Answer::text(Success::Ok, "text/css; charset=utf-8", STYLESHEET)
        .with_header(CACHE_CONTROL, HeaderValue::from_static("max-age=300"))
}

/// A template into HTML. It fails only where a value's own `Display` does.
fn render(template: &impl Template) -> Result<String, Problem> {
    template.render().map_err(|error| Fault::internal().with_cause(error).into())
}
