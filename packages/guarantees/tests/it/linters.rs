//! Shell, containers, workflows: judged by the linters that `want_linters` of `scripts/lib/nginx.sh` has.

use std::path::PathBuf;
use std::process::Command;

use seatpilot_guarantees::root;

/// Long lines are prose in comments; the rest is what yamllint thinks.
const YAML_RULES: &str = "{extends: default, rules: {line-length: {max: 400}, document-start: disable, \
    braces: {max-spaces-inside: 1}, truthy: {check-keys: false}, comments: {min-spaces-from-content: 1}}}";

/// The folder of the linters; none where they could not be had, which is then said.
fn linters() -> Option<PathBuf> {
    let tools = seatpilot_testkit::tools_folder();
    if tools.join("linters/versions").exists() {
        return tools.join("linters/bin").canonicalize().ok();
    }
    match std::fs::read_to_string(tools.join("linters.missing")) {
        Ok(reason) => {
            println!("SKIPPED: no linters on this machine: {}", reason.trim());
            None
        }
        Err(_) => panic!("{} has no linters: scripts/test.sh fetches them", tools.display()),
    }
}

fn files(folder: &str, extension: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().flatten() {
            let path = entry.path();
            if path.is_dir()
                && path.file_name().is_some_and(|name| name != "target" && name != "node_modules")
            {
                folders.push(path);
            } else if path.extension().is_some_and(|found| found == extension) {
                found.push(path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    found.sort();
    found
}

/// Runs a linter from the root of the repository; what it found.
fn found_by(linter: &str, arguments: &[&str], files: &[String]) -> Option<String> {
    let ran = Command::new(linters()?.join(linter))
        .args(arguments)
        .args(files)
        .current_dir(root())
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (!ran.status.success()).then(|| format!("{linter}:\n{}{}", text(&ran.stdout), text(&ran.stderr)))
}

#[test]
fn shellcheck_finds_nothing_in_any_script() {
    let mut scripts = files("scripts", "sh");
    scripts.extend(files("apps", "sh"));
    scripts.extend(files("prometheus", "sh"));
    scripts.push(".ci/run".to_owned());
    // SC1091: what a script sources is judged by itself; once is enough, and six times as quick.
    assert!(
        scripts.iter().any(|script| script.ends_with("metrics-proxy/entrypoint.sh")) && scripts.len() > 5
    );
    assert_eq!(found_by("shellcheck", &["--exclude=SC1091"], &scripts), None);
}

#[test]
fn hadolint_finds_nothing_in_the_dockerfiles() {
    let dockerfiles = ["Dockerfile".to_owned(), "apps/metrics-proxy/Dockerfile".to_owned()];
    assert_eq!(found_by("hadolint", &[], &dockerfiles), None);
}

#[test]
fn the_compose_file_and_the_workflows_are_of_their_schemas() {
    let compose = ["docker-compose.metrics.yml".to_owned()];
    assert_eq!(found_by("check-jsonschema", &["--builtin-schema", "vendor.compose-spec"], &compose), None);
    let workflows = files(".github/workflows", "yml");
    assert!(!workflows.is_empty());
    assert_eq!(
        found_by("check-jsonschema", &["--builtin-schema", "vendor.github-workflows"], &workflows),
        None
    );
    // Pinned by tag: a hash has to be looked up where the actions are.
    let offline = ["--offline", "--quiet", "--no-progress", "--config", ".github/zizmor.yml"];
    assert_eq!(found_by("zizmor", &offline, &workflows), None);
}

#[test]
fn yamllint_finds_nothing_in_what_is_shipped() {
    let mut shipped = files(".github/workflows", "yml");
    shipped.extend(files("prometheus", "yml"));
    shipped.extend(files("dashboards", "yml"));
    shipped.push("docker-compose.metrics.yml".to_owned());
    assert_eq!(found_by("yamllint", &["--strict", "-d", YAML_RULES], &shipped), None);
}
