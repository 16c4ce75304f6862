//! The beat: each view in turn, then usage, then housekeeping, then a pause. One view that is broken does not stop the
//! others; a database that is away is asked again as soon as it is back.

use std::{collections::HashSet, sync::Arc, time::Duration};

use seatpilot_domain_model::{Entitlement, Feature, Period, TenantId, View};
use seatpilot_metrics_api::{RefreshedAs, RefresherMetrics, UsageMetrics};
use seatpilot_runtime::{Readiness, ReadinessState, Shutdown};
use seatpilot_store::{Behind, Error, Metered, Refreshed, Retained, Store};
use tokio::time::Instant;

use crate::lag::Lags;

/// Days are made and dropped, nonces forgotten, not more often than this. Nonces live in slots of 5 minutes.
const RETAIN_EVERY: Duration = Duration::from_secs(60);

/// What the beat needs.
pub(crate) struct Refresher {
    pub(crate) store: Store,
    pub(crate) lags: Arc<Lags>,
    pub(crate) metrics: Arc<RefresherMetrics>,
    pub(crate) usage: Arc<UsageMetrics>,
    pub(crate) readiness: Readiness,
    pub(crate) shutdown: Shutdown,
    /// From the beginning of one round to the next.
    pub(crate) every: Duration,
}

impl Refresher {
    /// Refreshes until the process is asked to end: at once when the database is first reached and whenever it
    /// is reached again, else every so often.
    pub(crate) async fn run(self) {
        let mut state = self.readiness.subscribe();
        let mut retain_at = Instant::now();
        let mut warned = HashSet::new();
        loop {
            let reached = state.wait_for(|state| matches!(state, ReadinessState::Ready { .. }));
            tokio::select! {
                () = self.shutdown.begun() => return,
                // Fails only when the readiness is gone, and `self` holds it.
                _ = reached => {}
            }
            let begun = Instant::now();
            for view in View::ALL {
                if self.shutdown.is_draining() {
                    return;
                }
                self.refresh(*view).await;
            }
            if self.shutdown.is_draining() {
                return;
            }
            self.count_usage().await;
            self.look_at_plans(&mut warned).await;
            if self.shutdown.is_draining() {
                return;
            }
            self.look_at_backlogs().await;
            if Instant::now() >= retain_at && !self.shutdown.is_draining() {
                retain_at = Instant::now() + RETAIN_EVERY;
                said(self.store.retain().await);
            }
            let lost = state.wait_for(|state| matches!(state, ReadinessState::Degraded { .. }));
            tokio::select! {
                () = self.shutdown.begun() => return,
                () = tokio::time::sleep_until(begun + self.every) => {}
                // Back to the top, which waits until it is reached again.
                _ = lost => {}
            }
        }
    }

    /// Counts usage until nothing is left over, unless pg_cron does. Whatever happens is said, never passed on.
    async fn count_usage(&self) {
        loop {
            match self.store.count_usage().await {
                Ok(Metered::Counted { events, behind }) => {
                    if events > 0 {
                        tracing::info!(events, "counted usage");
                    }
                    if behind == Behind::Nothing || self.shutdown.is_draining() {
                        return;
                    }
                }
                Ok(Metered::LeftToPgCron) => return tracing::debug!("pg_cron counts usage"),
                Ok(Metered::Busy) => return tracing::debug!("another instance counts usage"),
                Err(error) => return tracing::warn!(error = causes(&error), "no usage was counted"),
            }
        }
    }

    /// Shows what is used of each plan, and says once a month where a limit is passed.
    async fn look_at_plans(&self, warned: &mut HashSet<(TenantId, Feature, Period)>) {
        let entitlements = match self.store.entitlements().await {
            Ok(entitlements) => entitlements,
            Err(error) => return tracing::warn!(error = causes(&error), "no look at the plans"),
        };
        self.usage.set(&entitlements);
        for (tenant, features) in &entitlements {
            for Entitlement { feature, limit, used, period, .. } in features {
                let Some(limit) = limit.filter(|limit| *used > limit.quantity) else { continue };
                if warned.insert((tenant.clone(), *feature, period.clone())) {
                    let (limit, kind) = (limit.quantity, limit.kind);
                    tracing::warn!(%tenant, %feature, %period, used, limit, %kind, "{tenant} is over its plan's limit of {feature}");
                }
            }
        }
        // What was said of months that are over is of no use.
        warned.retain(|(tenant, _, period)| {
            entitlements
                .get(tenant)
                .and_then(|features| features.first())
                .is_some_and(|now| now.period == *period)
        });
    }

    /// Shows what waits and what ages. Whatever happens is said, never passed on: the gauges keep what was last seen.
    async fn look_at_backlogs(&self) {
        match self.store.backlogs().await {
            Ok(backlogs) => self.metrics.set_backlogs(&backlogs),
            Err(error) => tracing::warn!(error = causes(&error), "no look at the backlogs"),
        }
    }

    /// Refreshes one view until nothing is left over. Whatever happens is said, never passed on.
    async fn refresh(&self, view: View) {
        loop {
            let begun = Instant::now();
            let outcome = self.store.refresh_view(view).await;
            let duration_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
            let (counted, behind) = match outcome {
                Ok(Refreshed::Done { events, rows, behind }) => {
                    if events > 0 {
                        tracing::info!(%view, events, rows, duration_ms, "refreshed {view}");
                    }
                    (RefreshedAs::Ok, behind)
                }
                Ok(Refreshed::Busy) => {
                    tracing::debug!(%view, "another instance refreshes {view}");
                    (RefreshedAs::Busy, Behind::Nothing)
                }
                Ok(Refreshed::Failed(reason)) => {
                    tracing::error!(%view, reason, duration_ms, "{view} could not be refreshed");
                    (RefreshedAs::Failed, Behind::Nothing)
                }
                Err(error) => {
                    tracing::warn!(%view, error = causes(&error), duration_ms, "no refresh of {view}");
                    (RefreshedAs::Unanswered, Behind::Nothing)
                }
            };
            self.metrics.count(view, counted);
            if let Err(error) = self.lags.ask(&self.store).await {
                tracing::debug!(%error, "the lag of the KPI views is not known");
            }
            if behind == Behind::Nothing || self.shutdown.is_draining() {
                return;
            }
        }
    }
}

fn said(retained: Result<Retained, Error>) {
    match retained {
        Ok(Retained { days_made, days_dropped, ids, letters, nonce_slots }) => {
            if days_made + days_dropped + ids + letters > 0 {
                tracing::info!(days_made, days_dropped, ids, letters, nonce_slots, "kept house");
            }
        }
        Err(error) => tracing::warn!(error = causes(&error), "no housekeeping"),
    }
}

/// An error and what caused it, on one line.
fn causes(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}
