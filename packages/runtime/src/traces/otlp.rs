//! What is sent: requests and their steps as OTLP messages.

use std::time::Instant;

use jiff::Timestamp;
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value::Value},
    resource::v1::Resource,
    trace::v1::{
        ResourceSpans, ScopeSpans, Span, Status,
        span::{Link, SpanKind},
        status::StatusCode,
    },
};
use prost::Message as _;
use seatpilot_domain_model::TraceParent;
use uuid::Uuid;

use crate::traces::request::{Bundle, Ending, Outcome, Request, Step, What};

/// Bits of a span's `flags` beside W3C's: that it is said whether its parent is remote, and that it is.
const HAS_IS_REMOTE: u32 = 0x100;
const IS_REMOTE: u32 = 0x200;

/// Who sends.
#[derive(Debug, Clone)]
pub(crate) struct Origin {
    resource: Resource,
    scope: InstrumentationScope,
}

impl Origin {
    pub(crate) fn new(service_name: &str, version: &str, instance: Uuid) -> Self {
        let attributes = vec![
            text("service.name", service_name),
            text("service.version", version),
            text("service.instance.id", instance.to_string()),
        ];
        let scope = InstrumentationScope {
            name: "seatpilot".into(),
            version: version.into(),
            ..InstrumentationScope::default()
        };
        Self { resource: Resource { attributes, ..Resource::default() }, scope }
    }

    /// The body of one post.
    pub(crate) fn encode(&self, batch: &[Bundle]) -> Vec<u8> {
        let steps: usize = batch.iter().map(|bundle| bundle.steps.len()).sum();
        let mut ids = vec![0; steps * 8];
        // Without randomness the ids are fixed ones, as for requests.
        let _ = getrandom::fill(&mut ids);
        let mut ids = ids.chunks_exact(8);
        let mut spans = Vec::with_capacity(steps + batch.len());
        for bundle in batch {
            if let Some(request) = &bundle.request {
                spans.push(request_span(bundle, request));
            }
            for step in &bundle.steps {
                let id = ids.next().unwrap_or_default();
                spans.push(step_span(bundle, step, id));
            }
        }
        let scope_spans = ScopeSpans { scope: Some(self.scope.clone()), spans, ..ScopeSpans::default() };
        let of_resource = ResourceSpans {
            resource: Some(self.resource.clone()),
            scope_spans: vec![scope_spans],
            ..ResourceSpans::default()
        };
        ExportTraceServiceRequest { resource_spans: vec![of_resource] }.encode_to_vec()
    }
}

fn request_span(bundle: &Bundle, request: &Request) -> Span {
    let mut attributes = Vec::with_capacity(5);
    let mut kind = SpanKind::Server;
    let (name, failed) = match &request.ending {
        Some(Ending::Written(written)) => {
            kind = SpanKind::Consumer;
            attributes.push(text("messaging.system", "nats"));
            attributes.push(text("messaging.operation.type", "process"));
            attributes.push(text("seatpilot.tenant", written.tenant.as_str()));
            let failed = written.outcome == Outcome::Failed;
            if failed {
                attributes.push(text("error.type", "not_written"));
            }
            ("process seatpilot.ingest.requests".into(), failed)
        }
        Some(Ending::Answered(answered)) => {
            attributes.push(text("http.request.method", answered.method));
            attributes.push(text("http.route", answered.route.as_ref()));
            attributes.push(number("http.response.status_code", i64::from(answered.status)));
            if let Some(tenant) = &answered.tenant {
                attributes.push(text("seatpilot.tenant", tenant.as_str()));
            }
            let failed = answered.status >= 500;
            if failed {
                attributes.push(text("error.type", answered.status.to_string()));
            }
            (format!("{} {}", answered.method, answered.route), failed)
        }
        None => {
            attributes.push(text("error.type", "abandoned"));
            ("request".into(), true)
        }
    };
    let remote = if request.parent.is_some() { HAS_IS_REMOTE | IS_REMOTE } else { HAS_IS_REMOTE };
    Span {
        span_id: bundle.own.span_id().bytes().to_vec(),
        parent_span_id: request.parent.map(|parent| parent.bytes().to_vec()).unwrap_or_default(),
        flags: flags(&bundle.own) | remote,
        kind: kind.into(),
        attributes,
        links: request.link.iter().map(link).collect(),
        ..span(bundle, name, (request.began, request.ended), failed)
    }
}

fn step_span(bundle: &Bundle, step: &Step, id: &[u8]) -> Span {
    let (name, kind, attributes) = match step.what {
        What::PoolWait => ("pool wait".into(), SpanKind::Internal, Vec::new()),
        What::BusWait => (
            "send seatpilot.ingest.requests".into(),
            SpanKind::Producer,
            vec![text("messaging.system", "nats"), text("messaging.operation.type", "send")],
        ),
        What::BatchWait(writer) => {
            ("batch wait".into(), SpanKind::Internal, vec![text("seatpilot.writer", writer)])
        }
        What::Statement(statement, share) => {
            let mut attributes =
                vec![text("db.system.name", "postgresql"), text("db.query.summary", statement)];
            if let Some(share) = share {
                let rows = i64::try_from(share.rows).unwrap_or(i64::MAX);
                attributes.push(number("db.operation.batch.size", rows));
                attributes.push(number("seatpilot.batch", i64::try_from(share.batch).unwrap_or(i64::MAX)));
            }
            (format!("statement {statement}"), SpanKind::Client, attributes)
        }
    };
    Span {
        span_id: id.to_vec(),
        parent_span_id: bundle.own.span_id().bytes().to_vec(),
        flags: flags(&bundle.own) | HAS_IS_REMOTE,
        kind: kind.into(),
        attributes,
        ..span(bundle, name, (step.began, step.ended), step.outcome == Outcome::Failed)
    }
}

fn span(bundle: &Bundle, name: String, (began, ended): (Instant, Instant), failed: bool) -> Span {
    let code = if failed { StatusCode::Error } else { StatusCode::Unset };
    Span {
        trace_id: bundle.own.trace_id().bytes().to_vec(),
        name,
        start_time_unix_nano: unix_nanos(bundle.time, began),
        end_time_unix_nano: unix_nanos(bundle.time, ended),
        status: Some(Status { code: code.into(), ..Status::default() }),
        ..Span::default()
    }
}

fn link(to: &TraceParent) -> Link {
    Link {
        trace_id: to.trace_id().bytes().to_vec(),
        span_id: to.span_id().bytes().to_vec(),
        flags: flags(to) | HAS_IS_REMOTE | IS_REMOTE,
        ..Link::default()
    }
}

fn flags(of: &TraceParent) -> u32 {
    u32::from(of.sampled())
}

/// A point of the monotonic clock as a time of day, by two readings of one moment.
fn unix_nanos((now, monotonic): (Timestamp, Instant), at: Instant) -> u64 {
    let before = monotonic.saturating_duration_since(at).as_nanos();
    let after = at.saturating_duration_since(monotonic).as_nanos();
    let nanos = u128::try_from(now.as_nanosecond()).unwrap_or(0);
    u64::try_from((nanos + after).saturating_sub(before)).unwrap_or(u64::MAX)
}

fn text(key: &str, value: impl Into<String>) -> KeyValue {
    attribute(key, Value::StringValue(value.into()))
}

fn number(key: &str, value: i64) -> KeyValue {
    attribute(key, Value::IntValue(value))
}

fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.into(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_moment_before_or_after_the_reading_is_as_far_from_it_by_day() {
        let now: Timestamp = "2026-11-22T19:30:00Z".parse().unwrap();
        let monotonic = Instant::now();
        let base = 1_795_375_800_000_000_000;
        let millisecond = Duration::from_millis(1);
        assert_eq!(unix_nanos((now, monotonic), monotonic), base);
        assert_eq!(unix_nanos((now, monotonic), monotonic - millisecond), base - 1_000_000);
        assert_eq!(unix_nanos((now, monotonic), monotonic + millisecond), base + 1_000_000);
    }
}
