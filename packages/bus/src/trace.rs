//! The trace of a request on its way over the bus: W3C's `traceparent` as a header of the message, as HTTP has it.
//!
//! It is no part of the sealed request, so that no version of a writer stumbles over it, and nothing is decided by it: who
//! can publish on the bus without a key could give a request another trace, as any sender by HTTP can.

use std::{str::FromStr as _, time::Instant};

use async_nats::{HeaderMap, HeaderValue};
use seatpilot_domain_model::{Submission, TraceParent};
use seatpilot_runtime::traces::{self, OpenRequest, Tracer};
use tracing::Span;

const TRACEPARENT: &str = "traceparent";
/// What it adds to a message, which counts with its payload: the line of the version, name, value, and line ends.
pub(crate) const HEADER_BYTES: usize = 82;

/// The headers of a message of that trace.
pub(crate) fn headers(trace: TraceParent) -> HeaderMap {
    let mut headers = HeaderMap::new();
    // Hex digits and dashes.
    if let Ok(value) = HeaderValue::from_str(&trace.to_string()) {
        headers.insert(TRACEPARENT, value);
    }
    headers
}

/// The part of a request's trace that is here: what its lines of the log carry, and its span where it is recorded.
pub(crate) struct Here {
    pub(crate) span: Span,
    pub(crate) open: Option<OpenRequest>,
}

/// Goes on with the trace of a message; begins one where it has none that can be read.
pub(crate) fn here(headers: Option<&HeaderMap>, submission: &Submission, tracer: Option<&Tracer>) -> Here {
    let sent = headers.and_then(|headers| headers.get(TRACEPARENT)?.as_str().parse().ok());
    let (trace, open) = match tracer {
        Some(tracer) => tracer.begin(sent, Instant::now()),
        None => (traces::continued(sent), None),
    };
    let request_id = &*submission.request_id;
    Here { span: tracing::info_span!("request", request_id, trace_id = %trace.trace_id()), open }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_is_a_header_of_so_many_bytes() {
        let trace: TraceParent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".parse().unwrap();
        let headers = headers(trace);
        assert_eq!(headers.get(TRACEPARENT).unwrap().as_str(), trace.to_string());
        let line = format!("NATS/1.0\r\n{TRACEPARENT}: {trace}\r\n\r\n");
        assert_eq!(line.len(), HEADER_BYTES);
    }
}
