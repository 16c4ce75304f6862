//! What the edge knows of a request before its handler: its id, when it began, its trace, later its caller.

use std::{fmt, future::Ready, sync::Arc, time::Instant};

use actix_web::{FromRequest, HttpMessage as _, HttpRequest, dev::Payload, http::header::HeaderMap};
use seatpilot_domain_model::{Fault, TenantId, TraceParent};
use seatpilot_runtime::Clock;

use crate::problem::Problem;

/// Longest id that is taken from a caller.
const REQUEST_ID_MAX: usize = 128;

/// The id of a request: the caller's `x-request-id` where it is inside `[A-Za-z0-9._-]{1,128}`, else a new
/// UUID. Echoed in the answer, `instance` in problem documents, a field of every log line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestId(Arc<str>);

impl RequestId {
    /// The id.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A new one.
    pub(crate) fn new(clock: &Clock) -> Self {
        Self(clock.uuid_v7().to_string().into())
    }

    pub(crate) fn of(headers: &HeaderMap, clock: &Clock) -> Self {
        let mut sent = headers.get_all("x-request-id");
        match (sent.next().and_then(|value| value.to_str().ok()), sent.next()) {
            (Some(id), None) if is_request_id(id) => Self(id.into()),
            _ => Self::new(clock),
        }
    }
}

fn is_request_id(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    (1..=REQUEST_ID_MAX).contains(&text.len()) && text.bytes().all(allowed)
}

impl fmt::Display for RequestId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

/// What the edge knows of a request. Handlers take it as an argument.
#[derive(Debug, Clone)]
pub struct RequestContext {
    /// Its id.
    pub id: RequestId,
    /// When its head had been read; the start of the stage `total`.
    pub began: Instant,
    /// Its trace, continued by a span of ours.
    pub trace: TraceParent,
    /// The same where somebody may look for it, so that it is worth keeping with what the request stores: its sender
    /// sent one, or it is recorded here.
    pub kept_trace: Option<TraceParent>,
}

impl FromRequest for RequestContext {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _payload: &mut Payload) -> Self::Future {
        let context = request.extensions().get::<Self>().cloned();
        // The edge puts it there; a server without one is a mistake of ours.
        std::future::ready(context.ok_or_else(|| Problem::from(Fault::internal())))
    }
}

impl FromRequest for RequestId {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let context = RequestContext::from_request(request, payload).into_inner();
        std::future::ready(context.map(|context| context.id))
    }
}

/// Who turned out to be calling, for the access line.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    pub(crate) tenant: TenantId,
    pub(crate) id: Box<str>,
}

/// Notes who is calling: a verified device's or key's id, never its token. It stands on the access line.
pub fn note_caller(request: &HttpRequest, tenant: &TenantId, id: impl fmt::Display) {
    request.extensions_mut().insert(Caller { tenant: tenant.clone(), id: id.to_string().into() });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_from_outside_is_short_and_plain() {
        for good in ["a", "A-1_b.c", &"x".repeat(128)] {
            assert!(is_request_id(good), "{good}");
        }
        for bad in ["", "a b", "a\"", "é", "a/b", "a\n", "{id}", &"x".repeat(129)] {
            assert!(!is_request_id(bad), "{bad:?}");
        }
    }
}
