//! No SQL is built from input (G25), as far as a reader of the sources can see: what is asked of a database is a constant, and
//! what a migration puts together is quoted by Postgres. What a sender's text does is tried in `hostile_text`.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use regex::Regex;
use seatpilot_guarantees::root;

/// Statements that are put together, by file and beginning, each with its reason.
const BUILT: &[(&str, &str, &str)] = &[
    (
        "packages/store/src/admin/roles.rs",
        "alter role {role} password '{hash}'",
        "`alter role` takes no parameters: the role is one of a closed list, the hash base64 and `$:`",
    ),
    (
        "packages/private-postgres/src/cluster.rs",
        "create database {name}",
        "`create database` takes no parameters: the name is a constant of the command",
    ),
];

/// Names by which a constant reaches a statement's door, by file: each is of type `&'static str`, which no input has.
const CARRIED: &[(&str, &str)] = &[
    ("packages/store/src/reader.rs", "sql"),
    ("packages/store/src/prepared.rs", "sql"),
    // One of the two above, by `begin`.
    ("packages/store/src/reader.rs", "begin"),
    ("packages/store/src/asking.rs", "sql"),
    // The connection that an `Asking` is sent on; what it asks is one of those by name `sql`.
    ("packages/store/src/download.rs", "object"),
    ("packages/store/src/events.rs", "client"),
    ("packages/store/src/prepared.rs", "&self.connection.client"),
    ("packages/store/src/reader.rs", "&object"),
    ("packages/store/src/download.rs", "wanted.header"),
    ("packages/store/src/download.rs", "wanted.sql"),
    ("packages/store/src/dead_letters/desk.rs", "sql"),
    ("packages/store/src/admin/signing_keys.rs", "sealed"),
    ("packages/store/src/admin/venues.rs", "delete"),
    ("packages/store/src/admin/venues.rs", "insert"),
    // The files of supabase/sql, compiled in.
    ("packages/store/src/admin/migrations.rs", "migration.sql"),
    // In BUILT.
    ("packages/store/src/admin/roles.rs", "statement"),
];

/// Dynamic SQL of migrations with `%s`, which quotes nothing: what stands there, and why it may.
const UNQUOTED: &[(&str, &str)] = &[
    ("create role %I %s", "options of a list in the same statement"),
    ("telemetry.ingest_nonces_%s", "a number of 0 to 7"),
    ("ingest_nonces_%s_retention", "a number of 0 to 7"),
    ("function %s owner to", "a signature out of the catalogue"),
    ("function %s from public", "a signature out of the catalogue"),
];

/// Crates of tests and measurements.
const UNSHIPPED: &[&str] = &["packages/testkit", "packages/guarantees", "packages/bench"];

fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                if !path.ends_with("tests") && !path.ends_with("target") {
                    folders.push(path);
                }
            } else if path.extension().is_some_and(|found| found == extension) {
                found.push(path);
            }
        }
    }
    found
}

/// What is shipped: no integration tests, no crate of tests, nothing behind `#[cfg(test)]`.
fn sources() -> Vec<(String, String)> {
    let root = root();
    ["packages", "services", "apps"]
        .into_iter()
        .flat_map(|folder| files(&root.join(folder), "rs"))
        .map(|path| {
            let text = fs::read_to_string(&path).unwrap();
            let text = text.split("#[cfg(test)]\nmod ").next().unwrap_or_default().to_owned();
            (path.strip_prefix(&root).unwrap().to_string_lossy().into_owned(), text)
        })
        .filter(|(path, _)| !UNSHIPPED.iter().any(|unshipped| path.starts_with(unshipped)))
        // A test that stands in a file of its own.
        .filter(|(path, _)| path != "packages/store/src/isolation.rs")
        .collect()
}

/// Statements that are put together out of parts: file and text.
fn built(sources: &[(String, String)]) -> BTreeSet<(String, String)> {
    const VERBS: &str = r"(?:select|insert into|update|delete from|truncate|alter|create|drop|grant|revoke|copy|set local|set role|set session|begin|call|do|lock table|notify|listen|with)";
    // `format!("select … {x}")`, and a literal of SQL that something is added to.
    let formatted = Regex::new(&format!(
        r#"(?s)(?:format|write|writeln|concat|format_args)!\(\s*(?:[a-z_.&]+,\s*)?r?#*"(\s*{VERBS}\s[^"]*?)""#
    ))
    .unwrap();
    let added = Regex::new(&format!(r#"(?s)"(\s*{VERBS}\s[^"]*?)"(?:\.to_owned\(\)|\.to_string\(\))?\s*\+"#))
        .unwrap();
    let pushed = Regex::new(
        r#"push_str\(\s*&?(?:format!\()?"(\s*(?:where|and|or|order by|limit|values|set|from) [^"]*)""#,
    )
    .unwrap();
    let is_sql = Regex::new(
        r"(?i)\b(from|into|set|table|role|database|schema|function|index|policy|where|values|extension|user)\b",
    )
    .unwrap();
    let mut found = BTreeSet::new();
    for (path, text) in sources {
        for captures in formatted.captures_iter(text) {
            let literal = captures[1].trim().to_owned();
            // Without a place for a value it is a constant; a sentence that begins with such a word has no SQL after it.
            if literal.contains('{') && is_sql.is_match(&literal) {
                found.insert((path.clone(), literal));
            }
        }
        for captures in added.captures_iter(text).chain(pushed.captures_iter(text)) {
            found.insert((path.clone(), captures[1].trim().to_owned()));
        }
    }
    found
}

/// What is handed to a statement's door and is neither a literal, nor a constant, nor a statement that was prepared.
fn carried(sources: &[(String, String)]) -> BTreeSet<(String, String)> {
    let door = Regex::new(
        r"\.(?:query|query_one|query_opt|query_raw|query_typed|query_typed_raw|execute|execute_raw|batch_execute|simple_query|prepare|prepare_typed|prepare_cached|prepare_typed_cached|copy_in|copy_out)\(\s*([^,)]*)",
    )
    .unwrap();
    let good = Regex::new(
        r#"^(?:r?#*"|&\[|include_str!|[A-Z][A-Z0-9_]*$|[A-Za-z]+::[A-Z_]+$|&?(?:self\.)?(?:statement|claim|header)$|$)"#,
    )
    .unwrap();
    let mut found = BTreeSet::new();
    for (path, text) in sources {
        if !path.starts_with("packages/store/src") && !path.starts_with("packages/private-postgres/src") {
            continue;
        }
        for captures in door.captures_iter(text) {
            let first = captures[1].trim().to_owned();
            if !good.is_match(&first) {
                found.insert((path.clone(), first));
            }
        }
        // Such a name is a prepared statement only where it was prepared.
        if text.contains("batch_execute(&statement)") {
            found.insert((path.clone(), "statement".to_owned()));
        }
    }
    found.retain(|(_, first)| first != "&format!(\"create database {name}\"");
    found
}

#[test]
fn no_statement_is_built_from_input() {
    let sources = sources();
    assert!(sources.len() > 100, "the sources were found");
    let expected: BTreeSet<_> =
        BUILT.iter().map(|(path, text, _)| ((*path).to_owned(), (*text).to_owned())).collect();
    assert_eq!(built(&sources), expected, "a statement is put together: give its values as parameters");
    let known: BTreeSet<_> =
        CARRIED.iter().map(|(path, name)| ((*path).to_owned(), (*name).to_owned())).collect();
    let unknown: Vec<_> = carried(&sources).into_iter().filter(|found| !known.contains(found)).collect();
    assert_eq!(unknown, [], "what is asked must be seen to be a constant");
    // Whatever is carried by that name has a type that no input has.
    for (path, name) in known {
        if name == "statement" || name.contains('.') {
            continue;
        }
        let text = &sources.iter().find(|(found, _)| *found == path).expect("the file is there").1;
        let typed = Regex::new(&format!(r"\b{name}: &str\b")).unwrap();
        assert!(!typed.is_match(text), "{path}: {name} must be &'static str");
    }
    println!(
        "guarantee: G25 | {} sources: {} statements built, each for a reason",
        sources.len(),
        BUILT.len()
    );
}

#[test]
fn a_statement_that_is_built_is_seen() {
    let planted = |line: &str| vec![("packages/store/src/planted.rs".to_owned(), line.to_owned())];
    for line in [
        r#"client.query(&format!("select * from ops.tickets where ticket = '{ticket}'"), &[])"#,
        r#"let sql = format!("update ops.doors set name = '{}'", name);"#,
        r#"let sql = "select * from ops.doors where door_id = '".to_owned() + door + "'";"#,
        r#"sql.push_str(&format!(" order by {column}"));"#,
        r#"write!(sql, "delete from ops.doors where door_id = '{door}'")"#,
        "let sql = format!(\n        \"select *\n         from ops.doors where door_id = '{door}'\");",
    ] {
        assert_eq!(built(&planted(line)).len(), 1, "{line}");
    }
    for line in
        ["client.query(&asked, &[])", "client.batch_execute(&text)", "object.prepare_cached(order_by(sort))"]
    {
        assert_eq!(carried(&planted(line)).len(), 1, "{line}");
    }
}

#[test]
fn what_a_migration_puts_together_is_quoted_by_postgres() {
    let executed = Regex::new(r"(?s)\bexecute\s+(format\(|[^\s;])(.*?);").unwrap();
    let mut count = 0;
    for path in files(&root().join("supabase/sql"), "sql") {
        let text = fs::read_to_string(&path).unwrap();
        for captures in executed.captures_iter(&text) {
            let (first, statement) = (&captures[1], captures[2].trim_start());
            // `grant execute on function …`, and the arm of a trigger.
            if ["on ", "n ", "function", "unction", "procedure", "rocedure"]
                .iter()
                .any(|word| statement.starts_with(word))
            {
                continue;
            }
            count += 1;
            let place = format!(
                "{}: execute {first}{}",
                path.display(),
                statement.lines().next().unwrap_or_default()
            );
            assert!(
                first == "format(" || first == "'" || first == "$",
                "{place}: neither format() nor a literal"
            );
            if first == "format(" {
                assert!(statement.starts_with('\''), "{place}: what is formatted is no literal");
                let unquoted = statement.matches("%s").count();
                let excused: usize = UNQUOTED
                    .iter()
                    .map(|(known, _)| statement.matches(known).count() * known.matches("%s").count())
                    .sum();
                // `(%s)` and `< %s` take what the same line gives: a slot's number, a Unix second.
                let numbers = statement.matches("(%s)").count() + statement.matches("< %s").count();
                assert!(unquoted <= excused + numbers, "{place}: %s quotes nothing");
            } else {
                assert!(!statement.contains("||"), "{place}: put together by ||");
            }
        }
    }
    assert!(count > 40, "{count} were found");
}
