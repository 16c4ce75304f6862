//! The runbooks can be followed: what stands there to be copied at night runs as it stands.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use clap::Parser;
use seatpilot::cli::Cli;
use seatpilot_testkit::{TestDb, tools_folder};

/// A fenced block of a page.
struct Block {
    place: String,
    language: String,
    code: String,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Every page, by its name.
fn pages() -> Vec<(String, String)> {
    let folder = fs::read_dir(root().join("docs/runbooks")).unwrap();
    let paths = folder.map(|entry| entry.unwrap().path());
    let mut pages: Vec<_> = paths
        .map(|path| {
            (path.file_name().unwrap().to_str().unwrap().to_owned(), fs::read_to_string(&path).unwrap())
        })
        .collect();
    pages.sort();
    pages
}

/// The blocks of all pages in a language. A block may be indented, below an item of a list.
fn blocks(language: &str) -> Vec<Block> {
    let mut found = Vec::new();
    for (page, text) in pages() {
        let mut open: Option<(usize, Block)> = None;
        for (number, line) in text.lines().enumerate() {
            let inner = line.trim_start();
            match (inner.strip_prefix("```"), &mut open) {
                (Some(name), None) => {
                    let place = format!("{page}:{}", number + 1);
                    let block = Block { place, language: name.to_owned(), code: String::new() };
                    open = Some((line.len() - inner.len(), block));
                }
                (Some(_), Some(_)) => found.extend(open.take().map(|(_, block)| block)),
                (None, Some((indent, block))) => {
                    block.code.push_str(line.get(*indent..).unwrap_or_default());
                    block.code.push('\n');
                }
                (None, None) => {}
            }
        }
        assert!(open.is_none(), "{page} ends within a block");
    }
    let known = ["sh", "sql", "promql"];
    let strange: Vec<_> = found.iter().filter(|block| !known.contains(&block.language.as_str())).collect();
    assert!(strange.is_empty(), "no test runs a block of {:?}", strange.first().map(|block| &block.place));
    found.retain(|block| block.language == language);
    assert!(!found.is_empty());
    found
}

#[tokio::test]
async fn every_statement_of_a_runbook_runs_on_the_schema() {
    let db = TestDb::new().await;
    let mut owner = db.owner().await;
    let mut faults = Vec::new();
    for block in blocks("sql") {
        for statement in block.code.split(';').filter(|text| !text.trim().is_empty()) {
            // Whoever has that pid is not to be ended by a test.
            let statement = match statement.contains("pg_terminate_backend") {
                true => format!("explain {statement}"),
                false => statement.to_owned(),
            };
            let tried = owner.transaction().await.unwrap();
            if let Err(error) = tried.batch_execute(&statement).await {
                let why = error.as_db_error().map_or_else(|| error.to_string(), ToString::to_string);
                faults.push(format!("{}: {why}", block.place));
            }
            tried.rollback().await.unwrap();
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
}

/// `promtool` reads every expression, as the expression of a rule; every series that one names is documented.
#[test]
fn every_expression_of_a_runbook_is_read_by_prometheus_and_names_families_that_exist() {
    let reference = fs::read_to_string(root().join("docs/metrics.md")).unwrap();
    let mut faults = Vec::new();
    let mut rules = String::from("groups:\n- name: runbooks\n  rules:\n");
    for (number, block) in blocks("promql").iter().enumerate() {
        let expression = block.code.trim();
        rules.push_str(&format!(
            "  # {}\n  - record: runbook:{number}\n    expr: {expression:?}\n",
            block.place
        ));
        let words = expression.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':'));
        let ours = words.filter(|word| word.starts_with("seatpilot_") || word.starts_with("http_request_"));
        for word in ours {
            let family = ["_bucket", "_count", "_sum"].iter().find_map(|end| word.strip_suffix(end));
            let named = |name: &str| reference.contains(&format!("## `{name}`"));
            if !named(word) && !family.is_some_and(named) {
                faults.push(format!("{}: there is no family {word}", block.place));
            }
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
    let promtool = tools_folder().join("prometheus/bin/promtool");
    if !promtool.is_file() {
        println!("SKIPPED: no promtool (scripts/test.sh fetches it): the expressions are not parsed");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("runbooks.yml");
    fs::write(&file, &rules).unwrap();
    let said = Command::new(promtool).args(["check", "rules"]).arg(&file).output().unwrap();
    assert!(said.status.success(), "{}\n{rules}", String::from_utf8_lossy(&said.stderr));
}

#[test]
fn every_command_of_a_runbook_is_one_that_can_be_given() {
    // Prints the words of each of our commands as the shell passes them on, and runs nothing else.
    const SPOKEN: &str = "seatpilot() { printf '%s\\0' \"$@\" >&3; printf '\\n' >&3; }\n";
    let folder = tempfile::tempdir().unwrap();
    let words = folder.path().join("words");
    let (mut faults, mut commands) = (Vec::new(), 0);
    for block in blocks("sh") {
        let bash = |args: &[&str]| Command::new("bash").args(args).output().unwrap();
        let parsed = bash(&["-n", "-c", &block.code]);
        if !parsed.status.success() {
            faults.push(format!("{}: {}", block.place, String::from_utf8_lossy(&parsed.stderr)));
        }
        for line in block.code.lines() {
            if line.starts_with("seatpilot ") {
                let script = format!("exec 3>'{}'\n{SPOKEN}{line}\n", words.display());
                assert!(bash(&["-c", &script]).status.success(), "{}: {line}", block.place);
                let said = fs::read_to_string(&words).unwrap();
                let args =
                    std::iter::once("seatpilot").chain(said.trim_end().trim_end_matches('\0').split('\0'));
                commands += 1;
                if let Err(error) = Cli::try_parse_from(args) {
                    faults.push(format!("{}: {line}: {error}", block.place));
                }
            }
            if line.starts_with("scripts/") {
                commands += 1;
                let mut words = line.split_whitespace();
                let script = root().join(words.next().unwrap());
                let help = Command::new(&script).arg("--help").output();
                let help =
                    help.map(|said| String::from_utf8_lossy(&said.stdout).into_owned()).unwrap_or_default();
                let strange = words.filter(|word| word.starts_with("--") && !help.contains(word));
                faults.extend(strange.map(|word| format!("{}: {line}: no {word}", block.place)));
                if help.is_empty() {
                    faults.push(format!("{}: {line}: no such script", block.place));
                }
            }
        }
    }
    assert!(commands > 8, "{commands} commands");
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn every_alert_has_a_section_that_says_what_is_needed_and_a_line_in_the_index() {
    let mut sections = BTreeSet::new();
    for (page, text) in pages() {
        for section in text.split("\n## ").skip(1).filter(|section| section.starts_with("SeatPilot")) {
            let alert = section.lines().next().unwrap();
            for needed in ["**Means**", "irst query", "**Wake**", "```"] {
                assert!(section.contains(needed), "{page}: {alert} has no {needed}");
            }
            // The head of a page may say for all of it that guests feel nothing.
            let head = text.split("\n## ").next().unwrap_or_default();
            assert!(
                section.contains("**Guests**") || head.contains("**Guests**"),
                "{page}: {alert}: guests?"
            );
            // `*critical, P1.*` begins it.
            let said = section.split('*').nth(1).unwrap_or_default();
            let priority = said.rsplit(", ").next().unwrap_or_default().trim_end_matches('.');
            let anchor = alert.to_lowercase();
            sections.insert(format!(
                "| {alert} | {priority} | [{0}]({page}#{anchor}) |",
                &page[..page.len() - 3]
            ));
        }
    }
    assert!(sections.len() >= 19, "{sections:#?}");
    let pages = pages();
    let (_, index) = pages.iter().find(|(page, _)| page == "README.md").unwrap();
    let listed: BTreeSet<String> =
        index.lines().filter(|line| line.starts_with("| SeatPilot")).map(str::to_owned).collect();
    assert_eq!(sections, listed);
}
