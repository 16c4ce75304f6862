//! Those who wait for an answer, by number.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use async_nats::{
    Message,
    jetstream::{ErrorCode, publish::PublishAck, response::Response},
};
use seatpilot_metrics_api::{BusAnswer, BusMetrics};
use tokio::sync::oneshot;

use crate::{
    fault::BusFault,
    stream::{ANSWER, TAKEN, number_of},
};

/// Most that wait: twice the requests that a process has under way.
const WAITING_MAX: usize = 2_048;

/// The bus' own word about a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Taken {
    /// It is in the stream.
    Yes,
    /// The stream is full.
    Full,
    /// There is no stream that takes it.
    Nobody,
}

struct Entry {
    taken: Option<oneshot::Sender<Taken>>,
    answer: oneshot::Sender<Message>,
}

/// All who wait in this process.
pub(crate) struct Waiting {
    entries: Mutex<HashMap<u64, Entry>>,
    next: AtomicU64,
    metrics: Arc<BusMetrics>,
}

/// One who waits. Dropped, it waits no more.
pub(crate) struct Place {
    pub(crate) number: u64,
    pub(crate) taken: oneshot::Receiver<Taken>,
    pub(crate) answer: oneshot::Receiver<Message>,
    waiting: Arc<Waiting>,
}

impl Waiting {
    pub(crate) fn new(metrics: Arc<BusMetrics>) -> Self {
        Self { entries: Mutex::default(), next: AtomicU64::new(1), metrics }
    }

    /// The lock is held for a look or a move, never across an await.
    fn entries(&self) -> MutexGuard<'_, HashMap<u64, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins to wait.
    ///
    /// # Errors
    /// [`BusFault::Full`].
    pub(crate) fn enter(self: &Arc<Self>) -> Result<Place, BusFault> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let (tell_taken, taken) = oneshot::channel();
        let (tell_answer, answer) = oneshot::channel();
        {
            let mut entries = self.entries();
            if entries.len() >= WAITING_MAX {
                return Err(BusFault::Full);
            }
            entries.insert(number, Entry { taken: Some(tell_taken), answer: tell_answer });
            self.metrics.set_waiting(entries.len());
        }
        Ok(Place { number, taken, answer, waiting: Arc::clone(self) })
    }

    fn leave(&self, number: u64) -> Option<Entry> {
        let mut entries = self.entries();
        let entry = entries.remove(&number);
        self.metrics.set_waiting(entries.len());
        entry
    }

    /// Hands on what came for somebody.
    pub(crate) fn hear(&self, message: Message) {
        match number_of(&message.subject) {
            Some((number, TAKEN)) => {
                let teller = self.entries().get_mut(&number).and_then(|entry| entry.taken.take());
                if let Some(teller) = teller {
                    let _ = teller.send(taken(&message));
                }
            }
            Some((number, ANSWER)) => match self.leave(number) {
                Some(entry) => {
                    let _ = entry.answer.send(message);
                }
                None => self.metrics.count_answer(BusAnswer::Late),
            },
            Some(_) | None => {}
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.waiting.leave(self.number);
    }
}

fn taken(message: &Message) -> Taken {
    match serde_json::from_slice::<Response<PublishAck>>(&message.payload) {
        Ok(Response::Ok(_)) => Taken::Yes,
        // "maximum messages exceeded", "maximum bytes exceeded".
        Ok(Response::Err { error }) if error.error_code() == ErrorCode::STREAM_STORE_FAILED => Taken::Full,
        Ok(Response::Err { error }) => {
            tracing::warn!(%error, "the bus did not take a request");
            Taken::Nobody
        }
        // Nobody listens where it was sent to: the server says so with an empty message.
        Err(_) => Taken::Nobody,
    }
}
