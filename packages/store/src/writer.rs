//! The group-commit writer: what makes the hot paths fast.
//!
//! Callers push a row and wait. A writer owns one connection and loops: take all that waits for one tenant,
//! send it as one statement, answer everybody. There is no timer: an idle system writes at once, a busy one
//! batches by itself while the previous commit is under way. The promises:
//!
//! - the queue is bounded by rows, by bytes and by time: it holds what is written soon, and a full one refuses at once;
//! - rows that share a key (a `scan_id`, a session, a nonce) never share a batch nor run at the same time in
//!   this process, so that a repeat always sees the first;
//! - nobody is answered before the server is ready for the next statement, that is after its commit;
//! - a row that the server refuses does not fail its neighbours: the batch is bisected;
//! - a caller that goes away changes nothing;
//! - without a connection, callers are refused at once and nothing piles up.

use std::{
    collections::{HashSet, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use seatpilot_metrics_api::{Metrics, WriterMetrics};
use tokio::{runtime::Handle, sync::oneshot};

use crate::{
    Error,
    room::Room,
    shift::{Seat, Shift},
    wait_trace::WaitTrace,
};

#[cfg(test)]
mod model;
mod writing;

use writing::{Place, write};

pub(crate) use crate::batch::{Batch, Limits, Line, SendError};

/// How often one statement is sent again after two transactions met (deadlock, or a nonce used elsewhere).
const RESENDS_MAX: u8 = 3;
/// Pauses between attempts to connect.
const RECONNECT_MIN: Duration = Duration::from_millis(50);
const RECONNECT_MAX: Duration = Duration::from_secs(1);

/// A handle to the queue; clones share it.
pub(crate) struct Writer<B: Batch> {
    queue: Arc<Queue<B>>,
    target: <B::Line as Line>::Target,
    deadline: Duration,
}

impl<B: Batch> Writer<B> {
    /// A queue that nobody writes yet: see [`join`](Self::join).
    pub(crate) fn new(target: &<B::Line as Line>::Target, batch: B, limits: Limits) -> Self {
        let queue = Arc::new(Queue {
            state: Mutex::new(State {
                waiting: VecDeque::new(),
                bytes: 0,
                room: Room::new(limits.queue_rows, limits.patience),
                busy: HashSet::new(),
                shift: Shift::default(),
            }),
            closed: AtomicBool::new(false),
            writing: AtomicUsize::new(0),
            connected: AtomicUsize::new(0),
            batch,
            limits,
            metrics: OnceLock::new(),
            batches: AtomicU64::new(0),
        });
        Self { queue, target: target.clone(), deadline: limits.deadline }
    }

    /// The same with all of its writing tasks on `runtime`.
    pub(crate) fn start(
        runtime: &Handle,
        target: &<B::Line as Line>::Target,
        batch: B,
        limits: Limits,
    ) -> Self {
        let writer = Self::new(target, batch, limits);
        for _ in 0..limits.writers.max(1) {
            writer.join(runtime);
        }
        writer
    }

    /// Starts a writing task on `runtime`, unless there are as many as there may be. One that lives where the requests
    /// are served takes a lone row without waking another thread, which costs more than to encode it.
    pub(crate) fn join(&self, runtime: &Handle) {
        let most = self.queue.limits.writers.max(1);
        let more = |count| (count < most).then_some(count + 1);
        if self.queue.writing.fetch_update(Ordering::AcqRel, Ordering::Acquire, more).is_ok() {
            let place = Place(Arc::clone(&self.queue));
            runtime.spawn(write(place, self.target.clone()));
        }
    }

    /// Hands in a row and waits for its answer.
    pub(crate) async fn write(&self, row: B::Row) -> Result<B::Answer, Error> {
        let answer = self.queue.push(row)?;
        match tokio::time::timeout(self.deadline, answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(Error::Unreachable),
            Err(_) => Err(Error::Deadline(self.deadline)),
        }
    }

    /// Shows queue and batches in the metrics from now on.
    pub(crate) fn observe(&self, metrics: &Metrics) {
        let queue = Arc::downgrade(&self.queue);
        let waiting = move || queue.upgrade().map_or(0, |queue| queue.state().waiting.len());
        let metrics = metrics.writer(B::NAME, waiting);
        metrics.set_queue_capacity(self.queue.limits.queue_rows);
        let _ = self.queue.metrics.set(metrics);
    }

    /// How many rows wait now.
    pub(crate) fn waiting(&self) -> usize {
        self.queue.state().waiting.len()
    }

    /// Whether a row that came now would be refused: for a handler that has not read its body yet.
    pub(crate) fn is_full(&self) -> bool {
        let state = self.queue.state();
        state.room.is_full(state.waiting.len())
    }

    /// How many connections the writer holds now.
    pub(crate) fn connected(&self) -> usize {
        self.queue.connected.load(Ordering::Acquire)
    }
}

impl<B: Batch> Drop for Writer<B> {
    fn drop(&mut self) {
        self.queue.closed.store(true, Ordering::Release);
        self.queue.state().shift.wake_all();
    }
}

struct Queue<B: Batch> {
    state: Mutex<State<B>>,
    closed: AtomicBool,
    /// How many tasks write, connected or not.
    writing: AtomicUsize,
    connected: AtomicUsize,
    batch: B,
    limits: Limits,
    metrics: OnceLock<WriterMetrics>,
    /// How many statements were sent, by which requests that shared one are known in their traces.
    batches: AtomicU64,
}

struct State<B: Batch> {
    waiting: VecDeque<Waiting<B>>,
    bytes: usize,
    /// How many may wait now.
    room: Room,
    /// Keys of the rows that a writer holds now.
    busy: HashSet<u64>,
    /// The writers that have nothing to do.
    shift: Shift,
}

struct Waiting<B: Batch> {
    row: B::Row,
    key: u64,
    came: Instant,
    answer: oneshot::Sender<Result<B::Answer, Error>>,
    /// Where the request's trace is told of the wait and of the statement; none where it is not recorded.
    trace: Option<WaitTrace>,
}

impl<B: Batch> Queue<B> {
    /// The lock is held for a few moves of a pointer, never across an await.
    fn state(&self) -> MutexGuard<'_, State<B>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, row: B::Row) -> Result<oneshot::Receiver<Result<B::Answer, Error>>, Error> {
        if self.connected.load(Ordering::Acquire) == 0 || self.closed.load(Ordering::Acquire) {
            return Err(Error::Unreachable);
        }
        let bytes = B::bytes(&row);
        let key = B::key(&row);
        let (answer, answered) = oneshot::channel();
        let trace = WaitTrace::of_this_request(B::NAME);
        let came = Instant::now();
        let woken = {
            let mut state = self.state();
            if state.room.is_full(state.waiting.len()) || state.bytes + bytes > self.limits.queue_bytes {
                return Err(Error::Full(B::NAME));
            }
            state.bytes += bytes;
            state.waiting.push_back(Waiting { row, key, came, answer, trace });
            state.shift.next()
        };
        if let Some(writer) = woken {
            writer.notify_one();
        }
        Ok(answered)
    }

    /// All that waits for the tenant at the head of the queue and may run now, in the order pushed. Who finds nothing has
    /// nothing to do, and is woken.
    fn take_now(&self, seat: &Seat) -> Vec<Waiting<B>> {
        self.refuse_late();
        let mut guard = self.state();
        let state = &mut *guard;
        let Some(head) = state.waiting.iter().position(|waiting| !state.busy.contains(&waiting.key)) else {
            state.shift.rest(seat);
            return Vec::new();
        };
        let tenant = B::tenant(&state.waiting[head].row).clone();
        let mut taken = Vec::new();
        let mut items = 0;
        let mut index = head;
        while index < state.waiting.len() && taken.len() < self.limits.batch_rows {
            let waiting = &state.waiting[index];
            let fits = taken.is_empty() || items + B::items(&waiting.row) <= self.limits.batch_items;
            if !fits {
                break;
            }
            if *B::tenant(&waiting.row) != tenant || state.busy.contains(&waiting.key) {
                index += 1;
                continue;
            }
            let Some(waiting) = state.waiting.remove(index) else { break };
            items += B::items(&waiting.row);
            state.bytes -= B::bytes(&waiting.row);
            state.busy.insert(waiting.key);
            taken.push(waiting);
        }
        if let Some(oldest) = taken.iter().map(|waiting| waiting.came).min() {
            let (count, left) = (taken.len(), state.waiting.len());
            state.room.took(Instant::now(), oldest, count, left, self.limits.writers);
        }
        if !state.waiting.is_empty()
            && let Some(writer) = state.shift.next()
        {
            writer.notify_one();
        }
        taken
    }

    /// Refuses those who have waited for too long; they stand first.
    fn refuse_late(&self) {
        let mut late = Vec::new();
        {
            let mut guard = self.state();
            let (state, now) = (&mut *guard, Instant::now());
            while let Some(waiting) =
                state.waiting.pop_front_if(|waiting| state.room.is_over(waiting.came, now))
            {
                state.bytes -= B::bytes(&waiting.row);
                late.push(waiting);
            }
        }
        for waiting in late {
            let _ = waiting.answer.send(Err(Error::Full(B::NAME)));
        }
    }

    /// Waits for work. Empty once the queue is closed and drained.
    async fn take(&self, seat: &Seat) -> Vec<Waiting<B>> {
        loop {
            let taken = self.take_now(seat);
            if !taken.is_empty() {
                return taken;
            }
            if self.closed.load(Ordering::Acquire) && self.state().waiting.is_empty() {
                return Vec::new();
            }
            seat.woken().await;
        }
    }

    /// A writer goes. Where it was woken and took nothing, another one is.
    fn leave(&self, seat: &Seat) {
        let mut state = self.state();
        state.shift.leave(seat);
        if !state.waiting.is_empty()
            && let Some(writer) = state.shift.next()
        {
            writer.notify_one();
        }
    }

    fn release(&self, keys: impl Iterator<Item = u64>) {
        let mut state = self.state();
        for key in keys {
            state.busy.remove(&key);
        }
        let woken = if state.waiting.is_empty() { None } else { state.shift.next() };
        drop(state);
        if let Some(writer) = woken {
            writer.notify_one();
        }
    }

    /// Refuses everybody who waits: there is no connection to write to.
    fn refuse_all(&self) {
        let waiting = {
            let mut state = self.state();
            state.bytes = 0;
            std::mem::take(&mut state.waiting)
        };
        for waiting in waiting {
            let _ = waiting.answer.send(Err(Error::Unreachable));
        }
    }
}
