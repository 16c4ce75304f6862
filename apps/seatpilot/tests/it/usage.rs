//! Exit codes and help.

use crate::command::{seatpilot, seatpilot_in};

/// Commands that need a database, complete but for that.
const NEED_A_DATABASE: &[&[&str]] = &[
    &["migrate"],
    &["venue", "import", "."],
    &["guests", "import", "list.csv"],
    &["guests", "revoke", "SP-1"],
    &["guests", "generate", "--event", "derby", "--count", "1", "--venue", "elsewhere"],
    &["device", "add"],
    &["device", "list"],
    &["device", "revoke", "019aa0c4-7a00-7000-8000-000000000001"],
    &["key", "add"],
    &["key", "list"],
    &["key", "revoke", "acme_gate_01"],
    &["key", "rotate", "acme_gate_01"],
    &["dlq", "list"],
    &["dlq", "show", "019aa0c4-7a00-7000-8000-000000000001"],
    &["dlq", "redrive", "--all"],
    &["dlq", "discard", "--all", "--why", "a test"],
    &["simulate"],
];

#[test]
fn a_line_that_makes_no_sense_exits_2_and_says_how_it_would() {
    for args in [
        &[][..],
        &["nonsense"],
        &["sign", "--secret", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="],
        &["sign", "--scheme", "md5"],
        &["--tenant", "no slug", "sign"],
        &["venue", "import"],
        &["venue", "import", ".", "--tz", "Mars/Olympus"],
        &["venue", "import", ".", "--id", "no slug"],
        &["guests", "generate", "--event", "derby"],
        &["guests", "generate", "--event", "derby", "--count", "0"],
        &["guests", "revoke"],
        &["device", "revoke", "1"],
        &["device", "add", "--channel", "carrier-pigeon"],
        &["key", "add", "short"],
        &["key", "add", "acme_gate_01", "--scope", "all"],
        &["key", "rotate"],
        &["key", "rotate", "acme_gate_01", "--grace", "721h"],
        &["dlq", "list", "--limit", "0"],
        &["dlq", "list", "--state", "lost"],
        &["dlq", "show"],
        &["dlq", "redrive"],
        &["dlq", "redrive", "--dry-run"],
        &["dlq", "redrive", "--reason", "bad_mood"],
        &["dlq", "redrive", "--older-than", "yesterday"],
        &["dlq", "redrive", "019aa0c4-7a00-7000-8000-000000000001", "--all"],
        &["dlq", "redrive", "--all", "--limit", "10001"],
        &["dlq", "discard", "--all"],
        &["dlq", "discard", "--all", "--why", " "],
        &["dlq", "discard", "--why", "a test"],
        &["simulate", "--guests", "0"],
        &["simulate", "--minutes", "0"],
        &["simulate", "--event", "tonight"],
        &["simulate", "--checkin", "https://example.com"],
        &["up", "--watch=sometimes"],
    ] {
        let run = seatpilot(args);
        assert_eq!(run.code, 2, "{args:?}: {run:?}");
        assert!(run.stderr.contains("Usage:") || run.stderr.contains("--help"), "{args:?}: {run:?}");
    }
}

#[test]
fn every_command_explains_itself_with_an_example() {
    for command in COMMANDS {
        let run = seatpilot(&[*command, &["--help"]].concat());
        assert_eq!(run.code, 0, "{command:?}");
        assert!(run.stdout.contains("Usage: seatpilot"), "{command:?}: {}", run.stdout);
        assert!(run.stdout.contains("Example"), "{command:?}: {}", run.stdout);
    }
}

const COMMANDS: &[&[&str]] = &[
    &[],
    &["up"],
    &["simulate"],
    &["watch"],
    &["venue"],
    &["guests"],
    &["device"],
    &["key"],
    &["dlq"],
    &["migrate"],
    &["venue", "import"],
    &["guests", "import"],
    &["guests", "revoke"],
    &["guests", "generate"],
    &["device", "add"],
    &["device", "list"],
    &["device", "revoke"],
    &["key", "add"],
    &["key", "list"],
    &["key", "revoke"],
    &["key", "rotate"],
    &["key", "reencrypt"],
    &["dlq", "list"],
    &["dlq", "show"],
    &["dlq", "redrive"],
    &["dlq", "discard"],
    &["sign"],
];

#[test]
fn without_a_database_a_command_says_in_one_line_how_to_get_one() {
    for args in NEED_A_DATABASE {
        let run = seatpilot(args);
        assert_eq!(run.code, 1, "{args:?}: {run:?}");
        assert!(run.stderr.contains("not running: start it with `seatpilot up`"), "{args:?}: {run:?}");
        assert_eq!(run.stderr.lines().count(), 1, "{args:?}: {run:?}");
    }
}

#[test]
fn what_needs_no_database_says_as_well_that_nothing_runs() {
    for args in [&["sign"][..], &["sign", "--curl"], &["doctor"], &["watch"]] {
        let run = seatpilot(args);
        assert_eq!(run.code, 1, "{args:?}: {run:?}");
        let why = "seatpilot: not running: start it with `seatpilot up`, or ";
        assert!(run.stderr.starts_with(why), "{args:?}: {run:?}");
        assert_eq!(run.stderr.lines().count(), 1, "{args:?}: {run:?}");
    }
}

#[test]
fn a_database_url_that_is_none_is_a_fault_of_configuration_and_is_not_quoted() {
    for args in NEED_A_DATABASE {
        let here = tempfile::tempdir().unwrap();
        let run = seatpilot_in(here.path(), &[("DATABASE_URL", "canary")], args, b"");
        assert_eq!(run.code, 64, "{args:?}: {run:?}");
        assert!(run.stderr.contains("DATABASE_URL") && !run.stderr.contains("canary"), "{args:?}: {run:?}");
    }
}
