//! The documents keep up with the code: links lead somewhere, files and tests that are named exist.

use std::{collections::BTreeSet, fs, path::PathBuf};

use crate::floors::{files, none, root};

/// The documents at the root and everything below `docs`.
fn documents() -> Vec<PathBuf> {
    let at_root = fs::read_dir(root()).unwrap().map(|entry| entry.unwrap().path());
    let mut found: Vec<PathBuf> =
        at_root.filter(|path| path.extension().is_some_and(|ext| ext == "md")).collect();
    found.extend(files(&root().join("docs"), "md"));
    found
}

/// What stands in backticks, outside of blocks of code.
fn quoted(text: &str) -> BTreeSet<&str> {
    let prose = text.split("```").step_by(2);
    prose.flat_map(|part| part.split('`').skip(1).step_by(2)).collect()
}

/// Every source and statement, by its path from the root, with a `/` before it.
fn sources() -> Vec<(String, PathBuf)> {
    let folders = ["packages", "services", "apps", "supabase/sql"].map(|folder| root().join(folder));
    let paths = folders.iter().flat_map(|folder| ["rs", "sql"].map(|extension| files(folder, extension)));
    paths.flatten().map(|path| (format!("/{}", path.strip_prefix(root()).unwrap().display()), path)).collect()
}

#[test]
fn every_link_of_a_document_leads_to_a_file() {
    let mut faults = Vec::new();
    for document in documents() {
        let text = fs::read_to_string(&document).unwrap();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let file = link.split('#').next().unwrap_or_default();
            if file.is_empty() || link.contains("://") {
                continue;
            }
            if !document.parent().unwrap().join(file).exists() {
                faults.push(format!("{} links to {link}", document.display()));
            }
        }
    }
    none(faults);
}

#[test]
fn every_file_that_the_architecture_names_exists() {
    let paths: Vec<String> = sources().into_iter().map(|(path, _)| path).collect();
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let named: Vec<&str> =
        quoted(&text).into_iter().filter(|name| name.ends_with(".rs") || name.ends_with(".sql")).collect();
    assert!(named.len() > 30, "{named:?}");
    let lost = named.into_iter().filter(|name| !paths.iter().any(|path| path.ends_with(&format!("/{name}"))));
    none(lost.map(|name| format!("there is no {name}")).collect());
}

/// The rows of the tables that say by what a promise is held; other tables have measurements.
fn promises(page: &str) -> Vec<&str> {
    let tables = page
        .split("\n\n")
        .filter(|part| part.lines().next().is_some_and(|head| head.contains("| held by |")));
    tables.flat_map(|table| table.lines().skip(2)).collect()
}

#[test]
fn every_promise_is_held_by_a_test_that_exists() {
    let page = fs::read_to_string(root().join("docs/reliability.md")).unwrap();
    let code: String = sources()
        .iter()
        .filter(|(path, _)| path.ends_with(".rs"))
        .map(|(_, path)| fs::read_to_string(path).unwrap())
        .collect();
    let rows = promises(&page);
    assert!(rows.len() > 20, "{rows:?}");
    let mut faults = Vec::new();
    for row in rows {
        let tests = quoted(row.rsplit("| ").next().unwrap_or_default());
        if tests.is_empty() {
            faults.push(format!("nothing holds: {row}"));
        }
        faults.extend(
            tests
                .into_iter()
                .filter(|test| !code.contains(&format!("fn {test}(")))
                .map(|test| format!("there is no test {test}")),
        );
    }
    none(faults);
}
