//! A server that does nothing: it reads what is posted and answers as many bytes as telemetry-ingest would. What ours
//! costs more is the cost of verifying and keeping. It is also where traces go when nobody looks at them.
//!
//! Run by the benchmark itself (`--serve-bare`), as a process of its own, so that its processor time is its own.

use std::sync::Arc;

use actix_web::{
    HttpRequest,
    web::{Data, Payload},
};
use seatpilot_http::{Answer, Problem, Routes, ServeOptions, Server, Success, read_body};
use seatpilot_metrics_api::Metrics;
use seatpilot_runtime::{Failure, Process, Readiness, ServiceConfig, ServiceDefaults, StoreKind};
use uuid::Uuid;

const NAME: &str = "bare";
const DEFAULTS: ServiceDefaults = ServiceDefaults { service: NAME, port: 0 };
/// As telemetry-ingest's.
const BODY_BYTES_MAX: usize = 256 * 1024;
/// Traces come in pieces of up to a few megabytes.
const TRACES_BYTES_MAX: usize = 16 << 20;
/// Events of the request that is answered.
pub(crate) const BATCH: usize = 100;

/// Serves until it is asked to end.
pub(crate) async fn run(process: Process) -> Result<(), Failure> {
    let Process { environment, clock, shutdown } = process;
    let config = environment.read(|env| ServiceConfig::read(env, DEFAULTS))?;
    let metrics = Arc::new(Metrics::new(NAME, env!("CARGO_PKG_VERSION")));
    let readiness = Readiness::without_database(StoreKind::Memory);
    let options = ServeOptions {
        config,
        version: env!("CARGO_PKG_VERSION"),
        clock,
        shutdown,
        readiness,
        metrics,
        openapi: "{}".to_owned(),
    };
    let answer = Arc::new(receipts());
    let routes = move |routes: &mut Routes| {
        routes.state(Arc::clone(&answer)).post("/v1/events", Success::Accepted, events).post(
            "/v1/traces",
            Success::Ok,
            traces,
        );
    };
    Server::bind(options, routes)?.run().await
}

/// As telemetry-ingest answers a batch of which all is new.
fn receipts() -> String {
    let item = format!(r#"{{"id":"{}","status":"accepted"}}"#, Uuid::nil());
    let items = vec![item; BATCH].join(",");
    format!(r#"{{"accepted":{BATCH},"duplicates":0,"rejected":0,"items":[{items}]}}"#)
}

async fn events(request: HttpRequest, payload: Payload, answer: Data<String>) -> Result<Answer, Problem> {
    let _ = read_body(&request, payload, BODY_BYTES_MAX).await?;
    Ok(Answer::json_bytes(Success::Accepted, answer.as_bytes().to_vec()))
}

async fn traces(request: HttpRequest, payload: Payload) -> Result<Answer, Problem> {
    let _ = read_body(&request, payload, TRACES_BYTES_MAX).await?;
    Ok(Answer::json_bytes(Success::Ok, Vec::new()))
}
