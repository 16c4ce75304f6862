//! The SDK for JavaScript against the real service: its own tests in Node, and pages in a real browser.

use std::path::{Path, PathBuf};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use tokio::process::Command;
use uuid::Uuid;

use crate::{
    hostile::run,
    service::{KEY_ID, SECRET, Service},
};

/// Of the SDK's JavaScript, compressed; a page on a guest's phone waits for it.
const GZIPPED_BYTES_MAX: u64 = 8 * 1024;

/// The SDK, and what it is built and judged with.
pub(crate) struct Sdk {
    source: PathBuf,
    modules: PathBuf,
    dist: PathBuf,
}

impl Sdk {
    /// None where this machine has no Node, which is said.
    pub(crate) async fn built() -> Option<Self> {
        let tools = seatpilot_testkit::tools_folder();
        if let Ok(reason) = std::fs::read_to_string(tools.join("sdk-js.missing")) {
            println!("SKIPPED: the SDK for JavaScript: {}", reason.trim());
            return None;
        }
        let source =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../../packages/sdk-js").canonicalize().unwrap();
        let modules = tools.join("sdk-js/node_modules");
        assert!(modules.join(".bin/tsc").exists(), "scripts/test.sh fetches what the SDK is built with");
        // As npm would pack it, in a folder of this test's own: two tests run at once.
        let package = tempfile::tempdir().unwrap().keep();
        for file in ["package.json", "README.md"] {
            std::fs::copy(source.join(file), package.join(file)).unwrap();
        }
        let dist = package.join("dist");
        let sdk = Self { source, modules, dist };
        let dist = sdk.dist.to_str().unwrap();
        sdk.tool("tsc", &["-p", ".", "--outDir", dist, "--emitDeclarationOnly"]).await;
        sdk.tool("tsc", &["-p", ".", "--outDir", dist, "--removeComments", "--declaration", "false"]).await;
        Some(sdk)
    }

    pub(crate) fn package(&self) -> &Path {
        self.dist.parent().unwrap()
    }

    fn command(&self, program: &Path, args: &[&str]) -> Command {
        let mut command = Command::new(program);
        command
            .args(args)
            .current_dir(&self.source)
            .env("MODULES", &self.modules)
            .env("SDK_DIST", &self.dist);
        command
    }

    async fn tool(&self, name: &str, args: &[&str]) -> String {
        run(self.command(&self.modules.join(".bin").join(name), args), b"").await
    }

    async fn node(&self, args: &[&str]) -> String {
        run(self.command(Path::new("node"), args), b"").await
    }
}

impl Drop for Sdk {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(self.package());
    }
}

#[tokio::test]
async fn the_sdk_for_javascript_does_what_its_own_tests_say_and_is_packed_as_others_expect() {
    let Some(sdk) = Sdk::built().await else { return };
    sdk.node(&["scripts/types.mjs", "--check"]).await;
    let tests = ["signature", "sender", "session-key", "outbox"].map(|name| format!("test/{name}.test.mjs"));
    let said = sdk.node(&["--test", &tests[0], &tests[1], &tests[2], &tests[3]]).await;
    let passed = said.lines().find_map(|line| line.strip_prefix("# pass ")?.parse::<u32>().ok());
    assert!(passed.is_some_and(|passed| passed >= 27), "{said}");

    let package = sdk.package().to_str().unwrap();
    sdk.tool("publint", &["--strict", package]).await;
    sdk.tool("attw", &["--pack", package, "--profile", "esm-only"]).await;
    let script = format!("cat '{}'/*.js | gzip -9 | wc -c", sdk.dist.display());
    let bytes = run(sdk.command(Path::new("sh"), &["-c", &script]), b"").await;
    assert!(bytes.trim().parse::<u64>().unwrap() <= GZIPPED_BYTES_MAX, "{bytes} bytes");
}

/// What a script that drives pages says of them; none where this machine has no Node or no browser, which is said.
pub(crate) async fn in_chromium(script: &str, service: &Service, more: &[(&str, &str)]) -> Option<Value> {
    let sdk = Sdk::built().await?;
    let tools = seatpilot_testkit::tools_folder();
    if let Ok(reason) = std::fs::read_to_string(tools.join("browser.missing")) {
        println!("SKIPPED: no browser on this machine: {}", reason.trim());
        return None;
    }
    let chromium = std::fs::read_to_string(tools.join("browser/chromium")).unwrap();
    let mut command = sdk.command(Path::new("node"), &[script]);
    command
        .env("MODULES", tools.join("browser/node_modules"))
        .env("CHROMIUM", chromium.trim())
        .env("INGEST_URL", &service.url)
        .env("KEY_ID", KEY_ID)
        .env("SECRET", STANDARD.encode(SECRET))
        .envs(more.iter().copied());
    Some(serde_json::from_str(&run(command, b"").await).unwrap())
}

#[tokio::test]
async fn a_page_sends_to_another_origin_by_its_own_hosts_keys_and_the_same_key_elsewhere_is_worth_nothing() {
    let service = Service::start().await;
    let Some(seen) = in_chromium("test/chromium-origins.mjs", &service, &[]).await else { return };
    assert_eq!(seen["errors"], json!([]));
    for accepted in ["first", "neighbour", "later"] {
        assert_eq!(seen[accepted]["status"], "accepted", "{accepted}: {seen}");
    }
    assert_eq!(
        (&seen["other"]["status"], &seen["other"]["reason"]),
        (&json!("rejected"), &json!("schema_violation"))
    );
    assert_eq!(
        (&seen["stolen"]["status"], &seen["told"][0]),
        (&json!("waits"), &json!(["unauthorized", 401]))
    );
    assert_eq!(
        (&seen["renewed"], &seen["troubles"]),
        (&json!(1), &json!([])),
        "renewed, and nothing was refused"
    );
    assert_eq!(seen["mints"], json!(["TypeError", "TypeError"]), "no page reads what is minted");
    assert_eq!(seen["refused"][1][0][0], "key", "a tenant's own key is not tried");
    let answered = seen["seen"].as_array().unwrap();
    assert!(answered.contains(&json!(["POST", 202])) && answered.contains(&json!(["POST", 401])), "{seen}");
    let asked = r#"http_request_duration_seconds_count{method="OPTIONS",route="/v1/events",status="204"}"#;
    assert!(service.series(asked).await >= 2.0, "each origin's browser asked before it sent");
    let ids: Vec<Uuid> = ["first", "neighbour", "later"]
        .map(|name| seen[name]["id"].as_str().unwrap().parse().unwrap())
        .into();
    let owner = service.db.owner().await;
    let stored =
        owner.query("select id from telemetry.events_raw where id = any ($1)", &[&ids]).await.unwrap();
    assert_eq!((stored.len(), service.rows().await.0), (3, 3), "what a page could not send is not there");
    println!(
        "guarantee: sessions | Chromium: pages of two origins, 3 events taken, a key of the other origin refused"
    );
}

#[tokio::test]
async fn pages_that_close_reload_and_leave_lose_no_event_and_tabs_send_none_twice() {
    let service = Service::start().await;
    let Some(seen) = in_chromium("test/chromium.mjs", &service, &[]).await else { return };
    assert_eq!(seen["errors"], json!([]));
    assert_eq!(seen["twice"], 0, "three tabs at once sent some of their events twice");

    let sent: Vec<Uuid> = seen["ids"]
        .as_object()
        .unwrap()
        .values()
        .flat_map(|ids| ids.as_array().unwrap())
        .map(|id| id.as_str().unwrap().parse().unwrap())
        .collect();
    assert_eq!(sent.len(), 400);
    let owner = service.db.owner().await;
    let stored = owner
        .query("select id from telemetry.events_raw where tenant_id = 'acme' and id = any ($1)", &[&sent])
        .await
        .unwrap();
    assert_eq!(stored.len(), sent.len(), "each is stored, and stored once");
    let letters = owner.query("select dlq_id from telemetry.events_dlq", &[]).await.unwrap();
    assert!(letters.is_empty());
}
