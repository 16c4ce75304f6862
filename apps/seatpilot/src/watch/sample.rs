//! What is read out of one service's scrape.

use std::collections::BTreeMap;

use seatpilot_metrics_api::families;

use super::{exposition::series, histogram::Histogram};

/// What only grows while a service runs; of all tenants and channels together.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Counts {
    /// Seconds of check-ins that admitted.
    pub checkin: Histogram,
    /// Seconds from door to seat.
    pub walk: Histogram,
    /// Arrivals after over 900 s.
    pub outliers: f64,
    /// Events stored.
    pub accepted: f64,
    /// Events that were stored before.
    pub duplicate: f64,
    /// Events and requests refused.
    pub rejected: f64,
    /// Requests.
    pub requests: f64,
    /// Requests that were answered 5xx.
    pub errors: f64,
}

/// What is so at a moment.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Gauges {
    /// Seconds by which each KPI view is behind.
    pub lag_s: BTreeMap<String, f64>,
    /// Rows that wait for a writer.
    pub queue: f64,
    /// Rows that may wait.
    pub queue_capacity: f64,
    /// Requests that wait for a connection.
    pub waiting: f64,
    /// When the process began, in Unix seconds; not known everywhere.
    pub begun_s: Option<f64>,
}

/// One scrape.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Sample {
    /// What grows.
    pub counts: Counts,
    /// What is.
    pub gauges: Gauges,
}

impl Sample {
    /// Reads a scrape.
    pub fn read(text: &str) -> Self {
        let mut sample = Self::default();
        let (counts, gauges) = (&mut sample.counts, &mut sample.gauges);
        for series in series(text) {
            let value = series.value;
            if let Some(family) = series.name.strip_suffix("_bucket") {
                let histogram = if family == families::CHECKIN_LATENCY_SECONDS.name {
                    &mut counts.checkin
                } else if family == families::DOOR_TO_SEAT_SECONDS.name {
                    &mut counts.walk
                } else {
                    continue;
                };
                if let Some(edge) = series.label("le").and_then(|edge| edge.parse().ok()) {
                    histogram.add(edge, value);
                }
            } else if series.name.strip_suffix("_count") == Some(families::HTTP_REQUEST_DURATION_SECONDS.name)
            {
                counts.requests += value;
                if series.label("status").is_some_and(|status| status.starts_with('5')) {
                    counts.errors += value;
                }
            } else if series.name == families::DOOR_TO_SEAT_OUTLIERS_TOTAL.name {
                counts.outliers += value;
            } else if series.name == families::INGEST_ACCEPTED_TOTAL.name {
                counts.accepted += value;
            } else if series.name == families::INGEST_DUPLICATE_TOTAL.name {
                counts.duplicate += value;
            } else if series.name == families::INGEST_REJECTED_TOTAL.name {
                counts.rejected += value;
            } else if series.name == families::MV_LAG_SECONDS.name {
                if let Some(view) = series.label("view") {
                    gauges.lag_s.insert(view.into_owned(), value);
                }
            } else if series.name == families::WRITER_QUEUE_DEPTH.name {
                gauges.queue += value;
            } else if series.name == families::WRITER_QUEUE_CAPACITY.name {
                gauges.queue_capacity += value;
            } else if series.name == families::DB_POOL_WAITING.name {
                gauges.waiting += value;
            } else if series.name == "process_start_time_seconds" {
                gauges.begun_s = Some(value);
            }
        }
        sample
    }
}

impl Counts {
    /// Adds what came since an earlier scrape of the same process; all of it, where it has begun anew.
    pub fn grow(&mut self, earlier: &Self, later: &Self) {
        let since = |earlier: f64, later: f64| if later < earlier { later } else { later - earlier };
        self.checkin.add_all(&later.checkin.since(&earlier.checkin));
        self.walk.add_all(&later.walk.since(&earlier.walk));
        self.outliers += since(earlier.outliers, later.outliers);
        self.accepted += since(earlier.accepted, later.accepted);
        self.duplicate += since(earlier.duplicate, later.duplicate);
        self.rejected += since(earlier.rejected, later.rejected);
        self.requests += since(earlier.requests, later.requests);
        self.errors += since(earlier.errors, later.errors);
    }

    /// What came between two moments of one sum.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let mut counts = Self::default();
        counts.grow(earlier, self);
        counts
    }

    /// Guests who were let in.
    pub fn admitted(&self) -> f64 {
        self.checkin.count()
    }

    /// Guests who were seen at their seats.
    pub fn seated(&self) -> f64 {
        self.walk.count() + self.outliers
    }

    /// The share of refused telemetry, of all of it; none where there was none.
    pub fn reject_share(&self) -> Option<f64> {
        let all = self.accepted + self.duplicate + self.rejected;
        (all > 0.0).then(|| self.rejected / all)
    }

    /// The share of requests that were answered 5xx; none where there was none.
    pub fn error_share(&self) -> Option<f64> {
        (self.requests > 0.0).then(|| self.errors / self.requests)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scrape_of_our_own_is_read() {
        let metrics = seatpilot_metrics_api::Metrics::new("checkin", "1");
        let tenant: seatpilot_domain_model::TenantId = "acme".parse().expect("a slug");
        metrics.set_tenants(std::slice::from_ref(&tenant));
        let (_, _) = (metrics.checkin(), metrics.ingest());
        let sample = Sample::read(&metrics.render());
        assert_eq!(sample.counts.admitted(), 0.0);
        assert_eq!(sample.counts.checkin.quantile(0.5), None);
        assert_eq!(sample.counts.reject_share(), None);
        let text = "seatpilot_checkin_latency_seconds_bucket{tenant=\"a\",channel=\"kiosk\",le=\"0.3\"} 2\n\
                    seatpilot_checkin_latency_seconds_bucket{tenant=\"a\",channel=\"kiosk\",le=\"+Inf\"} 3\n\
                    seatpilot_ingest_accepted_total{tenant=\"a\"} 3\nseatpilot_ingest_rejected_total{tenant=\"a\"} 1\n\
                    seatpilot_mv_lag_seconds{view=\"mv_kpi_checkin\"} 7.5\n\
                    http_request_duration_seconds_count{status=\"503\"} 1\n\
                    http_request_duration_seconds_count{status=\"201\"} 3\n";
        let sample = Sample::read(text);
        assert_eq!(sample.counts.admitted(), 3.0);
        assert_eq!(sample.counts.reject_share(), Some(0.25));
        assert_eq!(sample.counts.error_share(), Some(0.25));
        assert_eq!(sample.gauges.lag_s["mv_kpi_checkin"], 7.5);
    }

    #[test]
    fn a_service_that_began_anew_takes_nothing_away() {
        let count = |accepted| Counts { accepted, ..Counts::default() };
        let mut sum = count(10.0);
        sum.grow(&count(10.0), &count(14.0));
        sum.grow(&count(14.0), &count(3.0));
        assert_eq!(sum.accepted, 17.0);
    }
}
