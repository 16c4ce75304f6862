//! A writing task: it owns one connection, and loops: take a batch, send it as one statement, answer everybody.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Instant,
};

use seatpilot_runtime::traces::{Outcome, Share};

use super::{Batch, Line, Queue, RECONNECT_MAX, RECONNECT_MIN, RESENDS_MAX, SendError, Waiting};
use crate::{Error, error::Failure, shift::Seat};

/// The place of a writing task, given up however it ends: with the thread that it lived on, too.
pub(super) struct Place<B: Batch>(pub(super) Arc<Queue<B>>);

impl<B: Batch> Drop for Place<B> {
    fn drop(&mut self) {
        self.0.writing.fetch_sub(1, Ordering::AcqRel);
    }
}

/// A writer that holds a connection; the last one that loses it refuses everybody.
struct Connected<'q, B: Batch>(&'q Queue<B>);

impl<'q, B: Batch> Connected<'q, B> {
    fn to(queue: &'q Queue<B>) -> Self {
        queue.connected.fetch_add(1, Ordering::AcqRel);
        Self(queue)
    }
}

impl<B: Batch> Drop for Connected<'_, B> {
    fn drop(&mut self) {
        if self.0.connected.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.refuse_all();
        }
    }
}

/// One writing task: connect, write until the connection is lost, connect again.
pub(super) async fn write<B: Batch>(place: Place<B>, target: <B::Line as Line>::Target) {
    let queue = &*place.0;
    let mut pause = RECONNECT_MIN;
    while !(queue.closed.load(Ordering::Acquire) && queue.state().waiting.is_empty()) {
        match open(queue, &target).await {
            Ok(line) => {
                pause = RECONNECT_MIN;
                let connected = Connected::to(queue);
                if write_until_lost(queue, &line).await {
                    return;
                }
                drop(connected);
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

/// A writer on its shift.
struct Seated<'q, B: Batch> {
    queue: &'q Queue<B>,
    seat: Seat,
}

impl<B: Batch> Drop for Seated<'_, B> {
    fn drop(&mut self) {
        self.queue.leave(&self.seat);
    }
}

/// True once the queue is closed and drained, false when the connection is lost.
async fn write_until_lost<B: Batch>(queue: &Queue<B>, line: &B::Line) -> bool {
    let seat = Seated { queue, seat: Seat::here() };
    loop {
        let batch = tokio::select! {
            batch = queue.take(&seat.seat) => batch,
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
