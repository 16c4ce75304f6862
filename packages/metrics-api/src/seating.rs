//! How seats are assigned: how long it takes, and how often it needs nobody's help.

use std::sync::{Arc, Mutex, PoisonError};

use prometheus::{
    Gauge, GaugeVec, Histogram, Registry,
    core::{Collector, Desc},
    proto::MetricFamily,
};
use seatpilot_domain_model::{Channel, TenantId};

use crate::{
    exposition::{Ticks, sane_seconds},
    families,
    family::registered,
    sliding::{Gathered, Sliding},
    tenant::{PerChannel, PerTenant},
};

/// How a confirmed party came to its seats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Assigned {
    /// The engine found them.
    Automatically,
    /// It found none; somebody else did.
    ByHand,
}

#[derive(Default)]
struct Confirmed {
    automatically: u64,
    all: u64,
}

impl Gathered for Confirmed {
    fn clear(&mut self) {
        *self = Self::default();
    }
}

struct Ratio {
    recent: Mutex<Sliding<Confirmed>>,
    gauge: Gauge,
}

/// Computes the ratio of each channel when it is scraped.
#[derive(Clone)]
struct Ratios {
    gauges: GaugeVec,
    channels: PerChannel<Arc<Ratio>>,
    ticks: Ticks,
}

impl Ratios {
    fn new(ticks: &Ticks) -> prometheus::Result<Self> {
        let family = &families::ASSIGN_FEASIBLE_RATIO;
        let gauges = GaugeVec::new(prometheus::Opts::new(family.name, family.help), family.labels)?;
        let channels = PerChannel::new(|channel| {
            let gauge = gauges.with_label_values(&[channel.as_str()]);
            Arc::new(Ratio { recent: Mutex::new(Sliding::new(ticks())), gauge })
        });
        Ok(Self { gauges, channels, ticks: Arc::clone(ticks) })
    }

    fn count(&self, channel: Channel, assigned: Assigned) {
        let now = (self.ticks)();
        let mut recent = self.channels.of(channel).recent.lock().unwrap_or_else(PoisonError::into_inner);
        let open = recent.open(now);
        open.all += 1;
        match assigned {
            Assigned::Automatically => open.automatically += 1,
            Assigned::ByHand => {}
        }
    }
}

impl Collector for Ratios {
    fn desc(&self) -> Vec<&Desc> {
        self.gauges.desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let now = (self.ticks)();
        for channel in Channel::ALL {
            let ratio = self.channels.of(*channel);
            let recent = ratio.recent.lock().unwrap_or_else(PoisonError::into_inner);
            let (automatically, all) = recent
                .within(now)
                .fold((0, 0), |sum: (u64, u64), window| (sum.0 + window.automatically, sum.1 + window.all));
            // Nothing asked for is nothing missed: an idle venue must not look like a failing one.
            ratio.gauge.set(if all == 0 { 1.0 } else { automatically as f64 / all as f64 });
        }
        self.gauges.collect()
    }
}

/// `seatpilot_assign_duration_ms_histogram`, `seatpilot_assign_feasible_ratio`.
pub struct SeatingMetrics {
    durations: PerTenant<PerChannel<Histogram>>,
    ratios: Ratios,
}

impl SeatingMetrics {
    pub(crate) fn register(registry: &Registry, ticks: &Ticks, tenants: &[TenantId]) -> Self {
        let durations = families::ASSIGN_DURATION_MS.histograms(registry);
        Self {
            durations: PerTenant::new(tenants, move |tenant| {
                PerChannel::new(|channel| durations.with_label_values(&[tenant, channel.as_str()]))
            }),
            ratios: registered(registry, Ratios::new(ticks)),
        }
    }

    pub(crate) fn extend(&self, tenants: &[TenantId]) {
        self.durations.extend(tenants);
    }

    /// Observes a confirmed decision that took so many seconds. (The family counts in milliseconds.)
    pub fn observe(&self, tenant: &TenantId, channel: Channel, seconds: f64, assigned: Assigned) {
        self.durations.with(tenant, |channels| channels.of(channel).observe(sane_seconds(seconds) * 1e3));
        self.ratios.count(channel, assigned);
    }
}
