//! The bugs that the guarantees' tests were seen to catch. `scripts/guarantees.sh --plant` plants them; here they are kept
//! fit to be planted.

use std::{collections::BTreeMap, fs, path::PathBuf, process::Command};

use seatpilot_guarantees::root;

/// A bug to be planted.
struct Planted {
    /// Its file, without the ending.
    name: String,
    /// Its file.
    path: PathBuf,
    /// What the file says of itself before the diff: word and text.
    says: BTreeMap<String, String>,
}

impl Planted {
    fn read(path: PathBuf) -> Self {
        let text = fs::read_to_string(&path).unwrap();
        let head = text.lines().take_while(|line| !line.starts_with("diff ") && !line.starts_with("--- "));
        let says = head.filter_map(|line| line.split_once(": "));
        let says = says.map(|(word, text)| (word.to_owned(), text.to_owned())).collect();
        Self { name: path.file_stem().unwrap().to_string_lossy().into_owned(), path, says }
    }

    fn says(&self, word: &str) -> &str {
        self.says.get(word).unwrap_or_else(|| panic!("{} does not say its {word}", self.name))
    }
}

fn planted() -> Vec<Planted> {
    let folder = fs::read_dir(root().join("packages/guarantees/planted")).unwrap();
    let paths = folder.map(|entry| entry.unwrap().path());
    let mut found: Vec<Planted> =
        paths.filter(|path| path.extension().is_some_and(|ext| ext == "patch")).map(Planted::read).collect();
    found.sort_by(|one, other| one.name.cmp(&other.name));
    assert!(found.len() > 20, "only {} planted bugs", found.len());
    found
}

/// The sources of all tests.
fn tests() -> String {
    let mut code = String::new();
    let mut folders = ["packages", "services", "apps"].map(|folder| root().join(folder)).to_vec();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ext| ext == "rs") {
                code.push_str(&fs::read_to_string(path).unwrap());
            }
        }
    }
    code
}

#[test]
fn every_planted_bug_still_applies_to_the_tree() {
    for bug in planted() {
        let checked = Command::new("git")
            .args(["apply", "--check", "--whitespace=nowarn"])
            .arg(&bug.path)
            .current_dir(root())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&checked.stderr);
        assert!(checked.status.success(), "{}: make it anew, it no longer applies: {said}", bug.name);
    }
}

#[test]
fn every_planted_bug_names_a_guarantee_and_tests_that_exist() {
    let guarantees = fs::read_to_string(root().join("scripts/lib/guarantees.sh")).unwrap();
    let code = tests();
    for bug in planted() {
        let guarantee = bug.says("guarantee");
        assert!(bug.name.starts_with(&format!("{guarantee}-")), "{} is of {guarantee}", bug.name);
        assert!(
            guarantees.lines().any(|line| line.starts_with(&format!("{guarantee}|"))),
            "{}: scripts/guarantees.sh does not prove {guarantee}",
            bug.name
        );
        assert!(!bug.says("bug").is_empty());
        let filter = bug.says("test");
        let named: Vec<&str> = filter
            .split("test(")
            .skip(1)
            .filter_map(|rest| rest.split(')').next())
            .map(|name| name.trim_matches(['=', '/', '^', '$', '~']))
            .map(|name| name.rsplit("::").next().unwrap_or(name))
            .collect();
        assert!(!named.is_empty(), "{} names no test: {filter}", bug.name);
        for test in named {
            assert!(code.contains(&format!("fn {test}(")), "{}: there is no test {test}", bug.name);
        }
    }
}

#[test]
fn the_page_says_of_every_planted_bug_on_which_day_it_was_caught_or_that_it_was_not() {
    let page = fs::read_to_string(root().join("docs/reliability.md")).unwrap();
    for bug in planted() {
        let day = bug.says("caught");
        let said = if day == "never" { "not planted yet" } else { day };
        let row = page.lines().find(|line| line.contains(&format!("`{}`", bug.name)));
        let row = row.unwrap_or_else(|| panic!("docs/reliability.md does not name {}", bug.name));
        assert!(
            row.contains(&format!("`{}` {said}", bug.name)),
            "docs/reliability.md: {} {day}: {row}",
            bug.name
        );
    }
}

/// Functions that a migration makes, each with the line it begins at.
fn functions_of(migration: &str) -> Vec<(usize, &str)> {
    let heads = migration.lines().enumerate().filter_map(|(line, text)| {
        let rest =
            text.strip_prefix("create or replace function ").or(text.strip_prefix("create function "))?;
        Some((line + 1, rest.split_once('(')?.0))
    });
    heads.collect()
}

/// The place of each hunk: file below `supabase/sql` and first changed line, three lines of context taken off.
fn hunks_in_migrations(patch: &str) -> Vec<(String, usize)> {
    let (mut file, mut hunks) = (None, Vec::new());
    for line in patch.lines() {
        if let Some(path) = line.strip_prefix("--- a/") {
            file = path.strip_prefix("supabase/sql/").map(str::to_owned);
        } else if let (Some(rest), Some(file)) = (line.strip_prefix("@@ -"), &file) {
            let first = rest.split([',', ' ']).next().unwrap();
            hunks.push((file.clone(), first.parse::<usize>().unwrap() + 3));
        }
    }
    hunks
}

#[test]
fn no_planted_bug_is_in_a_function_that_a_later_migration_replaced() {
    // Such a patch applies, changes nothing, and the day on which it was caught says nothing of what runs.
    let folder = fs::read_dir(root().join("supabase/sql")).unwrap().map(|entry| entry.unwrap());
    let migrations: BTreeMap<String, String> = folder
        .map(|entry| (entry.file_name().into_string().unwrap(), fs::read_to_string(entry.path()).unwrap()))
        .filter(|(name, _)| name.starts_with(|first: char| first.is_ascii_digit()))
        .collect();
    let mut looked_at = 0;
    for bug in planted() {
        for (file, line) in hunks_in_migrations(&fs::read_to_string(&bug.path).unwrap()) {
            let functions = functions_of(&migrations[&file]);
            let Some((_, function)) = functions.iter().rfind(|(head, _)| *head <= line) else { continue };
            let later = migrations.range(file.clone()..).skip(1);
            let replaced =
                later.filter(|(_, text)| functions_of(text).iter().any(|(_, name)| name == function));
            let replaced: Vec<&String> = replaced.map(|(name, _)| name).collect();
            assert!(replaced.is_empty(), "{}: {function} of {file} is replaced in {replaced:?}", bug.name);
            looked_at += 1;
        }
    }
    assert!(looked_at > 10, "only {looked_at} hunks lie in a function of a migration");
}
