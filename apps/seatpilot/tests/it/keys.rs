//! `seatpilot key rotate` and `key reencrypt`, as an operator runs them.

use std::os::unix::fs::PermissionsExt;

use base64::{Engine, engine::general_purpose::STANDARD};
use jiff::Timestamp;

use crate::{
    command::{Run, seatpilot_in},
    house::House,
};

/// Runs it with variables beside the database.
fn with(house: &House, variables: &[(&str, &str)], args: &[&str]) -> Run {
    let owner = house.db.owner_url();
    let all = [&[("DATABASE_URL", owner.as_str())], variables].concat();
    seatpilot_in(house.here.path(), &all, args, b"")
}

/// A key file in the directory, of so many lines.
fn key_file(house: &House, bytes: &[u8], mode: u32) -> String {
    let path = house.here.path().join(format!("keys-{bytes:?}-{mode:o}"));
    let lines: String = bytes.iter().map(|byte| STANDARD.encode([*byte; 32]) + "\n").collect();
    std::fs::write(&path, lines).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    path.to_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_key_gets_a_new_secret_once_in_its_grace_unless_forced() {
    let house = House::empty().await;
    let made = house.json(&["key", "add", "acme_gate_01"]);
    let rotated = house.json(&["key", "rotate", "acme_gate_01"]);
    let members: Vec<&String> = rotated.as_object().unwrap().keys().collect();
    assert_eq!(members, ["key_id", "previous_until", "rotated_at", "secret"]);
    let secret = STANDARD.decode(rotated["secret"].as_str().unwrap()).unwrap();
    assert!(secret.len() == 32 && rotated["secret"] != made["secret"]);
    let moment = |name: &str| rotated[name].as_str().unwrap().parse::<Timestamp>().unwrap();
    assert_eq!(moment("previous_until").duration_since(moment("rotated_at")).as_hours(), 24);

    let refused = house.run(&["key", "rotate", "acme_gate_01"]);
    assert_eq!((refused.code, refused.stdout.as_str()), (1, ""), "{refused:?}");
    assert!(refused.stderr.contains("verifies for 23 h 59 min more, until"), "{refused:?}");
    let forced = house.run(&["key", "rotate", "acme_gate_01", "--grace", "0s", "--force"]);
    assert_eq!(forced.code, 0, "{forced:?}");
    assert!(forced.stdout.starts_with(
        "the old secret verifies no longer\nthe new secret is shown this once:\nacme_gate_01\t"
    ));
    let listed = house.json(&["key", "list"]);
    assert!(listed[0]["previous_until"].is_null() && !listed[0]["rotated_at"].is_null(), "{listed}");
    assert!(!listed.to_string().contains("secret"), "{listed}");

    let unknown = house.run(&["key", "rotate", "nobody_s_key"]);
    assert_eq!(
        (unknown.code, unknown.stderr.as_str()),
        (1, "seatpilot: tenant demo has no key nobody_s_key\n")
    );
    house.json(&["key", "revoke", "acme_gate_01"]);
    let revoked = house.run(&["key", "rotate", "acme_gate_01"]);
    assert!(revoked.code == 1 && revoked.stderr.contains("is revoked"), "{revoked:?}");
    assert_eq!(house.count("select count(*) from audit.log where action = 'key.rotate'").await, 2);
}

#[tokio::test]
async fn secrets_are_sealed_by_the_key_file_and_a_command_without_it_writes_none_beside_them() {
    let house = House::empty().await;
    house.json(&["key", "add", "acme_gate_01"]);
    let file = key_file(&house, &[1], 0o400);
    let sealing = [("SEATPILOT_SECRETS_KEY_FILE", file.as_str())];
    for sealed in [1, 0] {
        let run = with(&house, &sealing, &["key", "reencrypt", "--json"]);
        assert_eq!(
            (run.code, run.stdout),
            (0, format!("{{\"sealed\":{sealed},\"unreadable\":[]}}\n")),
            "{}",
            run.stderr
        );
    }
    assert_eq!(with(&house, &sealing, &["key", "rotate", "acme_gate_01"]).code, 0);
    assert_eq!(house.count("select count(*) from ops.signing_keys where sealed_with is not null").await, 1);
    for args in [&["key", "add", "acme_gate_02"][..], &["key", "rotate", "acme_gate_01", "--force"]] {
        let run = house.run(args);
        assert!(run.code == 1 && run.stderr.contains("SEATPILOT_SECRETS_KEY_FILE"), "{run:?}");
    }
    // With another file nothing is lost, and the key is named.
    let other = key_file(&house, &[2], 0o600);
    let run = with(&house, &[("SEATPILOT_SECRETS_KEY_FILE", &other)], &["key", "reencrypt", "--json"]);
    assert_eq!(run.code, 1, "{run:?}");
    assert!(
        run.stdout.starts_with("{\"sealed\":0,\"unreadable\":[{")
            && run.stderr.contains("demo acme_gate_01:"),
        "{run:?}"
    );
    let both = key_file(&house, &[2, 1], 0o400);
    let run = with(&house, &[("SEATPILOT_SECRETS_KEY_FILE", &both)], &["key", "reencrypt"]);
    assert_eq!(
        (run.code, run.stdout.as_str()),
        (0, "1 keys sealed with the first key of the file\n"),
        "{}",
        run.stderr
    );
}

#[tokio::test]
async fn a_key_file_that_others_can_read_or_that_production_lacks_is_a_fault_of_configuration() {
    let house = House::empty().await;
    let open = key_file(&house, &[1], 0o644);
    let run = with(&house, &[("SEATPILOT_SECRETS_KEY_FILE", &open)], &["key", "list"]);
    assert_eq!(run.code, 64, "{run:?}");
    assert!(run.stderr.contains("has mode 0644: only its owner may read it"), "{run:?}");
    let production = [("SEATPILOT_ENV", "production")];
    for args in [&["key", "add"][..], &["key", "rotate", "acme_gate_01"], &["key", "reencrypt"]] {
        let run = with(&house, &production, args);
        assert!(
            run.code == 64 && run.stderr.contains("SEATPILOT_SECRETS_KEY_FILE: is required here"),
            "{run:?}"
        );
    }
    assert_eq!(house.run(&["key", "reencrypt"]).code, 64);
    assert_eq!(with(&house, &production, &["key", "list"]).code, 0);
}
