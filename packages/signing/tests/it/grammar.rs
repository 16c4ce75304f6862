//! What a signed header may look like, and what is malformed before any key is looked up.

use seatpilot_signing::{Scheme, TAGS_MAX, sign_sp1, sign_standard_webhooks};

use crate::wire::{TS, key, ring, sp1, webhook};

const PATH: &str = "/v1/events";
const BODY: &[u8] = br#"{"a":1}"#;

#[test]
fn a_parsed_request_tells_key_time_nonce_and_scheme() {
    let headers = sp1(PATH, BODY).parse().unwrap();
    assert_eq!(
        (headers.key_id(), headers.ts(), headers.nonce()),
        ("acme_gate_01", TS, "nonce-0123456789abcdef")
    );
    assert_eq!(headers.scheme(), Scheme::Sp1);
    let headers = webhook(BODY).parse().unwrap();
    assert_eq!(
        (headers.key_id(), headers.ts(), headers.nonce()),
        ("acme_gate_01", TS, "msg_0123456789abcdef")
    );
    assert_eq!(headers.scheme(), Scheme::StandardWebhooks);
}

#[test]
fn each_header_is_there_exactly_once() {
    for wire in [sp1(PATH, BODY), webhook(BODY)] {
        for (name, value) in &wire.0 {
            let missing = wire.clone().without(name).parse().unwrap_err();
            assert_eq!(missing.header(), *name);
            let doubled = wire.clone().plus(name, value).parse().unwrap_err();
            assert_eq!(doubled.header(), *name);
            assert!(wire.clone().with(name, "").parse().is_err(), "an empty {name}");
        }
    }
}

#[test]
fn the_two_schemes_do_not_mix() {
    let webhook = webhook(BODY);
    for (name, value) in sp1(PATH, BODY).without("x-key").0 {
        assert!(webhook.clone().plus(name, &value).parse().is_err(), "{name}");
    }
    let sp1 = sp1(PATH, BODY);
    for (name, value) in webhook.without("x-key").0 {
        assert!(sp1.clone().plus(name, &value).parse().is_err(), "{name}");
    }
}

#[test]
fn a_value_outside_its_grammar_is_malformed() {
    let long = "a".repeat(65);
    let cases: [(&'static str, &[&str]); 4] = [
        (
            "x-key",
            &[
                "short77",
                &long,
                "acme gate 01",
                "acme.gate.01",
                " acme_gate_01",
                "acme_gate_01\t",
                "ácme_gate",
            ],
        ),
        (
            "x-ts",
            &[
                "179530560",
                "17953056000",
                "-795305600",
                "+795305600",
                "179530560x",
                "1795305600 ",
                "１795305600",
            ],
        ),
        ("x-nonce", &["aaaaaaaaaaaaaaaaaaaaa", &long, "aaaaaaaaaaaaaaaaaaaaa=", "aaaaaaaaaaa\naaaaaaaaaaa"]),
        ("x-sig", &["v1=", "v2=00", "00", "v1=zz", "v1", "V1=00"]),
    ];
    for (name, values) in cases {
        for value in values {
            let fault = sp1(PATH, BODY).with(name, value).parse().unwrap_err();
            assert_eq!(fault.header(), name, "{value:?}");
        }
    }
    for name in ["x-key", "x-ts", "x-nonce", "x-sig"] {
        assert!(sp1(PATH, BODY).with(name, [0xff; 22]).parse().is_err(), "{name} of bytes");
    }
}

#[test]
fn a_tag_in_upper_case_cut_padded_or_third_is_malformed() {
    let wire = sp1(PATH, BODY);
    let tag = String::from_utf8(wire.get("x-sig").to_vec()).unwrap();
    for kept in 0..tag.len() {
        assert!(wire.clone().with("x-sig", &tag[..kept]).parse().is_err(), "{kept} characters");
    }
    let upper = format!("v1={}", tag[3..].to_uppercase());
    for bad in [
        upper,
        format!("{tag}0"),
        format!("{tag}00"),
        format!("{tag},"),
        format!(",{tag}"),
        format!("{tag}, {tag}"),
        format!("{tag};{tag}"),
        format!("{tag},{tag},{tag}"),
    ] {
        assert!(wire.clone().with("x-sig", &bad).parse().is_err(), "{bad}");
    }
}

#[test]
fn one_of_two_tags_is_enough_in_either_place() {
    let wire = sp1(PATH, BODY);
    let tag = String::from_utf8(wire.get("x-sig").to_vec()).unwrap();
    let other = format!("v1={}", "0".repeat(64));
    for both in [format!("{tag},{other}"), format!("{other},{tag}"), format!("{tag},{tag}")] {
        assert!(wire.clone().with("x-sig", &both).verifies(&ring(), "POST", PATH, BODY), "{both}");
    }
    assert!(!wire.with("x-sig", format!("{other},{other}")).verifies(&ring(), "POST", PATH, BODY));
}

#[test]
fn webhook_signatures_of_other_versions_are_left_to_other_readers() {
    let wire = webhook(BODY);
    let tag = String::from_utf8(wire.get("webhook-signature").to_vec()).unwrap();
    let verifies =
        |value: &str| wire.clone().with("webhook-signature", value).verifies(&ring(), "POST", PATH, BODY);
    assert!(verifies(&format!(
        "v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo {tag}"
    )));
    assert!(verifies(&format!("{tag} v2,anything")));
    let other = format!("v1,{}=", "A".repeat(43));
    assert!(verifies(&format!("{other} {tag}")));

    let malformed = |value: &str| wire.clone().with("webhook-signature", value).parse().is_err();
    for bad in [
        "v1a,AAAA".to_owned(),
        "v1".to_owned(),
        "v1,".to_owned(),
        format!("{tag}  {tag}"),
        format!("{tag} "),
        format!("{tag},{tag}"),
        format!("{tag} nonsense"),
        tag.replace('=', ""),
        tag.replace("v1,", "v1="),
        format!("v1,{}", "A".repeat(43)),
        // 31 and 33 bytes.
        format!("v1,{}A==", "A".repeat(41)),
        format!("v1,{}", "A".repeat(44)),
        [tag.as_str(); TAGS_MAX + 1].join(" "),
    ] {
        assert!(malformed(&bad), "{bad}");
    }
    assert!(!malformed(&[tag.as_str(); TAGS_MAX].join(" ")));
}

#[test]
fn webhook_ids_and_times_have_the_contracts_grammar() {
    for (name, bad) in [
        ("webhook-id", "msg.with.dots"),
        ("webhook-id", "short77"),
        ("webhook-timestamp", "179530560"),
        ("webhook-timestamp", "1795305600.0"),
    ] {
        assert_eq!(webhook(BODY).with(name, bad).parse().unwrap_err().header(), name, "{bad}");
    }
}

#[test]
fn a_sender_is_told_at_once_what_no_server_would_take() {
    let nonce = "nonce-0123456789abcdef";
    let sp1 =
        |method, path, key_id, ts, nonce| sign_sp1(&key(), method, path, key_id, ts, nonce, BODY).is_ok();
    assert!(sp1("POST", PATH, "acme_gate_01", TS, nonce));
    assert!(!sp1("POST", PATH, "short", TS, nonce));
    assert!(!sp1("POST", PATH, "acme_gate_01", -1, nonce));
    assert!(!sp1("POST", PATH, "acme_gate_01", i64::MAX, nonce));
    assert!(!sp1("POST", PATH, "acme_gate_01", TS, "short"));
    assert!(!sp1("POST", "/v1/events?a=b", "acme_gate_01", TS, nonce));
    assert!(!sp1("POST", "/v1/events\nx", "acme_gate_01", TS, nonce));
    assert!(!sp1("", PATH, "acme_gate_01", TS, nonce));
    assert!(sign_standard_webhooks(&key(), "acme_gate_01", "msg.1.dotted", TS, BODY).is_err());
}
