//! The shared parts of every service's document.

use seatpilot_http::openapi::{StaleDocument, Update, check_current, document};
use serde_json::{Value, json};
use utoipa::OpenApi;

#[derive(OpenApi)]
#[openapi(paths(scan))]
struct Own;

#[utoipa::path(post, path = "/scan", responses((status = 201, description = "Admitted."), (status = 404, description = "Ours.")), security(("device" = [])))]
#[expect(dead_code, reason = "stands for a handler")]
fn scan() {}

fn read() -> Value {
    serde_json::from_str(&document(&Own::openapi(), "checkin", "1.2.3")).unwrap()
}

#[test]
fn a_document_is_openapi_3_1_with_the_probes_and_the_services_own_paths() {
    let document = read();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    assert_eq!(document["info"]["version"], "1.2.3");
    let paths: Vec<_> = document["paths"].as_object().unwrap().keys().collect();
    assert_eq!(paths, ["/health", "/metrics", "/openapi.json", "/ready", "/scan"]);
}

#[test]
fn every_operation_may_answer_with_a_problem_and_has_a_request_id() {
    let document = read();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let responses = &operation["responses"];
            assert_eq!(
                responses["default"],
                json!({ "$ref": "#/components/responses/Problem" }),
                "{method} {path}"
            );
        }
    }
    let created = &document["paths"]["/scan"]["post"]["responses"]["201"];
    assert_eq!(created["headers"]["x-request-id"]["$ref"], "#/components/headers/RequestId");
    assert_eq!(document["paths"]["/scan"]["post"]["security"], json!([{ "device": [] }]));
    assert!(document["components"]["securitySchemes"]["device"].is_object());
}

#[test]
fn every_reference_leads_somewhere() {
    fn walk(value: &Value, document: &Value) {
        match value {
            Value::Object(map) => {
                if let Some(Value::String(reference)) = map.get("$ref") {
                    let pointer = reference.strip_prefix('#').unwrap();
                    assert!(document.pointer(pointer).is_some(), "{reference}");
                }
                map.values().for_each(|value| walk(value, document));
            }
            Value::Array(items) => items.iter().for_each(|value| walk(value, document)),
            _ => {}
        }
    }
    let document = read();
    walk(&document, &document);
}

#[test]
fn a_kept_file_is_compared_or_written() {
    let folder = std::env::temp_dir().join(format!("seatpilot-openapi-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("openapi.json");
    assert!(matches!(check_current(&path, "{}\n", Update::Compare), Err(StaleDocument::File(..))));
    check_current(&path, "{}\n", Update::Write).unwrap();
    check_current(&path, "{}\n", Update::Compare).unwrap();
    assert!(matches!(check_current(&path, "{ }\n", Update::Compare), Err(StaleDocument::Differs(_))));
    std::fs::remove_dir_all(folder).unwrap();
}
