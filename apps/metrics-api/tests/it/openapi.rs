//! The document that clients are made from.

use std::path::Path;

use seatpilot_http::openapi::{check_current, update_asked};
use seatpilot_metrics_api_app::openapi::document;
use seatpilot_runtime::Environment;
use serde_json::Value;

use crate::running::Running;

#[test]
fn the_file_that_keeps_the_document_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/openapi/metrics-api.json");
    check_current(&path, &document(), update_asked(&mut Environment::process())).unwrap();
}

#[tokio::test]
async fn every_route_is_in_the_document_that_is_served() {
    let app = Running::start();
    let (status, served) = app.get("/openapi.json").await;
    assert_eq!((status, served.as_str()), (200, document().as_str()));
    let served: Value = serde_json::from_str(&served).unwrap();
    assert!(served["openapi"].as_str().is_some_and(|version| version.starts_with("3.1")));
    for what in ["checkin", "checkin-stage", "door-to-seat", "ingest", "mv-lag", "assign"] {
        let operation = &served["paths"][format!("/observe/{what}")]["post"];
        assert_eq!(operation["security"][0]["metrics_key"], Value::Array(vec![]), "{what}");
        let forms = &operation["requestBody"]["content"]["application/json"]["schema"]["oneOf"];
        assert_eq!(forms[1]["maxItems"], 1_000, "{what}");
        let name = forms[0]["$ref"].as_str().and_then(|name| name.rsplit('/').next()).unwrap_or_default();
        let schema = &served["components"]["schemas"][name];
        // Where one member decides over another there are several forms.
        for schema in schema["oneOf"].as_array().unwrap_or(&vec![schema.clone()]) {
            assert_eq!(schema["additionalProperties"], false, "{what}");
            for member in schema["required"].as_array().unwrap() {
                assert!(schema["properties"][member.as_str().unwrap()].is_object(), "{what} {member}");
            }
        }
    }
    let channel = &served["components"]["schemas"]["CheckinObservation"]["properties"]["channel"];
    assert_eq!(channel["enum"], serde_json::json!(["mobile", "kiosk", "desk", "signage"]));
    for path in ["/healthz", "/health", "/ready", "/metrics", "/openapi.json"] {
        assert!(served["paths"][path]["get"].is_object(), "{path}");
    }
}
