//! The OpenAPI document.

use utoipa::OpenApi;

#[derive(OpenApi)]
#[openapi(
    info(description = "Admits a ticket exactly once and answers with seat and way."),
    paths(crate::check_in::check_in, crate::fault_point::delay, crate::fault_point::lift)
)]
struct Document;

/// The document that `/openapi.json` answers and `docs/openapi/checkin.json` holds.
pub fn document() -> String {
    seatpilot_http::openapi::document(&Document::openapi(), "checkin", env!("CARGO_PKG_VERSION"))
}
