//! What balancers, supervisors and scrapers ask of every process.

use std::sync::Arc;

use actix_web::web::{Bytes, Data};
use seatpilot_domain_model::{Fault, FaultCode};
use seatpilot_metrics_api::{CONTENT_TYPE, Metrics};
use seatpilot_runtime::{BusState, Readiness};
use serde_json::json;

use crate::{
    answer::{Answer, Success},
    problem::Problem,
    routes::Routes,
};

/// What the probes answer from.
#[derive(Debug)]
pub struct Probes {
    pub(crate) service: &'static str,
    pub(crate) version: &'static str,
    pub(crate) readiness: Readiness,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) openapi: Bytes,
}

pub(crate) const HEALTH: &str = "/health";
pub(crate) const READY: &str = "/ready";
pub(crate) const METRICS: &str = "/metrics";
pub(crate) const OPENAPI: &str = "/openapi.json";

/// The paths that machines ask every few seconds: logged at `debug`.
pub(crate) const QUIET: [&str; 4] = [HEALTH, READY, METRICS, "/healthz"];

pub(crate) fn routes(routes: &mut Routes, probes: &Arc<Probes>) {
    routes
        .state(Arc::clone(probes))
        .get(HEALTH, health)
        .get(READY, ready)
        .get(METRICS, metrics)
        .get(OPENAPI, openapi);
}

/// Liveness: the process serves. A route like any other, so that an application may offer it under a second
/// name (`/healthz`).
pub async fn health(probes: Data<Probes>) -> Answer {
    Answer::json(
        Success::Ok,
        &json!({ "status": "ok", "service": probes.service, "version": probes.version }),
    )
}

/// Readiness: schema and store were reached, and nobody asked this process to end. `status` of the problem
/// document is RFC 9457's number, so the word stands in `state` there.
async fn ready(probes: Data<Probes>) -> Result<Answer, Problem> {
    let state = probes.readiness.state();
    let schema_version = state.schema_version().map(|version| version.to_string());
    let store = probes.readiness.store().as_str();
    // Only said where there is one.
    let bus = probes.readiness.bus().map(BusState::as_str);
    if state.takes_work() {
        let mut body = json!({
            "status": state.as_str(),
            "service": probes.service,
            "schema_version": schema_version,
            "store": store,
        });
        if let (Some(bus), Some(members)) = (bus, body.as_object_mut()) {
            members.insert("bus".to_owned(), bus.into());
        }
        return Ok(Answer::json(Success::Ok, &body));
    }
    let mut fault = Fault::new(FaultCode::NotReady, "The process is not ready to serve.")
        .with_retry_after(1)
        .with_member("state", state.as_str())
        .with_member("service", probes.service)
        .with_member("schema_version", schema_version)
        .with_member("store", store);
    if let Some(bus) = bus {
        fault = fault.with_member("bus", bus);
    }
    Err(fault.into())
}

async fn metrics(probes: Data<Probes>) -> Answer {
    Answer::text(Success::Ok, CONTENT_TYPE, probes.metrics.render())
}

async fn openapi(probes: Data<Probes>) -> Answer {
    Answer::json_bytes(Success::Ok, probes.openapi.clone())
}
