//! What a person's browser gets: HTML under a policy that runs nothing, and the way on after a form.

use actix_web::{
    HttpRequest, HttpResponse, Responder,
    body::BoxBody,
    http::{
        StatusCode,
        header::{self, HeaderName, HeaderValue},
    },
};
use seatpilot_domain_model::FaultCode;

use crate::problem::status_of;

/// No script at all, no style but the stylesheet's, nothing in a frame, no form that leaves the house.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self' data:; \
    form-action 'self'; frame-ancestors 'none'; base-uri 'none'";
/// Nothing for other sites. Not `no-referrer`: with it browsers send `Origin: null` even with our own forms, and where
/// they send no `Sec-Fetch-Site` either (plain http over a network), no form could be told from a stranger's.
const REFERRER_POLICY: &str = "same-origin";

/// A page.
#[derive(Debug)]
pub struct Page {
    status: StatusCode,
    html: String,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Page {
    /// Here it is.
    pub fn ok(html: impl Into<String>) -> Self {
        Self { status: StatusCode::OK, html: html.into(), headers: Vec::new() }
    }

    /// A page that says why not, with the status of the code.
    pub fn refused(code: FaultCode, html: impl Into<String>) -> Self {
        Self { status: status_of(code), html: html.into(), headers: Vec::new() }
    }

    /// After a form: look there (303). A place that is no header's text leads to `/admin`.
    pub fn see_other(place: &str) -> Self {
        let place = HeaderValue::from_str(place).unwrap_or(HeaderValue::from_static("/admin"));
        Self { status: StatusCode::SEE_OTHER, html: String::new(), headers: Vec::new() }
            .with_header(header::LOCATION, place)
    }

    /// Adds a header.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    pub(super) fn into_response(self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status);
        response
            .insert_header((header::CONTENT_TYPE, "text/html; charset=utf-8"))
            .insert_header((header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY))
            .insert_header((header::REFERRER_POLICY, REFERRER_POLICY))
            .insert_header((header::CACHE_CONTROL, "no-store"))
            .insert_header((header::VARY, "Accept, Cookie"));
        if self.status == StatusCode::UNAUTHORIZED {
            response.insert_header((header::WWW_AUTHENTICATE, "Bearer"));
        }
        for (name, value) in self.headers {
            response.append_header((name, value));
        }
        response.body(self.html)
    }
}

impl Responder for Page {
    type Body = BoxBody;

    fn respond_to(self, _request: &HttpRequest) -> HttpResponse {
        self.into_response()
    }
}

/// Whether a person's browser asks: `text/html` stands in `Accept` and is not refused there. Programs send `*/*`.
pub fn prefers_html(request: &HttpRequest) -> bool {
    let accepted = request.headers().get_all(header::ACCEPT).filter_map(|value| value.to_str().ok());
    accepted.flat_map(|value| value.split(',')).any(|range| {
        let mut parts = range.split(';').map(str::trim);
        let is_html = parts.next().is_some_and(|kind| kind.eq_ignore_ascii_case("text/html"));
        let refused = parts
            .filter_map(|part| part.strip_prefix("q="))
            .any(|quality| quality.parse().is_ok_and(|quality: f32| quality == 0.0));
        is_html && !refused
    })
}
