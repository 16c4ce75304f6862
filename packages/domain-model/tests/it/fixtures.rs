//! Every fixture, alone and among good neighbours.

use std::{fs, path::Path};

use seatpilot_domain_model::{EVENT_TYPES, Item, RejectReason, Shape, parse_event, parse_items};

use crate::{now, tenant, verdicts};

/// A fixture: its file's name without the ending, and its bytes.
pub(crate) struct Fixture {
    pub(crate) name: String,
    pub(crate) bytes: Vec<u8>,
}

impl Fixture {
    /// The reason that an invalid fixture's name promises.
    pub(crate) fn reason(&self) -> &str {
        self.name.split("--").next().expect("a reason")
    }
}

/// The fixtures of `valid` or `invalid`, in the order of their names.
pub(crate) fn fixtures(folder: &str) -> Vec<Fixture> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/events").join(folder);
    let mut found: Vec<Fixture> = fs::read_dir(folder)
        .expect("the folder")
        .map(|entry| {
            let path = entry.expect("an entry").path();
            let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
            Fixture { name, bytes: fs::read(path).expect("a file") }
        })
        .collect();
    found.sort_by(|one, other| one.name.cmp(&other.name));
    assert!(found.len() > 10);
    found
}

#[test]
fn every_valid_fixture_is_accepted_and_keeps_its_bytes() {
    for fixture in fixtures("valid") {
        let batch = parse_items(&fixture.bytes, &tenant(), now()).expect("an item");
        assert_eq!(batch.shape, Shape::Single);
        let [Item::Event(event)] = &batch.items[..] else { panic!("{}: {:?}", fixture.name, batch.items) };
        let text = String::from_utf8(fixture.bytes).expect("UTF-8");
        assert_eq!(&*event.raw, text.trim().as_bytes(), "{}", fixture.name);
        assert!(EVENT_TYPES.contains(&event.kind));
    }
}

#[test]
fn every_invalid_fixture_is_refused_for_the_reason_in_its_name() {
    let mut seen = Vec::new();
    for fixture in fixtures("invalid") {
        let reason = fixture.reason();
        assert_eq!(verdicts(&fixture.bytes), (Shape::Single, vec![reason]), "{}", fixture.name);
        seen.push(reason.parse::<RejectReason>().expect("a reason"));
    }
    for reason in RejectReason::ALL {
        use RejectReason::{DbDataException, IdConflict, Internal, QuotaExceeded};
        let of_the_store = matches!(reason, IdConflict | QuotaExceeded | DbDataException | Internal);
        assert_ne!(seen.contains(reason), of_the_store, "{reason}");
    }
}

#[test]
fn a_member_that_is_not_there_is_named_by_its_own_pointer() {
    for (left_out, pointer) in
        [("venue_id", "/venue_id"), ("data", "/data"), ("latency_ms", "/data/latency_ms")]
    {
        let mut event = serde_json::json!({
            "id": "019aa0c4-7a00-7000-8000-000000000001", "type": "checkin.success", "venue_id": "arena",
            "occurred_at": "2026-11-22T12:00:00Z", "data": { "latency_ms": 3 },
        });
        event.as_object_mut().expect("an event").remove(left_out);
        event.get_mut("data").and_then(|data| data.as_object_mut()?.remove(left_out));
        let batch = parse_items(event.to_string().as_bytes(), &tenant(), now()).expect("an item");
        let [Item::DeadLetter(letter)] = &batch.items[..] else { panic!("{left_out}") };
        assert_eq!(letter.detail, format!("{pointer}: is required"));
    }
}

#[test]
fn a_dead_letter_tells_the_rule_and_never_the_senders_text() {
    for fixture in fixtures("invalid") {
        let batch = parse_items(&fixture.bytes, &tenant(), now()).expect("an item");
        let [Item::DeadLetter(letter)] = &batch.items[..] else { panic!("{}", fixture.name) };
        assert!(!letter.detail.is_empty() && letter.detail.len() <= 512, "{}", fixture.name);
        for text in ["arena", "019aa0c4", "celebrated", "extra", "web", "Kiosk", "other", "ACME", "294277"] {
            assert!(!letter.detail.contains(text), "{}: {}", fixture.name, letter.detail);
        }
        assert_eq!(letter.payload_len, letter.payload.len());
        assert!(
            fixture.bytes.starts_with(&letter.payload) || fixture.bytes.starts_with(b" "),
            "{}",
            fixture.name
        );
    }
}

#[test]
fn the_id_and_type_of_a_flawed_event_are_told_where_there_is_one_of_each() {
    for fixture in fixtures("invalid") {
        let batch = parse_items(&fixture.bytes, &tenant(), now()).expect("an item");
        let [Item::DeadLetter(letter)] = &batch.items[..] else { panic!("{}", fixture.name) };
        let told = (letter.event_id.is_some(), letter.event_type);
        match &*fixture.name {
            "json_duplicate_key--id-twice" => assert_eq!(told, (false, Some("device.heartbeat"))),
            "json_duplicate_key--inside-data"
            | "json_number_range--1e400"
            | "nul_char--in-a-string"
            | "json_too_deep--depth-33"
            | "tenant_mismatch--another-tenant" => {
                assert_eq!(told, (true, Some("device.heartbeat")), "{}", fixture.name);
            }
            "json_syntax--missing-bracket" | "invalid_utf8--latin-1" => assert_eq!(told, (false, None)),
            "schema_unknown_type--unknown" => assert_eq!(told, (true, None)),
            _ => {}
        }
    }
}

#[test]
fn a_dead_letter_sent_once_more_is_judged_as_the_first_time() {
    for fixture in fixtures("valid").into_iter().chain(fixtures("invalid")) {
        let again = match parse_event(&fixture.bytes, &tenant(), now()) {
            Item::Event(_) => "accepted",
            Item::DeadLetter(letter) => letter.reason.as_str(),
        };
        assert_eq!(verdicts(&fixture.bytes).1, [again], "{}", fixture.name);
    }
    assert!(matches!(
        parse_event(b"[{}]", &tenant(), now()),
        Item::DeadLetter(letter) if letter.reason == RejectReason::SchemaViolation
    ));
}
