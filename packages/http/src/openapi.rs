//! The OpenAPI 3.1 document of a service: what its `#[derive(OpenApi)]` says, and what all services share.

use std::{collections::BTreeSet, fs, io, path::Path};

use seatpilot_domain_model::{FaultCode, RejectReason};
use serde_json::{Map, Value, json};

/// The document: the service's own paths and schemas, the probes, the problem document as the answer of
/// every operation that names none, `x-request-id`, and the ways to authenticate.
///
/// A service marks a path with `security(("device" = []))`, `(("signature" = []))`, `(("metrics_key" = []))`
/// or `(("admin" = []))`.
pub fn document(own: &utoipa::openapi::OpenApi, service: &str, version: &str) -> String {
    document_with(own, Value::Null, service, version)
}

/// As [`document`], with schemas that utoipa's types cannot say: an object of them, by name.
pub fn document_with(
    own: &utoipa::openapi::OpenApi,
    more_schemas: Value,
    service: &str,
    version: &str,
) -> String {
    // Typed values cannot fail to become JSON; an empty document would fail the service's own test.
    let mut document = serde_json::to_value(own).unwrap_or_default();
    let info = entry(&mut document, &["info"]);
    info.insert("title".into(), format!("SeatPilot {service}").into());
    info.insert("version".into(), version.into());
    info.insert("license".into(), json!({ "name": "Apache-2.0", "identifier": "Apache-2.0" }));
    merge(entry(&mut document, &["components", "schemas"]), more_schemas);
    merge(entry(&mut document, &["components", "schemas"]), schemas());
    merge(entry(&mut document, &["components", "responses"]), json!({ "Problem": problem_response() }));
    merge(entry(&mut document, &["components", "headers"]), json!({ "RequestId": request_id_header() }));
    merge(entry(&mut document, &["components", "securitySchemes"]), security_schemes());
    let paths = entry(&mut document, &["paths"]);
    merge(paths, probes());
    for operation in paths.values_mut().filter_map(Value::as_object_mut).flat_map(Map::values_mut) {
        complete(operation);
    }
    let mut text = serde_json::to_string_pretty(&document).unwrap_or_default();
    text.push('\n');
    text
}

/// The object at a path of names, made where there is none.
fn entry<'a>(value: &'a mut Value, names: &[&str]) -> &'a mut Map<String, Value> {
    let mut here = value;
    for name in names {
        if !here.is_object() {
            *here = json!({});
        }
        here = &mut here[*name];
    }
    if !here.is_object() {
        *here = json!({});
    }
    match here {
        Value::Object(map) => map,
        // Made an object just above.
        _ => unreachable!(),
    }
}

/// Adds what is not there: a service's own word holds.
fn merge(into: &mut Map<String, Value>, from: Value) {
    if let Value::Object(from) = from {
        for (name, value) in from {
            into.entry(name).or_insert(value);
        }
    }
}

/// Every operation may fail, every answer has the request's id, and every problem document is of one shape: a service
/// that writes `body = Object` means that.
fn complete(operation: &mut Value) {
    let Some(responses) = operation.get_mut("responses").and_then(Value::as_object_mut) else { return };
    responses.entry("default").or_insert_with(|| json!({ "$ref": "#/components/responses/Problem" }));
    for response in responses.values_mut().filter_map(Value::as_object_mut) {
        if !response.contains_key("$ref") {
            let headers = response.entry("headers").or_insert_with(|| json!({}));
            headers["x-request-id"] = json!({ "$ref": "#/components/headers/RequestId" });
        }
        let problem =
            response.get_mut("content").and_then(|content| content.get_mut("application/problem+json"));
        if let Some(schema) = problem.and_then(|problem| problem.get_mut("schema"))
            && *schema == json!({ "type": "object" })
        {
            *schema = json!({ "$ref": "#/components/schemas/Problem" });
        }
    }
}

fn schemas() -> Value {
    // An event that is rejected alone answers with its reason as the code.
    let reasons = RejectReason::ALL.iter().map(|reason| reason.as_str());
    let codes: BTreeSet<_> = FaultCode::ALL.iter().map(|code| code.as_str()).chain(reasons).collect();
    json!({
        "Problem": {
            "type": "object",
            "description": "RFC 9457 problem document. Further members depend on `code`.",
            "required": ["type", "title", "status", "detail", "instance", "code"],
            "properties": {
                "type": { "type": "string", "description": "`urn:seatpilot:problem:<code>`" },
                "title": { "type": "string" },
                "status": { "type": "integer", "minimum": 400, "maximum": 599 },
                "detail": { "type": "string" },
                "instance": { "type": "string", "description": "The request's id." },
                "code": { "type": "string", "enum": codes },
                "errors": { "type": "array", "items": { "$ref": "#/components/schemas/FieldError" } }
            },
            "additionalProperties": true
        },
        "FieldError": {
            "type": "object",
            "required": ["pointer", "detail"],
            "properties": {
                "pointer": {
                    "type": "string",
                    "description": "JSON pointer into the body, `/query/<name>` for a parameter."
                },
                "detail": { "type": "string" }
            }
        },
        "Health": {
            "type": "object",
            "required": ["status", "service", "version"],
            "properties": {
                "status": { "type": "string", "const": "ok" },
                "service": { "type": "string" },
                "version": { "type": "string" }
            }
        },
        "Ready": {
            "type": "object",
            "required": ["status", "service", "schema_version", "store"],
            "properties": {
                "status": { "type": "string", "enum": ["ready", "degraded"] },
                "service": { "type": "string" },
                "schema_version": { "type": ["string", "null"] },
                "store": { "type": "string", "enum": ["postgres", "supabase", "memory", "none"] },
                "bus": {
                    "type": "string", "enum": ["connected", "away"],
                    "description": "Only where telemetry goes over a bus to its writers (`INGEST_BUS`)."
                }
            }
        }
    })
}

fn problem_response() -> Value {
    json!({
        "description": "The request failed.",
        "headers": {
            "x-request-id": { "$ref": "#/components/headers/RequestId" },
            "Retry-After": {
                "description": "Seconds to wait before the same request is sent again.",
                "schema": { "type": "integer" }
            }
        },
        "content": { "application/problem+json": { "schema": { "$ref": "#/components/schemas/Problem" } } }
    })
}

fn request_id_header() -> Value {
    json!({
        "description": "The request's id: the caller's `x-request-id` where it was sent and well formed.",
        "schema": { "type": "string", "pattern": "^[A-Za-z0-9._-]{1,128}$" }
    })
}

fn security_schemes() -> Value {
    json!({
        "device": { "type": "http", "scheme": "bearer", "description": "A device's token." },
        "admin": { "type": "http", "scheme": "bearer", "bearerFormat": "JWT", "description": "An administrator's token." },
        "signature": {
            "type": "apiKey", "in": "header", "name": "x-sig",
            "description": "SP1: x-key, x-ts, x-nonce and x-sig over the raw body; or Standard Webhooks with x-key."
        },
        "metrics_key": { "type": "apiKey", "in": "header", "name": "x-metrics-key" }
    })
}

fn probes() -> Value {
    let answers = |description: &str, media_type: &str, schema: Value| json!({ "200": { "description": description, "content": { media_type: { "schema": schema } } } });
    let of = |name: &str| json!({ "$ref": format!("#/components/schemas/{name}") });
    let probe = |id: &str, summary: &str, responses: Value| json!({ "get": { "tags": ["probes"], "operationId": id, "summary": summary, "responses": responses } });
    json!({
        "/health": probe(
            "health",
            "Liveness: the process serves.",
            answers("It does.", "application/json", of("Health")),
        ),
        "/ready": probe(
            "ready",
            "Readiness: schema and store were reached; 503 before that and from SIGTERM on.",
            answers("It may be sent work.", "application/json", of("Ready")),
        ),
        "/metrics": probe(
            "metrics",
            "This process' metrics in Prometheus' text format.",
            answers("The metrics.", "text/plain", json!({ "type": "string" })),
        ),
        "/openapi.json": probe(
            "openapi",
            "This document.",
            answers("The document.", "application/json", json!({ "type": "object" })),
        ),
    })
}

/// What a test found out about the file that keeps a document.
#[derive(Debug, thiserror::Error)]
pub enum StaleDocument {
    /// It differs.
    #[error("{0} is not what the service serves: run its tests once with UPDATE=1")]
    Differs(String),
    /// It cannot be read or written.
    #[error("{0}")]
    File(String, #[source] io::Error),
}

/// For a service's test: compares the file that keeps a document with the document, or writes it where
/// `update` says so (the variable `UPDATE`, see [`update_asked`]).
///
/// # Errors
/// [`StaleDocument`].
pub fn check_current(path: &Path, document: &str, update: Update) -> Result<(), StaleDocument> {
    let name = path.display().to_string();
    match update {
        Update::Write => fs::write(path, document).map_err(|error| StaleDocument::File(name, error)),
        Update::Compare => match fs::read_to_string(path) {
            Ok(kept) if kept == document => Ok(()),
            Ok(_) => Err(StaleDocument::Differs(name)),
            Err(error) => Err(StaleDocument::File(name, error)),
        },
    }
}

/// Whether files that tests keep current are compared or written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Update {
    /// Compare.
    Compare,
    /// Write.
    Write,
}

/// What the variable `UPDATE` says.
pub fn update_asked(env: &mut seatpilot_runtime::Environment) -> Update {
    match env.text(&seatpilot_runtime::variable::UPDATE) {
        Some(_) => Update::Write,
        None => Update::Compare,
    }
}
