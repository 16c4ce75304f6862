//! What an alert sends to whom is complete: how soon somebody must look, a sentence, a page that exists, a dashboard
//! that exists.

use seatpilot_guarantees::root;
use serde_json::Value;

use super::book;

const RUNBOOKS: &str = "https://github.com/seatpilot/seatpilot/blob/main/docs/runbooks/";
const DASHBOARDS: &str = "http://localhost:3000/d/";

/// The anchors of a page, as GitHub makes them of its headings.
fn anchors(page: &str) -> Vec<String> {
    let headings = page.lines().filter_map(|line| line.strip_prefix('#'));
    let anchor = |heading: &str| {
        let heading = heading.trim_start_matches('#').trim().to_lowercase();
        let kept = heading.chars().filter(|char| char.is_alphanumeric() || [' ', '-', '_'].contains(char));
        kept.collect::<String>().replace(' ', "-")
    };
    headings.map(anchor).collect()
}

fn dashboards() -> Vec<String> {
    let files = std::fs::read_dir(root().join("dashboards")).unwrap().map(|file| file.unwrap().path());
    files
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .map(|path| {
            let board: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
            board["uid"].as_str().unwrap().to_owned()
        })
        .collect()
}

#[test]
fn every_alert_says_how_soon_somebody_must_look() {
    for alert in book::alerts() {
        let (severity, priority) = (alert.labels["severity"].as_str(), alert.labels["priority"].as_str());
        let fits = match severity {
            "critical" => priority == "P1",
            "warning" => ["P2", "P3"].contains(&priority),
            "info" => priority == "P4",
            _ => false,
        };
        assert!(fits, "{}: {severity} {priority}", alert.name);
        assert!(!alert.labels["service"].is_empty(), "{}", alert.name);
        assert!(!alert.pending.is_empty(), "{}: without `for` one odd scrape is an alarm", alert.name);
    }
}

#[test]
fn every_alert_leads_to_a_page_and_a_dashboard_that_exist() {
    let boards = dashboards();
    let mut faults = Vec::new();
    for alert in book::alerts() {
        let said: Vec<&str> = alert.annotations.keys().map(String::as_str).collect();
        assert_eq!(said, ["dashboard_url", "description", "runbook_url", "summary"], "{}", alert.name);
        let url = &alert.annotations["runbook_url"];
        let Some((page, anchor)) = url.strip_prefix(RUNBOOKS).and_then(|rest| rest.split_once('#')) else {
            faults.push(format!("{}: {url}", alert.name));
            continue;
        };
        assert_eq!(anchor, alert.name.to_lowercase());
        let text = std::fs::read_to_string(root().join("docs/runbooks").join(page)).unwrap_or_default();
        if !anchors(&text).iter().any(|heading| heading == anchor) {
            faults.push(format!("docs/runbooks/{page} has no heading {}", alert.name));
        }
        let url = &alert.annotations["dashboard_url"];
        if !url.strip_prefix(DASHBOARDS).is_some_and(|uid| boards.iter().any(|board| board == uid)) {
            faults.push(format!("{}: no dashboard {url} among {boards:?}", alert.name));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn a_heading_makes_the_anchor_that_github_makes() {
    let page = "# Check-in\n\n## SeatPilotCheckinP95Fast\n\ntext\n### The disk is full (again)\n";
    assert_eq!(anchors(page), ["check-in", "seatpilotcheckinp95fast", "the-disk-is-full-again"]);
}
