//! Traces: where one request spent its time, told to an OpenTelemetry collector as OTLP over HTTP.
//!
//! A [`Tracer`] exists where a collector is configured; without one nothing here runs but a look for a request that is
//! not there. What a request did is noted as it goes ([`Step`]s, a few words each) and handed over whole when it has
//! been answered: one bounded queue, one task that sends, nobody who waits. A step's words are fixed names and numbers,
//! so that no ticket, key, name or body can get into a trace. Why neither OpenTelemetry's SDK nor its exporter, and why
//! a statement that served many guests is a span of each of them: `docs/adr/0006-traces.md`.

mod config;
mod exporter;
mod otlp;
mod request;
mod sampler;

pub use config::TraceConfig;
pub use exporter::Exporter;
pub use request::{
    Answered, OpenRequest, Outcome, RequestTrace, Share, Step, Timer, What, Written, current, link, step,
    within,
};

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use seatpilot_domain_model::TraceParent;
use tokio::sync::mpsc;

use crate::{
    clock::Clock,
    traces::{request::Bundle, sampler::Sampler},
};

/// Requests that wait to be sent; at some five spans each about 8 MiB. What comes on top is counted and let go.
const QUEUE_REQUESTS_MAX: usize = 4_096;

/// Begins traces and takes them when they are done. Clones share it.
#[derive(Debug, Clone)]
pub struct Tracer(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    clock: Clock,
    sampler: Sampler,
    queue: mpsc::Sender<Bundle>,
    counts: Counts,
}

/// Spans so far.
#[derive(Debug, Default)]
struct Counts {
    sent: AtomicU64,
    dropped: AtomicU64,
}

/// How many spans a process has had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpanCounts {
    /// Taken by the collector.
    pub sent: u64,
    /// Let go: the queue was full, the collector did not take them, or the process ended first.
    pub dropped: u64,
}

impl Tracer {
    /// Starts to export where a collector is configured. Must be called inside a tokio runtime, which then runs the
    /// [`Exporter`].
    pub fn start(
        service_name: &str,
        version: &str,
        config: &TraceConfig,
        clock: &Clock,
    ) -> Option<(Self, Exporter)> {
        let export = config.export()?;
        let (queue, waiting) = mpsc::channel(QUEUE_REQUESTS_MAX);
        let shared =
            Shared { clock: clock.clone(), sampler: export.sampler, queue, counts: Counts::default() };
        let tracer = Self(Arc::new(shared));
        let resource = otlp::Origin::new(service_name, version, clock.uuid_v7());
        let exporter = Exporter::spawn(export, resource, waiting, tracer.clone());
        Some((tracer, exporter))
    }

    /// Begins a request: its own span in the sender's trace, or in a new one; and the request to note steps in, where
    /// the trace is recorded.
    pub fn begin(&self, sent: Option<TraceParent>, began: Instant) -> (TraceParent, Option<OpenRequest>) {
        let own = continued(sent);
        let records = self.0.sampler.samples(sent.as_ref(), own.trace_id().bytes());
        if !records {
            return (own.unrecorded(), None);
        }
        let own = own.recorded();
        (own, Some(OpenRequest::new(self.clone(), own, sent.map(|sent| sent.span_id()), began)))
    }

    /// How many spans were sent and let go so far.
    pub fn counts(&self) -> SpanCounts {
        SpanCounts {
            sent: self.0.counts.sent.load(Ordering::Relaxed),
            dropped: self.0.counts.dropped.load(Ordering::Relaxed),
        }
    }

    /// Queues what is done; never waits.
    fn take(&self, bundle: Bundle) {
        let spans = bundle.spans();
        if self.0.queue.try_send(bundle).is_err() {
            self.dropped(spans);
        }
    }

    fn dropped(&self, spans: u64) {
        self.0.counts.dropped.fetch_add(spans, Ordering::Relaxed);
    }

    fn sent(&self, spans: u64) {
        self.0.counts.sent.fetch_add(spans, Ordering::Relaxed);
    }
}

/// The sender's trace, continued by a span of ours, or a new trace, which is not recorded.
pub fn continued(sent: Option<TraceParent>) -> TraceParent {
    let mut random = [0; 24];
    // Without randomness the ids are fixed ones (`TraceParent`), and the request goes on.
    let _ = getrandom::fill(&mut random);
    let (mut trace_id, mut span_id) = ([0; 16], [0; 8]);
    trace_id.copy_from_slice(&random[..16]);
    span_id.copy_from_slice(&random[16..]);
    match sent {
        Some(parent) => parent.child(span_id),
        None => TraceParent::root(trace_id, span_id),
    }
}
