//! How far behind each view is, also while nobody can say: the gauge grows by itself until the database says
//! otherwise. A gauge that stands still during an outage would hide the outage.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use seatpilot_domain_model::View;
use seatpilot_metrics_api::KpiMetrics;
use seatpilot_runtime::{Clock, Readiness};
use seatpilot_store::{Error, Store};
use tokio::time::MissedTickBehavior;

/// How often the gauge moves.
const MOVE_EVERY: Duration = Duration::from_secs(1);
/// How often the database is asked. Another instance may have refreshed.
const ASK_EVERY_MOVES: u32 = 5;

/// What was known of a view's lag, and when.
#[derive(Debug, Clone, Copy)]
struct Reading {
    lag_seconds: f64,
    at: Instant,
}

/// The lag of every view.
pub(crate) struct Lags {
    metrics: Arc<KpiMetrics>,
    clock: Clock,
    /// By the view's place in [`View::ALL`].
    readings: Mutex<Vec<Reading>>,
}

impl Lags {
    /// Before the first answer of the database all that is known is that nothing happened since the start.
    pub(crate) fn new(metrics: Arc<KpiMetrics>, clock: Clock) -> Self {
        let begun = Reading { lag_seconds: 0.0, at: clock.monotonic() };
        Self { metrics, clock, readings: Mutex::new(vec![begun; View::ALL.len()]) }
    }

    /// Asks the database and moves the gauge.
    pub(crate) async fn ask(&self, store: &Store) -> Result<(), Error> {
        // Before the question: the answer's age counts from here.
        let at = self.clock.monotonic();
        for staleness in store.view_staleness().await? {
            self.set(staleness.view, staleness.lag_seconds, at);
        }
        self.show();
        Ok(())
    }

    fn set(&self, view: View, lag_seconds: f64, at: Instant) {
        let mut readings = self.readings.lock().unwrap_or_else(PoisonError::into_inner);
        for (known, reading) in View::ALL.iter().zip(readings.iter_mut()) {
            if *known == view && at >= reading.at {
                *reading = Reading { lag_seconds, at };
            }
        }
    }

    /// Moves the gauge to now.
    pub(crate) fn show(&self) {
        let now = self.clock.monotonic();
        let readings = self.readings.lock().unwrap_or_else(PoisonError::into_inner);
        for (view, reading) in View::ALL.iter().zip(readings.iter()) {
            let since = now.saturating_duration_since(reading.at).as_secs_f64();
            self.metrics.set_lag(*view, reading.lag_seconds + since);
        }
    }
}

/// Keeps the gauge moving, for as long as the process lives.
pub(crate) async fn watch(lags: Arc<Lags>, store: Store, readiness: Readiness) {
    let mut moves = tokio::time::interval(MOVE_EVERY);
    moves.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut count = 0_u32;
    loop {
        moves.tick().await;
        lags.show();
        count = count.wrapping_add(1);
        if count.is_multiple_of(ASK_EVERY_MOVES) && readiness.state().takes_work() {
            // The refresher tells what is wrong; here it only means that nothing new is known.
            if let Err(error) = lags.ask(&store).await {
                tracing::debug!(%error, "the lag of the KPI views is not known");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use seatpilot_metrics_api::Metrics;

    use super::*;

    fn shown(metrics: &Metrics, view: View) -> f64 {
        let name = format!("seatpilot_mv_lag_seconds{{view=\"{view}\"}} ");
        let text = metrics.render();
        text.lines().find_map(|line| line.strip_prefix(&name)).unwrap().parse().unwrap()
    }

    #[test]
    fn the_gauge_grows_until_the_database_says_otherwise() {
        let metrics = Metrics::new("test", "0");
        let (clock, hand) = Clock::manual("2026-11-22T19:30:00Z".parse().unwrap());
        let lags = Lags::new(metrics.kpi(), clock.clone());
        hand.advance(Duration::from_secs(90));
        lags.show();
        assert_eq!(shown(&metrics, View::Checkin), 90.0);
        lags.set(View::Checkin, 2.5, clock.monotonic());
        hand.advance(Duration::from_secs(7));
        lags.show();
        assert_eq!(shown(&metrics, View::Checkin), 9.5);
        assert_eq!(shown(&metrics, View::DoorToSeat), 97.0);
    }

    #[test]
    fn an_answer_that_was_overtaken_changes_nothing() {
        let metrics = Metrics::new("test", "0");
        let (clock, hand) = Clock::manual("2026-11-22T19:30:00Z".parse().unwrap());
        let lags = Lags::new(metrics.kpi(), clock.clone());
        let asked_first = clock.monotonic();
        hand.advance(Duration::from_secs(1));
        lags.set(View::Checkin, 0.0, clock.monotonic());
        lags.set(View::Checkin, 60.0, asked_first);
        lags.show();
        assert_eq!(shown(&metrics, View::Checkin), 0.0);
    }
}
