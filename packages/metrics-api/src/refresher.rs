//! The refresher's own beat, and what it sees of each tenant when it looks: letters that wait, keys that age.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, PoisonError},
};

use prometheus::{Gauge, GaugeVec, IntCounter, Registry};
use seatpilot_domain_model::{TenantId, View};

use crate::{OTHER, TENANTS_MAX, families};

/// What the refresh of a view came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefreshedAs {
    /// The view is fresh, or a bite fresher.
    Ok,
    /// Another instance was at it.
    Busy,
    /// The view could not be refreshed.
    Failed,
    /// The database did not answer.
    Unanswered,
}

impl RefreshedAs {
    /// Every word, in the order of the declaration.
    pub const ALL: &[Self] = &[Self::Ok, Self::Busy, Self::Failed, Self::Unanswered];

    /// The label's value.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Busy => "busy",
            Self::Failed => "failed",
            Self::Unanswered => "unanswered",
        }
    }
}

/// What one look at a tenant saw.
#[derive(Debug, Clone, PartialEq)]
pub struct Backlog {
    /// Whose.
    pub tenant: TenantId,
    /// Dead letters that are parked.
    pub dlq_rows: u64,
    /// Seconds since the oldest of them came; 0 without any.
    pub dlq_oldest_seconds: f64,
    /// Seconds since the last rotation of the key that was rotated longest ago; 0 without any.
    pub key_age_seconds: f64,
}

/// `seatpilot_kpi_refreshes_total`, `seatpilot_dlq_*`, `seatpilot_key_age_seconds`.
pub struct RefresherMetrics {
    refreshes: [[IntCounter; RefreshedAs::ALL.len()]; View::ALL.len()],
    dlq_rows: GaugeVec,
    dlq_oldest_seconds: GaugeVec,
    key_age_seconds: GaugeVec,
    /// Tenants with gauges now; at most [`TENANTS_MAX`].
    shown: Mutex<BTreeSet<TenantId>>,
}

impl RefresherMetrics {
    pub(crate) fn register(registry: &Registry) -> Self {
        let refreshes = families::KPI_REFRESHES_TOTAL.counters(registry);
        let made = Self {
            refreshes: std::array::from_fn(|view| {
                std::array::from_fn(|outcome| {
                    let (view, outcome) = (View::ALL[view], RefreshedAs::ALL[outcome]);
                    refreshes.with_label_values(&[view.as_str(), outcome.as_str()])
                })
            }),
            dlq_rows: families::DLQ_ROWS.gauges(registry),
            dlq_oldest_seconds: families::DLQ_OLDEST_AGE_SECONDS.gauges(registry),
            key_age_seconds: families::KEY_AGE_SECONDS.gauges(registry),
            shown: Mutex::default(),
        };
        // A tenant's gauges come with the first look at it: from a 0 that nobody saw, the letters that were there
        // before a restart would look like letters that just came.
        made.gauges(OTHER).into_iter().for_each(|gauge| gauge.set(0.0));
        made
    }

    /// Counts a refresh of a view. A process that hangs counts none, one that is gone has no counter.
    pub fn count(&self, view: View, outcome: RefreshedAs) {
        // A word's discriminant is its place in ALL.
        self.refreshes[view as usize][outcome as usize].inc();
    }

    /// Shows a look at every tenant there is, and forgets those that are gone. Tenants beyond [`TENANTS_MAX`]
    /// are shown together, as [`OTHER`]: their letters added up, the oldest letter, the oldest key.
    pub fn set_backlogs(&self, backlogs: &[Backlog]) {
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        let there: BTreeSet<&TenantId> = backlogs.iter().map(|backlog| &backlog.tenant).collect();
        shown.retain(|tenant| {
            let stays = there.contains(tenant);
            if !stays {
                self.forget(tenant.as_str());
            }
            stays
        });
        let mut readings = BTreeMap::from([(OTHER, [0.0; 3])]);
        for backlog in backlogs {
            let tenant = &backlog.tenant;
            if tenant.as_str() != OTHER && !shown.contains(tenant) && shown.len() < TENANTS_MAX {
                shown.insert(tenant.clone());
            }
            let label = if shown.contains(tenant) { tenant.as_str() } else { OTHER };
            let [rows, oldest, key] = readings.entry(label).or_default();
            *rows += backlog.dlq_rows as f64;
            // `max` ignores a NaN, and nothing is younger than 0 s.
            *oldest = backlog.dlq_oldest_seconds.max(*oldest);
            *key = backlog.key_age_seconds.max(*key);
        }
        for (label, values) in readings {
            for (gauge, value) in self.gauges(label).into_iter().zip(values) {
                gauge.set(value);
            }
        }
    }

    fn gauges(&self, tenant: &str) -> [Gauge; 3] {
        [&self.dlq_rows, &self.dlq_oldest_seconds, &self.key_age_seconds]
            .map(|family| family.with_label_values(&[tenant]))
    }

    fn forget(&self, tenant: &str) {
        for family in [&self.dlq_rows, &self.dlq_oldest_seconds, &self.key_age_seconds] {
            // Fails only where it is not there.
            let _ = family.remove_label_values(&[tenant]);
        }
    }
}
