//! The schemas that senders read and the checks that run say the same.

use jsonschema::{Registry, Validator};
use seatpilot_domain_model::{ENVELOPE_SCHEMA, EVENT_TYPES, event_schema};
use serde_json::{Value, json};

use crate::{fixtures::fixtures, verdicts};

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).expect("JSON")
}

/// Validators of whole events, by type, from the files alone.
fn validators() -> Vec<(&'static str, Validator)> {
    let registry = Registry::new()
        .add("json-schema:///envelope.schema.json", parsed(ENVELOPE_SCHEMA))
        .and_then(|registry| registry.prepare())
        .expect("the envelope");
    let build = |kind: &&'static str| {
        let schema = parsed(event_schema(kind).expect("a schema"));
        let validator = jsonschema::draft202012::options()
            .with_registry(&registry)
            .with_base_uri(format!("json-schema:///{kind}.schema.json"))
            .should_validate_formats(true)
            .build(&schema)
            .expect("a schema that compiles");
        (*kind, validator)
    };
    EVENT_TYPES.iter().map(build).collect()
}

fn keeps(validators: &[(&str, Validator)], event: &Value) -> bool {
    validators.iter().any(|(kind, validator)| event["type"] == *kind && validator.is_valid(event))
}

fn agree(validators: &[(&str, Validator)], event: &Value, about: &str) {
    let body = serde_json::to_vec(event).expect("JSON");
    let verdict = verdicts(&body).1[0];
    let kept = !matches!(verdict, "schema_violation" | "schema_unknown_type");
    assert_eq!(keeps(validators, event), kept, "{about}: {verdict} {event}");
}

#[test]
fn each_schema_is_valid_2020_12_and_has_a_file_of_its_name() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas");
    assert_eq!(std::fs::read_dir(folder).expect("the folder").count(), EVENT_TYPES.len() + 1);
    for text in EVENT_TYPES.iter().map(|kind| event_schema(kind).expect("a schema")).chain([ENVELOPE_SCHEMA])
    {
        let schema = parsed(text);
        assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
        assert!(jsonschema::draft202012::meta::is_valid(&schema));
    }
    for kind in EVENT_TYPES {
        let schema = parsed(event_schema(kind).expect("a schema"));
        assert_eq!(schema["properties"]["type"]["const"], **kind);
        assert_eq!(schema["$ref"], "envelope.schema.json");
    }
    assert_eq!(event_schema("envelope"), None);
}

#[test]
fn the_schemas_and_the_code_agree_on_every_fixture() {
    let validators = validators();
    for fixture in fixtures("valid").into_iter().chain(fixtures("invalid")) {
        if let Ok(event) = serde_json::from_slice::<Value>(&fixture.bytes) {
            let flawed =
                ["json_", "nul_", "event_too_large"].iter().any(|flaw| fixture.name.starts_with(flaw));
            if !flawed {
                agree(&validators, &event, &fixture.name);
            }
        }
    }
}

#[test]
fn the_schemas_and_the_code_agree_on_every_member_put_wrong() {
    let validators = validators();
    let odd = [
        json!(null),
        json!(true),
        json!(-1),
        json!(0.5),
        json!(""),
        json!("x"),
        json!("x y"),
        json!("mobile"),
        json!("other"),
        json!("2026-11-22T12:00:00Z"),
        json!("9999-12-31T23:59:59-14:00"),
        json!("9999-12-32T00:00:00Z"),
        json!("2026-11-22T12:00:00+14:00"),
        json!("2026-11-22T12:00:00.1234567Z"),
        json!("2026-11-22 12:00:00Z"),
        json!("2026-11-22T24:00:00Z"),
        json!("2026-11-22T12:00Z"),
        json!("019aa0c4-7a00-7000-8000-000000000009"),
        json!("019aa0c4-7a00-7000-8000-00000000000g"),
        json!([]),
        json!({}),
        json!({"latency_ms": -0.001, "door_to_seat_seconds": 1}),
    ];
    for fixture in fixtures("valid") {
        let event: Value = serde_json::from_slice(&fixture.bytes).expect("JSON");
        let members = event.as_object().expect("an object").clone();
        for name in
            ["id", "type", "occurred_at", "venue_id", "session_id", "channel", "tenant_id", "data", "more"]
        {
            let mut without = members.clone();
            without.remove(name);
            agree(&validators, &Value::Object(without), &fixture.name);
            for value in &odd {
                let mut with = members.clone();
                with.insert(name.to_owned(), value.clone());
                agree(&validators, &Value::Object(with), &fixture.name);
            }
        }
        for name in members["data"].as_object().expect("an object").keys() {
            for value in &odd {
                let mut with = members.clone();
                with["data"][name] = value.clone();
                agree(&validators, &Value::Object(with), &fixture.name);
            }
        }
    }
}
