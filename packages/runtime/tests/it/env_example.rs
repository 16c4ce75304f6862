//! `.env.example` says what is read, and nothing else.

use std::{collections::BTreeSet, path::Path};

use seatpilot_runtime::{Environment, variable};

fn file() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.env.example")
}

#[test]
fn the_example_is_the_table_of_variables() {
    let expected = variable::env_example();
    if Environment::process().text(&variable::UPDATE).is_some() {
        std::fs::write(file(), &expected).unwrap();
    }
    assert_eq!(std::fs::read_to_string(file()).unwrap(), expected, "renew it with UPDATE=1");
}

#[test]
fn every_variable_stands_in_the_example_once_and_no_other_does() {
    if Environment::process().text(&variable::UPDATE).is_some() {
        // The other test is just writing the file.
        return;
    }
    let text = std::fs::read_to_string(file()).unwrap();
    let assignments: Vec<_> = text
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| line.split_once('=').unwrap().0)
        .collect();
    let named: BTreeSet<_> = assignments.iter().copied().collect();
    let known: BTreeSet<_> = variable::ALL.iter().map(|variable| variable.name).collect();
    assert_eq!(named, known);
    assert_eq!(assignments.len(), named.len(), "a variable stands there twice");
}
