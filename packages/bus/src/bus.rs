//! The bus as a process has it: who verifies hands requests in and waits for their answers.

use std::{
    path::PathBuf,
    sync::{Arc, OnceLock},
    time::Instant,
};

use async_nats::{Client, Message, jetstream::Context};
use seatpilot_domain_model::{Submission, SubmitAnswer, TraceParent};
use seatpilot_metrics_api::{BusAnswer, BusMetrics, BusSent};
use seatpilot_runtime::{
    BusConfig, BusRole, BusState, SecretString,
    traces::{self, Tracer, What},
};
use tokio::{sync::watch, time::timeout};
use uuid::Uuid;

use crate::{
    answer,
    fault::BusFault,
    keeper,
    request::{self, ReturnTo},
    seal::{Purpose, Seal, Tag},
    stream::{REQUESTS, TAKEN, return_of},
    trace,
    waiting::{Place, Taken, Waiting},
    waits::{ANSWER_MAX, TAKEN_MAX},
};

/// What a process asks of its bus.
#[derive(Debug, Clone)]
pub struct BusSettings {
    pub(crate) role: BusRole,
    pub(crate) servers: Vec<String>,
    pub(crate) login: Option<(String, SecretString)>,
    pub(crate) ca_file: Option<PathBuf>,
    /// What the server shows of this connection.
    pub(crate) name: String,
    keys: Vec<seatpilot_runtime::AtRestKey>,
}

impl BusSettings {
    /// Of a configuration, for a process of that name.
    pub fn of(config: &BusConfig, name: &str) -> Self {
        let BusConfig { role, servers, login, ca_file, keys } = config.clone();
        Self { role, servers, login, ca_file, name: name.to_owned(), keys }
    }
}

/// What is wrong with the settings of a bus.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BusSettingsFault {
    /// There is no key to seal with.
    #[error("there is no key that seals what goes over the bus")]
    NoKey,
    /// The certificates cannot be read.
    #[error("names a file that cannot be read ({0})")]
    Certificates(String),
}

/// The bus of a process. Clones share it.
#[derive(Clone)]
pub struct Bus {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) settings: BusSettings,
    /// This process, for as long as it lives.
    pub(crate) instance: Uuid,
    pub(crate) seal: Seal,
    pub(crate) waiting: Arc<Waiting>,
    pub(crate) metrics: Arc<BusMetrics>,
    pub(crate) state: watch::Sender<BusState>,
    /// The connection, once there was one with a stream.
    pub(crate) client: OnceLock<(Client, Context)>,
    /// What traces are told to, where they are told to anybody.
    pub(crate) tracer: OnceLock<Tracer>,
}

impl Bus {
    /// Starts to connect in the background; servers that do not answer are no fault. Must be called inside a tokio
    /// runtime.
    ///
    /// # Errors
    /// [`BusSettingsFault`].
    pub fn open(settings: BusSettings, metrics: Arc<BusMetrics>) -> Result<Self, BusSettingsFault> {
        let seal = Seal::new(&settings.keys).ok_or(BusSettingsFault::NoKey)?;
        if let Some(file) = &settings.ca_file {
            std::fs::File::open(file)
                .map_err(|error| BusSettingsFault::Certificates(error.kind().to_string()))?;
        }
        let inner = Arc::new(Inner {
            settings,
            instance: Uuid::new_v4(),
            seal,
            waiting: Arc::new(Waiting::new(Arc::clone(&metrics))),
            metrics,
            state: watch::Sender::new(BusState::Starting),
            client: OnceLock::new(),
            tracer: OnceLock::new(),
        });
        tokio::spawn(keeper::keep(Arc::downgrade(&inner)));
        Ok(Self { inner })
    }

    /// Whether requests can go over it, now and from now on.
    pub fn state(&self) -> watch::Receiver<BusState> {
        self.inner.state.subscribe()
    }

    /// Tells of what it writes from now on as part of its request's trace.
    pub fn trace_with(&self, tracer: Tracer) {
        let _ = self.inner.tracer.set(tracer);
    }

    /// Hands in a verified request and waits until a writer has committed it, who goes on with its trace.
    ///
    /// # Errors
    /// [`BusFault`]. After any but `Away` and `Full` it is not known whether the request is or will be stored: the same
    /// bytes sent again find out.
    pub async fn submit(
        &self,
        submission: &Submission,
        trace: TraceParent,
    ) -> Result<SubmitAnswer, BusFault> {
        let waits = traces::step(What::BusWait);
        let answer = self.submit_within(submission, trace).await;
        waits.end(&answer);
        answer
    }

    async fn submit_within(
        &self,
        submission: &Submission,
        trace: TraceParent,
    ) -> Result<SubmitAnswer, BusFault> {
        let inner = &self.inner;
        let handed = inner.hand_in(submission, trace).await.inspect_err(|fault| {
            let is_full = *fault == BusFault::Full;
            inner.metrics.count_sent(if is_full { BusSent::Full } else { BusSent::Away });
        })?;
        inner.metrics.count_sent(BusSent::Taken);
        let answer = inner.answer_to(handed, submission).await;
        inner.metrics.count_answer(match &answer {
            Ok(_) | Err(BusFault::Refused(_)) => BusAnswer::InTime,
            Err(BusFault::Unreadable) => BusAnswer::Unreadable,
            Err(
                BusFault::Late(_)
                | BusFault::Away
                | BusFault::NotTaken
                | BusFault::Full
                | BusFault::TooLarge(_),
            ) => BusAnswer::Missing,
        });
        answer
    }
}

/// A request that the bus has.
struct Handed {
    place: Place,
    tag: Tag,
    handed_at: Instant,
    /// The writer may be faster than the bus' own word.
    early: Option<Message>,
}

impl Inner {
    /// Moves to a state; whether it was another one before.
    pub(crate) fn moved_to(&self, next: BusState) -> bool {
        self.metrics.set_connected(if next == BusState::Connected { 1.0 } else { 0.0 });
        self.state.send_if_modified(|state| {
            // What never was there is not away.
            let moves = *state != next && !(*state == BusState::Starting && next == BusState::Away);
            if moves {
                *state = next;
            }
            moves
        })
    }

    /// The connection, where requests can go over it now.
    pub(crate) fn connected(&self) -> Result<&(Client, Context), BusFault> {
        if *self.state.borrow() != BusState::Connected {
            return Err(BusFault::Away);
        }
        self.client.get().ok_or(BusFault::Away)
    }

    async fn hand_in(&self, submission: &Submission, trace: TraceParent) -> Result<Handed, BusFault> {
        let handed_at = Instant::now();
        let (client, _) = self.connected()?;
        let mut place = self.waiting.enter()?;
        let return_to = ReturnTo { instance: self.instance, number: place.number };
        let (message, tag) = self.seal.seal(Purpose::Request, &request::encode(submission, return_to));
        let bytes = message.len() + trace::HEADER_BYTES;
        if bytes > client.max_payload() {
            return Err(BusFault::TooLarge(bytes));
        }
        let reply = return_of(self.instance, place.number, TAKEN);
        let taken = async {
            let headers = trace::headers(trace);
            let published =
                client.publish_with_reply_and_headers(REQUESTS, reply, headers, message.into()).await;
            published.map_err(|_| BusFault::Away)?;
            tokio::select! {
                biased;
                answer = &mut place.answer => answer.map(Some).map_err(|_| BusFault::Away),
                taken = &mut place.taken => match taken {
                    Ok(Taken::Yes) => Ok(None),
                    Ok(Taken::Full) => Err(BusFault::Full),
                    Ok(Taken::Nobody) | Err(_) => Err(BusFault::Away),
                },
            }
        };
        let early = timeout(TAKEN_MAX, taken).await.map_err(|_| BusFault::NotTaken)??;
        Ok(Handed { place, tag, handed_at, early })
    }

    /// What a writer says of the request, which only one of ours can have sealed for it.
    async fn answer_to(&self, handed: Handed, submission: &Submission) -> Result<SubmitAnswer, BusFault> {
        let Handed { mut place, tag, handed_at, early } = handed;
        let message = match early {
            Some(message) => message,
            None => timeout(ANSWER_MAX.saturating_sub(handed_at.elapsed()), &mut place.answer)
                .await
                .map_err(|_| BusFault::Late(ANSWER_MAX))?
                .map_err(|_| BusFault::Away)?,
        };
        let (content, _) =
            self.seal.open(Purpose::AnswerTo(&tag), &message.payload).ok_or(BusFault::Unreadable)?;
        answer::decode(content, submission)
    }
}

impl std::fmt::Debug for Bus {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Bus").field("settings", &self.inner.settings).finish_non_exhaustive()
    }
}
