//! A fault on purpose: one stage of a tenant's scans takes longer, for a while, so that somebody sees an alert fire.
//!
//! It exists only where `FAULT_POINTS` is on, which production refuses; else its routes are 404 and a scan pays one
//! comparison. An administrator slows the scans of his own tenant and nobody else's, by at most 5 s, for at most ten
//! minutes: then it lapses, whatever became of the one who asked. The delay passes inside the stage's own time, so
//! histograms, alerts and guests see what they would see of a slow disk.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use actix_web::{
    HttpRequest,
    web::{Data, Payload},
};
use jiff::{SignedDuration, Timestamp};
use seatpilot_domain_model::{Fault, Stage, TenantId, member};
use seatpilot_http::{Answer, Problem, Success, admin::Session, parse_json, read_body};
use seatpilot_runtime::Clock;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Longest delay: under the 15 s that a script's request may take, with room for the scan.
const DELAY_MS_MAX: u32 = 5_000;
/// Longest time that one request slows scans for. Whoever needs longer asks again.
const FOR_SECONDS_MAX: u32 = 600;
/// Tenants whose scans are slow at the same time.
const TENANTS_MAX: usize = 16;
/// Largest body, in bytes.
const BODY_BYTES_MAX: usize = 1024;

/// Which scans are slow.
pub(crate) struct FaultPoint {
    clock: Clock,
    delays: Mutex<Vec<Delay>>,
}

struct Delay {
    tenant: TenantId,
    stage: Stage,
    by: Duration,
    until: Instant,
}

impl FaultPoint {
    pub(crate) fn new(clock: Clock) -> Self {
        Self { clock, delays: Mutex::default() }
    }

    /// Waits for as long as this stage of the tenant's scans is to be delayed.
    pub(crate) async fn hold(&self, tenant: &TenantId, stage: Stage) {
        if let Some(by) = self.delay_of(tenant, stage) {
            actix_web::rt::time::sleep(by).await;
        }
    }

    fn delay_of(&self, tenant: &TenantId, stage: Stage) -> Option<Duration> {
        let delays = self.still_held();
        let mine = delays.iter().find(|delay| delay.tenant == *tenant && delay.stage == stage);
        mine.map(|delay| delay.by)
    }

    fn set(&self, delay: Delay) -> Result<(), Fault> {
        let mut delays = self.still_held();
        delays.retain(|other| other.tenant != delay.tenant);
        if delays.len() == TENANTS_MAX {
            return Err(Fault::overloaded());
        }
        delays.push(delay);
        Ok(())
    }

    fn lift(&self, tenant: &TenantId) {
        let mut delays = self.still_held();
        if let Some(at) = delays.iter().position(|delay| delay.tenant == *tenant) {
            delays.swap_remove(at);
            tracing::warn!(%tenant, "fault point: scans are no longer delayed");
        }
    }

    /// Those that have not lapsed.
    fn still_held(&self) -> MutexGuard<'_, Vec<Delay>> {
        let now = self.clock.monotonic();
        let mut delays = self.delays.lock().unwrap_or_else(PoisonError::into_inner);
        delays.retain(|delay| {
            let holds = now < delay.until;
            if !holds {
                tracing::warn!(tenant = %delay.tenant, stage = %delay.stage, "fault point: the delay lapsed");
            }
            holds
        });
        delays
    }
}

/// A stage to be made slow.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct StageDelay {
    /// `parse`, `lookup` or `persist`.
    #[schema(value_type = String, pattern = "^(parse|lookup|persist)$")]
    stage: Stage,
    /// By how much each scan takes longer there, in milliseconds.
    #[serde(deserialize_with = "member::whole")]
    #[schema(minimum = 0, maximum = 5000)]
    delay_ms: u32,
    /// For how long, in seconds; then it lapses.
    #[serde(deserialize_with = "member::whole")]
    #[schema(minimum = 1, maximum = 600)]
    for_seconds: u32,
}

/// A stage that is slow.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct StageDelayed {
    /// Whose scans: the token's tenant.
    #[schema(value_type = String)]
    tenant_id: TenantId,
    #[schema(value_type = String)]
    stage: Stage,
    delay_ms: u32,
    /// When it lapses.
    #[schema(value_type = String, format = DateTime)]
    until: Timestamp,
}

impl StageDelay {
    fn check(&self) -> Result<(), Fault> {
        match self.stage {
            Stage::Parse | Stage::Lookup | Stage::Persist => {}
            Stage::Total => return Err(Fault::schema("/stage", "must be parse, lookup or persist")),
        }
        if self.delay_ms > DELAY_MS_MAX {
            return Err(Fault::schema("/delay_ms", format!("must be 0 to {DELAY_MS_MAX}")));
        }
        if !(1..=FOR_SECONDS_MAX).contains(&self.for_seconds) {
            return Err(Fault::schema("/for_seconds", format!("must be 1 to {FOR_SECONDS_MAX}")));
        }
        Ok(())
    }
}

/// Makes one stage of this tenant's scans slow, in this process, for a while.
#[utoipa::path(
    put,
    path = "/admin/faults/stage-delay",
    operation_id = "delay_stage",
    description = "Only where the process runs with `FAULT_POINTS=on`, which production refuses: elsewhere 404. Takes the place of an earlier delay of the tenant.",
    request_body(content = StageDelay),
    security(("admin" = [])),
    responses(
        (status = 200, description = "Scans of the token's tenant are slow from now on.", body = StageDelayed),
        (status = 400, description = "`bad_json`", body = Object, content_type = "application/problem+json"),
        (status = 401, description = "`unauthorized`", body = Object, content_type = "application/problem+json"),
        (status = 403, description = "`forbidden`: it takes the role `admin`.", body = Object, content_type = "application/problem+json"),
        (status = 404, description = "`not_found`: there are no fault points here.", body = Object, content_type = "application/problem+json"),
        (status = 413, description = "`body_too_large`", body = Object, content_type = "application/problem+json"),
        (status = 422, description = "`schema_violation`", body = Object, content_type = "application/problem+json"),
        (status = 503, description = "`overloaded`: too many tenants are slow already.", body = Object, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn delay(
    request: HttpRequest,
    session: Session,
    payload: Payload,
    point: Data<FaultPoint>,
) -> Result<Answer, Problem> {
    let body = read_body(&request, payload, BODY_BYTES_MAX).await?;
    let asked: StageDelay = parse_json(&body)?;
    asked.check()?;
    let tenant = session.who().tenant.clone();
    point.set(Delay {
        tenant: tenant.clone(),
        stage: asked.stage,
        by: Duration::from_millis(asked.delay_ms.into()),
        until: point.clock.monotonic() + Duration::from_secs(asked.for_seconds.into()),
    })?;
    let StageDelay { stage, delay_ms, for_seconds } = asked;
    tracing::warn!(%tenant, %stage, delay_ms, for_seconds, "fault point: scans are delayed");
    let until = point.clock.now() + SignedDuration::from_secs(for_seconds.into());
    Ok(Answer::json(Success::Ok, &StageDelayed { tenant_id: tenant, stage, delay_ms, until }))
}

/// Makes this tenant's scans as quick as they are. Twice is fine.
#[utoipa::path(
    delete,
    path = "/admin/faults/stage-delay",
    operation_id = "lift_stage_delay",
    security(("admin" = [])),
    responses(
        (status = 204, description = "No scan of the token's tenant is delayed."),
        (status = 401, description = "`unauthorized`", body = Object, content_type = "application/problem+json"),
        (status = 403, description = "`forbidden`: it takes the role `admin`.", body = Object, content_type = "application/problem+json"),
        (status = 404, description = "`not_found`: there are no fault points here.", body = Object, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn lift(session: Session, point: Data<FaultPoint>) -> Answer {
    point.lift(&session.who().tenant);
    Answer::no_content()
}
