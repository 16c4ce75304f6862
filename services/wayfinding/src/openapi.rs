//! The OpenAPI document.

use utoipa::OpenApi;

#[derive(OpenApi)]
#[openapi(
    info(description = "Closes the door-to-seat time and shows routes."),
    paths(crate::arrive_table::arrive_table, crate::route::route)
)]
struct Document;

/// The document that `/openapi.json` answers and `docs/openapi/wayfinding.json` holds.
pub fn document() -> String {
    seatpilot_http::openapi::document(&Document::openapi(), "wayfinding", env!("CARGO_PKG_VERSION"))
}
