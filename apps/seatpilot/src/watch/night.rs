//! The night so far: what all services say together, over the last minutes, held against the objectives.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use tokio::time::Instant;

use super::{
    alerts::Alerts,
    sample::{Counts, Gauges, Sample},
    scrape::{Reading, ServiceReading, ServiceState},
};

/// Rates are over so long.
pub const RATE_OVER: Duration = Duration::from_secs(5);
/// Quantiles are over so long.
pub const QUANTILES_OVER: Duration = Duration::from_secs(60);
/// The share of refused telemetry is over so long, as the objective says.
pub const SHARE_OVER: Duration = Duration::from_secs(300);
/// So many moments are kept: one a second, a little more than the longest window.
const MOMENTS_MAX: usize = 330;
/// What was said lately, at most.
const NOTICES_MAX: usize = 20;

/// Seconds of a check-in, 95th percentile (docs/handoff.md, Objectives).
pub const CHECKIN_P95_S: f64 = 0.3;
/// Seconds from door to seat, median.
pub const WALK_P50_S: f64 = 30.0;
/// Seconds from door to seat, 95th percentile.
pub const WALK_P95_S: f64 = 60.0;
/// Share of refused telemetry.
pub const REJECT_SHARE: f64 = 0.01;
/// Seconds that a KPI view may be behind.
pub const LAG_S: f64 = 180.0;
/// Share of requests answered 5xx.
pub const ERROR_SHARE: f64 = 0.02;
/// Share of a writer's queue.
pub const QUEUE_SHARE: f64 = 0.5;

/// How a number stands to its objective.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// Within it.
    Kept,
    /// Outside.
    Missed,
    /// There is no number.
    Unknown,
}

impl Mark {
    /// A number against the most that it may be.
    pub fn of(value: Option<f64>, most: f64) -> Self {
        match value {
            Some(value) if value <= most => Self::Kept,
            Some(_) => Self::Missed,
            None => Self::Unknown,
        }
    }

    /// As a sign, for who sees no colours.
    pub fn sign(self) -> &'static str {
        match self {
            Self::Kept => "ok",
            Self::Missed => "!!",
            Self::Unknown => "--",
        }
    }
}

/// One service, as it was last seen.
#[derive(Debug, Clone)]
pub struct Seen {
    /// Its name.
    pub name: &'static str,
    /// What it says of itself.
    pub state: ServiceState,
    /// When its process began, in Unix seconds.
    pub begun_s: Option<f64>,
    /// How often it began anew while we watched.
    pub restarts: u32,
    /// Its last good scrape.
    last: Option<Sample>,
}

/// Everything that the view shows.
#[derive(Debug, Clone)]
pub struct Night {
    /// The services, in the order of their names' list.
    pub services: Vec<Seen>,
    /// What Prometheus says.
    pub alerts: Alerts,
    /// What `up` said lately, the newest last.
    pub notices: VecDeque<String>,
    sum: Counts,
    moments: VecDeque<(Instant, Counts)>,
}

impl Night {
    /// One of which nothing is known yet.
    pub fn new(services: impl IntoIterator<Item = &'static str>) -> Self {
        let unseen =
            |name| Seen { name, state: ServiceState::Unasked, begun_s: None, restarts: 0, last: None };
        Self {
            services: services.into_iter().map(unseen).collect(),
            alerts: Alerts::Unasked,
            notices: VecDeque::new(),
            sum: Counts::default(),
            moments: VecDeque::new(),
        }
    }

    /// Takes in what was read at a moment.
    pub fn take(&mut self, at: Instant, reading: Reading) {
        for (seen, read) in self.services.iter_mut().zip(reading.services) {
            seen.take(read, &mut self.sum);
        }
        if let Some(alerts) = reading.alerts {
            self.alerts = alerts;
        }
        self.moments.push_back((at, self.sum.clone()));
        while self.moments.len() > MOMENTS_MAX {
            self.moments.pop_front();
        }
    }

    /// Takes in what somebody said.
    pub fn notice(&mut self, line: String) {
        self.notices.push_back(line);
        while self.notices.len() > NOTICES_MAX {
            self.notices.pop_front();
        }
    }

    /// All that was counted since the services began.
    pub fn total(&self) -> &Counts {
        &self.sum
    }

    /// What came within a time until the last reading, and over how many seconds; none before the second reading.
    pub fn within(&self, window: Duration) -> Option<(Counts, f64)> {
        let (last, sum) = self.moments.back()?;
        let (first, before) = self.moments.iter().find(|(at, _)| last.duration_since(*at) <= window)?;
        let seconds = last.duration_since(*first).as_secs_f64();
        (seconds > 0.0).then(|| (sum.since(before), seconds))
    }

    /// So many a second, now.
    pub fn rate(&self, of: impl Fn(&Counts) -> f64) -> Option<f64> {
        self.within(RATE_OVER).map(|(counts, seconds)| of(&counts) / seconds)
    }

    /// So many a second, between each two of the last `points` + 1 readings; the newest last.
    pub fn rates(&self, points: usize, of: impl Fn(&Counts) -> f64) -> Vec<f64> {
        let skipped = self.moments.len().saturating_sub(points + 1);
        let moments: Vec<_> = self.moments.iter().skip(skipped).collect();
        let rate = |pair: &[&(Instant, Counts)]| match pair {
            [(before, earlier), (after, later)] => {
                let seconds = after.duration_since(*before).as_secs_f64();
                if seconds > 0.0 { (of(later) - of(earlier)).max(0.0) / seconds } else { 0.0 }
            }
            _ => 0.0,
        };
        moments.windows(2).map(rate).collect()
    }

    /// The quantiles of check-ins, in seconds, over [`QUANTILES_OVER`].
    pub fn checkin_s(&self, quantile: f64) -> Option<f64> {
        self.within(QUANTILES_OVER)?.0.checkin.quantile(quantile)
    }

    /// The quantiles of walks, in seconds, over [`QUANTILES_OVER`].
    pub fn walk_s(&self, quantile: f64) -> Option<f64> {
        self.within(QUANTILES_OVER)?.0.walk.quantile(quantile)
    }

    /// The share of refused telemetry over [`SHARE_OVER`].
    pub fn reject_share(&self) -> Option<f64> {
        self.within(SHARE_OVER)?.0.reject_share()
    }

    /// The share of requests answered 5xx over [`SHARE_OVER`].
    pub fn error_share(&self) -> Option<f64> {
        self.within(SHARE_OVER)?.0.error_share()
    }

    /// What the services' gauges say together.
    pub fn gauges(&self) -> Gauges {
        let mut all = Gauges::default();
        for gauges in self.services.iter().filter_map(|seen| Some(&seen.last.as_ref()?.gauges)) {
            all.queue += gauges.queue;
            all.queue_capacity += gauges.queue_capacity;
            all.waiting += gauges.waiting;
            for (view, lag_s) in &gauges.lag_s {
                let known = all.lag_s.entry(view.clone()).or_insert(*lag_s);
                *known = known.max(*lag_s);
            }
        }
        all
    }

    /// By how much the KPI view that is most behind is behind.
    pub fn lag_s(&self) -> Option<f64> {
        self.gauges().lag_s.into_values().reduce(f64::max)
    }

    /// The share of the writers' queues that is taken.
    pub fn queue_share(&self) -> Option<f64> {
        let gauges = self.gauges();
        (gauges.queue_capacity > 0.0).then(|| gauges.queue / gauges.queue_capacity)
    }
}

impl Seen {
    fn take(&mut self, read: ServiceReading, sum: &mut Counts) {
        self.state = read.state;
        let Some(sample) = read.sample else {
            // What it had said is old: its gauges are not those of now.
            if let Some(last) = &mut self.last {
                last.gauges = Gauges::default();
            }
            return;
        };
        match &self.last {
            None => sum.grow(&Counts::default(), &sample.counts),
            Some(last) => {
                let began = |begun: Option<f64>| begun.unwrap_or_default();
                let another = began(sample.gauges.begun_s) != began(self.begun_s);
                let less = sample.counts.requests < last.counts.requests;
                // Where a process says when it began, a second one is one; elsewhere its counters begin anew.
                if another || less {
                    self.restarts += 1;
                    sum.grow(&Counts::default(), &sample.counts);
                } else {
                    sum.grow(&last.counts, &sample.counts);
                }
            }
        }
        self.begun_s = sample.gauges.begun_s;
        self.last = Some(sample);
    }
}

/// The services' restarts and states in a word each, for the plain line.
pub fn states(night: &Night) -> BTreeMap<&'static str, &'static str> {
    night.services.iter().map(|seen| (seen.name, seen.state.word())).collect()
}
