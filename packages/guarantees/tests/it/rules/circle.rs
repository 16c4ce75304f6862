//! The circle: what rules and dashboards name is exported, and what an alert says of its labels is among them.

use regex::Regex;
use seatpilot_guarantees::{Shipped, root};
use serde_json::Value;

use super::book::{self, Rule};
use super::exported::Exported;
use super::query::Asked;

/// What the rules name that is not there.
fn faults_of(rules: &[Rule]) -> (Exported, Vec<String>) {
    let mut exported = Exported::scraped();
    let mut faults = Vec::new();
    // A recording rule may read another one that comes later (a group of its own pace).
    let mut left: Vec<&Rule> = rules.iter().filter(|rule| !rule.is_alert).collect();
    while !left.is_empty() {
        let before = left.len();
        left.retain(|rule| {
            let (labels, wrong) = Asked::of(&exported, &rule.expr);
            let read = wrong.is_empty();
            if read {
                exported.record(&rule.name, labels);
            }
            !read
        });
        if left.len() == before {
            for rule in left.drain(..) {
                let (_, wrong) = Asked::of(&exported, &rule.expr);
                faults.extend(wrong.into_iter().map(|fault| format!("{}: {fault}", rule.name)));
            }
        }
    }
    let said = Regex::new(r"\$labels\.(\w+)").expect("a pattern");
    for rule in rules.iter().filter(|rule| rule.is_alert) {
        let (labels, wrong) = Asked::of(&exported, &rule.expr);
        faults.extend(wrong.into_iter().map(|fault| format!("{}: {fault}", rule.name)));
        for text in rule.labels.values().chain(rule.annotations.values()) {
            for label in said.captures_iter(text).map(|found| found[1].to_owned()) {
                if !labels.contains(&label) && !rule.labels.contains_key(&label) {
                    faults.push(format!("{} speaks of {label}, which is not among {labels:?}", rule.name));
                }
            }
        }
    }
    (exported, faults)
}

/// Every query of a dashboard, with what asks it.
fn queries(board: &Value, found: &mut Vec<(String, String)>) {
    match board {
        Value::Object(members) => {
            for (name, member) in members {
                match member {
                    Value::String(text) if name == "expr" || name == "query" => {
                        found.push((name.clone(), text.clone()));
                    }
                    Value::String(text) if name == "definition" => found.push((name.clone(), text.clone())),
                    _ => queries(member, found),
                }
            }
        }
        Value::Array(members) => members.iter().for_each(|member| queries(member, found)),
        _ => {}
    }
}

/// What a dashboard names that is not there. Grafana's variables stand for any value, its intervals for a minute.
fn faults_of_board(exported: &Exported, text: &str) -> Vec<String> {
    let board: Value = serde_json::from_str(text).expect("a dashboard is JSON");
    let interval = Regex::new(r"\$\{?__(rate_interval|interval|range)\}?").expect("a pattern");
    let variable = Regex::new(r"\$\{?\w+(:\w+)?\}?").expect("a pattern");
    let values = Regex::new(r"^label_values\((?:(.+), *)?(\w+)\)$").expect("a pattern");
    let mut found = Vec::new();
    queries(&board, &mut found);
    let mut faults = Vec::new();
    let mut asked = 0;
    for (kind, query) in &found {
        let query = interval.replace_all(query, "1m");
        let query = variable.replace_all(&query, ".*").into_owned();
        if let Some(wanted) = values.captures(&query) {
            let series = wanted.get(1).map_or("up", |series| series.as_str());
            let (labels, wrong) = Asked::of(exported, series);
            faults.extend(wrong.into_iter().map(|fault| format!("{query}: {fault}")));
            if !labels.contains(&wanted[2]) {
                faults.push(format!("{query}: no such label"));
            }
        } else if kind == "expr" {
            asked += 1;
            let (_, wrong) = Asked::of(exported, &query);
            faults.extend(wrong.into_iter().map(|fault| format!("{query}: {fault}")));
        }
    }
    assert!(asked > 0, "a dashboard asks something");
    faults
}

#[test]
fn what_the_rules_name_is_exported() {
    let (_, faults) = faults_of(&book::shipped());
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn what_the_dashboards_name_is_exported_or_recorded() {
    let (exported, _) = faults_of(&book::shipped());
    let mut boards = 0;
    for file in std::fs::read_dir(root().join("dashboards")).unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "json") {
            let faults = faults_of_board(&exported, &std::fs::read_to_string(&path).unwrap());
            assert!(faults.is_empty(), "{}:\n{}", path.display(), faults.join("\n"));
            boards += 1;
        }
    }
    assert!(boards >= 3, "{boards} dashboards");
}

#[test]
fn a_name_that_nothing_exports_is_seen() {
    let shipped = Shipped::read().rules;
    for (right, wrong, said) in [
        (
            "seatpilot_overloaded_total",
            "seatpilot_overload_total",
            "nothing exports seatpilot_overload_total",
        ),
        ("by (le, stage, tenant, channel)", "by (le, stages, tenant, channel)", "groups by stages"),
        ("le=\"0.3\"", "le=\"0.35\"", "le=\"0.35\""),
        ("le=~\"60(\\\\.0)?\"", "le=~\"61(\\\\.0)?\"", "61"),
        ("stage=\"total\"", "stage=\"all\"", "stage=\"all\""),
        ("outcome=~\"ok|busy\"", "outcome=~\"done\"", "done"),
        (
            "and on (tenant) seatpilot:checkin_slow_30m",
            "and on (tenants) seatpilot:checkin_slow_30m",
            "tenants",
        ),
        ("seatpilot:checkin_slow_ratio_6h > 2", "seatpilot:checkin_slow_ratio_7h > 2", "ratio_7h"),
        ("{{ $labels.mountpoint }} is", "{{ $labels.mount }} is", "speaks of mount"),
        ("max by (view)", "max by (le)", "groups by le"),
    ] {
        assert!(shipped.contains(right), "{right}");
        let (_, faults) = faults_of(&book::read(&shipped.replace(right, wrong)));
        assert!(faults.iter().any(|fault| fault.contains(said)), "{wrong}: {faults:?}");
    }
    let (exported, _) = faults_of(&book::shipped());
    let board = |query: &str| format!("{{\"panels\":[{{\"targets\":[{{\"expr\":{query:?}}}]}}]}}");
    assert_eq!(
        faults_of_board(
            &exported,
            &board("sum(rate(seatpilot_ingest_accepted_total{tenant=~\"$tenant\"}[$__rate_interval]))")
        ),
        [""; 0]
    );
    assert!(!faults_of_board(&exported, &board("sum by (gate) (seatpilot_dlq_rows)")).is_empty());
}
