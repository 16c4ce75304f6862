//! The driver: many connections at once, each with its next request as its last was answered (closed), or each at times
//! that were set before (open, after Tene's wrk2: a late answer delays nobody's intended start).

use std::{
    cell::{Cell, RefCell},
    net::SocketAddr,
    rc::Rc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use hdrhistogram::Histogram;
use tokio::task::LocalSet;

use crate::{
    line::{Heard, Line, write_request},
    machine::{Of, Watch},
};

/// What is sent, and what is right as its answer. One of them makes all requests of a drive.
pub(crate) trait Script {
    /// Writes the next request; false when there are no more.
    fn next(&self, request: &mut Vec<u8>) -> anyhow::Result<bool>;
    /// What was answered.
    ///
    /// # Errors
    /// Anything but what had to come.
    fn check(&self, heard: Heard<'_>) -> anyhow::Result<()>;
    /// Whether this is no answer yet but a wish to have the same request again, after [`RETRY_AFTER`].
    fn is_put_off(&self, _: &Heard<'_>) -> bool {
        false
    }
}

/// What a service asks for that refuses for want of room.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// When requests leave.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Pace {
    /// As soon as the one before on the same connection was answered.
    Closed,
    /// So many a second over all connections, whatever was answered.
    Open(f64),
}

/// What a drive measured.
#[derive(Debug, Clone)]
pub(crate) struct Reading {
    /// Requests that were answered, or transactions.
    pub(crate) done: u64,
    /// How long it took.
    pub(crate) seconds: f64,
    /// Of each, in microseconds, from its intended start.
    pub(crate) latency: Histogram<u64>,
    /// Seconds of a processor, by who had them.
    pub(crate) used: Vec<(&'static str, f64)>,
}

impl Reading {
    /// A second.
    pub(crate) fn rate(&self) -> f64 {
        self.done as f64 / self.seconds
    }

    /// A quantile in milliseconds.
    pub(crate) fn ms(&self, quantile: f64) -> f64 {
        self.latency.value_at_quantile(quantile) as f64 / 1e3
    }

    /// Microseconds of a processor for each that was done.
    pub(crate) fn cost_us(&self, name: &str) -> f64 {
        let used = self.used.iter().find(|(who, _)| *who == name).map_or(0.0, |(_, seconds)| *seconds);
        used * 1e6 / self.done.max(1) as f64
    }

    /// The share of all used processor time that one had.
    pub(crate) fn share(&self, name: &str) -> f64 {
        let all: f64 = self.used.iter().map(|(_, seconds)| seconds).sum();
        self.used.iter().find(|(who, _)| *who == name).map_or(0.0, |(_, seconds)| seconds / all)
    }
}

/// Latencies up to a minute, in microseconds, exact to three digits.
pub(crate) fn histogram() -> anyhow::Result<Histogram<u64>> {
    Ok(Histogram::new_with_bounds(1, 60_000_000, 3)?)
}

/// Connections of a driver, opened once.
pub(crate) struct Driver {
    lines: Vec<Line>,
    service: u32,
    database: u32,
    others: Vec<(&'static str, u32)>,
}

impl Driver {
    /// Opens so many connections to a service, each of which asks once whether it is ready: who says nothing for two
    /// seconds is shown out. `service` and `database` are the processes whose time counts.
    ///
    /// # Errors
    /// One could not be opened.
    pub(crate) async fn open(
        to: SocketAddr,
        connections: usize,
        service: u32,
        database: u32,
    ) -> anyhow::Result<Self> {
        let mut lines = Vec::with_capacity(connections);
        let mut request = Vec::new();
        write_request(&mut request, "GET", "/ready", &[], b"");
        for _ in 0..connections {
            let mut line = Line::open(to).await?;
            ensure!(line.ask(&request).await?.status == 200, "{to} is not ready");
            lines.push(line);
        }
        Ok(Self { lines, service, database, others: Vec::new() })
    }

    /// Counts the time of these processes too.
    pub(crate) fn with_others(mut self, others: &[(&'static str, u32)]) -> Self {
        self.others.extend_from_slice(others);
        self
    }

    /// Drives for so long.
    ///
    /// # Errors
    /// The first wrong answer.
    pub(crate) async fn drive<S: Script + 'static>(
        &mut self,
        script: &Rc<S>,
        pace: Pace,
        lasting: Duration,
    ) -> anyhow::Result<Reading> {
        let lines = std::mem::take(&mut self.lines);
        let count = lines.len();
        let (latency, done) = (Rc::new(RefCell::new(histogram()?)), Rc::new(Cell::new(0_u64)));
        let mut watched = vec![
            ("driver", Of::Process(std::process::id())),
            ("service", Of::Process(self.service)),
            ("database", Of::Family(self.database)),
        ];
        watched.extend(self.others.iter().map(|(who, pid)| (*who, Of::Process(*pid))));
        let watch = Watch::start(&watched);
        let began = Instant::now();
        let local = LocalSet::new();
        let mut tasks = Vec::with_capacity(count);
        for (number, line) in lines.into_iter().enumerate() {
            let (script, latency, done) = (Rc::clone(script), Rc::clone(&latency), Rc::clone(&done));
            let schedule = match pace {
                Pace::Closed => None,
                Pace::Open(rate) => {
                    let every = Duration::from_secs_f64(count as f64 / rate);
                    Some((began + every.mul_f64(number as f64 / count as f64), every))
                }
            };
            tasks.push(local.spawn_local(follow(line, script, schedule, began + lasting, latency, done)));
        }
        local.await;
        let (seconds, used) = watch.stop();
        for task in tasks {
            self.lines.push(task.await.context("a connection's task ended")??);
        }
        let latency = latency.borrow().clone();
        ensure!(done.get() > 0, "nothing was answered");
        Ok(Reading { done: done.get(), seconds, latency, used })
    }
}

async fn follow<S: Script>(
    mut line: Line,
    script: Rc<S>,
    mut schedule: Option<(Instant, Duration)>,
    until: Instant,
    latency: Rc<RefCell<Histogram<u64>>>,
    done: Rc<Cell<u64>>,
) -> anyhow::Result<Line> {
    let mut request = Vec::with_capacity(1024);
    loop {
        let intended = match &mut schedule {
            None => Instant::now(),
            Some((next, every)) => {
                let intended = *next;
                *next += *every;
                if intended < until {
                    tokio::time::sleep_until(intended.into()).await;
                }
                intended
            }
        };
        if intended >= until || !script.next(&mut request)? {
            return Ok(line);
        }
        // A closed loop's request begins when it leaves; making it is the driver's time.
        let from = if schedule.is_some() { intended } else { Instant::now() };
        let us = loop {
            let heard = line.ask(&request).await?;
            let us = u64::try_from(from.elapsed().as_micros()).unwrap_or(u64::MAX);
            if !script.is_put_off(&heard) {
                script.check(heard)?;
                break us;
            }
            tokio::time::sleep(RETRY_AFTER).await;
        };
        latency.borrow_mut().saturating_record(us);
        done.set(done.get() + 1);
    }
}
