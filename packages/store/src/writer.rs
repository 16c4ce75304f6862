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
use seatpilot_runtime::traces::{Outcome, Share};
use tokio::{
    runtime::Handle,
    sync::{Notify, oneshot},
};

use crate::{Error, error::Failure, room::Room, wait_trace::WaitTrace};

pub(crate) use crate::batch::{Batch, Limits, Line, SendError};

/// How often one statement is sent again after two transactions met (deadlock, or a nonce used elsewhere).
const RESENDS_MAX: u8 = 3;
/// Pauses between attempts to connect.
const RECONNECT_MIN: Duration = Duration::from_millis(50);
const RECONNECT_MAX: Duration = Duration::from_secs(1);

/// A handle to the queue; clones share it.
pub(crate) struct Writer<B: Batch> {
    queue: Arc<Queue<B>>,
    deadline: Duration,
}

impl<B: Batch> Writer<B> {
    /// Starts the writing tasks on `runtime`.
    pub(crate) fn start(
        runtime: &Handle,
        target: &<B::Line as Line>::Target,
        batch: B,
        limits: Limits,
    ) -> Self {
        let queue = Arc::new(Queue {
            state: Mutex::new(State {
                waiting: VecDeque::new(),
                bytes: 0,
                room: Room::new(limits.queue_rows, limits.patience),
                busy: HashSet::new(),
            }),
            wake: Notify::new(),
            closed: AtomicBool::new(false),
            connected: AtomicUsize::new(0),
            batch,
            limits,
            metrics: OnceLock::new(),
            batches: AtomicU64::new(0),
        });
        for _ in 0..limits.writers.max(1) {
            runtime.spawn(write(Arc::clone(&queue), target.clone()));
        }
        Self { queue, deadline: limits.deadline }
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
        self.queue.wake.notify_waiters();
        self.queue.wake.notify_one();
    }
}

struct Queue<B: Batch> {
    state: Mutex<State<B>>,
    wake: Notify,
    closed: AtomicBool,
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
        {
            let mut state = self.state();
            if state.room.is_full(state.waiting.len()) || state.bytes + bytes > self.limits.queue_bytes {
                return Err(Error::Full(B::NAME));
            }
            state.bytes += bytes;
            state.waiting.push_back(Waiting { row, key, came, answer, trace });
        }
        self.wake.notify_one();
        Ok(answered)
    }

    /// All that waits for the tenant at the head of the queue and may run now, in the order pushed.
    fn take_now(&self) -> Vec<Waiting<B>> {
        self.refuse_late();
        let mut guard = self.state();
        let state = &mut *guard;
        let Some(head) = state.waiting.iter().position(|waiting| !state.busy.contains(&waiting.key)) else {
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
        if !state.waiting.is_empty() {
            self.wake.notify_one();
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
    async fn take(&self) -> Vec<Waiting<B>> {
        loop {
            let woken = self.wake.notified();
            let taken = self.take_now();
            if !taken.is_empty() {
                return taken;
            }
            if self.closed.load(Ordering::Acquire) && self.state().waiting.is_empty() {
                return Vec::new();
            }
            woken.await;
        }
    }

    fn release(&self, keys: impl Iterator<Item = u64>) {
        let mut state = self.state();
        for key in keys {
            state.busy.remove(&key);
        }
        let more = !state.waiting.is_empty();
        drop(state);
        if more {
            self.wake.notify_one();
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

/// One writing task: connect, write until the connection is lost, connect again.
async fn write<B: Batch>(queue: Arc<Queue<B>>, target: <B::Line as Line>::Target) {
    let mut pause = RECONNECT_MIN;
    while !(queue.closed.load(Ordering::Acquire) && queue.state().waiting.is_empty()) {
        match open(&queue, &target).await {
            Ok(line) => {
                pause = RECONNECT_MIN;
                queue.connected.fetch_add(1, Ordering::AcqRel);
                let drained = write_until_lost(&queue, &line).await;
                if queue.connected.fetch_sub(1, Ordering::AcqRel) == 1 {
                    queue.refuse_all();
                }
                if drained {
                    return;
                }
            }
            Err(error) => {
                tracing::debug!(
                    writer = B::NAME,
                    error = &error as &dyn std::error::Error,
                    "no connection to write to"
                );
                if queue.connected.load(Ordering::Acquire) == 0 {
                    queue.refuse_all();
                }
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(RECONNECT_MAX);
            }
        }
    }
}

/// A line that has run the statement once, without rows: the server plans a function's statements at its first call,
/// and that must not be a guest's.
async fn open<B: Batch>(queue: &Queue<B>, target: &<B::Line as Line>::Target) -> Result<B::Line, Error> {
    let (batch, max) = (&queue.batch, queue.limits.statement_max);
    let line = batch.open(target).await?;
    match tokio::time::timeout(max, batch.send(&line, "", &[])).await {
        Ok(Ok(_)) => Ok(line),
        Ok(Err(error)) => Err(error.into()),
        Err(_) => Err(Error::Deadline(max)),
    }
}

/// True once the queue is closed and drained, false when the connection is lost.
async fn write_until_lost<B: Batch>(queue: &Queue<B>, line: &B::Line) -> bool {
    loop {
        let batch = tokio::select! {
            batch = queue.take() => batch,
            () = line.lost() => return false,
        };
        if batch.is_empty() {
            return true;
        }
        let keys: Vec<u64> = batch.iter().map(|waiting| waiting.key).collect();
        let kept = send_until_answered(queue, line, batch).await;
        queue.release(keys.into_iter());
        if !kept {
            return false;
        }
    }
}

/// Sends a batch, in parts where a row is at fault, until everybody in it is answered. False when the
/// connection is of no more use.
async fn send_until_answered<B: Batch>(queue: &Queue<B>, line: &B::Line, batch: Vec<Waiting<B>>) -> bool {
    let Some(tenant) = batch.first().map(|waiting| B::tenant(&waiting.row).clone()) else { return true };
    let mut parts = vec![(batch, 0_u8)];
    while let Some((mut part, resends)) = parts.pop() {
        let rows: Vec<&B::Row> = part.iter().map(|waiting| &waiting.row).collect();
        let batch = queue.batches.fetch_add(1, Ordering::Relaxed);
        let began = Instant::now();
        let max = queue.limits.statement_max;
        let sent = tokio::time::timeout(max, queue.batch.send(line, tenant.as_str(), &rows)).await;
        let ended = Instant::now();
        trace(&mut part, batch, (began, ended), &sent);
        let error = match sent {
            Ok(Ok(answers)) if answers.len() == part.len() => {
                if let Some(metrics) = queue.metrics.get() {
                    metrics.observe_flush(part.len(), ended.saturating_duration_since(began).as_secs_f64());
                }
                for (waiting, answer) in part.into_iter().zip(answers) {
                    let _ = waiting.answer.send(Ok(answer));
                }
                continue;
            }
            Ok(Ok(answers)) => {
                let shape = format!("{} answered {} of {} rows", B::NAME, answers.len(), part.len());
                tracing::error!("{shape}");
                answer_all(part, &Error::Corrupt(shape));
                continue;
            }
            Ok(Err(SendError::Shape(shape))) => {
                tracing::error!(statement = B::NAME, "{shape}");
                answer_all(part, &Error::Corrupt(shape));
                continue;
            }
            Ok(Err(SendError::Failed(cause))) => cause,
            Err(_) => {
                tracing::warn!(statement = B::NAME, "gave up a connection that did not answer");
                answer_all(part, &Error::Deadline(max));
                answer_rest(parts);
                return false;
            }
        };
        match Failure::of(&error) {
            Failure::Resend if resends < RESENDS_MAX => parts.push((part, resends + 1)),
            Failure::BadValue | Failure::Resend if part.len() > 1 => {
                let rest = part.split_off(part.len() / 2);
                parts.push((rest, 0));
                parts.push((part, 0));
            }
            Failure::BadValue => answer_all(part, &Error::BadValue(Arc::new(error))),
            Failure::Resend | Failure::Busy => {
                tracing::warn!(statement = B::NAME, %error, "the database is short of something");
                answer_all(part, &Error::Unavailable(Arc::new(error)));
            }
            Failure::Lost => {
                tracing::warn!(statement = B::NAME, %error, "lost the connection");
                answer_all(part, &Error::Unavailable(Arc::new(error)));
                answer_rest(parts);
                return false;
            }
            Failure::Broken => {
                tracing::error!(statement = B::NAME, %error, "a statement of ours failed");
                answer_all(part, &Error::Broken(Arc::new(error)));
            }
        }
    }
    true
}

/// Tells the traces of the rows of a statement, before anybody is answered.
fn trace<B: Batch, T, E, Late>(
    part: &mut [Waiting<B>],
    batch: u64,
    times: (Instant, Instant),
    sent: &Result<Result<T, E>, Late>,
) {
    let share = Share { batch, rows: part.len() };
    let outcome = if matches!(sent, Ok(Ok(_))) { Outcome::Done } else { Outcome::Failed };
    for trace in part.iter_mut().filter_map(|waiting| waiting.trace.as_mut()) {
        trace.sent(share, times, outcome);
    }
}

fn answer_all<B: Batch>(part: Vec<Waiting<B>>, error: &Error) {
    for waiting in part {
        let _ = waiting.answer.send(Err(error.clone()));
    }
}

/// Parts that were not sent when the connection was lost.
fn answer_rest<B: Batch>(parts: Vec<(Vec<Waiting<B>>, u8)>) {
    for (part, _) in parts {
        answer_all(part, &Error::Unreachable);
    }
}
