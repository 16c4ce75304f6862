//! What callers hold: events go in, outcomes come out.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use reqwest::{Client, Url};
use tokio::{
    sync::{Notify, mpsc, oneshot, watch},
    task::JoinHandle,
};
use uuid::Uuid;

use crate::{
    delivery::Delivery,
    event::{EVENT_BYTES_MAX, Event},
    key::SigningKey,
    outbox::{Entry, Outbox, OutboxError},
    outcome::{Outcome, Sent, Status},
    retry::Pace,
    worker::{Command, Trouble, Worker},
};

/// Events of one request, as the server has it.
const BATCH_EVENTS_MAX: usize = 500;
/// Bytes of one request, as the server has it.
const BATCH_BYTES_MAX: usize = 256 * 1024;
/// How often an event that waits for room looks again.
const ROOM: Duration = Duration::from_millis(50);
/// Flushes that may wait for the worker.
const COMMANDS_MAX: usize = 16;

/// Who is told of what was settled, and of what keeps events waiting.
type OnOutcome = Box<dyn Fn(&Outcome) + Send + Sync>;
type OnTrouble = Box<dyn Fn(Trouble) + Send + Sync>;

/// What to do with an event for which the outbox has no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenFull {
    /// [`SendError::Full`].
    Refuse,
    /// The oldest is given up for it: [`Status::Dropped`].
    DropOldest,
    /// [`Sender::send`] waits for room.
    Wait,
}

/// An option outside its range.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{option}: {rule}")]
pub struct BadOption {
    /// Its name.
    pub option: &'static str,
    /// What it must be.
    pub rule: String,
}

/// Why an event was not kept.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// No room, and [`WhenFull::Refuse`].
    #[error("the outbox is full: the server was not reached for long")]
    Full,
    /// The server would not take it.
    #[error("the event has {bytes} bytes; it may have {EVENT_BYTES_MAX}")]
    TooLarge {
        /// As JSON.
        bytes: usize,
    },
    /// Its data cannot be written as JSON.
    #[error("the event's data is no JSON: {0}")]
    NotJson(String),
    /// The disk.
    #[error(transparent)]
    Outbox(#[from] OutboxError),
    /// The sender was closed.
    #[error("the sender is closed")]
    Closed,
}

/// Sends events. Clones share outbox and worker.
#[derive(Clone, Debug)]
pub struct Sender {
    shared: Arc<Shared>,
    commands: mpsc::Sender<Command>,
    stop: Arc<watch::Sender<bool>>,
    worker: Arc<Mutex<Option<JoinHandle<()>>>>,
}

pub(crate) struct Shared {
    pub(crate) outbox: Outbox,
    pub(crate) waiting: Mutex<HashMap<Uuid, oneshot::Sender<Outcome>>>,
    pub(crate) kept: Notify,
    pub(crate) pace: Pace,
    pub(crate) linger: Duration,
    pub(crate) batch_events: usize,
    pub(crate) batch_bytes: usize,
    pub(crate) offset: Mutex<SignedDuration>,
    pub(crate) on_outcome: Option<OnOutcome>,
    pub(crate) on_trouble: Option<OnTrouble>,
    when_full: WhenFull,
    /// Kept since the worker last looked.
    unseen: AtomicUsize,
    closed: AtomicBool,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Sender").field("outbox", &self.outbox).finish_non_exhaustive()
    }
}

impl Shared {
    pub(crate) fn is_batch_full(&self) -> bool {
        self.unseen.load(Ordering::Relaxed) >= self.batch_events
    }

    pub(crate) fn start_batch(&self) {
        self.unseen.store(0, Ordering::Relaxed);
    }
}

/// How to send. [`Sender::builder`] makes one.
pub struct Builder {
    url: String,
    key: SigningKey,
    outbox: Option<Outbox>,
    when_full: WhenFull,
    pace: Pace,
    linger: Duration,
    batch_events: usize,
    batch_bytes: usize,
    client: Option<Client>,
    on_outcome: Option<OnOutcome>,
    on_trouble: Option<OnTrouble>,
}

impl std::fmt::Debug for Builder {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Builder").field("url", &self.url).finish_non_exhaustive()
    }
}

impl Builder {
    /// Where events wait. Default: 10,000 in memory.
    #[must_use]
    pub fn outbox(mut self, outbox: Outbox) -> Self {
        self.outbox = Some(outbox);
        self
    }

    /// What to do where it has no room. Default: [`WhenFull::Refuse`].
    #[must_use]
    pub fn when_full(mut self, when_full: WhenFull) -> Self {
        self.when_full = when_full;
        self
    }

    /// How often and how soon a request is sent again.
    #[must_use]
    pub fn pace(mut self, pace: Pace) -> Self {
        self.pace = pace;
        self
    }

    /// How long an event waits for others. Default: 1 s. A full batch waits for nobody.
    #[must_use]
    pub fn linger(mut self, linger: Duration) -> Self {
        self.linger = linger;
        self
    }

    /// Events of one request: 1 to 500. Default: 100.
    #[must_use]
    pub fn batch_events(mut self, events: usize) -> Self {
        self.batch_events = events;
        self
    }

    /// Bytes of one request: 32,770 to 262,144. Default: 200,000.
    #[must_use]
    pub fn batch_bytes(mut self, bytes: usize) -> Self {
        self.batch_bytes = bytes;
        self
    }

    /// A client of your own, as for a proxy or a certificate authority of your house.
    #[must_use]
    pub fn client(mut self, client: Client) -> Self {
        self.client = Some(client);
        self
    }

    /// Told of each event that is settled, also of those that an earlier process left. Runs in the worker: keep it short.
    #[must_use]
    pub fn on_outcome(mut self, tell: impl Fn(&Outcome) + Send + Sync + 'static) -> Self {
        self.on_outcome = Some(Box::new(tell));
        self
    }

    /// Told when nothing can be sent. Runs in the worker: keep it short.
    #[must_use]
    pub fn on_trouble(mut self, tell: impl Fn(Trouble) + Send + Sync + 'static) -> Self {
        self.on_trouble = Some(Box::new(tell));
        self
    }

    /// Begins to send, with a task on this thread's runtime.
    ///
    /// # Errors
    /// [`BadOption`], which names it. Also where there is no Tokio runtime.
    pub fn start(self) -> Result<Sender, BadOption> {
        let wrong = |option, rule: &str| BadOption { option, rule: rule.to_owned() };
        let url = Url::parse(&self.url).map_err(|error| wrong("url", &error.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") || url.path() != "/" || url.query().is_some() {
            return Err(wrong("url", "must be as https://ingest.example, without a path"));
        }
        if !(1..=BATCH_EVENTS_MAX).contains(&self.batch_events) {
            return Err(wrong("batch_events", "must be from 1 to 500"));
        }
        if !(EVENT_BYTES_MAX + 2..=BATCH_BYTES_MAX).contains(&self.batch_bytes) {
            return Err(wrong("batch_bytes", "must be from 32770 to 262144"));
        }
        if self.pace.tries == 0 {
            return Err(wrong("pace", "must have one try at least"));
        }
        let runtime = tokio::runtime::Handle::try_current()
            .map_err(|_| wrong("runtime", "there is none of Tokio: use blocking::Sender"))?;
        let client = match self.client {
            Some(client) => client,
            None => Client::builder().build().map_err(|error| wrong("client", &error.to_string()))?,
        };
        let delivery = Delivery::new(client, url.as_str().trim_end_matches('/'), self.key, self.pace.clone());
        let shared = Arc::new(Shared {
            outbox: self.outbox.unwrap_or_else(|| Outbox::memory(10_000)),
            waiting: Mutex::default(),
            kept: Notify::new(),
            pace: self.pace,
            linger: self.linger,
            batch_events: self.batch_events,
            batch_bytes: self.batch_bytes,
            offset: Mutex::new(SignedDuration::ZERO),
            on_outcome: self.on_outcome,
            on_trouble: self.on_trouble,
            when_full: self.when_full,
            unseen: AtomicUsize::new(0),
            closed: AtomicBool::new(false),
        });
        let (commands, receiver) = mpsc::channel(COMMANDS_MAX);
        let (stop, stopped) = watch::channel(false);
        let worker = Worker {
            shared: Arc::clone(&shared),
            delivery,
            commands: receiver,
            stop: stopped,
            rest: Duration::ZERO,
        };
        let worker = Arc::new(Mutex::new(Some(runtime.spawn(worker.run()))));
        Ok(Sender { shared, commands, stop: Arc::new(stop), worker })
    }
}

impl Sender {
    /// To telemetry-ingest at this address, as `https://ingest.example`, with this key.
    pub fn builder(url: impl Into<String>, key: SigningKey) -> Builder {
        Builder {
            url: url.into(),
            key,
            outbox: None,
            when_full: WhenFull::Refuse,
            pace: Pace::default(),
            linger: Duration::from_secs(1),
            batch_events: 100,
            batch_bytes: 200_000,
            client: None,
            on_outcome: None,
            on_trouble: None,
        }
    }

    /// Keeps the event and sends it soon. Returns when it is kept.
    ///
    /// # Errors
    /// [`SendError`]: nothing was kept of it.
    pub async fn send(&self, event: Event) -> Result<Sent, SendError> {
        let offset = *self.shared.offset.lock().unwrap_or_else(PoisonError::into_inner);
        let (id, json) = event.written(now(offset)).map_err(SendError::NotJson)?;
        if json.len() > EVENT_BYTES_MAX {
            return Err(SendError::TooLarge { bytes: json.len() });
        }
        let (told, outcome) = oneshot::channel();
        // Before it is kept: the worker may be faster than this task.
        self.shared.waiting.lock().unwrap_or_else(PoisonError::into_inner).insert(id, told);
        match self.keep(Entry { id, json }).await {
            Ok(()) => {
                self.shared.unseen.fetch_add(1, Ordering::Relaxed);
                self.shared.kept.notify_one();
                Ok(Sent::new(id, outcome))
            }
            Err(error) => {
                self.shared.waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
                Err(error)
            }
        }
    }

    async fn keep(&self, entry: Entry) -> Result<(), SendError> {
        loop {
            if self.shared.closed.load(Ordering::Acquire) {
                return Err(SendError::Closed);
            }
            if self.shared.outbox.put(entry.clone()).await? {
                return Ok(());
            }
            match self.shared.when_full {
                WhenFull::Refuse => return Err(SendError::Full),
                WhenFull::DropOldest => {
                    for oldest in self.shared.outbox.oldest(1).await? {
                        self.shared.outbox.remove(vec![oldest.id]).await?;
                        self.shared.settle(Outcome { id: oldest.id, status: Status::Dropped });
                    }
                }
                WhenFull::Wait => {
                    self.shared.kept.notify_one();
                    tokio::time::sleep(ROOM).await;
                }
            }
        }
    }

    /// How many events wait.
    ///
    /// # Errors
    /// [`OutboxError`] where the disk does not say.
    pub async fn waiting(&self) -> Result<u64, OutboxError> {
        self.shared.outbox.size().await
    }

    /// Sends what waits now. Returns when all of it is settled, or cannot be sent for the time being.
    pub async fn flush(&self) {
        let (done, flushed) = oneshot::channel();
        if self.commands.send(Command::Flush(done)).await.is_ok() {
            let _ = flushed.await;
        }
    }

    /// Takes no more events, sends what it can until the deadline, and ends. How many still wait: in memory they are lost now,
    /// on a disk the next sender finds them.
    ///
    /// # Errors
    /// [`OutboxError`] where the disk does not say how many.
    pub async fn close(&self, deadline: Duration) -> Result<u64, OutboxError> {
        self.shared.closed.store(true, Ordering::Release);
        let _ = tokio::time::timeout(deadline, self.flush()).await;
        self.stop.send_replace(true);
        let worker = self.worker.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(worker) = worker {
            let _ = worker.await;
        }
        self.shared.waiting.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.shared.outbox.size().await
    }
}

/// The server's time, as far as it is known.
#[expect(
    clippy::disallowed_methods,
    reason = "it runs in other people's programs, which have no Clock of ours"
)]
pub(crate) fn now(offset: SignedDuration) -> Timestamp {
    let own = Timestamp::now();
    own.checked_add(offset).unwrap_or(own)
}
