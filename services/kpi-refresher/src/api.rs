//! The OpenAPI document: the probes that every service has, and nothing else.

use utoipa::OpenApi;

use crate::{SERVICE, VERSION};

/// What the service offers.
#[derive(OpenApi)]
#[openapi(info(
    description = "Keeps the KPI views fresh. It takes no requests but the probes; `seatpilot_mv_lag_seconds` on `/metrics` says how far behind each view is."
))]
struct Api;

/// The document, as `/openapi.json` serves it and `docs/openapi/kpi-refresher.json` keeps it.
pub fn openapi() -> String {
    seatpilot_http::openapi::document(&Api::openapi(), SERVICE, VERSION)
}
