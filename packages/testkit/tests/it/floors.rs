//! The house holds: which crate may know which, and which words stay in which crate.
//!
//! What is checked here is written down in `ARCHITECTURE.md`. An exception is listed below with its reason, and
//! one that no longer applies fails as well.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

/// Every crate and its floor; a crate's normal dependencies are on lower floors only.
const FLOORS: &[(&str, u8)] = &[
    ("seatpilot-domain-model", 0),
    ("seatpilot-signing", 0),
    ("seatpilot-venue-graph", 0),
    ("seatpilot-metrics-api", 1),
    ("seatpilot-private-postgres", 1),
    ("seatpilot-runtime", 1),
    ("seatpilot-sdk-server", 1),
    ("seatpilot-bus", 2),
    ("seatpilot-http", 2),
    ("seatpilot-store", 2),
    ("seatpilot-checkin", 3),
    ("seatpilot-kpi-refresher", 3),
    ("seatpilot-telemetry-ingest", 3),
    ("seatpilot-wayfinding", 3),
    ("seatpilot", 4),
    ("seatpilot-metrics-api-app", 4),
    ("seatpilot-testkit", DEV_ONLY),
    ("seatpilot-guarantees", DEV_ONLY),
    ("seatpilot-bench", DEV_ONLY),
];
/// Above all others: nothing may depend on it but tests.
const DEV_ONLY: u8 = 5;

/// Dependencies within one floor, each with its reason.
const SAME_FLOOR: &[(&str, &str)] = &[
    // A map's places, profiles and languages are the nouns of the domain; neither does IO.
    ("seatpilot-venue-graph", "seatpilot-domain-model"),
    // Both are of tests only: the whole house stands on a test's database and runs its binaries.
    ("seatpilot-guarantees", "seatpilot-testkit"),
    ("seatpilot-bench", "seatpilot-testkit"),
];

/// Libraries that only some crates may name as a normal dependency.
const CONFINED: &[(&str, &[&str])] = &[
    // SQL and rows stay in the store; the other two open raw connections to servers of their own.
    (
        "tokio-postgres",
        &["seatpilot-store", "seatpilot-private-postgres", "seatpilot-testkit", "seatpilot-bench"],
    ),
    ("deadpool-postgres", &["seatpilot-store"]),
    // Services and the metrics-api application name it for the types of their handlers' arguments; the receiver of
    // the drills' notifications, the stand-in for PostgREST and the benchmark's server that does nothing are servers of
    // their own.
    (
        "actix-web",
        &[
            "seatpilot-http",
            "seatpilot-checkin",
            "seatpilot-kpi-refresher",
            "seatpilot-telemetry-ingest",
            "seatpilot-wayfinding",
            "seatpilot-metrics-api-app",
            "seatpilot-guarantees",
            "seatpilot-testkit",
            "seatpilot-bench",
        ],
    ),
    ("actix-http", &["seatpilot-http"]),
    ("actix-server", &["seatpilot-http"]),
    ("prometheus", &["seatpilot-metrics-api"]),
    ("governor", &["seatpilot-http"]),
    // A token is checked in one place.
    ("jsonwebtoken", &["seatpilot-http"]),
    // Secrets are sealed and opened in one place.
    ("aws-lc-rs", &["seatpilot-store"]),
    // Verified requests between instances.
    ("async-nats", &["seatpilot-bus"]),
    // The outbox of a sender.
    ("redb", &["seatpilot-sdk-server"]),
    ("askama", &["seatpilot-telemetry-ingest"]),
    // The messages of traces; the other one is the collector that tests send them to.
    ("opentelemetry-proto", &["seatpilot-runtime", "seatpilot-guarantees"]),
    ("prost", &["seatpilot-runtime", "seatpilot-guarantees"]),
    ("anyhow", &["seatpilot", "seatpilot-testkit", "seatpilot-bench"]),
];

/// Words that stand in some folders or files only, outside of tests.
const WORDS: &[(&str, &[&str])] = &[
    // A fault becomes a status in one place. The command is a client: it reads statuses, it makes none. OTLP calls
    // the status of a span so, too. The stand-in for PostgREST answers as that does.
    (
        "StatusCode",
        &[
            "packages/http/src",
            "packages/runtime/src/traces/otlp.rs",
            "packages/testkit/src/postgrest",
            "apps/seatpilot/src/up/door.rs",
            "apps/seatpilot/src/up/journey.rs",
        ],
    ),
    // The programs that it runs are found as its own are, by PATH.
    (
        "env::var",
        &["packages/runtime/src", "packages/testkit/src", "packages/guarantees/src", "packages/bench/src"],
    ),
    // The SDK runs in other people's programs, which have no clock of ours.
    ("Timestamp::now", &["packages/runtime/src/clock.rs", "packages/sdk-server/src/sender.rs"]),
    ("SystemTime::now", &["packages/runtime/src/clock.rs"]),
    ("Zoned::now", &["packages/runtime/src/clock.rs"]),
    (
        "tokio_postgres",
        &[
            "packages/store/src",
            "packages/private-postgres/src",
            "packages/testkit/src",
            // What stands beside our services: COPY, as anybody would use it.
            "packages/bench/src",
        ],
    ),
];

/// A file over this many lines says why it is one.
const LINES_MAX: usize = 500;
const LONG_FILES: &[(&str, &str)] = &[(
    "supabase/sql/003_views_kpi.sql",
    "the views and their roll-up are one migration, and an applied one is never cut",
)];

/// Names of files that say nothing of what is in them.
const NAMELESS: &[&str] =
    &["common.rs", "helper.rs", "helpers.rs", "manager.rs", "misc.rs", "types.rs", "util.rs", "utils.rs"];

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// A crate of the workspace, as cargo knows it.
struct Package {
    name: String,
    folder: PathBuf,
    normal: BTreeSet<String>,
    dev: BTreeSet<String>,
}

fn packages() -> Vec<Package> {
    let told = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
    let metadata: Value = serde_json::from_slice(&told.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    packages
        .iter()
        .map(|package| {
            let of_kind = |kind: Option<&str>| {
                let all = package["dependencies"].as_array().unwrap().iter();
                all.filter(|dependency| dependency["kind"].as_str() == kind)
                    .map(|dependency| dependency["name"].as_str().unwrap().to_owned())
                    .collect()
            };
            Package {
                name: package["name"].as_str().unwrap().to_owned(),
                folder: Path::new(package["manifest_path"].as_str().unwrap()).parent().unwrap().to_owned(),
                normal: of_kind(None),
                dev: of_kind(Some("dev")),
            }
        })
        .collect()
}

/// Every file below a folder with this extension, sorted. A folder that is not there has none.
pub(crate) fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for entry in entries {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|found| found == extension) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// The sources of all crates, without their integration tests; paths from the root, with `/`.
fn sources() -> BTreeMap<String, String> {
    let folders = packages().into_iter().map(|package| package.folder.join("src"));
    read(folders.flat_map(|folder| files(&folder, "rs")))
}

fn read(paths: impl Iterator<Item = PathBuf>) -> BTreeMap<String, String> {
    let root = root();
    paths
        .map(|path| {
            let text = fs::read_to_string(&path).unwrap();
            (path.strip_prefix(&root).unwrap().to_string_lossy().replace('\\', "/"), text)
        })
        .collect()
}

/// What comes before the tests inside a file: those may read the time and the environment.
fn without_tests(text: &str) -> &str {
    text.split("#[cfg(test)]\nmod ").next().unwrap_or(text)
}

/// Whether a name stands in a text as a word of its own.
fn names(text: &str, word: &str) -> bool {
    let part_of_word = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(word).any(|(at, _)| {
        !text[..at].ends_with(part_of_word) && !text[at + word.len()..].starts_with(part_of_word)
    })
}

fn floor(name: &str) -> Option<u8> {
    FLOORS.iter().find(|(crate_name, _)| *crate_name == name).map(|(_, floor)| *floor)
}

pub(crate) fn none(faults: Vec<String>) {
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn every_crate_has_a_floor() {
    let found: BTreeSet<String> = packages().into_iter().map(|package| package.name).collect();
    let listed: BTreeSet<String> = FLOORS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(found, listed);
}

#[test]
fn a_crate_imports_only_lower_floors() {
    let mut excepted = BTreeSet::new();
    let mut faults = Vec::new();
    for package in packages() {
        let own = floor(&package.name).unwrap();
        for dependency in &package.normal {
            let Some(below) = floor(dependency) else { continue };
            let pair = (package.name.as_str(), dependency.as_str());
            if let Some(exception) = SAME_FLOOR.iter().find(|exception| **exception == pair && below == own) {
                excepted.insert(exception);
            } else if below >= own {
                faults.push(format!("{} (floor {own}) imports {dependency} (floor {below})", package.name));
            }
        }
    }
    for exception in SAME_FLOOR.iter().filter(|exception| !excepted.contains(exception)) {
        faults.push(format!("{exception:?} is an exception that nobody needs"));
    }
    none(faults);
}

#[test]
fn services_never_import_each_other_not_even_in_tests() {
    let service = |name: &str| floor(name) == Some(3);
    let mut faults = Vec::new();
    for package in packages().iter().filter(|package| service(&package.name)) {
        for other in package.normal.union(&package.dev).filter(|name| service(name)) {
            faults.push(format!("{} imports {other}", package.name));
        }
    }
    none(faults);
}

#[test]
fn store_and_http_meet_only_below() {
    let pair = ["seatpilot-store", "seatpilot-http"];
    for package in packages().iter().filter(|package| pair.contains(&package.name.as_str())) {
        let other = pair.into_iter().find(|name| *name != package.name).unwrap();
        assert!(
            !package.normal.contains(other) && !package.dev.contains(other),
            "{} imports {other}",
            package.name
        );
    }
}

#[test]
fn a_library_that_one_crate_wraps_is_named_by_no_other() {
    let mut faults = Vec::new();
    for package in packages() {
        for (library, crates) in CONFINED {
            if package.normal.contains(*library) && !crates.contains(&package.name.as_str()) {
                faults.push(format!("{} names {library}", package.name));
            }
        }
    }
    none(faults);
}

#[test]
fn a_dependency_that_is_declared_is_used() {
    let mut faults = Vec::new();
    let mut declared = BTreeSet::new();
    for package in packages() {
        let text = |folder: &str| -> String {
            files(&package.folder.join(folder), "rs")
                .iter()
                .map(|file| fs::read_to_string(file).unwrap())
                .collect()
        };
        let (sources, tests) = (text("src"), text("tests"));
        for dependency in &package.normal {
            if !names(&sources, &dependency.replace('-', "_")) {
                faults.push(format!("{} declares {dependency} and never names it", package.name));
            }
        }
        for dependency in &package.dev {
            let name = dependency.replace('-', "_");
            if !names(&sources, &name) && !names(&tests, &name) {
                faults
                    .push(format!("{} declares {dependency} for its tests and never names it", package.name));
            }
        }
        declared.extend(package.normal);
        declared.extend(package.dev);
    }
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let table = manifest.split("[workspace.dependencies]").nth(1).unwrap();
    let table = table.split("\n[").next().unwrap();
    for line in table.lines().filter(|line| line.starts_with(|c: char| c.is_ascii_alphabetic())) {
        let dependency = line.split_once('=').unwrap().0.trim();
        if !declared.contains(dependency) {
            faults.push(format!("the workspace lists {dependency} and no crate declares it"));
        }
    }
    none(faults);
}

#[test]
fn a_word_that_belongs_to_one_crate_stands_in_no_other() {
    let mut faults = Vec::new();
    for (path, text) in sources() {
        for (word, homes) in WORDS {
            if without_tests(&text).contains(word) && !homes.iter().any(|home| path.starts_with(home)) {
                faults.push(format!("{path} names {word}"));
            }
        }
    }
    none(faults);
}

#[test]
fn every_module_says_what_it_owns_and_is_named_by_a_noun() {
    let mut faults = Vec::new();
    for (path, text) in sources() {
        if !text.starts_with("//! ") {
            faults.push(format!("{path} does not begin with what it owns"));
        }
        if NAMELESS.iter().any(|name| path.ends_with(&format!("/{name}"))) {
            faults.push(format!("{path} is named by nothing"));
        }
    }
    none(faults);
}

#[test]
fn a_statement_has_a_file_of_its_name_and_somebody_who_runs_it() {
    let store: String = sources()
        .into_iter()
        .filter(|(path, _)| path.starts_with("packages/store/src"))
        .map(|(_, text)| text)
        .collect();
    let mut faults = Vec::new();
    for (path, text) in read(files(&root().join("packages/store/sql"), "sql").into_iter()) {
        let file = path.rsplit('/').next().unwrap();
        let name = file.trim_end_matches(".sql");
        if !text.starts_with(&format!("-- {name}\n")) {
            faults.push(format!(
                "{path} does not begin with its name: a line of the server's log would not say who asked"
            ));
        }
        if !store.contains(&format!("sql/{file}\"")) {
            faults.push(format!("{path} is run by nobody"));
        }
    }
    none(faults);
}

#[test]
fn no_file_is_long_without_a_reason() {
    let root = root();
    let folders = ["packages", "services", "apps", "supabase", "scripts"].map(|folder| root.join(folder));
    let paths =
        folders.iter().flat_map(|folder| ["rs", "sql", "sh"].map(|extension| files(folder, extension)));
    let long: BTreeSet<String> = read(paths.flatten())
        .into_iter()
        .filter(|(_, text)| text.lines().count() > LINES_MAX)
        .map(|(path, _)| path)
        // `supabase/migrations` is a link to `supabase/sql`.
        .filter(|path| !path.starts_with("supabase/migrations/"))
        .collect();
    let listed: BTreeSet<String> = LONG_FILES.iter().map(|(path, _)| (*path).to_owned()).collect();
    assert_eq!(long, listed);
}
