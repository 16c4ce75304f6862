//! The OpenAPI document: written from the same closed sets and limits that the door checks.

use seatpilot_domain_model::{Channel, Stage, View};
use seatpilot_metrics_api::RejectedFor;
use serde_json::{Value, json};
use utoipa::openapi::OpenApi;

use crate::{SERVICE, VERSION, observation::ITEMS_MAX};

/// The document as it is served at `/openapi.json`.
pub fn document() -> String {
    seatpilot_http::openapi::document(&own(), SERVICE, VERSION)
}

/// What is this application's own: `/healthz` and the door.
fn own() -> OpenApi {
    let document = json!({
        "openapi": "3.1.0",
        "info": { "title": SERVICE, "version": VERSION, "description": DESCRIPTION },
        "paths": {
            "/healthz": { "get": {
                "tags": ["probes"],
                "operationId": "healthz",
                "summary": "Liveness, under the name that container platforms ask for.",
                "responses": { "200": {
                    "description": "The process serves.",
                    "content": { "application/json": { "schema": { "$ref": "#/components/schemas/Health" } } },
                } },
            } },
            "/observe/checkin": observe("observe_checkin", "A check-in's latency.", "CheckinObservation"),
            "/observe/checkin-stage": observe("observe_checkin_stage", "One stage of a check-in.", "StageObservation"),
            "/observe/door-to-seat": observe(
                "observe_door_to_seat",
                "A walk from door to seat. Over 900 s it is counted as an outlier and kept out of the histogram.",
                "DoorToSeatObservation",
            ),
            "/observe/ingest": observe("observe_ingest", "Telemetry events by outcome.", "IngestObservation"),
            "/observe/mv-lag": observe("observe_mv_lag", "How far a KPI view is behind.", "LagObservation"),
            "/observe/assign": observe("observe_assign", "A confirmed seating decision.", "AssignObservation"),
        },
        "components": { "schemas": schemas() },
    });
    // Constants of ours; a document without paths would fail this crate's test.
    serde_json::from_value(document).unwrap_or_default()
}

const DESCRIPTION: &str = "Takes observations of what cannot be scraped and shows them to Prometheus. A request \
    carries one observation or an array of at most 1,000; all are counted or none is.";

fn observe(id: &str, summary: &str, schema: &str) -> Value {
    let one = json!({ "$ref": format!("#/components/schemas/{schema}") });
    json!({ "post": {
        "tags": ["observe"],
        "operationId": id,
        "summary": summary,
        "security": [{ "metrics_key": [] }],
        "requestBody": {
            "required": true,
            "content": { "application/json": { "schema": { "oneOf": [
                one,
                { "type": "array", "maxItems": ITEMS_MAX, "items": one },
            ] } } },
        },
        "responses": {
            "204": { "description": "All of it was counted." },
            "400": problem("Not JSON."),
            "401": problem("No key, or none that opens. The body was not looked at."),
            "413": problem("Over 256 KiB."),
            "422": problem("Nothing was counted; `errors` names the member, such as `/3/latency_ms`."),
        },
    } })
}

fn problem(description: &str) -> Value {
    json!({
        "description": description,
        "content": { "application/problem+json": { "schema": { "$ref": "#/components/schemas/Problem" } } },
    })
}

fn schemas() -> Value {
    let tenant = json!({
        "type": "string",
        "pattern": "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$",
        "description": "Counted under `other` where no such tenant exists.",
    });
    let channel = words(Channel::ALL.iter().map(|word| word.as_str()));
    let stage = words(Stage::ALL.iter().map(|word| word.as_str()));
    let view = words(View::ALL.iter().map(|word| word.as_str()));
    let reason = words(RejectedFor::all().map(RejectedFor::as_str));
    let seconds = json!({ "type": "number", "minimum": 0.0, "maximum": 86_400.0 });
    let milliseconds = json!({ "type": "number", "minimum": 0.0, "maximum": 86_400_000.0 });
    let count = json!({ "type": "integer", "minimum": 0, "maximum": 1_000_000, "default": 1 });
    let feasible = json!({ "type": "boolean", "description": "Whether the seats were found automatically." });
    json!({
        "CheckinObservation": object(
            &["tenant", "channel", "latency_ms"],
            json!({ "tenant": tenant, "channel": channel, "latency_ms": milliseconds }),
        ),
        "StageObservation": object(
            &["tenant", "channel", "stage", "seconds"],
            json!({ "tenant": tenant, "channel": channel, "stage": stage, "seconds": seconds }),
        ),
        "DoorToSeatObservation": object(
            &["tenant", "channel", "seconds"],
            json!({ "tenant": tenant, "channel": channel, "seconds": seconds }),
        ),
        "IngestObservation": { "oneOf": [
            object(
                &["tenant", "outcome"],
                json!({ "tenant": tenant, "outcome": words(["accepted", "duplicate"]), "count": count }),
            ),
            object(
                &["tenant", "outcome", "reason"],
                json!({ "tenant": tenant, "outcome": words(["rejected"]), "reason": reason, "count": count }),
            ),
        ] },
        "LagObservation": object(&["view", "seconds"], json!({ "view": view, "seconds": seconds })),
        "AssignObservation": object(
            &["tenant", "channel", "duration_ms", "feasible"],
            json!({ "tenant": tenant, "channel": channel, "duration_ms": milliseconds, "feasible": feasible }),
        ),
    })
}

fn words(words: impl IntoIterator<Item = &'static str>) -> Value {
    json!({ "type": "string", "enum": words.into_iter().collect::<Vec<_>>() })
}

fn object(required: &[&str], properties: Value) -> Value {
    json!({ "type": "object", "required": required, "properties": properties, "additionalProperties": false })
}
