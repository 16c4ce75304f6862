//! How far the KPI views are behind.

use prometheus::{Gauge, Registry};
use seatpilot_domain_model::View;

use crate::{exposition::sane_seconds, families};

/// `seatpilot_mv_lag_seconds`.
pub struct KpiMetrics {
    lags: [Gauge; View::ALL.len()],
}

impl KpiMetrics {
    pub(crate) fn register(registry: &Registry) -> Self {
        let lags = families::MV_LAG_SECONDS.gauges(registry);
        Self { lags: std::array::from_fn(|at| lags.with_label_values(&[View::ALL[at].as_str()])) }
    }

    /// Says how many seconds ago what the view shows was complete.
    pub fn set_lag(&self, view: View, seconds: f64) {
        // A word's discriminant is its place in ALL.
        self.lags[view as usize].set(sane_seconds(seconds));
    }
}
