//! What all workers share.

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use seatpilot_http::{InFlight, RateLimiter, RatePolicy};
use seatpilot_metrics_api::{ArrivalMetrics, Metrics};
use seatpilot_runtime::{AtRest, Clock, HmacTenantSecret};
use seatpilot_store::{Store, keys::Keys};
use uuid::Uuid;

use crate::served::Served;

/// Pings under way; half of what the writer's queue holds.
const PINGS_MAX: usize = 2_048;
/// Routes under way: each takes a worker for some ten microseconds, so more than these only wait.
const ROUTES_MAX: usize = 1_024;

/// Pings of one session by its own keys: a guest arrives once, and a page may repeat it.
const SESSION_RATE: RatePolicy = RatePolicy {
    name: "session",
    quota: NonZeroU32::new(60).unwrap(),
    window: Duration::from_secs(60),
    burst: NonZeroU32::new(20).unwrap(),
};

/// What all workers share.
pub(crate) struct State {
    pub(crate) store: Store,
    pub(crate) keys: Keys,
    pub(crate) clock: Clock,
    pub(crate) metrics: Arc<ArrivalMetrics>,
    pub(crate) pings: InFlight,
    pub(crate) session_rates: RateLimiter<(String, Uuid)>,
    pub(crate) routes: InFlight,
    pub(crate) served: Arc<Served>,
}

impl State {
    pub(crate) fn new(
        store: Store,
        bootstrap: Option<HmacTenantSecret>,
        at_rest: &AtRest,
        metrics: &Metrics,
        clock: Clock,
    ) -> Self {
        Self {
            keys: Keys::new(store.clone(), bootstrap, at_rest, metrics.keys()),
            session_rates: RateLimiter::new(SESSION_RATE, clock.clone()),
            store,
            clock,
            metrics: metrics.arrivals(),
            pings: InFlight::new(PINGS_MAX),
            routes: InFlight::new(ROUTES_MAX),
            served: Arc::default(),
        }
    }
}
