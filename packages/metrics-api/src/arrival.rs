//! How long guests walk from door to seat.

use prometheus::{Histogram, IntCounter, Registry};
use seatpilot_domain_model::{Channel, OUTLIER_AFTER_SECONDS, TenantId};

use crate::{
    exposition::sane_seconds,
    families,
    tenant::{PerChannel, PerTenant},
};

#[derive(Clone)]
struct ArrivalSeries {
    walks: PerChannel<Histogram>,
    outliers: IntCounter,
}

/// `seatpilot_door_to_seat_seconds`, `seatpilot_door_to_seat_outliers_total`.
pub struct ArrivalMetrics {
    series: PerTenant<ArrivalSeries>,
}

impl ArrivalMetrics {
    pub(crate) fn register(registry: &Registry, tenants: &[TenantId]) -> Self {
        let walks = families::DOOR_TO_SEAT_SECONDS.histograms(registry);
        let outliers = families::DOOR_TO_SEAT_OUTLIERS_TOTAL.counters(registry);
        Self {
            series: PerTenant::new(tenants, move |tenant| ArrivalSeries {
                walks: PerChannel::new(|channel| walks.with_label_values(&[tenant, channel.as_str()])),
                outliers: outliers.with_label_values(&[tenant]),
            }),
        }
    }

    pub(crate) fn extend(&self, tenants: &[TenantId]) {
        self.series.extend(tenants);
    }

    /// Observes a first arrival, in seconds since its check-in, under the check-in's channel. Over 900 s it is
    /// an outlier: counted, and not in the histogram.
    pub fn observe(&self, tenant: &TenantId, channel: Channel, seconds: f64) {
        self.series.with(tenant, |series| {
            if seconds > OUTLIER_AFTER_SECONDS {
                series.outliers.inc();
            } else {
                series.walks.of(channel).observe(sane_seconds(seconds));
            }
        });
    }
}
