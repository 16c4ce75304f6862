//! The event types and their JSON Schemas (2020-12), compiled in from `schemas/`.
//!
//! The envelope is checked by hand in `check`, because its members are needed as typed values anyway; the
//! schema of `data` is compiled from the same file that senders read. A test holds the hand and
//! `envelope.schema.json` to the same verdict.

use std::sync::LazyLock;

use jsonschema::error::ValidationErrorKind;
use jsonschema::{PatternOptions, Validator};
use serde_json::Value;

macro_rules! types {
    ($($name:literal),+ $(,)?) => {
        /// The types that have a schema.
        pub const EVENT_TYPES: &[&str] = &[$($name),+];
        static TEXTS: &[&str] = &[$(include_str!(concat!("../../schemas/", $name, ".schema.json"))),+];
    };
}
types![
    "checkin.started",
    "checkin.success",
    "checkin.failed",
    "wayfinding.route_shown",
    "wayfinding.arrive_table",
    "seating.assigned",
    "device.heartbeat",
];

/// The schema of what every event has; each type's schema refers to it as `envelope.schema.json`.
pub const ENVELOPE_SCHEMA: &str = include_str!("../../schemas/envelope.schema.json");

/// The JSON Schema of a type, as text; it refers to [`ENVELOPE_SCHEMA`].
pub fn event_schema(kind: &str) -> Option<&'static str> {
    TEXTS.get(position(kind)?).copied()
}

static DATA: LazyLock<Vec<Validator>> = LazyLock::new(|| TEXTS.iter().map(|text| compile(text)).collect());

#[expect(clippy::expect_used, reason = "the schemas are part of the program; a test compiles each of them")]
fn compile(text: &str) -> Validator {
    let schema: Value = serde_json::from_str(text).expect("a schema is JSON");
    jsonschema::draft202012::options()
        .should_validate_formats(true)
        // Linear in the text, where the default engine backtracks.
        .with_pattern_options(PatternOptions::regex())
        .build(&schema["properties"]["data"])
        .expect("a schema compiles")
}

fn position(kind: &str) -> Option<usize> {
    EVENT_TYPES.iter().position(|known| *known == kind)
}

/// A type that has a schema.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known(usize);

impl Known {
    /// The type of this name, if it has a schema.
    pub(super) fn named(kind: &str) -> Option<Self> {
        position(kind).map(Self)
    }

    pub(super) fn name(self) -> &'static str {
        EVENT_TYPES[self.0]
    }

    /// Holds `data` to the type's schema.
    ///
    /// # Errors
    /// The first member that breaks it: pointer and rule, without the sender's own text.
    pub(super) fn check(self, data: &Value) -> Result<(), String> {
        let validator = &DATA[self.0];
        // `is_valid` is the fast way; the slow one explains.
        if validator.is_valid(data) {
            return Ok(());
        }
        Err(validator.validate(data).err().map_or_else(
            || "/data: must match its type's schema".to_owned(),
            |error| match error.kind() {
                // The crate points at the object that lacks the member; a sender looks for the member.
                ValidationErrorKind::Required { property: Value::String(name) } => {
                    format!("/data{}/{name}: is required", error.instance_path())
                }
                _ => format!("/data{}: {}", error.instance_path(), error.masked()),
            },
        ))
    }
}
