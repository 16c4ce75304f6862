//! Answers to pages of other origins (CORS, as the Fetch standard has it), for the few routes that browsers call.
//!
//! Nothing here is by cookie: a request is worth what its signature is, whoever sends it. So every origin that can have a
//! session key may ask, `https` or this machine, without credentials; `null` and plain `http` may not.
//!
//! actix-cors does not fit: inside of the edge its headers are lost where the edge writes a problem document in place of an
//! error, outside of it a preflight has no request id, no series and no problem document.

use actix_web::{
    HttpRequest, HttpResponse,
    http::header::{self, HeaderName, HeaderValue},
};
use seatpilot_domain_model::WebOrigin;

use crate::{answer::Answer, credential::only_origin};

/// What a page may read of an answer besides its body and the headers that it always may.
const EXPOSED: &str = "date, retry-after, ratelimit, ratelimit-policy, x-request-id, idempotent-replayed";
/// How long a browser may remember a preflight, in seconds: as long as we may still be wrong after changing our mind.
const MAX_AGE_SECONDS: &str = "600";
/// A preflight goes before a `POST`, which is all that pages do.
const METHODS: &str = "POST";

/// The routes that pages of other origins call.
#[derive(Debug, Default)]
pub(crate) struct CrossOrigin {
    templates: Vec<&'static str>,
}

impl CrossOrigin {
    pub(crate) fn new(templates: Vec<&'static str>) -> Self {
        Self { templates }
    }

    /// Adds to an answer what its page's browser asks for: to all answers of these routes, errors too, for a page that
    /// cannot read an error can only guess.
    pub(crate) fn open(&self, route: Option<&str>, request: &HttpRequest, response: &mut HttpResponse) {
        if !route.is_some_and(|route| self.templates.contains(&route)) {
            return;
        }
        let origin = origin_of(request);
        let headers = response.headers_mut();
        // Also where there is none: the answer to another would differ.
        headers.append(header::VARY, HeaderValue::from_static("origin"));
        if let Some(origin) = origin {
            headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED));
        }
    }
}

/// The answer to a preflight, which asks whether a request may be sent: by whom, the edge says.
pub(crate) fn preflight(request: &HttpRequest, request_headers: &HeaderValue, allow: &HeaderValue) -> Answer {
    let answer = Answer::no_content().with_header(header::ALLOW, allow.clone());
    let asks = request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    if !asks || origin_of(request).is_none() {
        return answer;
    }
    let constant = |name: HeaderName, value| (name, HeaderValue::from_static(value));
    [
        constant(header::ACCESS_CONTROL_ALLOW_METHODS, METHODS),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, request_headers.clone()),
        constant(header::ACCESS_CONTROL_MAX_AGE, MAX_AGE_SECONDS),
    ]
    .into_iter()
    .fold(answer, |answer, (name, value)| answer.with_header(name, value))
}

/// The one origin that a request names, where it is one that may have a session key.
fn origin_of(request: &HttpRequest) -> Option<HeaderValue> {
    let origin = only_origin(request)?;
    str::from_utf8(origin).ok()?.parse::<WebOrigin>().ok()?;
    HeaderValue::from_bytes(origin).ok()
}
