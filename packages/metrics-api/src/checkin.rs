//! How long check-ins take.

use std::sync::Arc;

use prometheus::{Histogram, Registry};
use seatpilot_domain_model::{Channel, Stage, TenantId};

use crate::{
    exposition::{Ticks, sane_seconds},
    families,
    family::registered,
    summary::{SlidingSummary, SummaryVec},
    tenant::{PerChannel, PerTenant},
};

/// The series of check-ins of one tenant by one channel.
pub struct CheckinSeries {
    summary: Arc<SlidingSummary>,
    latency: Histogram,
    stages: [Histogram; Stage::ALL.len()],
}

impl CheckinSeries {
    /// Observes a check-in's latency, in seconds from its request to its answer: histogram and summary both.
    pub fn observe(&self, seconds: f64) {
        let seconds = sane_seconds(seconds);
        self.latency.observe(seconds);
        self.summary.observe_seconds(seconds);
    }

    /// Observes one stage, in seconds.
    pub fn observe_stage(&self, stage: Stage, seconds: f64) {
        // A word's discriminant is its place in ALL.
        self.stages[stage as usize].observe(sane_seconds(seconds));
    }
}

/// `seatpilot_checkin_latency_ms`, `seatpilot_checkin_latency_seconds`, `seatpilot_checkin_stage_seconds`.
pub struct CheckinMetrics {
    series: PerTenant<PerChannel<Arc<CheckinSeries>>>,
}

impl CheckinMetrics {
    pub(crate) fn register(registry: &Registry, ticks: &Ticks, tenants: &[TenantId]) -> Self {
        let summaries =
            registered(registry, Ok(SummaryVec::new(&families::CHECKIN_LATENCY_MS, Arc::clone(ticks))));
        let latencies = families::CHECKIN_LATENCY_SECONDS.histograms(registry);
        let stages = families::CHECKIN_STAGE_SECONDS.histograms(registry);
        let series = move |tenant: &str, channel: &str| CheckinSeries {
            summary: summaries.with_label_values(&[tenant, channel]),
            latency: latencies.with_label_values(&[tenant, channel]),
            stages: std::array::from_fn(|at| {
                stages.with_label_values(&[Stage::ALL[at].as_str(), tenant, channel])
            }),
        };
        Self {
            series: PerTenant::new(tenants, move |tenant| {
                PerChannel::new(|channel| Arc::new(series(tenant, channel.as_str())))
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
