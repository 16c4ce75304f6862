//! A real browser, driven from outside: `tests/browser/visit.mjs`, with what `want_browser` of `scripts/lib/browser.sh`
//! has.

use std::path::{Path, PathBuf};

use serde_json::Value;
use tokio::process::Command;

use crate::hostile::run;

/// What looks at pages and says what happened there; none where no browser is to be had, which is said.
pub(crate) fn visit() -> Option<impl AsyncFn(&Value) -> String> {
    let tools = seatpilot_testkit::tools_folder();
    if let Ok(reason) = std::fs::read_to_string(tools.join("browser.missing")) {
        println!("SKIPPED: no browser on this machine: {}", reason.trim());
        return None;
    }
    let modules = tools.join("browser/node_modules");
    assert!(modules.join("axe-core").exists(), "scripts/test.sh fetches what drives the browser");
    let chromium = PathBuf::from(std::fs::read_to_string(tools.join("browser/chromium")).unwrap().trim());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser/visit.mjs");
    Some(async move |pages: &Value| {
        let mut command = Command::new("node");
        command.arg(&script).env("MODULES", &modules).env("CHROMIUM", &chromium);
        run(command, pages.to_string().as_bytes()).await
    })
}
