//! The one task that sends: gathers what is done for a second, posts it, tries again where that may help, and lets go
//! of what the collector does not take. Requests never wait for it, and a log has one line a minute of its troubles.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message as _;
use reqwest::{
    Client, Response,
    header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER},
    redirect,
};
use tokio::{
    sync::{Notify, mpsc},
    task::JoinHandle,
    time::{Instant as TokioInstant, sleep, timeout, timeout_at},
};

use crate::traces::{Tracer, config::ExportConfig, otlp::Origin, request::Bundle};

/// How long requests are gathered before they are posted.
const GATHER_MAX: Duration = Duration::from_secs(1);
/// Requests of one post: a few hundred KiB.
const POST_REQUESTS_MAX: usize = 512;
/// How long one post may take.
const POST_MAX: Duration = Duration::from_secs(5);
/// Pauses before the second and the third attempt.
const PAUSES: [Duration; 2] = [Duration::from_millis(500), Duration::from_secs(2)];
/// Longest pause that a collector may ask for.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(5);
/// Longest answer that is read.
const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// At most one line of the log in so long.
const COMPLAIN_EVERY: Duration = Duration::from_secs(60);

/// The exporting task of a process.
#[derive(Debug)]
pub struct Exporter {
    task: JoinHandle<()>,
    stop: Arc<Notify>,
    tracer: Tracer,
}

impl Exporter {
    pub(crate) fn spawn(
        config: &ExportConfig,
        origin: Origin,
        waiting: mpsc::Receiver<Bundle>,
        tracer: Tracer,
    ) -> Self {
        let stop = Arc::new(Notify::new());
        let sending = Sending {
            config: config.clone(),
            origin,
            tracer: tracer.clone(),
            trouble: None,
            complained: None,
            told: 0,
        };
        let task = tokio::spawn(sending.run(waiting, Arc::clone(&stop)));
        Self { task, stop, tracer }
    }

    /// Sends what is still there, for at most so long.
    pub async fn end(mut self, within: Duration) {
        self.stop.notify_one();
        if timeout(within, &mut self.task).await.is_err() {
            self.task.abort();
            let counts = self.tracer.counts();
            tracing::warn!(sent = counts.sent, "the collector did not take the last traces in time");
        }
    }
}

/// Why a post was not taken.
enum Refused {
    /// It may be taken later.
    ForNow { why: String, pause: Option<Duration> },
    /// It never will be.
    ForGood(String),
}

struct Sending {
    config: ExportConfig,
    origin: Origin,
    tracer: Tracer,
    /// What the collector said last.
    trouble: Option<String>,
    complained: Option<Instant>,
    /// Dropped spans that the log was told of.
    told: u64,
}

impl Sending {
    async fn run(mut self, mut waiting: mpsc::Receiver<Bundle>, stop: Arc<Notify>) {
        // No proxy of the environment (it is not in the table of variables), and no redirect: headers may be secrets.
        let client =
            Client::builder().no_proxy().redirect(redirect::Policy::none()).timeout(POST_MAX).build();
        let client = match client {
            Ok(client) => client,
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "traces are not exported");
                return;
            }
        };
        let mut batch = Vec::new();
        loop {
            let ending = gather(&mut waiting, &mut batch, &stop).await;
            while !batch.is_empty() {
                self.send(&client, &batch).await;
                batch.clear();
                if ending {
                    waiting.recv_many(&mut batch, POST_REQUESTS_MAX).await;
                }
            }
            self.complain();
            if ending {
                return;
            }
        }
    }

    async fn send(&mut self, client: &Client, batch: &[Bundle]) {
        let spans = batch.iter().map(Bundle::spans).sum();
        let body = self.origin.encode(batch);
        let mut pauses = PAUSES.iter();
        loop {
            match self.post(client, body.clone()).await {
                Ok(rejected) => {
                    self.tracer.sent(spans - rejected.min(spans));
                    self.tracer.dropped(rejected.min(spans));
                    return;
                }
                Err(Refused::ForNow { why, pause }) => {
                    self.trouble = Some(why);
                    if let Some(next) = pauses.next() {
                        sleep(pause.unwrap_or(*next)).await;
                        continue;
                    }
                }
                Err(Refused::ForGood(why)) => self.trouble = Some(why),
            }
            self.tracer.dropped(spans);
            return;
        }
    }

    /// Posts once; answers how many spans the collector took the rest without.
    async fn post(&mut self, client: &Client, body: Vec<u8>) -> Result<u64, Refused> {
        let request = client
            .post(&self.config.url)
            .headers(self.config.headers.clone())
            .header(CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"))
            .body(body);
        let answer = request.send().await.map_err(|error| Refused::ForNow {
            why: crate::exit::with_causes(&error.without_url()),
            pause: None,
        })?;
        let status = answer.status();
        if status.is_success() {
            return Ok(self.partly(answer).await);
        }
        let why = format!("the collector answered {}", status.as_u16());
        match status.as_u16() {
            // What OTLP says may be sent again.
            429 | 502 | 503 | 504 => Err(Refused::ForNow { why, pause: retry_after(&answer) }),
            _ => Err(Refused::ForGood(why)),
        }
    }

    /// A collector may take a part and say how many it left. What it answers beyond our understanding took all.
    async fn partly(&mut self, mut answer: Response) -> u64 {
        let mut bytes = Vec::new();
        while let Ok(Some(chunk)) = answer.chunk().await {
            if bytes.len() + chunk.len() > ANSWER_BYTES_MAX {
                return 0;
            }
            bytes.extend_from_slice(&chunk);
        }
        let told = ExportTraceServiceResponse::decode(bytes.as_slice()).ok();
        let rejected = told.and_then(|told| told.partial_success).map_or(0, |partly| partly.rejected_spans);
        if rejected > 0 {
            self.trouble = Some("the collector rejected some of a post".into());
        }
        u64::try_from(rejected).unwrap_or(0)
    }

    /// Says that spans were lost: the first time at once, then at most once a minute.
    fn complain(&mut self) {
        let dropped = self.tracer.counts().dropped;
        let lately = self.complained.is_some_and(|at| at.elapsed() < COMPLAIN_EVERY);
        if dropped == self.told || lately {
            return;
        }
        let why = self.trouble.take().unwrap_or_else(|| "more were made than sent".into());
        tracing::warn!(spans = dropped - self.told, why, "traces were lost; requests are not affected");
        self.told = dropped;
        self.complained = Some(Instant::now());
    }
}

/// Fills a batch until it is full, a second old, or the process ends; whether it ends. Wakes at least once a minute, so
/// that what was lost is told.
async fn gather(waiting: &mut mpsc::Receiver<Bundle>, batch: &mut Vec<Bundle>, stop: &Notify) -> bool {
    let mut until = TokioInstant::now() + COMPLAIN_EVERY;
    while batch.len() < POST_REQUESTS_MAX {
        let room = POST_REQUESTS_MAX - batch.len();
        let first = batch.is_empty();
        tokio::select! {
            biased;
            () = stop.notified() => {
                waiting.close();
                waiting.recv_many(batch, room).await;
                return true;
            }
            came = timeout_at(until, waiting.recv_many(batch, room)) => match came {
                // Every sender is gone.
                Ok(0) => return true,
                Ok(_) if first => until = TokioInstant::now() + GATHER_MAX,
                Ok(_) => {}
                Err(_) => return false,
            },
        }
    }
    false
}

/// Seconds, as collectors send them; a date is not worth a parser.
fn retry_after(answer: &Response) -> Option<Duration> {
    let seconds = answer.headers().get(RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds).min(RETRY_AFTER_MAX))
}
