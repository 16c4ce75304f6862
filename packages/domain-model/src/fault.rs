//! Everything that can go wrong with a request, as one closed list. `http` maps each code to its status in
//! one exhaustive match; `store` and the services only name codes.

use std::{borrow::Cow, fmt};

use serde::Serialize;

use crate::vocabulary::words;

words!(
    /// The `code` of a problem document; `type` is `urn:seatpilot:problem:<code>`.
    FaultCode {
        /// The body is not JSON.
        BadJson = "bad_json",
        /// A signed header outside its grammar, doubled or missing.
        MalformedHeader = "malformed_header",
        /// The request's framing or line is wrong.
        BadRequest = "bad_request",
        /// No valid credential.
        Unauthorized = "unauthorized",
        /// A valid credential that may not do this.
        Forbidden = "forbidden",
        /// No such route.
        NotFound = "not_found",
        /// The route has other methods.
        MethodNotAllowed = "method_not_allowed",
        /// The client took too long to send.
        RequestTimeout = "request_timeout",
        /// Over the body's limit in bytes.
        BodyTooLarge = "body_too_large",
        /// A `Content-Encoding` on a request.
        UnsupportedEncoding = "unsupported_encoding",
        /// Outside the schema; `errors` names members.
        SchemaViolation = "schema_violation",
        /// `Idempotency-Key` differs from `scan_id`.
        IdempotencyKeyMismatch = "idempotency_key_mismatch",
        /// The `scan_id` was used with another body.
        ScanIdReused = "scan_id_reused",
        /// `scanned_at` outside [now - 72 h, now + 5 min].
        ScannedAtOutOfRange = "scanned_at_out_of_range",
        /// `arrived_at` outside [checked_in_at, now + 5 s].
        ArrivedAtOutOfRange = "arrived_at_out_of_range",
        /// Unknown, malformed or another tenant's ticket.
        TicketUnknown = "ticket_unknown",
        /// The ticket was revoked.
        TicketRevoked = "ticket_revoked",
        /// The ticket is for other events.
        WrongEvent = "wrong_event",
        /// Before `valid_from`.
        NotYetValid = "not_yet_valid",
        /// After `valid_until`.
        NoLongerValid = "no_longer_valid",
        /// The ticket names other doors.
        WrongDoor = "wrong_door",
        /// Somebody is in on this ticket.
        AlreadyCheckedIn = "already_checked_in",
        /// No such session.
        SessionUnknown = "session_unknown",
        /// Another place than the guest's.
        TableMismatch = "table_mismatch",
        /// No such place.
        PlaceUnknown = "place_unknown",
        /// The places are not connected.
        NoRoute = "no_route",
        /// Connected by stairs only.
        NoStepFreeRoute = "no_step_free_route",
        /// The nonce was used for another body.
        NonceReused = "nonce_reused",
        /// Over the caller's rate.
        RateLimited = "rate_limited",
        /// Over the plan.
        QuotaExceeded = "quota_exceeded",
        /// Our limit is reached: try again.
        Overloaded = "overloaded",
        /// Not stored, or not known whether: send the same again.
        DatabaseUnavailable = "database_unavailable",
        /// The process runs without the database that this needs.
        DatabaseRequired = "database_required",
        /// Not ready to serve: before the first contact with the store, or draining.
        NotReady = "not_ready",
        /// Our fault.
        Internal = "internal",
    }
);

/// One member that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FieldError {
    /// JSON pointer into the body, `/query/<name>` for a parameter.
    pub pointer: String,
    /// What is wrong, in words for the sender's developer.
    pub detail: String,
}

/// A request that failed, as its caller may see it. The cause is kept apart, for the log.
#[derive(Debug)]
pub struct Fault {
    code: FaultCode,
    detail: Cow<'static, str>,
    errors: Vec<FieldError>,
    members: Vec<(&'static str, serde_json::Value)>,
    retry_after_seconds: Option<u32>,
    cause: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Fault {
    /// A fault with a sentence for its caller. For a 5xx the sentence says nothing about internals.
    pub fn new(code: FaultCode, detail: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code,
            detail: detail.into(),
            errors: Vec::new(),
            members: Vec::new(),
            retry_after_seconds: None,
            cause: None,
        }
    }

    /// `schema_violation` at one place.
    pub fn schema(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(FaultCode::SchemaViolation, "The request does not match its schema.")
            .with_error(pointer, detail)
    }

    /// `overloaded`, to be tried again after a second.
    pub fn overloaded() -> Self {
        Self::new(FaultCode::Overloaded, "Too many requests are waiting. Send the same request again.")
            .with_retry_after(1)
    }

    /// `database_unavailable`: nothing is known to be stored; the same bytes may be sent again.
    pub fn database_unavailable() -> Self {
        Self::new(
            FaultCode::DatabaseUnavailable,
            "The request could not be stored, or it is not known whether it was. Send the same request again.",
        )
        .with_retry_after(1)
    }

    /// `database_required`: names the variable that is missing.
    pub fn database_required() -> Self {
        Self::new(
            FaultCode::DatabaseRequired,
            "Administration reads Postgres, and this process has none: set DATABASE_URL (or SUPABASE_DB_URL) and start it again.",
        )
    }

    /// `internal`.
    pub fn internal() -> Self {
        Self::new(
            FaultCode::Internal,
            "The request failed for a reason that is ours. It was logged under `instance`.",
        )
    }

    /// `unauthorized`, one and the same for every reason.
    pub fn unauthorized() -> Self {
        Self::new(FaultCode::Unauthorized, "The request carries no valid credential.")
    }

    /// Adds a member that is wrong.
    #[must_use]
    pub fn with_error(mut self, pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        self.errors.push(FieldError { pointer: pointer.into(), detail: detail.into() });
        self
    }

    /// Adds a member to the problem document.
    #[must_use]
    pub fn with_member(mut self, name: &'static str, value: impl Into<serde_json::Value>) -> Self {
        self.members.push((name, value.into()));
        self
    }

    /// Adds `Retry-After`, in seconds.
    #[must_use]
    pub fn with_retry_after(mut self, seconds: u32) -> Self {
        self.retry_after_seconds = Some(seconds);
        self
    }

    /// Keeps the cause for the log; it is never answered.
    #[must_use]
    pub fn with_cause(mut self, cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.cause = Some(cause.into());
        self
    }

    /// The code.
    pub fn code(&self) -> FaultCode {
        self.code
    }

    /// The sentence for the caller.
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// Members that are wrong.
    pub fn errors(&self) -> &[FieldError] {
        &self.errors
    }

    /// Further members of the problem document.
    pub fn members(&self) -> &[(&'static str, serde_json::Value)] {
        &self.members
    }

    /// `Retry-After` in seconds.
    pub fn retry_after_seconds(&self) -> Option<u32> {
        self.retry_after_seconds
    }

    /// The cause, for the log only.
    pub fn cause(&self) -> Option<&(dyn std::error::Error + Send + Sync)> {
        self.cause.as_deref()
    }

    /// Whether the same request may succeed later.
    pub fn retryable(&self) -> bool {
        matches!(
            self.code,
            FaultCode::Overloaded
                | FaultCode::DatabaseUnavailable
                | FaultCode::NotReady
                | FaultCode::RateLimited
                | FaultCode::RequestTimeout
                | FaultCode::Internal
        )
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {}", self.code, self.detail)
    }
}

impl std::error::Error for Fault {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.cause.as_deref().map(|cause| cause as _)
    }
}
