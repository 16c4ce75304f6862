//! Arrays: a bad item spoils nothing but itself, and nothing makes the reader fall over.

use proptest::{collection, prelude::*, sample};
use seatpilot_domain_model::{FaultCode, Item, Shape, parse_items};

use crate::{
    fixtures::{Fixture, fixtures},
    now, tenant, verdicts,
};

/// Invalid fixtures that an array can hold: the others are no JSON, or no UTF-8, for the whole body.
fn bad_ones() -> Vec<Fixture> {
    let whole = [
        "missing-bracket",
        "single-quotes",
        "comma-at-the-end",
        "leading-zero",
        "two-values",
        "byte-order-mark",
    ];
    let mut kept = fixtures("invalid");
    kept.retain(|fixture| {
        fixture.reason() != "invalid_utf8"
            && !whole.iter().any(|what| fixture.name.ends_with(&format!("--{what}")))
    });
    kept
}

fn array(items: &[&[u8]]) -> Vec<u8> {
    [b"[", &items.join(&b","[..])[..], b"]"].concat()
}

#[test]
fn every_bad_item_leaves_its_neighbours_alone() {
    let good = fixtures("valid");
    for (index, bad) in bad_ones().iter().enumerate() {
        let neighbour = &good[index % good.len()].bytes[..];
        let body = array(&[neighbour, &bad.bytes, neighbour]);
        assert_eq!(
            verdicts(&body),
            (Shape::Array, vec!["accepted", bad.reason(), "accepted"]),
            "{}",
            bad.name
        );
    }
}

#[test]
fn a_body_that_is_no_json_is_one_item_without_id() {
    let good = &fixtures("valid")[0].bytes[..];
    let cases: [(&[u8], &str); 9] = [
        (b"", "json_syntax"),
        (b"not json", "json_syntax"),
        (&array(&[good, b"{bad}"]), "json_syntax"),
        (&array(&[good])[..good.len()], "json_syntax"),
        (&array(&[good, b"\"\xff\""]), "invalid_utf8"),
        (b"42", "schema_violation"),
        (b"null", "schema_violation"),
        (b"\"[]\"", "schema_violation"),
        (b"1e400", "json_number_range"),
    ];
    for (body, reason) in cases {
        let batch = parse_items(body, &tenant(), now()).expect("one item");
        assert_eq!(batch.shape, Shape::Single);
        let [Item::DeadLetter(letter)] = &batch.items[..] else { panic!("{reason}") };
        assert_eq!((letter.reason.as_str(), letter.event_id), (reason, None));
        assert_eq!(&*letter.payload, body);
    }
}

#[test]
fn an_array_has_1_to_500_items() {
    let good = &fixtures("valid")[0].bytes[..];
    assert_eq!(verdicts(&array(&vec![good; 500])).1.len(), 500);
    for body in [b"[]".to_vec(), b" [ ] ".to_vec(), array(&vec![good; 501]), array(&vec![&b"1"[..]; 60_000])]
    {
        let fault = parse_items(&body, &tenant(), now()).expect_err("no such array");
        assert_eq!(fault.code(), FaultCode::SchemaViolation);
    }
}

#[test]
fn elements_that_are_no_objects_are_refused_one_by_one() {
    assert_eq!(
        verdicts(br#"[1, "x", null, [], [1], {}, "\u0000", 1e999]"#).1,
        [
            "schema_violation",
            "schema_violation",
            "schema_violation",
            "schema_violation",
            "schema_violation",
            "schema_violation",
            "nul_char",
            "json_number_range"
        ]
    );
}

#[test]
fn a_payload_over_64_kib_is_cut_and_known_by_its_hash() {
    let body = format!(r#"["{}"]"#, "x".repeat(100_000));
    let batch = parse_items(body.as_bytes(), &tenant(), now()).expect("an item");
    let [Item::DeadLetter(letter)] = &batch.items[..] else { panic!("a dead letter") };
    assert_eq!((letter.payload.len(), letter.payload_len), (64 * 1024, 100_002));
}

#[test]
fn a_hundred_thousand_brackets_are_refused_and_nothing_else() {
    let deep = [vec![b'['; 100_000], vec![b']'; 100_000]].concat();
    assert_eq!(verdicts(&deep), (Shape::Array, vec!["json_too_deep"]));
    assert_eq!(verdicts(&deep[..100_000]), (Shape::Single, vec!["json_syntax"]));
    let good = &fixtures("valid")[0].bytes[..];
    assert_eq!(verdicts(&array(&[good, &deep])).1, ["accepted", "json_too_deep"]);
}

proptest! {
    #[test]
    fn random_bytes_never_panic(body in collection::vec(any::<u8>(), 0..400)) {
        _ = parse_items(&body, &tenant(), now());
    }

    #[test]
    fn random_json_like_text_never_panics(body in "[\\[\\]{}\",:\\\\u0d8cTe+\\-.1nultrefalsNI \u{0}é]{0,200}") {
        _ = parse_items(body.as_bytes(), &tenant(), now());
    }

    #[test]
    fn a_mutated_fixture_never_panics(
        index in any::<sample::Index>(),
        edits in collection::vec((any::<sample::Index>(), any::<u8>(), 0_u8..3), 1..6),
    ) {
        let all: Vec<Fixture> = fixtures("valid").into_iter().chain(fixtures("invalid")).collect();
        let mut bytes = index.get(&all).bytes.clone();
        for (place, byte, what) in edits {
            if bytes.is_empty() { break; }
            let at = place.index(bytes.len());
            match what {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                _ => { bytes.remove(at); }
            }
        }
        let batch = parse_items(&bytes, &tenant(), now());
        prop_assert!(batch.map_or(true, |batch| !batch.items.is_empty()));
    }

    #[test]
    fn what_the_scanner_takes_apart_serde_json_reads(body in "[\\[\\]{}\",:u0\\\\ 1e.\\-a]{0,40}") {
        use seatpilot_domain_model::strict_json::{Document, scan};
        let flawless = match scan(body.as_bytes(), 500) {
            Ok(Document::One(value)) => Some(value.flaw.is_none()),
            Ok(Document::Many { elements, .. }) => Some(elements.iter().all(|value| value.flaw.is_none())),
            Err(_) => None,
        };
        let reads = serde_json::from_str::<serde_json::Value>(&body).is_ok();
        match flawless {
            Some(true) => prop_assert!(reads),
            Some(false) => {}
            None => prop_assert!(!reads),
        }
    }

    #[test]
    fn of_n_items_the_k_bad_ones_are_refused_in_their_places(
        picks in collection::vec((any::<sample::Index>(), any::<bool>()), 1..60),
    ) {
        let (good, bad) = (fixtures("valid"), bad_ones());
        let chosen: Vec<(&Fixture, bool)> =
            picks.iter().map(|(index, is_bad)| (index.get(if *is_bad { &bad } else { &good }), *is_bad)).collect();
        let slices: Vec<&[u8]> = chosen.iter().map(|(fixture, _)| &fixture.bytes[..]).collect();
        let expected: Vec<&str> =
            chosen.iter().map(|(fixture, is_bad)| if *is_bad { fixture.reason() } else { "accepted" }).collect();
        prop_assert_eq!(verdicts(&array(&slices)), (Shape::Array, expected));
    }
}
