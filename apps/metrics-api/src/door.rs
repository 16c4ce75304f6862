//! The door itself: a key, then a body, then one count for each observation.

use std::sync::Arc;

use actix_web::{
    HttpRequest,
    web::{Data, Payload},
};
use seatpilot_http::{Answer, Problem, read_body};
use seatpilot_metrics_api::{
    ArrivalMetrics, CheckinMetrics, IngestMetrics, KpiMetrics, Metrics, SeatingMetrics,
};
use seatpilot_runtime::SecretString;
use serde::de::DeserializeOwned;

use crate::{
    ingest_key::IngestKeys,
    observation::{
        AssignObservation, CheckinObservation, DoorToSeatObservation, IngestObservation, LagObservation,
        StageObservation, read,
    },
};

/// Largest body, in bytes (contract section 0).
const BODY_BYTES_MAX: usize = 256 * 1024;

/// What handlers share: the keys, and every family of the contract.
pub(crate) struct Door {
    keys: IngestKeys,
    checkin: Arc<CheckinMetrics>,
    arrivals: Arc<ArrivalMetrics>,
    ingest: Arc<IngestMetrics>,
    kpi: Arc<KpiMetrics>,
    seating: Arc<SeatingMetrics>,
}

impl Door {
    /// Registers all families; nothing is observed yet.
    pub(crate) fn new(metrics: &Metrics, keys: &[SecretString]) -> Self {
        Self {
            keys: IngestKeys::new(keys),
            checkin: metrics.checkin(),
            arrivals: metrics.arrivals(),
            ingest: metrics.ingest(),
            kpi: metrics.kpi(),
            seating: metrics.seating(),
        }
    }

    /// Takes what a request tells. Nothing of the body is read before the key was seen, and nothing is counted
    /// before all of it was read.
    async fn take<T: DeserializeOwned>(
        &self,
        request: &HttpRequest,
        payload: Payload,
        count: impl Fn(&Self, T),
    ) -> Result<Answer, Problem> {
        self.keys.check(request)?;
        let body = read_body(request, payload, BODY_BYTES_MAX).await?;
        read::<T>(&body)?.into_iter().for_each(|observation| count(self, observation));
        Ok(Answer::no_content())
    }
}

type Taken = Result<Answer, Problem>;

pub(crate) async fn checkin(door: Data<Door>, request: HttpRequest, body: Payload) -> Taken {
    let count = |door: &Door, seen: CheckinObservation| {
        door.checkin.of(&seen.tenant, seen.channel).observe(seen.latency_ms.seconds());
    };
    door.take(&request, body, count).await
}

pub(crate) async fn checkin_stage(door: Data<Door>, request: HttpRequest, body: Payload) -> Taken {
    let count = |door: &Door, seen: StageObservation| {
        door.checkin.of(&seen.tenant, seen.channel).observe_stage(seen.stage, seen.seconds.seconds());
    };
    door.take(&request, body, count).await
}

pub(crate) async fn door_to_seat(door: Data<Door>, request: HttpRequest, body: Payload) -> Taken {
    let count = |door: &Door, seen: DoorToSeatObservation| {
        door.arrivals.observe(&seen.tenant, seen.channel, seen.seconds.seconds());
    };
    door.take(&request, body, count).await
}

pub(crate) async fn ingest(door: Data<Door>, request: HttpRequest, body: Payload) -> Taken {
    let count =
        |door: &Door, seen: IngestObservation| door.ingest.add(&seen.tenant, seen.counted, seen.times);
    door.take(&request, body, count).await
}

pub(crate) async fn mv_lag(door: Data<Door>, request: HttpRequest, body: Payload) -> Taken {
    let count = |door: &Door, seen: LagObservation| door.kpi.set_lag(seen.view, seen.seconds.seconds());
    door.take(&request, body, count).await
}

pub(crate) async fn assign(door: Data<Door>, request: HttpRequest, body: Payload) -> Taken {
    let count = |door: &Door, seen: AssignObservation| {
        door.seating.observe(&seen.tenant, seen.channel, seen.duration_ms.seconds(), seen.assigned);
    };
    door.take(&request, body, count).await
}
