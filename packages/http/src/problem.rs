//! RFC 9457 problem documents: the one place where a fault becomes a status.

use std::fmt;

use actix_web::{
    HttpResponse, ResponseError,
    body::BoxBody,
    http::{
        StatusCode,
        header::{self, HeaderName, HeaderValue},
    },
};
use seatpilot_domain_model::{Fault, FaultCode, RejectReason};
use serde_json::{Map, Value, json};

/// The media type of a problem document.
pub const PROBLEM_JSON: &str = "application/problem+json";

/// A fault on its way to the caller, with headers that only HTTP knows. Handlers return
/// `Result<_, Problem>`; `?` makes one of a [`Fault`].
#[derive(Debug)]
pub struct Problem {
    fault: Box<Fault>,
    reason: Option<RejectReason>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Problem {
    /// Adds a header.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Marks the answer as the first one, sent again.
    #[must_use]
    pub fn replayed(self) -> Self {
        self.with_header(IDEMPOTENT_REPLAYED, HeaderValue::from_static("true"))
    }

    /// Answers for the one telemetry item of a request: its reason stands as `code`, and with it in `type` and
    /// `title` (contract section 4). The status stays the fault's, which is `schema_violation`'s 422.
    #[must_use]
    pub fn for_item(mut self, reason: RejectReason) -> Self {
        self.reason = Some(reason);
        self
    }

    fn code(&self) -> &'static str {
        self.reason.map_or(self.fault.code().as_str(), RejectReason::as_str)
    }

    /// What went wrong.
    pub fn fault(&self) -> &Fault {
        &self.fault
    }

    /// The whole answer. `instance` is the request's id.
    pub(crate) fn answer(&self, instance: &str) -> HttpResponse {
        let status = status_of(self.fault.code());
        let mut response = HttpResponse::build(status);
        response.content_type(PROBLEM_JSON);
        if let Some(seconds) = self.fault.retry_after_seconds() {
            response.insert_header((header::RETRY_AFTER, seconds));
        }
        if status == StatusCode::UNAUTHORIZED {
            response.insert_header((header::WWW_AUTHENTICATE, "Bearer"));
        }
        for (name, value) in &self.headers {
            response.append_header((name, value));
        }
        response.body(document(&self.fault, self.code(), status, instance).to_string())
    }
}

/// The header of a repeated answer.
pub(crate) const IDEMPOTENT_REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

impl From<Fault> for Problem {
    fn from(fault: Fault) -> Self {
        Self { fault: Box::new(fault), reason: None, headers: Vec::new() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.fault.fmt(out)
    }
}

impl std::error::Error for Problem {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.fault.source()
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        status_of(self.fault.code())
    }

    /// A placeholder: only the edge knows the request's id, and writes the document there.
    fn error_response(&self) -> HttpResponse<BoxBody> {
        HttpResponse::new(self.status_code())
    }
}

/// The members of RFC 9457, `code`, `errors` where there are any, and the fault's own. A fault cannot
/// replace the former.
fn document(fault: &Fault, code: &str, status: StatusCode, instance: &str) -> Value {
    let mut document = Map::new();
    document.extend(fault.members().iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
    document.insert("type".into(), format!("urn:seatpilot:problem:{code}").into());
    document.insert("title".into(), title(code).into());
    document.insert("status".into(), status.as_u16().into());
    document.insert("detail".into(), fault.detail().into());
    document.insert("instance".into(), instance.into());
    document.insert("code".into(), code.into());
    if !fault.errors().is_empty() {
        document.insert("errors".into(), json!(fault.errors()));
    }
    Value::Object(document)
}

/// `ticket_unknown` as `Ticket unknown`: the same for every occurrence, as RFC 9457 asks of a title.
fn title(code: &str) -> String {
    let mut title = code.replace('_', " ");
    if let Some(first) = title.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    title
}

/// The status of each code.
pub(crate) fn status_of(code: FaultCode) -> StatusCode {
    match code {
        FaultCode::BadJson | FaultCode::MalformedHeader | FaultCode::BadRequest => StatusCode::BAD_REQUEST,
        FaultCode::Unauthorized => StatusCode::UNAUTHORIZED,
        FaultCode::Forbidden
        | FaultCode::TicketRevoked
        | FaultCode::WrongEvent
        | FaultCode::NotYetValid
        | FaultCode::NoLongerValid
        | FaultCode::WrongDoor => StatusCode::FORBIDDEN,
        FaultCode::NotFound
        | FaultCode::TicketUnknown
        | FaultCode::SessionUnknown
        | FaultCode::PlaceUnknown => StatusCode::NOT_FOUND,
        FaultCode::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
        FaultCode::RequestTimeout => StatusCode::REQUEST_TIMEOUT,
        FaultCode::AlreadyCheckedIn
        | FaultCode::TableMismatch
        | FaultCode::NoRoute
        | FaultCode::NoStepFreeRoute
        | FaultCode::NonceReused => StatusCode::CONFLICT,
        FaultCode::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        FaultCode::UnsupportedEncoding => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        FaultCode::SchemaViolation
        | FaultCode::IdempotencyKeyMismatch
        | FaultCode::ScanIdReused
        | FaultCode::ScannedAtOutOfRange
        | FaultCode::ArrivedAtOutOfRange => StatusCode::UNPROCESSABLE_ENTITY,
        // Of a request; an event over the plan's limit is a rejected item, a 422 with that code.
        FaultCode::RateLimited | FaultCode::QuotaExceeded => StatusCode::TOO_MANY_REQUESTS,
        FaultCode::Overloaded
        | FaultCode::DatabaseUnavailable
        | FaultCode::DatabaseRequired
        | FaultCode::NotReady => StatusCode::SERVICE_UNAVAILABLE,
        FaultCode::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// The fault that fits an error of actix' own, which carries a status and nothing that callers should see.
pub(crate) fn fault_of_status(status: StatusCode) -> Fault {
    match status {
        StatusCode::NOT_FOUND => not_found(),
        StatusCode::METHOD_NOT_ALLOWED => {
            Fault::new(FaultCode::MethodNotAllowed, "This path has other methods; `Allow` names them.")
        }
        StatusCode::REQUEST_TIMEOUT => {
            Fault::new(FaultCode::RequestTimeout, "The request took too long to arrive.")
        }
        StatusCode::PAYLOAD_TOO_LARGE => Fault::new(FaultCode::BodyTooLarge, "The body is too large."),
        StatusCode::UNSUPPORTED_MEDIA_TYPE => {
            Fault::new(FaultCode::UnsupportedEncoding, "The body's encoding is not supported.")
        }
        StatusCode::UNAUTHORIZED => Fault::unauthorized(),
        StatusCode::FORBIDDEN => Fault::new(FaultCode::Forbidden, "The credential does not allow this."),
        StatusCode::UNPROCESSABLE_ENTITY => {
            Fault::new(FaultCode::SchemaViolation, "The request does not match its schema.")
        }
        StatusCode::TOO_MANY_REQUESTS => Fault::new(FaultCode::RateLimited, "Too many requests."),
        StatusCode::SERVICE_UNAVAILABLE => Fault::overloaded(),
        other if other.is_client_error() => Fault::new(FaultCode::BadRequest, "The request is malformed."),
        _ => Fault::internal(),
    }
}

/// No such path.
pub(crate) fn not_found() -> Fault {
    Fault::new(FaultCode::NotFound, "There is nothing at this path.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_an_error_status_and_a_title() {
        for code in FaultCode::ALL {
            let status = status_of(*code);
            assert!(status.is_client_error() || status.is_server_error(), "{code}");
            assert!(title(code.as_str()).starts_with(|first: char| first.is_ascii_uppercase()));
        }
    }

    #[test]
    fn a_fault_cannot_replace_the_members_of_the_document() {
        let fault = Fault::new(FaultCode::TicketUnknown, "No such ticket.")
            .with_member("status", 200)
            .with_member("decision", "refused");
        let document = document(&fault, fault.code().as_str(), status_of(fault.code()), "r-1");
        assert_eq!(
            document,
            json!({
                "type": "urn:seatpilot:problem:ticket_unknown",
                "title": "Ticket unknown",
                "status": 404,
                "detail": "No such ticket.",
                "instance": "r-1",
                "code": "ticket_unknown",
                "decision": "refused",
            })
        );
    }
}
