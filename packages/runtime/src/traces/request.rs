//! One request that is traced: what it noted on its way, and how it was answered.

use std::{
    borrow::Cow,
    future::Future,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use jiff::Timestamp;
use seatpilot_domain_model::{Hex, TenantId, TraceParent};

use crate::traces::Tracer;

/// Most steps of one request; it has five or so. What comes on top is counted and let go.
const STEPS_MAX: usize = 32;

/// One part of a request's way.
#[derive(Debug, Clone)]
pub struct Step {
    /// Which.
    pub what: What,
    /// When it began.
    pub began: Instant,
    /// When it ended.
    pub ended: Instant,
    /// How it ended.
    pub outcome: Outcome,
}

/// Which part. Every word is written down in the code: nothing of a request can get in here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// The wait for a connection of the reading pool.
    PoolWait,
    /// The wait for another process that writes, from the hand-over to its answer.
    BusWait,
    /// The wait in the queue of a group-commit writer, by the writer's name.
    BatchWait(&'static str),
    /// A statement, by its name; for a writer's, with the batch that shared it.
    Statement(&'static str, Option<Share>),
}

/// A statement that several requests share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    /// Which batch of this process: the same number in every request that was in it.
    pub batch: u64,
    /// How many rows it had.
    pub rows: usize,
}

/// How a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Well.
    Done,
    /// It failed, or nobody waited for its end any more.
    Failed,
}

/// How a request was answered.
#[derive(Debug)]
pub struct Answered {
    /// Its method, as one of HTTP's own.
    pub method: &'static str,
    /// The template of its route; never the path, which carries what a trace must not.
    pub route: Cow<'static, str>,
    /// The status.
    pub status: u16,
    /// Whose it was, where that was found out.
    pub tenant: Option<TenantId>,
}

/// A request that came over the bus, and was written here for another process.
#[derive(Debug)]
pub struct Written {
    /// Whose it was.
    pub tenant: TenantId,
    /// Whether it was stored, or found stored.
    pub outcome: Outcome,
}

/// A request that others note steps in: whoever serves it, also in another task. Clones share it.
#[derive(Debug, Clone)]
pub struct RequestTrace(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    tracer: Tracer,
    own: TraceParent,
    noted: Mutex<Noted>,
}

#[derive(Debug)]
struct Noted {
    phase: Phase,
    steps: Vec<Step>,
    link: Option<TraceParent>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    UnderWay,
    Answered,
}

tokio::task_local! {
    static CURRENT: RequestTrace;
}

/// Serves a request inside its trace: [`current`], [`step`] and [`link`] find it there.
pub async fn within<F: Future>(request: &OpenRequest, work: F) -> F::Output {
    CURRENT.scope(request.trace.clone(), work).await
}

/// The request that this task serves, where it is traced.
pub fn current() -> Option<RequestTrace> {
    CURRENT.try_with(Clone::clone).ok()
}

/// Begins a step of the request that this task serves. Dropped before its end, it failed.
pub fn step(what: What) -> Timer {
    Timer(current().map(|trace| (trace, what, Instant::now())))
}

/// Points from the request that this task serves to a span of another trace: the check-in of a guest who arrives.
pub fn link(to: TraceParent) {
    if let Some(trace) = current() {
        trace.noted().link = Some(to);
    }
}

/// A step under way; nothing at all where nobody traces.
#[derive(Debug)]
#[must_use = "a step that is dropped at once took no time"]
pub struct Timer(Option<(RequestTrace, What, Instant)>);

impl Timer {
    /// Ends the step as its result says.
    pub fn end<T, E>(mut self, result: &Result<T, E>) {
        self.close(if result.is_ok() { Outcome::Done } else { Outcome::Failed });
    }

    fn close(&mut self, outcome: Outcome) {
        if let Some((trace, what, began)) = self.0.take() {
            trace.note(Step { what, began, ended: Instant::now(), outcome });
        }
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        self.close(Outcome::Failed);
    }
}

impl RequestTrace {
    /// Notes a step. One that ends after the request was answered, as a statement whose caller gave up, goes to the
    /// collector by itself.
    pub fn note(&self, step: Step) {
        let mut noted = self.noted();
        match noted.phase {
            Phase::UnderWay if noted.steps.len() < STEPS_MAX => noted.steps.push(step),
            Phase::UnderWay => {
                drop(noted);
                self.0.tracer.dropped(1);
            }
            Phase::Answered => {
                drop(noted);
                self.0.tracer.take(self.bundle(None, vec![step]));
            }
        }
    }

    fn noted(&self) -> MutexGuard<'_, Noted> {
        self.0.noted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn bundle(&self, request: Option<Request>, steps: Vec<Step>) -> Bundle {
        let clock = &self.0.tracer.0.clock;
        Bundle { own: self.0.own, time: (clock.now(), clock.monotonic()), request, steps }
    }
}

/// A request from its head to its answer. Dropped before that, nobody waited for it any more.
#[derive(Debug)]
pub struct OpenRequest {
    trace: RequestTrace,
    parent: Option<Hex<8>>,
    began: Instant,
}

impl OpenRequest {
    pub(crate) fn new(tracer: Tracer, own: TraceParent, parent: Option<Hex<8>>, began: Instant) -> Self {
        let noted = Noted { phase: Phase::UnderWay, steps: Vec::new(), link: None };
        let inner = Inner { tracer, own, noted: Mutex::new(noted) };
        Self { trace: RequestTrace(Arc::new(inner)), parent, began }
    }

    /// Ends the request as it was answered, and hands it over.
    pub fn end(self, answered: Answered) {
        self.hand_over(Some(Ending::Answered(answered)));
    }

    /// Ends what was done for a request of another process, and hands it over.
    pub fn end_written(self, written: Written) {
        self.hand_over(Some(Ending::Written(written)));
    }

    fn hand_over(&self, ending: Option<Ending>) {
        let (steps, link) = {
            let mut noted = self.trace.noted();
            if noted.phase == Phase::Answered {
                return;
            }
            noted.phase = Phase::Answered;
            (std::mem::take(&mut noted.steps), noted.link)
        };
        let ended = self.trace.0.tracer.0.clock.monotonic();
        let request = Request { parent: self.parent, began: self.began, ended, ending, link };
        self.trace.0.tracer.take(self.trace.bundle(Some(request), steps));
    }
}

impl Drop for OpenRequest {
    fn drop(&mut self) {
        self.hand_over(None);
    }
}

/// What is handed over at once.
#[derive(Debug)]
pub(crate) struct Bundle {
    /// The request's own span.
    pub(crate) own: TraceParent,
    /// Two readings of one moment, by which the others become times of day.
    pub(crate) time: (Timestamp, Instant),
    /// None where a step came after its request.
    pub(crate) request: Option<Request>,
    pub(crate) steps: Vec<Step>,
}

#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) parent: Option<Hex<8>>,
    pub(crate) began: Instant,
    pub(crate) ended: Instant,
    /// None where nobody waited for the answer.
    pub(crate) ending: Option<Ending>,
    pub(crate) link: Option<TraceParent>,
}

/// How it ended, and with that what it was.
#[derive(Debug)]
pub(crate) enum Ending {
    /// By HTTP, and was answered.
    Answered(Answered),
    /// Over the bus, and was written.
    Written(Written),
}

impl Bundle {
    pub(crate) fn spans(&self) -> u64 {
        let steps = u64::try_from(self.steps.len()).unwrap_or(u64::MAX);
        steps + u64::from(self.request.is_some())
    }
}
