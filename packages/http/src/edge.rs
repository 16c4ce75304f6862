//! What happens to every request before its handler and to every answer after it.

use std::{borrow::Cow, sync::Arc, time::Instant};

use actix_web::{
    Error, HttpMessage as _, HttpResponse,
    body::{BoxBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    http::{
        ConnectionType, Method, StatusCode,
        header::{self, HeaderMap, HeaderName, HeaderValue},
    },
    middleware::Next,
    web::Data,
};
use seatpilot_domain_model::{Fault, FaultCode, TraceParent};
use seatpilot_metrics_api::Metrics;
use seatpilot_runtime::{
    Clock, Shutdown,
    traces::{self, Answered, Tracer},
};
use tracing::Instrument as _;

use crate::{
    connection::Pace,
    cross_origin::CrossOrigin,
    probes::QUIET,
    problem::{PROBLEM_JSON, Problem, fault_of_status, status_of},
    request::{Caller, RequestContext, RequestId},
    slow::{self, SlowLines},
};

/// Most headers of a request, and most bytes in them. actix' own bounds are 96 and 128 KiB.
const HEADERS_MAX: usize = 64;
const HEADER_BYTES_MAX: usize = 16 * 1024;

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What the edge works with.
#[derive(Debug)]
pub(crate) struct Edge {
    pub(crate) clock: Clock,
    pub(crate) shutdown: Shutdown,
    pub(crate) metrics: Arc<Metrics>,
    /// Where traces go, where they go anywhere.
    pub(crate) tracer: Option<Tracer>,
    pub(crate) slow: SlowLines,
    pub(crate) cross_origin: CrossOrigin,
}

/// The one middleware.
pub(crate) async fn edge(
    edge: Data<Edge>,
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let began = edge.clock.monotonic();
    if let Some(pace) = request.conn_data::<Pace>() {
        pace.request_came();
    }
    let id = RequestId::of(request.headers(), &edge.clock);
    let sent = sent_trace(request.headers());
    let (trace, traced) = match &edge.tracer {
        Some(tracer) => tracer.begin(sent, began),
        None => (traces::continued(sent), None),
    };
    let kept_trace = (sent.is_some() || traced.is_some()).then_some(trace);
    let span = tracing::info_span!("request", request_id = id.as_str(), trace_id = %trace.trace_id());
    request.extensions_mut().insert(RequestContext { id: id.clone(), began, trace, kept_trace });
    let served = async {
        let response = match refuse(request.headers()) {
            // Not `into_response`, which drops the error, and with it what the fault says.
            Some(fault) => {
                ServiceResponse::new(request.into_parts().0, HttpResponse::from_error(Problem::from(fault)))
            }
            None => next.call(request).await?.map_into_boxed_body(),
        };
        let matched = response.request().match_pattern();
        let response = finish(response, matched.as_deref(), &id, &trace, &edge);
        let route = account(&response, matched, began, &trace, &edge);
        Ok::<_, Error>((response, route))
    }
    .instrument(span);
    let (response, route) = match &traced {
        Some(request) => traces::within(request, served).await,
        None => served.await,
    }?;
    if let Some(traced) = traced {
        traced.end(answered(&response, route));
    }
    Ok(response)
}

/// The sender's trace. Two `traceparent` headers are as good as none (W3C).
fn sent_trace(headers: &HeaderMap) -> Option<TraceParent> {
    let mut sent = headers.get_all("traceparent");
    match (sent.next().and_then(|value| value.to_str().ok()), sent.next()) {
        (Some(parent), None) => parent.parse().ok(),
        _ => None,
    }
}

/// What is refused by its head alone, whatever the route: nothing of the body is read.
fn refuse(headers: &HeaderMap) -> Option<Fault> {
    let bytes: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    if headers.len() > HEADERS_MAX || bytes > HEADER_BYTES_MAX {
        let detail =
            format!("The request has more than {HEADERS_MAX} headers or {HEADER_BYTES_MAX} bytes in them.");
        return Some(Fault::new(FaultCode::BadRequest, detail));
    }
    // Nothing here decompresses, so a bomb has nothing to blow up; saying so beats "not JSON".
    headers.contains_key(header::CONTENT_ENCODING).then(|| {
        Fault::new(FaultCode::UnsupportedEncoding, "Send the body as it is, without Content-Encoding.")
    })
}

/// Every answer has the request's id, and every error is a problem document.
fn finish(
    response: ServiceResponse<BoxBody>,
    matched: Option<&str>,
    id: &RequestId,
    trace: &TraceParent,
    edge: &Edge,
) -> ServiceResponse<BoxBody> {
    let (request, mut response) = response.into_parts();
    if let Some(problem) = response.error().and_then(|error| error.as_error::<Problem>()) {
        log(problem.fault(), trace, edge);
        response = problem.answer(id.as_str());
    } else if is_foreign_error(&response) {
        let fault = fault_of_status(response.status());
        log(&fault, trace, edge);
        response = Problem::from(fault).answer(id.as_str());
    }
    let closing = edge.shutdown.is_draining() || leaves_body_unread(response.status());
    if closing {
        response.head_mut().set_connection_type(ConnectionType::Close);
    }
    let mut response = seal(response, id);
    edge.cross_origin.open(matched, &request, &mut response);
    ServiceResponse::new(request, response)
}

/// The headers of every answer.
pub(crate) fn seal(mut response: HttpResponse, id: &RequestId) -> HttpResponse {
    let headers = response.headers_mut();
    if let Ok(id) = HeaderValue::from_str(id.as_str()) {
        headers.insert(X_REQUEST_ID, id);
    }
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    response
}

/// An error that actix made: no document of ours, and no page that a handler wrote.
fn is_foreign_error(response: &HttpResponse) -> bool {
    let status = response.status();
    if !status.is_client_error() && !status.is_server_error() {
        return false;
    }
    let content_type = response.headers().get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
    match content_type {
        None => true,
        Some(content_type) => {
            content_type != PROBLEM_JSON.as_bytes() && content_type.starts_with(b"text/plain")
        }
    }
}

/// Statuses behind which the rest of a body may still be on its way: reading it to its end would give the
/// sender what it wanted.
fn leaves_body_unread(status: StatusCode) -> bool {
    status == status_of(FaultCode::RequestTimeout)
        || status == status_of(FaultCode::BodyTooLarge)
        || status == status_of(FaultCode::UnsupportedEncoding)
}

/// Logs what is ours, once, with its cause. Shed and not-ready answers are only counted: under load there
/// would be thousands of lines that say the same.
fn log(fault: &Fault, trace: &TraceParent, edge: &Edge) {
    let code = fault.code();
    match code {
        FaultCode::Overloaded => edge.metrics.http().count_overloaded(),
        FaultCode::NotReady => {}
        _ if status_of(code).is_server_error() => {
            let error = fault as &dyn std::error::Error;
            tracing::error!(code = code.as_str(), trace_id = %trace.trace_id(), error, "request failed");
        }
        _ => {}
    }
}

/// Metric and access line. Returns the template of the route.
fn account(
    response: &ServiceResponse<BoxBody>,
    matched: Option<String>,
    began: Instant,
    trace: &TraceParent,
    edge: &Edge,
) -> Cow<'static, str> {
    let now = edge.clock.monotonic();
    let elapsed = now.saturating_duration_since(began);
    let request = response.request();
    let status = response.status().as_u16();
    let method = request.method().as_str();
    edge.metrics.http().observe(method, matched.as_deref(), status, elapsed.as_secs_f64());

    let extensions = request.extensions();
    let caller = extensions.get::<Caller>();
    let tenant = caller.map(|caller| caller.tenant.as_str());
    let caller = caller.map(|caller| &*caller.id);
    // The template, never the path: a path may carry what a log must not.
    let template = matched.map_or(Cow::Borrowed("unmatched"), Cow::Owned);
    let route = &*template;
    let ms = (elapsed.as_secs_f64() * 1e5).round() / 1e2;
    if QUIET.contains(&route) {
        tracing::debug!(method, route, status, ms, tenant, caller, "served");
        return template;
    }
    tracing::info!(method, route, status, ms, tenant, caller, "served");
    if elapsed >= slow::SLOW
        && let Some(unsaid) = edge.slow.may_speak(now)
    {
        let trace_id = trace.trace_id();
        tracing::warn!(method, route, status, ms, tenant, %trace_id, unsaid, "slow request");
    }
    template
}

/// What a trace says of an answer.
fn answered(response: &ServiceResponse<BoxBody>, route: Cow<'static, str>) -> Answered {
    let request = response.request();
    let tenant = request.extensions().get::<Caller>().map(|caller| caller.tenant.clone());
    let method = known_method(request.method());
    Answered { method, route, status: response.status().as_u16(), tenant }
}

/// A method of HTTP's own: another one is the sender's text, which a trace must not carry.
fn known_method(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        _ => "_OTHER",
    }
}
