//! The SDK for JavaScript against the real service: its own tests in Node, and pages in a real browser.

use std::path::{Path, PathBuf};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::Value;
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
    let tests = ["signature", "sender", "outbox"].map(|name| format!("test/{name}.test.mjs"));
    let said = sdk.node(&["--test", &tests[0], &tests[1], &tests[2]]).await;
    let passed = said.lines().find_map(|line| line.strip_prefix("# pass ")?.parse::<u32>().ok());
    assert!(passed.is_some_and(|passed| passed >= 19), "{said}");

    let package = sdk.package().to_str().unwrap();
    sdk.tool("publint", &["--strict", package]).await;
    sdk.tool("attw", &["--pack", package, "--profile", "esm-only"]).await;
    let script = format!("cat '{}'/*.js | gzip -9 | wc -c", sdk.dist.display());
    let bytes = run(sdk.command(Path::new("sh"), &["-c", &script]), b"").await;
    assert!(bytes.trim().parse::<u64>().unwrap() <= GZIPPED_BYTES_MAX, "{bytes} bytes");
}

#[tokio::test]
async fn pages_that_close_reload_and_leave_lose_no_event_and_tabs_send_none_twice() {
    let Some(sdk) = Sdk::built().await else { return };
    let tools = seatpilot_testkit::tools_folder();
    if let Ok(reason) = std::fs::read_to_string(tools.join("browser.missing")) {
        println!("SKIPPED: no browser on this machine: {}", reason.trim());
        return;
    }
    let chromium = std::fs::read_to_string(tools.join("browser/chromium")).unwrap();
    let service = Service::start().await;
    let mut command = sdk.command(Path::new("node"), &["test/chromium.mjs"]);
    command
        .env("MODULES", tools.join("browser/node_modules"))
        .env("CHROMIUM", chromium.trim())
        .env("INGEST_URL", &service.url)
        .env("KEY_ID", KEY_ID)
        .env("SECRET", STANDARD.encode(SECRET));
    let seen: Value = serde_json::from_str(&run(command, b"").await).unwrap();
    assert_eq!(seen["errors"], serde_json::json!([]));
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
