//! G48: what the house is built from. Only crates.io, only listed licences, nothing that is banned, and a bill of
//! materials that names all of it. Judged by cargo-deny with `deny.toml`, and by what cargo itself says.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use seatpilot_guarantees::root;
use seatpilot_testkit::Effort;
use serde_json::Value;

const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";
/// What is shipped is built for the images.
const TARGET: &str = "x86_64-unknown-linux-gnu";

/// The folder with cargo-deny and the CycloneDX library; none where they could not be had, which is then said.
fn judges() -> Option<PathBuf> {
    let tools = seatpilot_testkit::tools_folder();
    if tools.join("supply-chain/packages").exists() {
        return tools.join("supply-chain/bin").canonicalize().ok();
    }
    match std::fs::read_to_string(tools.join("supply-chain.missing")) {
        Ok(reason) => {
            println!("SKIPPED: {}", reason.trim());
            None
        }
        Err(_) => panic!("{} has no cargo-deny: scripts/test.sh fetches it", tools.display()),
    }
}

fn cargo(arguments: &[&str]) -> String {
    let ran = Command::new("cargo").args(arguments).current_dir(root()).output().unwrap();
    assert!(ran.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&ran.stderr));
    String::from_utf8(ran.stdout).unwrap()
}

fn metadata() -> String {
    cargo(&["metadata", "--format-version", "1", "--locked"])
}

/// What cargo-deny says of these dependencies under this configuration: whether all is well, and its words.
fn judged(judges: &Path, metadata: &str, configuration: &str) -> (bool, String) {
    let folder = tempfile::tempdir().unwrap();
    let (crates, rules) = (folder.path().join("metadata.json"), folder.path().join("deny.toml"));
    std::fs::write(&crates, metadata).unwrap();
    std::fs::write(&rules, configuration).unwrap();
    let ran = Command::new(judges.join("cargo-deny"))
        .args(["--offline", "--metadata-path", crates.to_str().unwrap(), "--config", rules.to_str().unwrap()])
        .args(["check", "--hide-inclusion-graph", "bans", "licenses", "sources"])
        .current_dir(root())
        .output()
        .unwrap();
    (ran.status.success(), String::from_utf8_lossy(&ran.stderr).into_owned())
}

#[test]
fn nothing_comes_in_but_from_crates_io_under_a_listed_licence_and_unbanned() {
    let Some(judges) = judges() else { return };
    let rules = std::fs::read_to_string(root().join("deny.toml")).unwrap();
    let crates = metadata();
    let (well, said) = judged(&judges, &crates, &rules);
    assert!(well, "{said}");

    // The judge is no yes-man: each kind of intruder is named.
    let document: Value = serde_json::from_str(&crates).unwrap();
    let crate_of = |name: &str| {
        let found = document["packages"].as_array().unwrap().iter().find(|package| package["name"] == name);
        found.unwrap()["version"].as_str().unwrap().to_owned()
    };
    let mut copyleft = document.clone();
    for package in copyleft["packages"].as_array_mut().unwrap() {
        if package["name"] == "hex" {
            package["license"] = "GPL-3.0-or-later".into();
        }
    }
    let (id, elsewhere) = (format!("{CRATES_IO}#hex@{}", crate_of("hex")), "git+https://example.org/hex");
    let mut foreign: Value =
        serde_json::from_str(&crates.replace(&id, &format!("{elsewhere}#hex@{}", crate_of("hex")))).unwrap();
    for package in foreign["packages"].as_array_mut().unwrap() {
        if package["name"] == "hex" {
            package["source"] = format!("{elsewhere}#{}", "0".repeat(40)).into();
        }
    }
    let by_name = rules.replace("name = \"rsa\"", "name = \"hex\"");
    let by_version = rules.replace("version = \"<0.7.18\"", "version = \"<99\"");
    assert!(by_name != rules && by_version != rules, "deny.toml bans what this test thinks");
    for (what, crates, rules, named) in [
        ("a copyleft licence", copyleft.to_string(), &rules, "failed to satisfy license requirements"),
        ("a branch of somebody's repository", foreign.to_string(), &rules, "source-not-allowed"),
        ("a banned crate", crates.clone(), &by_name, "explicitly banned"),
        ("a version that an advisory ended", crates.clone(), &by_version, "explicitly banned"),
    ] {
        let (well, said) = judged(&judges, &crates, rules);
        assert!(!well && said.contains(named), "{what}: {said}");
    }
    println!("guarantee: G48 | licences, sources and bans of every crate, four intruders named");
}

/// Needs no judge: the lock itself.
#[test]
fn every_crate_of_the_lock_is_of_crates_io_and_has_its_checksum() {
    // The fuzz targets are a workspace of their own, with a lock of its own.
    for file in ["Cargo.lock", "fuzz/Cargo.lock"] {
        let lock = std::fs::read_to_string(root().join(file)).unwrap();
        let mut foreign = 0;
        for package in lock.split("[[package]]\n").skip(1) {
            let Some(source) = package.lines().find_map(|line| line.strip_prefix("source = ")) else {
                // Ours, by path.
                assert!(package.starts_with("name = \"seatpilot"), "{file}: {package}");
                continue;
            };
            foreign += 1;
            assert_eq!(source.trim_matches('"'), CRATES_IO, "{file}: {package}");
            let sum = package.lines().find_map(|line| line.strip_prefix("checksum = ")).unwrap_or_default();
            assert_eq!(sum.trim_matches('"').len(), 64, "{file}: {package}");
        }
        assert!(foreign > 50, "{file}: {foreign}");
    }
}

#[test]
fn no_build_may_take_other_versions_than_the_lock_names() {
    let mut unlocked = Vec::new();
    let mut seen = 0;
    for file in [
        "scripts/test.sh",
        "scripts/up.sh",
        "scripts/guarantees.sh",
        "scripts/lib/guarantees.sh",
        "Dockerfile",
    ] {
        let text = std::fs::read_to_string(root().join(file)).unwrap().replace("\\\n", " ");
        for line in text.lines().map(str::trim).filter(|line| !line.starts_with('#')) {
            let builds = ["build", "clippy", "doc", "nextest run", "test", "run", "install", "metadata"];
            let asked = |verb: &&str| {
                line.split("cargo ").skip(1).any(|rest| rest.trim_start().starts_with(&format!("{verb} ")))
            };
            if builds.iter().any(asked) {
                seen += 1;
                if !line.contains("--locked") {
                    unlocked.push(format!("{file}: {line}"));
                }
            }
        }
    }
    assert!(unlocked.is_empty() && seen >= 7, "{seen} {unlocked:#?}");
}

#[test]
fn the_bill_of_materials_names_every_crate_that_is_linked() {
    let Some(judges) = judges() else { return };
    // The smallest of the services: the standard's own checker takes its time.
    const PACKAGE: &str = "seatpilot-kpi-refresher";
    let crates = cargo(&["metadata", "--format-version", "1", "--locked", "--filter-platform", TARGET]);
    let mut writer = Command::new(judges.join("python"))
        .arg(root().join("scripts/lib/sbom"))
        .arg(PACKAGE)
        .arg(root().join("Cargo.lock"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    writer.stdin.take().unwrap().write_all(crates.as_bytes()).unwrap();
    let ran = writer.wait_with_output().unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let bill: Value = serde_json::from_slice(&ran.stdout).unwrap();
    assert_eq!(bill["specVersion"], "1.6");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let listed: BTreeSet<String> = bill["components"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| format!("{} v{}", text(&one["name"]), text(&one["version"])))
        .collect();
    // What cargo says is built for it, by another way than its metadata.
    let tree =
        ["tree", "--locked", "-p", PACKAGE, "-e", "normal,build", "--target", TARGET, "--prefix", "none"];
    let built: BTreeSet<String> = cargo(&tree)
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with(PACKAGE))
        .map(|line| line.split(' ').take(2).collect::<Vec<_>>().join(" "))
        .collect();
    let missing: Vec<_> = built.difference(&listed).collect();
    assert!(missing.is_empty() && built.len() > 100, "not in the bill: {missing:?}");
    for one in bill["components"].as_array().unwrap() {
        let ours = text(&one["name"]).starts_with("seatpilot");
        assert!(one["licenses"].is_array() && (ours || one["hashes"].is_array()), "{one}");
    }
    println!("guarantee: G48 | a bill of materials of {} crates, CycloneDX 1.6", listed.len());
}

/// Two clean builds in two folders: an hour on two cores, so in the full run only.
#[test]
fn two_clean_builds_give_the_same_binaries() {
    match Effort::of_run() {
        Effort::Quick => {}
        Effort::Full => {
            let ran = Command::new(root().join("scripts/reproduce.sh")).output().unwrap();
            let said = String::from_utf8_lossy(&ran.stdout).into_owned();
            assert!(ran.status.success(), "{said}{}", String::from_utf8_lossy(&ran.stderr));
            println!("guarantee: G48 | {}", said.lines().last().unwrap_or_default());
        }
    }
}
