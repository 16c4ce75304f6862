//! The document that is served is the one that is kept.

use std::path::Path;

use seatpilot_http::openapi::{check_current, update_asked};
use seatpilot_runtime::Environment;
use seatpilot_telemetry_ingest::openapi_document;
use serde_json::Value;

use crate::service::Service;

#[test]
fn the_kept_document_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/openapi/telemetry-ingest.json");
    check_current(&path, &openapi_document(), update_asked(&mut Environment::process())).unwrap();
}

#[test]
fn every_reference_of_the_document_leads_somewhere() {
    fn references(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(members) => {
                found.extend(members.get("$ref").and_then(Value::as_str).map(str::to_owned));
                members.values().for_each(|member| references(member, found));
            }
            Value::Array(items) => items.iter().for_each(|item| references(item, found)),
            _ => {}
        }
    }
    let document: Value = serde_json::from_str(&openapi_document()).unwrap();
    let mut found = Vec::new();
    references(&document, &mut found);
    assert!(found.len() > 5);
    for reference in found {
        assert!(document.pointer(reference.trim_start_matches('#')).is_some(), "{reference}");
    }
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
}

#[tokio::test]
async fn the_served_document_is_the_kept_one() {
    let service = Service::start().await;
    assert_eq!(service.get("/openapi.json").await.text, openapi_document());
}
