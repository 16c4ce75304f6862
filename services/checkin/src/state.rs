//! What all workers share.

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use seatpilot_http::{InFlight, WindowLimiter};
use seatpilot_metrics_api::{CheckinMetrics, Metrics};
use seatpilot_runtime::Clock;
use seatpilot_store::Store;
use uuid::Uuid;

use crate::fault_point::FaultPoint;

/// Scans under way; half of what the writer's queue holds, so that a scan that was let in finds room there.
const SCANS_MAX: usize = 2_048;
/// Unknown tickets that a device may send within [`UNKNOWN_TICKETS_WINDOW`]: somebody guesses.
const UNKNOWN_TICKETS_MAX: NonZeroU32 = NonZeroU32::new(60).unwrap();
const UNKNOWN_TICKETS_WINDOW: Duration = Duration::from_secs(60);

/// What all workers share.
pub(crate) struct State {
    pub(crate) store: Store,
    pub(crate) clock: Clock,
    pub(crate) metrics: Arc<CheckinMetrics>,
    pub(crate) scans: InFlight,
    /// By device.
    pub(crate) unknown_tickets: WindowLimiter<Uuid>,
    /// None but where faults may be injected.
    pub(crate) fault_point: Option<Arc<FaultPoint>>,
}

impl State {
    pub(crate) fn new(
        store: Store,
        metrics: &Metrics,
        clock: Clock,
        fault_point: Option<Arc<FaultPoint>>,
    ) -> Self {
        Self {
            store,
            metrics: metrics.checkin(),
            scans: InFlight::new(SCANS_MAX),
            unknown_tickets: WindowLimiter::new(
                "unknown-tickets",
                UNKNOWN_TICKETS_MAX,
                UNKNOWN_TICKETS_WINDOW,
                clock.clone(),
            ),
            clock,
            fault_point,
        }
    }
}
