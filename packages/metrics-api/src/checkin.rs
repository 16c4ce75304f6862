//! How long check-ins take.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
    time::Instant,
};

use prometheus::{
    Registry,
    core::{Collector, Desc},
    proto::MetricFamily,
};
use seatpilot_domain_model::{Channel, Stage, TenantId};

use crate::{
    exposition::{Ticks, sane_seconds},
    families::{CHECKIN_LATENCY_MS, CHECKIN_LATENCY_SECONDS, CHECKIN_STAGE_SECONDS},
    family::registered,
    summary::SlidingSummary,
    tally::Tally,
    tenant::{PerChannel, PerTenant},
};

struct Seen {
    summary: SlidingSummary,
    latency: Tally,
    stages: [Tally; Stage::ALL.len()],
}

/// The series of check-ins of one tenant by one channel, under one lock: six of the library's would be some twenty-five
/// atomic steps a check-in. It is held for some tens of nanoseconds.
pub struct CheckinSeries {
    seen: Mutex<Seen>,
    ticks: Ticks,
}

impl CheckinSeries {
    fn new(ticks: &Ticks) -> Self {
        let seen = Seen {
            summary: SlidingSummary::new(ticks()),
            latency: Tally::of(&CHECKIN_LATENCY_SECONDS),
            stages: std::array::from_fn(|_| Tally::of(&CHECKIN_STAGE_SECONDS)),
        };
        Self { seen: Mutex::new(seen), ticks: Arc::clone(ticks) }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Observes a check-in's latency, in seconds from its request to its answer: histogram and summary both.
    pub fn observe(&self, seconds: f64) {
        let (seconds, now) = (sane_seconds(seconds), (self.ticks)());
        let mut seen = self.seen();
        seen.latency.observe(seconds);
        seen.summary.observe_seconds(now, seconds);
    }

    /// Observes one stage, in seconds.
    pub fn observe_stage(&self, stage: Stage, seconds: f64) {
        // A word's discriminant is its place in ALL.
        self.seen().stages[stage as usize].observe(sane_seconds(seconds));
    }

    /// Observes every stage of a scan, in seconds and in the order of [`Stage::ALL`], and the latency of one that was
    /// admitted: as [`observe_stage`](Self::observe_stage) and [`observe`](Self::observe) do one by one, but at a time
    /// that the caller has read from the clock for them.
    pub fn observe_scan(&self, now: Instant, stages: [f64; Stage::ALL.len()], latency: Option<f64>) {
        let mut seen = self.seen();
        for (stage, seconds) in seen.stages.iter_mut().zip(stages) {
            stage.observe(sane_seconds(seconds));
        }
        if let Some(seconds) = latency.map(sane_seconds) {
            seen.latency.observe(seconds);
            seen.summary.observe_seconds(now, seconds);
        }
    }
}

/// By tenant and channel.
type Children = BTreeMap<(String, &'static str), Arc<CheckinSeries>>;

/// Shows all three families.
#[derive(Clone)]
struct Shown {
    descs: [Desc; 3],
    children: Arc<RwLock<Children>>,
    ticks: Ticks,
}

impl Shown {
    fn of(&self, tenant: &str, channel: Channel) -> Arc<CheckinSeries> {
        let mut children = self.children.write().unwrap_or_else(PoisonError::into_inner);
        let key = (tenant.to_owned(), channel.as_str());
        Arc::clone(children.entry(key).or_insert_with(|| Arc::new(CheckinSeries::new(&self.ticks))))
    }
}

impl Collector for Shown {
    fn desc(&self) -> Vec<&Desc> {
        self.descs.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let now = (self.ticks)();
        let children: Children = self.children.read().unwrap_or_else(PoisonError::into_inner).clone();
        let (mut summaries, mut latencies, mut stages) = (Vec::new(), Vec::new(), Vec::new());
        for ((tenant, channel), series) in &children {
            let seen = series.seen();
            let mut metric = CHECKIN_LATENCY_MS.metric(&[tenant, channel]);
            metric.set_summary(seen.summary.read(now));
            summaries.push(metric);
            let mut metric = CHECKIN_LATENCY_SECONDS.metric(&[tenant, channel]);
            metric.set_histogram(seen.latency.read());
            latencies.push(metric);
            for (stage, tally) in Stage::ALL.iter().zip(&seen.stages) {
                let mut metric = CHECKIN_STAGE_SECONDS.metric(&[stage.as_str(), tenant, channel]);
                metric.set_histogram(tally.read());
                stages.push(metric);
            }
        }
        vec![
            CHECKIN_LATENCY_MS.collected(summaries),
            CHECKIN_LATENCY_SECONDS.collected(latencies),
            CHECKIN_STAGE_SECONDS.collected(stages),
        ]
    }
}

/// `seatpilot_checkin_latency_ms`, `seatpilot_checkin_latency_seconds`, `seatpilot_checkin_stage_seconds`.
pub struct CheckinMetrics {
    series: PerTenant<PerChannel<Arc<CheckinSeries>>>,
}

impl CheckinMetrics {
    pub(crate) fn register(registry: &Registry, ticks: &Ticks, tenants: &[TenantId]) -> Self {
        let families = [&CHECKIN_LATENCY_MS, &CHECKIN_LATENCY_SECONDS, &CHECKIN_STAGE_SECONDS];
        let descs = families.map(|family| family.desc());
        let shown =
            registered(registry, Ok(Shown { descs, children: Arc::default(), ticks: Arc::clone(ticks) }));
        Self {
            series: PerTenant::new(tenants, move |tenant| {
                PerChannel::new(|channel| shown.of(tenant, channel))
            }),
        }
    }

    pub(crate) fn extend(&self, tenants: &[TenantId]) {
        self.series.extend(tenants);
    }

    /// The series of a tenant and channel; of an unknown tenant those of `other`. Cheap enough for each
    /// request: about as much as one observation.
    pub fn of(&self, tenant: &TenantId, channel: Channel) -> Arc<CheckinSeries> {
        self.series.with(tenant, |channels| Arc::clone(channels.of(channel)))
    }
}
