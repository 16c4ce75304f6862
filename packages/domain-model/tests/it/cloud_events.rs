//! CloudEvents 1.0 in JSON: the same events under other names.

use seatpilot_domain_model::{Channel, Item, Shape, parse_event, parse_items};
use serde_json::{Value, json};

use crate::{now, tenant, verdicts};

fn cloud_event() -> Value {
    json!({
        "specversion": "1.0", "id": "019aa0c4-7a00-7000-8000-000000000001", "source": "/gates/north-1",
        "type": "checkin.success", "time": "2026-11-22T12:00:00Z", "venueid": "arena",
        "sessionid": "019aa0c4-7a00-7000-8000-000000000002", "channel": "kiosk", "tenantid": "acme",
        "datacontenttype": "application/json", "subject": "a gate", "traceparent": "00-1-2-01",
        "data": { "latency_ms": 3 },
    })
}

/// Its one dead letter: reason and detail.
fn refusal(event: &Value) -> (&'static str, String) {
    let batch = parse_items(event.to_string().as_bytes(), &tenant(), now()).expect("an item");
    let [Item::DeadLetter(letter)] = &batch.items[..] else { panic!("{event} was accepted") };
    (letter.reason.as_str(), letter.detail.clone())
}

#[test]
fn a_cloud_event_is_the_event_that_it_says_whatever_else_it_says() {
    let text = cloud_event().to_string();
    let batch = parse_items(text.as_bytes(), &tenant(), now()).expect("an item");
    let [Item::Event(event)] = &batch.items[..] else { panic!("{:?}", batch.items) };
    assert_eq!(event.kind, "checkin.success");
    assert_eq!(event.id.to_string(), "019aa0c4-7a00-7000-8000-000000000001");
    assert_eq!(event.venue.as_str(), "arena");
    assert_eq!(
        event.session_id.map(|id| id.to_string()).as_deref(),
        Some("019aa0c4-7a00-7000-8000-000000000002")
    );
    assert_eq!(event.channel, Some(Channel::Kiosk));
    assert_eq!(event.occurred_at, now());
    assert_eq!(&*event.raw, text.as_bytes(), "its bytes are kept as sent");
    // A dead letter that is sent once more is read the same.
    assert!(matches!(parse_event(text.as_bytes(), &tenant(), now()), Item::Event(_)));
}

#[test]
fn a_batch_may_have_both_kinds_and_each_bad_one_is_refused_alone() {
    let own = json!({
        "id": "019aa0c4-7a00-7000-8000-000000000003", "type": "device.heartbeat", "venue_id": "arena",
        "occurred_at": "2026-11-22T12:00:00Z", "data": {},
    });
    let mut late = cloud_event();
    late["time"] = json!("2026-11-14T12:00:00Z");
    let body = json!([own, cloud_event(), late]).to_string();
    assert_eq!(verdicts(body.as_bytes()), (Shape::Array, vec!["accepted", "accepted", "ts_out_of_range"]));
}

#[test]
fn what_breaks_a_cloud_event_is_named_as_its_sender_calls_it() {
    for (member, value, detail) in [
        ("specversion", json!("0.3"), "/specversion: must be 1.0"),
        ("specversion", json!(1.0), "/specversion: must be 1.0"),
        ("source", json!(null), "/source: must be a string of 1 to 2048 bytes"),
        ("source", json!(""), "/source: must be a string of 1 to 2048 bytes"),
        ("id", json!("A-1"), "/id: must be a UUID"),
        ("sessionid", json!("A-1"), "/sessionid: must be a UUID"),
        ("datacontenttype", json!("text/xml"), "/datacontenttype: must be JSON"),
        ("data_base64", json!("e30="), "/data_base64: must be data, as JSON"),
        ("venue_id", json!("arena"), "must have no attribute but of lower-case letters and digits"),
        ("Subject", json!("x"), "must have no attribute but of lower-case letters and digits"),
        ("data", json!("{}"), "/data: must be an object"),
    ] {
        let mut event = cloud_event();
        event[member] = value;
        assert_eq!(refusal(&event), ("schema_violation", detail.to_owned()));
    }
    for (member, pointer) in
        [("time", "/time"), ("venueid", "/venueid"), ("source", "/source"), ("data", "/data")]
    {
        let mut event = cloud_event();
        event.as_object_mut().expect("an event").remove(member);
        assert_eq!(refusal(&event), ("schema_violation", format!("{pointer}: is required")));
    }
    let mut event = cloud_event();
    event["tenantid"] = json!("other");
    assert_eq!(
        refusal(&event),
        ("tenant_mismatch", "/tenantid: must be the tenant of the key, or absent".to_owned())
    );
    event["type"] = json!("checkin.unheard");
    assert_eq!(refusal(&event).0, "schema_unknown_type");
}

#[test]
fn without_its_version_it_is_an_event_of_ours_with_strangers_in_it() {
    let mut event = cloud_event();
    event.as_object_mut().expect("an event").remove("specversion");
    let (reason, detail) = refusal(&event);
    assert_eq!((reason, detail.starts_with("must have no members")), ("schema_violation", true));
}
