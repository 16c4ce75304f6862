//! PostgREST's answers that are errors: its own, and Postgres' with the status of its table.

use actix_web::{HttpResponse, http::StatusCode};
use serde_json::json;
use tokio_postgres::error::DbError;

/// An answer that is an error.
pub(super) struct Refusal {
    pub(super) status: u16,
    pub(super) code: String,
    pub(super) message: String,
    pub(super) details: Option<String>,
    pub(super) hint: Option<String>,
}

impl Refusal {
    pub(super) fn new(status: u16, code: &str, message: impl Into<String>) -> Self {
        Self { status, code: code.to_owned(), message: message.into(), details: None, hint: None }
    }

    pub(super) fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Of what Postgres said to `role`.
    pub(super) fn of(error: &tokio_postgres::Error, role: &str) -> Self {
        let Some(db) = error.as_db_error() else {
            return Self::new(503, "PGRST001", "Database client error. Retrying the connection.");
        };
        Self {
            status: status_of(db, role),
            code: db.code().code().to_owned(),
            message: db.message().to_owned(),
            details: db.detail().map(str::to_owned),
            hint: db.hint().map(str::to_owned),
        }
    }

    pub(super) fn answer(self) -> HttpResponse {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        HttpResponse::build(status)
            .content_type("application/json; charset=utf-8")
            .insert_header(("Proxy-Status", format!("PostgREST; error={}", self.code)))
            .body(
                json!({
                    "code": self.code, "message": self.message, "details": self.details, "hint": self.hint,
                })
                .to_string(),
            )
    }
}

/// The table "HTTP Status Codes" of PostgREST's page of errors.
fn status_of(error: &DbError, role: &str) -> u16 {
    let code = error.code().code();
    if let Some(status) = code.strip_prefix("PT").and_then(|status| status.parse().ok()) {
        return status;
    }
    match code {
        "23503" | "23505" => return 409,
        "25006" => return 405,
        "53400" | "42P17" => return 500,
        "57P01" => return 503,
        "P0001" => return 400,
        "42883" | "42P01" => return 404,
        "42501" => return if role == "anon" { 401 } else { 403 },
        _ => {}
    }
    match code.get(..2) {
        Some("08" | "53") => 503,
        Some("0L" | "0P" | "28") => 403,
        Some(
            "09" | "25" | "2D" | "38" | "39" | "3B" | "40" | "54" | "55" | "57" | "58" | "F0" | "HV" | "P0"
            | "XX",
        ) => 500,
        _ => 400,
    }
}
