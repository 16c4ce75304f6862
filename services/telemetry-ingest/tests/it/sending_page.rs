//! `docs/sending.md`: what stands there to be copied is run as it stands.

use std::{collections::BTreeMap, path::Path};

use base64::{Engine, engine::general_purpose::STANDARD};
use seatpilot_domain_model::{Item, parse_event};
use tokio::process::Command;

use crate::{
    hostile::run,
    sdk_js::{Sdk, in_chromium},
    sender_libraries::libraries,
    service::{KEY_ID, SECRET, Service},
};

fn page() -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    std::fs::read_to_string(root.join("docs/sending.md")).unwrap()
}

/// The blocks of code by their language.
fn blocks(page: &str) -> BTreeMap<String, Vec<String>> {
    let mut blocks: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for block in page.split("```").skip(1).step_by(2) {
        let (language, code) = block.split_once('\n').unwrap();
        blocks.entry(language.to_owned()).or_default().push(code.to_owned());
    }
    blocks
}

/// Runs a snippet with the three variables that the page names; answers what it says.
async fn snippet(mut command: Command, service: &Service) -> String {
    command.env("INGEST_URL", &service.url).env("KEY_ID", KEY_ID).env("SECRET", STANDARD.encode(SECRET));
    run(command, b"").await
}

/// What a page says whose host and whose script are the page's snippets; none where there is no Node or no browser.
async fn page_in_chromium(server: &str, page: &str, service: &Service) -> Option<String> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("server.mjs"), server).unwrap();
    std::fs::write(folder.path().join("page.html"), page).unwrap();
    let folder = [("SNIPPETS", folder.path().to_str().unwrap())];
    let said = in_chromium("test/chromium-page.mjs", service, &folder).await?;
    assert_eq!(said["errors"], serde_json::json!([]));
    Some(said["title"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn every_snippet_of_the_page_for_senders_is_accepted() {
    let blocks = blocks(&page());
    let languages: Vec<&str> = blocks.keys().map(String::as_str).collect();
    assert_eq!(
        languages,
        ["bash", "html", "javascript", "js", "json", "python", "rust"],
        "teach this test another language"
    );
    let service = Service::start().await;
    let mut accepted = 0;

    for code in &blocks["bash"] {
        let mut command = Command::new("bash");
        command.args(["-euo", "pipefail", "-c", code]);
        let said = snippet(command, &service).await;
        assert!(said.contains(r#""accepted":1"#), "{code}\n{said}");
        accepted += 1;
    }
    if let Some(sdk) = Sdk::built().await {
        let folder = tempfile::tempdir().unwrap();
        let package = folder.path().join("node_modules/@seatpilot/sdk");
        std::fs::create_dir_all(package.parent().unwrap()).unwrap();
        std::os::unix::fs::symlink(sdk.package(), &package).unwrap();
        for code in &blocks["js"] {
            let file = folder.path().join("snippet.mjs");
            std::fs::write(&file, code).unwrap();
            let mut command = Command::new("node");
            command.arg(&file);
            let said = snippet(command, &service).await;
            assert!(said.contains("status: 'accepted'"), "{code}\n{said}");
            accepted += 1;
        }
    }
    // The server's part and the page's, in a browser.
    let (server, page) = (&blocks["javascript"][0], &blocks["html"][0]);
    if let Some(title) = page_in_chromium(server, page, &service).await {
        assert_eq!(title, "accepted", "{server}\n{page}");
        accepted += 1;
    }
    if let Some(libraries) = libraries() {
        for code in &blocks["python"] {
            let mut command = Command::new(libraries.join("bin/python"));
            command.args(["-c", code]);
            let said = snippet(command, &service).await;
            assert!(said.contains(r#""accepted":1"#), "{code}\n{said}");
            accepted += 1;
        }
    }
    let stored = service.number("select count(*) from telemetry.events_raw").await;
    assert_eq!(stored, accepted);
}

#[test]
fn the_rust_of_the_page_stands_in_an_example_that_runs_and_its_cloud_event_is_one() {
    let blocks = blocks(&page());
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../packages/sdk-server/examples");
    let example = std::fs::read_to_string(examples.join("heartbeat.rs")).unwrap();
    for code in &blocks["rust"] {
        assert!(example.contains(code), "examples/heartbeat.rs has no such lines:\n{code}");
    }
    for code in &blocks["json"] {
        let item = parse_event(
            code.trim().as_bytes(),
            &"acme".parse().unwrap(),
            "2026-11-22T12:00:00Z".parse().unwrap(),
        );
        assert!(matches!(item, Item::Event(_)), "{item:?}");
    }
}

#[test]
fn the_page_explains_every_reason_for_which_an_event_is_rejected() {
    let page = page();
    for reason in seatpilot_domain_model::RejectReason::ALL {
        assert!(
            page.contains(&format!("`{}`", reason.as_str())),
            "docs/sending.md does not explain {reason}"
        );
    }
}
