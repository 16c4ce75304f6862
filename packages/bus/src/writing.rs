//! Takes requests off the bus and answers them once they are committed.
//!
//! A request is acknowledged to the bus after its answer was sent, and that is after its commit. Whatever ends a writer
//! before, the bus gives the request to another one, whose database knows the nonce if the first one committed: then
//! the first outcome is answered.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use async_nats::jetstream::{self, AckKind, consumer::pull};
use futures_util::{FutureExt as _, StreamExt as _};
use seatpilot_domain_model::{Submission, SubmitAnswer};
use seatpilot_metrics_api::BusReceived;
use seatpilot_runtime::{
    BusState,
    traces::{self, Outcome, Written},
};
use tokio::{
    sync::{Semaphore, watch},
    task::JoinHandle,
    time::timeout,
};
use tracing::Instrument as _;

use crate::{
    Bus, Refusal, answer,
    bus::Inner,
    request::{self, ReturnTo},
    seal::{Purpose, Tag},
    stream::{self, ANSWER, return_of, settle},
    trace::{self, Here},
};

/// Requests that one process writes at a time: enough to fill its statements, few enough to be in memory (a request is
/// there twice, with 256 KiB and less).
const IN_HAND_MAX: usize = 128;
/// Requests that are fetched ahead.
const FETCHED_MAX: usize = 64;
/// How long a fetch waits for more, and how often the server says meanwhile that it is there.
const FETCH_EVERY: Duration = Duration::from_secs(5);
const HEARTBEAT_EVERY: Duration = Duration::from_secs(1);
/// Pause after the consumer was lost.
const RETRY_EVERY: Duration = Duration::from_millis(250);

/// What takes requests off the bus, until it is ended.
#[derive(Debug)]
pub struct Writing {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Writing {
    /// Takes no more, and waits so long at most until what is in hand is written and answered.
    pub async fn end(self, within: Duration) {
        self.stop.send_replace(true);
        if timeout(within, self.task).await.is_err() {
            tracing::warn!("what was taken off the bus last was not written in time; another writer gets it");
        }
    }
}

impl Bus {
    /// Takes requests off the bus from now on, and has `store` write each; several at a time.
    pub fn write_with<F>(&self, store: impl Fn(Submission) -> F + Send + Sync + 'static) -> Writing
    where
        F: Future<Output = Result<SubmitAnswer, Refusal>> + Send + 'static,
    {
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(write(Arc::clone(&self.inner), Arc::new(store), stopped));
        Writing { stop, task }
    }
}

async fn write<F>(
    inner: Arc<Inner>,
    store: Arc<impl Fn(Submission) -> F + Send + Sync + 'static>,
    mut stopped: watch::Receiver<bool>,
) where
    F: Future<Output = Result<SubmitAnswer, Refusal>> + Send + 'static,
{
    let mut stop = std::pin::pin!(async move {
        let _ = stopped.wait_for(|stop| *stop).await;
    });
    let places = Arc::new(Semaphore::new(IN_HAND_MAX));
    let in_hand = Arc::new(AtomicUsize::new(0));
    let mut state = inner.state.subscribe();
    loop {
        let fetch = async {
            let _ = state.wait_for(|state| *state == BusState::Connected).await;
            fetched(&inner).await
        };
        let mut messages = tokio::select! {
            () = &mut stop => break,
            messages = fetch => match messages {
                Some(messages) => messages,
                None => {
                    tokio::time::sleep(RETRY_EVERY).await;
                    continue;
                }
            },
        };
        let stopping = loop {
            let next = async {
                let place = Arc::clone(&places).acquire_owned().await.ok()?;
                Some((
                    place,
                    messages
                        .next()
                        .await?
                        .inspect_err(|error| {
                            tracing::debug!(%error, "the bus hands out nothing");
                        })
                        .ok()?,
                ))
            };
            let (place, message) = tokio::select! {
                () = &mut stop => break true,
                next = next => match next {
                    Some(next) => next,
                    None => break false,
                },
            };
            let (inner, store, in_hand) = (Arc::clone(&inner), Arc::clone(&store), Arc::clone(&in_hand));
            inner.metrics.set_writing(in_hand.fetch_add(1, Ordering::AcqRel) + 1);
            tokio::spawn(async move {
                write_one(&inner, &message, &*store).await;
                inner.metrics.set_writing(in_hand.fetch_sub(1, Ordering::AcqRel) - 1);
                drop(place);
            });
        };
        if stopping {
            let mut ahead = Vec::new();
            while let Some(Some(Ok(message))) = messages.next().now_or_never() {
                ahead.push(message);
            }
            // First nothing more is asked for, or the bus would hand to us again what we give back.
            drop(messages);
            flush(&inner).await;
            // What was fetched ahead is another's now, at once.
            for message in ahead {
                settle(&message, AckKind::Nak(None)).await;
            }
            break;
        }
        tokio::time::sleep(RETRY_EVERY).await;
    }
    // All places are free when nothing is in hand.
    let _ = places.acquire_many(u32::try_from(IN_HAND_MAX).unwrap_or(u32::MAX)).await;
    flush(&inner).await;
}

/// Waits until the server has what was said to it.
async fn flush(inner: &Inner) {
    if let Some((client, _)) = inner.client.get() {
        let _ = client.flush().await;
    }
}

async fn fetched(inner: &Inner) -> Option<pull::Stream> {
    let (_, context) = inner.connected().ok()?;
    let consumer = stream::consumer(context).await;
    let consumer = consumer.inspect_err(|reason| tracing::warn!(reason, "no consumer on the bus")).ok()?;
    let messages = consumer
        .stream()
        .max_messages_per_batch(FETCHED_MAX)
        .expires(FETCH_EVERY)
        .heartbeat(HEARTBEAT_EVERY)
        .messages()
        .await;
    messages.inspect_err(|error| tracing::warn!(%error, "the bus hands out nothing")).ok()
}

async fn write_one<F>(inner: &Inner, message: &jetstream::Message, store: &(impl Fn(Submission) -> F + Sync))
where
    F: Future<Output = Result<SubmitAnswer, Refusal>> + Send,
{
    let Some((submission, return_to, tag)) = opened(inner, &message.payload) else {
        inner.metrics.count_received(BusReceived::Unreadable);
        tracing::warn!(
            "a message on the bus was not sealed by one of us, or is of another version: it was let go"
        );
        settle(message, AckKind::Term).await;
        return;
    };
    let again = message.info().is_ok_and(|info| info.delivered > 1);
    inner.metrics.count_received(if again { BusReceived::Again } else { BusReceived::First });
    let tenant = submission.tenant.clone();
    let Here { span, open } = trace::here(message.headers.as_ref(), &submission, inner.tracer.get());
    let written = async {
        let began = Instant::now();
        let answer = store(submission).await;
        let ms = began.elapsed().as_secs_f64() * 1e3;
        tracing::debug!(ms, is_stored = answer.is_ok(), again, "wrote a request off the bus");
        answer
    }
    .instrument(span);
    let answer = match &open {
        Some(request) => traces::within(request, written).await,
        None => written.await,
    };
    if let Some(request) = open {
        let outcome = if answer.is_ok() { Outcome::Done } else { Outcome::Failed };
        request.end_written(Written { tenant, outcome });
    }
    let (bytes, _) = inner.seal.seal(Purpose::AnswerTo(&tag), &answer::encode(&answer));
    if let Some((client, _)) = inner.client.get() {
        let subject = return_of(return_to.instance, return_to.number, ANSWER);
        if let Err(error) = client.publish(subject, bytes.into()).await {
            tracing::debug!(%error, "an answer could not be sent");
        }
    }
    settle(message, AckKind::Ack).await;
}

fn opened(inner: &Inner, message: &[u8]) -> Option<(Submission, ReturnTo, Tag)> {
    let (content, tag) = inner.seal.open(Purpose::Request, message)?;
    let (submission, return_to) = request::decode(content)?;
    Some((submission, return_to, tag))
}
