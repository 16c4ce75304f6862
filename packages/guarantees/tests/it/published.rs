//! The list of guarantees that `scripts/guarantees.sh` proves, and the page that says how their last full run went.

use std::{collections::BTreeSet, fs};

use seatpilot_guarantees::root;

/// The lines of the list.
fn listed() -> Vec<String> {
    let script = fs::read_to_string(root().join("scripts/lib/guarantees.sh")).unwrap();
    let list = script.split("TXT_GUARANTEES").nth(1).expect("the list is a text of its own");
    let lines: Vec<String> =
        list.lines().skip(1).filter(|line| !line.is_empty()).map(str::to_owned).collect();
    assert!(lines.len() > 40, "only {} guarantees are listed", lines.len());
    lines
}

#[test]
fn each_line_of_the_list_has_a_name_of_its_own_a_filter_and_a_promise() {
    let mut names = BTreeSet::new();
    for line in listed() {
        // The shell reads three fields: a bar within one would cut the filter, and nothing would be proved.
        let fields: Vec<&str> = line.split('|').collect();
        let [name, filter, promise] = fields[..] else { panic!("{} fields: {line}", fields.len()) };
        assert!(names.insert(name.to_owned()), "{name} is listed twice");
        assert!(filter.contains("test(") || filter.starts_with("package("), "{name}: {filter}");
        assert!(promise.len() > 20 && !promise.ends_with('.'), "{name}: {promise}");
    }
}

#[test]
fn the_page_says_of_every_guarantee_how_its_last_full_run_went() {
    let page = fs::read_to_string(root().join("docs/reliability.md")).unwrap();
    let section = page.split("\n## ").find(|section| section.starts_with("The last full run"));
    let rows: BTreeSet<&str> = section
        .expect("docs/reliability.md has a section of the last full run")
        .lines()
        .filter_map(|line| line.strip_prefix("| ")?.split(" |").next())
        .collect();
    for line in listed() {
        let name = line.split('|').next().unwrap();
        assert!(rows.contains(name), "docs/reliability.md: {name} has no row in the last full run");
    }
}
