//! The task behind a sender: takes from the outbox, hands to the server, tells what became of it.

use std::{
    sync::{Arc, PoisonError},
    time::Duration,
};

use jiff::SignedDuration;
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::Instant,
};

use crate::{
    delivery::{Delivered, Delivery, Item, ItemStatus},
    outbox::Entry,
    outcome::{Outcome, Status},
    sender::Shared,
};

/// Why nothing is sent just now. The events wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// What it is.
    pub kind: TroubleKind,
    /// Of the last answer, where there was one.
    pub status: Option<u16>,
    /// In words, for a log; never a secret.
    pub detail: String,
    /// When it is tried again.
    pub retry_in: Duration,
}

/// What keeps events waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum TroubleKind {
    /// The key was refused.
    Unauthorized,
    /// Nobody answered, or only with "not now".
    Unreachable,
    /// The address takes no events.
    Address,
    /// The disk.
    Outbox,
}

impl std::fmt::Display for Trouble {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{}; again in {:.1} s", self.detail, self.retry_in.as_secs_f64())
    }
}

/// What the worker is told.
#[derive(Debug)]
pub(crate) enum Command {
    /// Send now what waits; answer when it is settled, or cannot be sent for the time being.
    Flush(oneshot::Sender<()>),
}

pub(crate) struct Worker {
    pub(crate) shared: Arc<Shared>,
    pub(crate) delivery: Delivery,
    pub(crate) commands: mpsc::Receiver<Command>,
    pub(crate) stop: watch::Receiver<bool>,
    pub(crate) rest: Duration,
}

impl Worker {
    pub(crate) async fn run(mut self) {
        // What an earlier process left.
        let mut due = Some(Instant::now());
        loop {
            let timer = async {
                match due {
                    Some(due) => tokio::time::sleep_until(due).await,
                    None => std::future::pending().await,
                }
            };
            let mut told = None;
            tokio::select! {
                biased;
                _ = self.stop.wait_for(|stop| *stop) => return,
                command = self.commands.recv() => match command {
                    Some(Command::Flush(done)) => {
                        self.rest = Duration::ZERO;
                        told = Some(done);
                    }
                    // All senders are gone: what is kept on a disk waits there.
                    None => return,
                },
                () = timer => {}
                () = self.shared.kept.notified() => {
                    let linger = if self.shared.is_batch_full() { Duration::ZERO } else { self.shared.linger };
                    let soon = Instant::now() + linger.max(self.rest);
                    due = Some(due.map_or(soon, |due| due.min(soon)));
                    continue;
                }
            }
            due = None;
            self.shared.start_batch();
            if let Err(trouble) = self.drain().await {
                due = Some(Instant::now() + trouble.retry_in);
                self.shared.tell(trouble);
            }
            if let Some(done) = told {
                let _ = done.send(());
            }
        }
    }

    async fn drain(&mut self) -> Result<(), Trouble> {
        let whole = self.shared.batch_events;
        let mut events = whole;
        loop {
            let oldest = self.shared.outbox.oldest(events).await;
            let mut batch = match oldest {
                Ok(batch) => batch,
                Err(error) => return Err(self.trouble(TroubleKind::Outbox, None, error.to_string())),
            };
            cut(&mut batch, self.shared.batch_bytes);
            if batch.is_empty() || *self.stop.borrow() {
                return Ok(());
            }
            let body = body_of(&batch);
            let delivered = self.delivery.deliver(body.as_bytes(), &mut self.stop).await;
            self.shared.set_offset(self.delivery.offset());
            let statuses = match delivered {
                Delivered::Answered(items) if items.len() == batch.len() => {
                    items.into_iter().map(status).collect()
                }
                Delivered::Answered(items) => {
                    let detail = format!("an answer of {} for {} events", items.len(), batch.len());
                    return Err(self.trouble(TroubleKind::Address, Some(202), detail));
                }
                // One event may be why all of them are refused: each half has its own answer.
                Delivered::Refused(_) if batch.len() > 1 => {
                    events = batch.len().div_ceil(2);
                    continue;
                }
                Delivered::Refused(code) => vec![Status::Refused(code)],
                Delivered::Unwelcome { status: status @ (401 | 403), code } => {
                    let detail = format!("the key was refused: {code}");
                    return Err(self.trouble(TroubleKind::Unauthorized, Some(status), detail));
                }
                Delivered::Unwelcome { status, code } => {
                    let detail = format!("the address takes no events: {code}");
                    return Err(self.trouble(TroubleKind::Address, Some(status), detail));
                }
                Delivered::Unreachable { .. } if *self.stop.borrow() => return Ok(()),
                Delivered::Unreachable { status } => {
                    let detail = match status {
                        Some(status) => format!("the server answered {status}"),
                        None => "the server was not reached".to_owned(),
                    };
                    return Err(self.trouble(TroubleKind::Unreachable, status, detail));
                }
            };
            self.rest = Duration::ZERO;
            let settled = batch.iter().map(|entry| entry.id).collect();
            if let Err(error) = self.shared.outbox.remove(settled).await {
                return Err(self.trouble(TroubleKind::Outbox, None, error.to_string()));
            }
            for (entry, status) in batch.into_iter().zip(statuses) {
                self.shared.settle(Outcome { id: entry.id, status });
            }
            events = (events * 2).min(whole);
        }
    }

    fn trouble(&mut self, kind: TroubleKind, status: Option<u16>, detail: String) -> Trouble {
        let pace = &self.shared.pace;
        self.rest = (self.rest * 2).clamp(pace.rest, pace.rest_cap.max(pace.rest));
        Trouble { kind, status, detail, retry_in: self.rest }
    }
}

impl Shared {
    pub(crate) fn settle(&self, outcome: Outcome) {
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(&outcome.id);
        if let Some(tell) = &self.on_outcome {
            tell(&outcome);
        }
        if let Some(waiting) = waiting {
            // Whoever no longer waits has dropped the other end.
            let _ = waiting.send(outcome);
        }
    }

    fn tell(&self, trouble: Trouble) {
        if let Some(tell) = &self.on_trouble {
            tell(trouble);
        }
    }

    fn set_offset(&self, offset: SignedDuration) {
        *self.offset.lock().unwrap_or_else(PoisonError::into_inner) = offset;
    }
}

fn status(item: Item) -> Status {
    match item.status {
        ItemStatus::Accepted => Status::Accepted,
        ItemStatus::Duplicate => Status::Duplicate,
        ItemStatus::Rejected => Status::Rejected(item.reason.unwrap_or_default()),
    }
}

/// Leaves as many as fit into one body of so many bytes, and one at least.
fn cut(batch: &mut Vec<Entry>, bytes: usize) {
    let mut total = 2;
    let fits = batch
        .iter()
        .take_while(|entry| {
            total += entry.json.len() + 1;
            total <= bytes
        })
        .count();
    batch.truncate(fits.max(1));
}

fn body_of(batch: &[Entry]) -> String {
    let mut body = String::with_capacity(batch.iter().map(|entry| entry.json.len() + 1).sum::<usize>() + 2);
    body.push('[');
    for (at, entry) in batch.iter().enumerate() {
        if at > 0 {
            body.push(',');
        }
        body.push_str(&entry.json);
    }
    body.push(']');
    body
}
