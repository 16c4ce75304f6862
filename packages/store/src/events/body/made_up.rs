//! Events as nobody would write them: any spelling of any character and number, any order, any white space.

use std::collections::BTreeSet;

use jiff::Timestamp;
use proptest::{collection, prelude::*, sample};
use seatpilot_domain_model::{Channel, Event};
use uuid::Uuid;

const SPACES: &[&str] = &["", "", "", " ", "\n", "\t", "\r\n  "];
/// Characters as they may stand in a string.
const WRITTEN: &[&str] = &[
    r#"\""#,
    r"\\",
    r"\/",
    r"\b",
    r"\f",
    r"\n",
    r"\r",
    r"\t",
    r"\u0001",
    r"\u001f",
    r"\u001F",
    r"\u007f",
    r"\u0080",
    r"\u00e9",
    r"\u00E9",
    r"\u2028",
    r"\uffff",
    r"\ud83c\udf9f",
    r"\u0022",
    r"\u005c",
    r"\u0061",
    "é",
    "ß",
    "日",
    "🎟",
    "/",
    "\u{7f}",
    "\u{2028}",
    "a",
    "b",
    "B",
    "_",
    "0",
    " ",
    "'",
    "{",
    "]",
    ",",
    ":",
];
const NUMBERS: &[&str] = &[
    "0",
    "-0",
    "0.0",
    "-0.0",
    "-0.00e1",
    "0e10",
    "0e-10",
    "-0E+0",
    "0.00e5",
    "1e5",
    "1E5",
    "1e+05",
    "1.50",
    "1.50e1",
    "1.50e2",
    "1.50e3",
    "150e-2",
    "150e-5",
    "1E-7",
    "-1e-7",
    "10",
    "100",
    "1e0",
    "9007199254740993",
    "0.1",
    "0.30000000000000004",
    "123456789012345678901234567890",
    "-0.000000000000000000000000000001",
    "1e308",
    "1e-308",
    "1.7976931348623157e308",
    "4.9406564584124654e-308",
];

fn space() -> impl Strategy<Value = &'static str> {
    sample::select(SPACES)
}

/// A string as it stands in a text, quotes included.
fn string() -> impl Strategy<Value = String> {
    let character = prop_oneof![
        sample::select(WRITTEN).prop_map(str::to_owned),
        any::<char>().prop_filter_map("stands in no string as it is", |one| {
            (!one.is_control() && one != '"' && one != '\\').then(|| one.to_string())
        }),
    ];
    collection::vec(character, 0..6).prop_map(|characters| format!("\"{}\"", characters.concat()))
}

fn number() -> impl Strategy<Value = String> {
    prop_oneof![
        sample::select(NUMBERS).prop_map(str::to_owned),
        r"-?(0|[1-9][0-9]{0,30})(\.[0-9]{1,30})?([eE][+-]?[0-3]?[0-9]{1,2})?",
    ]
}

/// A value with what is in it, as somebody would write it.
fn value() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        string(),
        number(),
        sample::select(vec!["true", "false", "null", "{}", "[ ]"]).prop_map(str::to_owned)
    ];
    leaf.prop_recursive(5, 40, 8, |inner| prop_oneof![array(inner.clone()), object(inner)])
}

fn array(inner: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    collection::vec((space(), inner, space()), 0..8).prop_map(|elements| {
        let elements: Vec<String> = elements.iter().map(|(a, one, b)| format!("{a}{one}{b}")).collect();
        format!("[{}]", elements.join(","))
    })
}

fn object(inner: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    collection::vec((space(), string(), space(), space(), inner, space()), 0..8).prop_map(|members| {
        let mut seen = BTreeSet::new();
        let members: Vec<String> = members
            .into_iter()
            // No key twice, however it is written: the strict parser takes none.
            .filter(|(_, key, ..)| seen.insert(serde_json::from_str::<String>(key).unwrap()))
            .map(|(a, key, b, c, one, d)| format!("{a}{key}{b}:{c}{one}{d}"))
            .collect();
        format!("{{{}}}", members.join(","))
    })
}

/// An event whose `data` stands anywhere in it.
pub(super) fn event() -> impl Strategy<Value = Event> {
    let kinds = vec!["device.heartbeat", "route_viewed"];
    let channels = vec![None, Some(Channel::Kiosk), Some(Channel::Mobile)];
    // Years 1 to 9998, and the times that events have.
    let seconds = prop_oneof![-62_135_596_800_i64..=253_370_764_800, 1_700_000_000_i64..=1_900_000_000];
    let nanos = prop_oneof![0_i32..1_000_000_000, (0_i32..1_000).prop_map(|ms| ms * 1_000_000)];
    let members = collection::vec((string(), value()), 0..3);
    let data_key = sample::select(vec!["data", r"d\u0061ta"]);
    (
        sample::select(kinds),
        (seconds, nanos),
        sample::select(vec!["hall", "nissan-stadium"]),
        sample::select(vec![None, Some(Uuid::nil()), Some(Uuid::now_v7())]),
        sample::select(channels),
        (members, data_key, space(), object(value()), 0..4_usize),
    )
        .prop_map(
            |(kind, (second, nano), venue, session_id, channel, (members, key, space, data, place))| {
                let mut members: Vec<String> = members
                    .into_iter()
                    .filter(|(key, _)| !matches!(serde_json::from_str::<String>(key).as_deref(), Ok("data")))
                    .map(|(key, value)| format!("{key}{space}:{value}{space}"))
                    .collect();
                members.insert(
                    place.min(members.len()),
                    format!("{space}\"{key}\"{space}:{space}{data}{space}"),
                );
                Event {
                    id: Uuid::now_v7(),
                    kind,
                    occurred_at: Timestamp::new(second, nano).unwrap(),
                    venue: venue.parse().unwrap(),
                    session_id,
                    channel,
                    raw: format!("{{{}}}", members.join(",")).into_bytes().into(),
                }
            },
        )
}
