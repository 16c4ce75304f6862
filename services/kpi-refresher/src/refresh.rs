//! The beat: each view in turn, then housekeeping, then a pause. One view that is broken does not stop the
//! others; a database that is away is asked again as soon as it is back.

use std::{sync::Arc, time::Duration};

use seatpilot_domain_model::View;
use seatpilot_runtime::{Readiness, ReadinessState, Shutdown};
use seatpilot_store::{Behind, Error, Refreshed, Retained, Store};
use tokio::time::Instant;

use crate::lag::Lags;

/// Days are made and dropped, nonces forgotten, not more often than this. Nonces live in slots of 5 minutes.
const RETAIN_EVERY: Duration = Duration::from_secs(60);

/// What the beat needs.
pub(crate) struct Refresher {
    pub(crate) store: Store,
    pub(crate) lags: Arc<Lags>,
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

    /// Refreshes one view until nothing is left over. Whatever happens is said, never passed on.
    async fn refresh(&self, view: View) {
        loop {
            let begun = Instant::now();
            let outcome = self.store.refresh_view(view).await;
            let duration_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
            let behind = match outcome {
                Ok(Refreshed::Done { events, rows, behind }) => {
                    if events > 0 {
                        tracing::info!(%view, events, rows, duration_ms, "refreshed {view}");
                    }
                    behind
                }
                Ok(Refreshed::Busy) => {
                    tracing::debug!(%view, "another instance refreshes {view}");
                    Behind::Nothing
                }
                Ok(Refreshed::Failed(reason)) => {
                    tracing::error!(%view, reason, duration_ms, "{view} could not be refreshed");
                    Behind::Nothing
                }
                Err(error) => {
                    tracing::warn!(%view, error = causes(&error), duration_ms, "no refresh of {view}");
                    Behind::Nothing
                }
            };
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
