//! The Dockerfiles: what they build is what the workspace has, from files that are sent, and runs as compose says.

use std::collections::BTreeSet;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use regex::Regex;
use seatpilot_guarantees::root;
use serde_json::Value;

use crate::compose::services;

fn dockerfile() -> String {
    std::fs::read_to_string(root().join("Dockerfile")).unwrap()
}

/// The lines of a stage.
fn stage<'a>(text: &'a str, name: &str) -> &'a str {
    let begin = text.find(&format!(" AS {name}\n")).unwrap_or_else(|| panic!("there is no stage {name}"));
    let rest = &text[begin..];
    rest.find("\nFROM ").map_or(rest, |end| &rest[..end])
}

/// What cargo says of a workspace in this folder, without asking anybody.
fn metadata(folder: &Path) -> Value {
    let told = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--locked", "--offline"])
        .current_dir(folder)
        .output()
        .unwrap();
    assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
    serde_json::from_slice(&told.stdout).unwrap()
}

fn binaries(metadata: &Value, package: &str) -> BTreeSet<String> {
    let packages = metadata["packages"].as_array().unwrap();
    let found = packages.iter().find(|found| found["name"] == package);
    let targets =
        found.unwrap_or_else(|| panic!("there is no package {package}"))["targets"].as_array().unwrap();
    let is_binary = |target: &&Value| target["kind"][0] == "bin";
    targets.iter().filter(is_binary).map(|target| target["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn the_build_makes_the_binaries_that_the_stages_copy() {
    let text = dockerfile();
    let build = stage(&text, "build");
    let package = Regex::new(r"-p ([a-z-]+)").unwrap();
    let metadata = metadata(&root());
    let made: BTreeSet<String> =
        package.captures_iter(build).flat_map(|found| binaries(&metadata, &found[1])).collect();
    let stripped = Regex::new(r"for binary in ([a-z -]+);").unwrap();
    let kept: BTreeSet<String> = stripped.captures(build).unwrap()[1].split(' ').map(str::to_owned).collect();
    assert_eq!(made, kept);
    assert!(build.contains("--locked"), "a build may take other versions than Cargo.lock's");
    for binary in &kept {
        let stage = stage(&text, binary);
        assert!(
            stage.contains(&format!("COPY --from=build /out/{binary} /usr/local/bin/{binary}\n")),
            "{stage}"
        );
        assert!(stage.contains(&format!("ENTRYPOINT [\"/usr/local/bin/{binary}\"]")), "{stage}");
    }
    let rust = Regex::new(r"rust:([0-9]+\.[0-9]+)\.[0-9]+-bookworm").unwrap();
    let needed = metadata["packages"][0]["rust_version"].as_str().unwrap().to_owned();
    assert_eq!(rust.captures(&text).unwrap()[1], needed);
    // A binary that is linked against a newer glibc does not start.
    assert!(text.contains("cc-debian12"), "the base is not of the builder's Debian");
}

#[test]
fn an_image_says_of_itself_what_compose_says_of_it() {
    let text = dockerfile();
    assert!(stage(&text, "runtime").contains("USER 65532:65532"));
    for service in services().iter().filter(|service| service.member("build")["context"] == ".") {
        let target = service.member("build")["target"].as_str().unwrap();
        let stage = stage(&text, target);
        let Some(port) = service.environment().get("PORT").cloned() else { continue };
        assert!(stage.contains(&format!("ENV PORT={port}\nEXPOSE {port}\n")), "{stage}");
        let check = serde_json::to_string(&service.health_check()).unwrap().replace(',', ", ");
        assert!(stage.contains(&format!("CMD {check}\n")), "{check} is not in {stage}");
    }
    let proxy = std::fs::read_to_string(root().join("apps/metrics-proxy/Dockerfile")).unwrap();
    let check = serde_json::to_string(&crate::compose::service("metrics-proxy").health_check()).unwrap();
    assert!(proxy.contains(&check.replace(',', ", ")), "{check}");
}

/// What `.dockerignore` lets through.
fn sent() -> Vec<String> {
    let text = std::fs::read_to_string(root().join(".dockerignore")).unwrap();
    let rules: Vec<&str> = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
    assert_eq!(rules.first(), Some(&"*"), "everything is sent but what is named");
    rules.iter().filter_map(|rule| rule.strip_prefix('!')).map(str::to_owned).collect()
}

#[test]
fn what_is_sent_to_the_build_is_a_whole_workspace() {
    let folder = tempfile::tempdir().unwrap();
    for path in sent() {
        let link = folder.path().join(&path);
        std::fs::create_dir_all(link.parent().unwrap()).unwrap();
        symlink(root().join(&path), link).unwrap();
    }
    let packages = metadata(folder.path())["packages"].as_array().unwrap().len();
    assert_eq!(packages, metadata(&root())["packages"].as_array().unwrap().len());
}

#[test]
fn what_the_sources_include_is_sent_to_the_build() {
    let sent: Vec<PathBuf> = sent().iter().map(|path| root().join(path)).collect();
    let literal = Regex::new(r#"include_(?:str|bytes)!\(\s*(?:concat!\(\s*)?"([^"]+)""#).unwrap();
    let mut looked_at = 0;
    let mut folders: Vec<PathBuf> = ["packages", "services", "apps"].map(|name| root().join(name)).into();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap().flatten() {
            let path = entry.path();
            if path.is_dir() && path.file_name().is_some_and(|name| name != "tests") {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                for found in literal.captures_iter(&text) {
                    let included = path.parent().unwrap().join(&found[1]);
                    let parent = included.parent().unwrap().canonicalize().unwrap();
                    looked_at += 1;
                    let included = parent.join(included.file_name().unwrap());
                    assert!(
                        sent.iter().any(|sent| included.starts_with(sent)),
                        "{} includes {}, which .dockerignore leaves out",
                        path.display(),
                        included.display()
                    );
                }
            }
        }
    }
    assert!(looked_at > 10, "only {looked_at} were found");
    // The migrations' names are put together by a macro.
    assert!(sent.contains(&root().join("supabase/sql")));
}
