//! `src/event_data.rs` is written from the JSON Schemas that the services check by. `UPDATE=1` writes it anew.

use std::{fmt::Write as _, path::Path};

use seatpilot_domain_model::{EVENT_TYPES, Item, event_schema, parse_event};
use seatpilot_sdk_server::{EventType, event_data};
use serde_json::{Value, json};

/// `checkin.success` is `CheckinSuccess`.
fn type_name(kind: &str) -> String {
    let words = kind.split(['.', '_']);
    words.map(|word| word[..1].to_uppercase() + &word[1..]).collect()
}

/// A generator of its own: those that are kept know no member beside `$ref`, which these schemas have.
fn generated() -> String {
    let mut text = "//! What is in the `data` of each type of event. Written by a test from the JSON Schemas; do not edit.\n\n\
        use serde::{Deserialize, Serialize};\nuse serde_json::{Map, Value};\n\nuse crate::EventType;\n"
        .to_owned();
    for kind in EVENT_TYPES {
        let schema: Value = serde_json::from_str(event_schema(kind).unwrap()).unwrap();
        let data = &schema["properties"]["data"];
        let name = type_name(kind);
        let required: Vec<&str> =
            data["required"].as_array().into_iter().flatten().map(|name| name.as_str().unwrap()).collect();
        let words = schema["description"].as_str().unwrap();
        write!(text, "\n/// {words}\n#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]\npub struct {name} {{\n")
            .unwrap();
        for (member, rules) in data["properties"].as_object().into_iter().flatten() {
            let kind = match rules["type"].as_str() {
                Some("string") => "String",
                Some("number") => "f64",
                Some("boolean") => "bool",
                other => panic!("{member} is {other:?}: teach this generator"),
            };
            writeln!(text, "    /// {}", rules["description"].as_str().unwrap()).unwrap();
            if required.contains(&member.as_str()) {
                writeln!(text, "    pub {member}: {kind},").unwrap();
            } else {
                writeln!(text, "    #[serde(skip_serializing_if = \"Option::is_none\")]\n    pub {member}: Option<{kind}>,")
                    .unwrap();
            }
        }
        text.push_str("    /// Whatever else there is to say.\n    #[serde(flatten)]\n    pub more: Map<String, Value>,\n}\n");
        write!(text, "\nimpl EventType for {name} {{\n    const NAME: &'static str = \"{kind}\";\n}}\n")
            .unwrap();
    }
    text
}

#[test]
fn the_types_are_those_of_the_schemas() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/event_data.rs");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, generated()).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap();
    assert!(
        kept == generated(),
        "src/event_data.rs is old: UPDATE=1 cargo nextest run -p seatpilot-sdk-server types"
    );
}

/// The data of a fixture through the type and back: nothing of it is lost.
fn returned<T: EventType + serde::de::DeserializeOwned>(kind: &str, data: &Value) -> Option<Value> {
    (kind == T::NAME)
        .then(|| serde_json::to_value(serde_json::from_value::<T>(data.clone()).unwrap()).unwrap())
}

#[test]
fn every_valid_fixture_fits_the_types_and_comes_back_as_it_was() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../domain-model/tests/fixtures/events/valid");
    let mut seen = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        let event: Value = serde_json::from_slice(&bytes).unwrap();
        let (kind, data) = (event["type"].as_str().unwrap(), &event["data"]);
        let back = returned::<event_data::CheckinStarted>(kind, data)
            .or_else(|| returned::<event_data::CheckinSuccess>(kind, data))
            .or_else(|| returned::<event_data::CheckinFailed>(kind, data))
            .or_else(|| returned::<event_data::WayfindingRouteShown>(kind, data))
            .or_else(|| returned::<event_data::WayfindingArriveTable>(kind, data))
            .or_else(|| returned::<event_data::SeatingAssigned>(kind, data))
            .or_else(|| returned::<event_data::DeviceHeartbeat>(kind, data))
            .unwrap_or_else(|| panic!("{kind} has no type"));
        let mut again = event.clone();
        again["data"] = back;
        let tenant = "acme".parse().unwrap();
        let now = "2026-11-22T12:00:00Z".parse().unwrap();
        assert!(
            matches!(parse_event(again.to_string().as_bytes(), &tenant, now), Item::Event(_)),
            "{again} is refused, {event} is not"
        );
        let numbers = |value: &Value| value.to_string().replace(".0", "");
        assert_eq!(numbers(&again["data"]), numbers(data));
        seen += 1;
    }
    assert!(seen > 10);
    assert_eq!(json!({}), serde_json::to_value(event_data::DeviceHeartbeat::default()).unwrap());
}
