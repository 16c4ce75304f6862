//! `seatpilot sign`, against the contract's own vector and a shell.

use std::process::Command;

use base64::{Engine, engine::general_purpose::STANDARD};

use crate::command::{Run, seatpilot_in};

const SECRET: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
const BODY: &[u8] = br#"{"id":"019aa0c4-7a00-7000-8000-000000000001","type":"device.heartbeat","occurred_at":"2026-11-22T00:00:00Z","venue_id":"arena","data":{}}"#;

fn sign(args: &[&str], body: &[u8]) -> Run {
    let here = tempfile::tempdir().unwrap();
    let key = ["sign", "--key-id", "acme_gate_01", "--secret", SECRET];
    seatpilot_in(here.path(), &[], &[&key[..], args].concat(), body)
}

#[test]
fn the_headers_of_the_contracts_first_vector_come_out() {
    let run = sign(&["--ts", "1795305600", "--nonce", "aaaaaaaaaaaaaaaaaaaaaa"], BODY);
    assert_eq!(run.code, 0, "{run:?}");
    assert_eq!(
        run.stdout,
        "x-key: acme_gate_01\nx-ts: 1795305600\nx-nonce: aaaaaaaaaaaaaaaaaaaaaa\n\
         x-sig: v1=faf9daf5e1e12cc6da0445e85dc10cd3a285cd4653e1d0283a97d3e911a9a1c6\n"
    );
}

#[test]
fn every_vector_of_the_contract_comes_out_whatever_its_ids_begin_with() {
    let vectors = include_str!("../../../../packages/signing/tests/vectors/signing.json");
    let vectors: serde_json::Value = serde_json::from_str(vectors).unwrap();
    let here = tempfile::tempdir().unwrap();
    for case in vectors["cases"].as_array().unwrap() {
        let [key_id, secret, ts, nonce, path, method] =
            ["x_key", "secret_base64", "x_ts", "x_nonce", "path", "method"]
                .map(|member| case[member].as_str().unwrap());
        let line = ["sign", "--key-id", key_id, "--secret", secret, "--ts", ts, "--nonce", nonce];
        let body = STANDARD.decode(case["body_base64"].as_str().unwrap()).unwrap();
        let asked = [&line[..], &["--path", path, "--method", method, "--json"]].concat();
        let run = seatpilot_in(here.path(), &[], &asked, &body);
        assert_eq!(run.code, 0, "{}: {run:?}", case["name"]);
        let headers: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
        assert_eq!(headers["x-sig"], case["x_sig"], "{}", case["name"]);
        assert_eq!(headers["x-key"], case["x_key"], "{}", case["name"]);
    }
    let line = ["sign", "--secret", SECRET, "--key-id", "-_gate_0001"];
    assert_eq!(seatpilot_in(here.path(), &[], &line, BODY).code, 0);
}

#[test]
fn a_webhook_has_its_own_headers_and_a_fresh_id_each_time() {
    let [first, second] =
        [(), ()].map(|()| sign(&["--scheme", "standard-webhooks", "--json"], BODY)).map(|run| {
            assert_eq!(run.code, 0, "{run:?}");
            serde_json::from_str::<serde_json::Value>(&run.stdout).unwrap()
        });
    let id = first["webhook-id"].as_str().unwrap();
    assert!(id.len() >= 22 && first["webhook-signature"].as_str().unwrap().starts_with("v1,"));
    assert_ne!(first["webhook-id"], second["webhook-id"]);
    assert_eq!(first["x-key"], "acme_gate_01");
}

#[test]
fn a_curl_line_hands_the_body_through_a_shell_byte_for_byte() {
    for body in [&br#"{"a":"it's $HOME `x` \\ \"q\" 100%"}"#[..], b"", b"line\nline\n", b"\x00\xff%s"] {
        let run = sign(&["--curl", "http://127.0.0.1:9"], body);
        assert_eq!(run.code, 0, "{run:?}");
        assert_eq!(run.stdout.lines().count(), 1);
        assert!(run.stdout.contains("http://127.0.0.1:9/v1/events"));
        // A curl that prints what it would send: standard input, or the argument after --data-raw.
        let curl =
            r#"curl() { for last; do :; done; case "$last" in @-) cat ;; *) printf %s "$last" ;; esac; }; "#;
        let shell = Command::new("sh").args(["-c", &format!("{curl}{}", run.stdout)]).output().unwrap();
        assert_eq!(shell.stdout, body, "{}", run.stdout);
    }
}

#[test]
fn what_no_server_would_take_is_not_signed() {
    for args in [
        &["--nonce", "short"][..],
        &["--ts", "99999999999"],
        &["--path", "/v1/events?x=1"],
        &["--curl", "http://127.0.0.1:9/v1/events?x=1"],
        &["--curl"],
    ] {
        let run = sign(args, BODY);
        assert_eq!(run.code, 1, "{args:?}: {run:?}");
        assert_eq!(run.stderr.lines().count(), 1, "{args:?}: {run:?}");
        assert!(run.stdout.is_empty());
    }
}

#[test]
fn a_secret_is_in_no_output() {
    for args in [&["--nonce", "short"][..], &[], &["--curl", "http://127.0.0.1:9"]] {
        let run = sign(args, BODY);
        assert!(!format!("{run:?}").contains(&SECRET[..20]));
    }
    let here = tempfile::tempdir().unwrap();
    let mistyped = ["sign", "--key-id", "acme_gate_01", "--secret", "canary!"];
    let run = seatpilot_in(here.path(), &[], &mistyped, BODY);
    assert_eq!(run.code, 1, "{run:?}");
    assert!(!format!("{run:?}").contains("canary"), "{run:?}");
}
