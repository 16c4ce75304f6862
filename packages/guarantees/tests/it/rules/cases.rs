//! Every alert is tested silent, firing, recovered, and where it must keep quiet: an alert that somebody adds without
//! all four fails here. That the tests hold, promtool says (`judged`).

use std::collections::BTreeSet;

use seatpilot_guarantees::root;
use serde_json::Value;

use super::book;

/// One test of promtool's.
struct Case {
    name: String,
    /// Of each moment it looks at: the alert, and how many it expects, each with labels and annotations.
    looks: Vec<(String, usize)>,
}

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for file in std::fs::read_dir(root().join("prometheus/tests")).unwrap() {
        let path = file.unwrap().path();
        assert!(path.to_string_lossy().ends_with(".test.yml"), "{} would not be run", path.display());
        let file: Value = serde_saphyr::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        assert_eq!(file["rule_files"], serde_json::json!(["../seatpilot.rules.yml"]), "{}", path.display());
        for test in file["tests"].as_array().unwrap() {
            let looks = test["alert_rule_test"].as_array().unwrap().iter().map(look).collect();
            cases.push(Case { name: test["name"].as_str().unwrap().to_owned(), looks });
        }
    }
    cases
}

fn look(look: &Value) -> (String, usize) {
    let expected = look["exp_alerts"].as_array().unwrap();
    for alert in expected {
        for (what, least) in [("exp_labels", 3), ("exp_annotations", 4)] {
            let members = alert[what].as_object().map_or(0, serde_json::Map::len);
            assert!(members >= least, "{look} says nothing of {what}");
        }
    }
    (look["alertname"].as_str().unwrap().to_owned(), expected.len())
}

/// What a case of an alert must look for; none where the name promises nothing.
fn keeps(alert: &str, case: &Case) -> Option<&'static str> {
    let counts: Vec<usize> = case.looks.iter().map(|(_, count)| *count).collect();
    let own = case.looks.iter().all(|(name, _)| name == alert);
    let ends = (counts.first().copied()?, counts.last().copied()?);
    match case.name.strip_prefix(alert)?.strip_prefix(' ')? {
        "is silent" => (own && counts.iter().all(|count| *count == 0)).then_some("silent"),
        "fires" => (own && ends.0 == 0 && ends.1 > 0).then_some("firing"),
        "recovers" => (own && ends.0 > 0 && ends.1 == 0).then_some("recovered"),
        rest if rest.starts_with("does not fire when ") => {
            (own && counts.iter().all(|count| *count == 0)).then_some("quiet")
        }
        rest if rest.starts_with("fires ") => (own && ends.1 > 0).then_some("more"),
        _ => None,
    }
}

#[test]
fn every_alert_is_tested_silent_firing_recovered_and_where_it_must_keep_quiet() {
    let cases = cases();
    let mut names = BTreeSet::new();
    for case in &cases {
        assert!(names.insert(&case.name), "twice: {}", case.name);
    }
    let (mut of_an_alert, mut faults) = (0, Vec::new());
    for alert in book::alerts() {
        let kept: Vec<Option<&str>> = cases
            .iter()
            .filter(|case| case.name.split(' ').next() == Some(&alert.name))
            .inspect(|_| of_an_alert += 1)
            .map(|case| keeps(&alert.name, case))
            .collect();
        if kept.contains(&None) {
            faults.push(format!("a case of {} does not do what its name says", alert.name));
        }
        for needed in ["silent", "firing", "recovered", "quiet"] {
            if !kept.contains(&Some(needed)) {
                faults.push(format!("{} has no case {needed}", alert.name));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert_eq!(of_an_alert, cases.len(), "a case is of an alert that is not there");
}

#[test]
fn a_case_that_does_not_look_is_none() {
    let case = |name: &str, counts: &[usize]| Case {
        name: format!("SeatPilotX {name}"),
        looks: counts.iter().map(|count| ("SeatPilotX".to_owned(), *count)).collect(),
    };
    assert_eq!(keeps("SeatPilotX", &case("fires", &[0, 1])), Some("firing"));
    for (name, counts) in [
        ("fires", &[0, 0][..]),
        ("fires", &[1]),
        ("recovers", &[0, 0]),
        ("is silent", &[1]),
        ("is silent", &[]),
        ("does not fire when it rains", &[0, 1]),
        ("is loud", &[1]),
    ] {
        assert_eq!(keeps("SeatPilotX", &case(name, counts)), None, "{name} {counts:?}");
    }
}
