//! G34: each service is what its OpenAPI document says. schemathesis makes requests up from the real `/openapi.json`,
//! those that it allows and those that it does not, and judges every answer of the real binary.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use seatpilot_guarantees::root;
use seatpilot_testkit::Effort;

use crate::doors::Doors;

/// The same requests in every run; another number is another evening.
const SEED: &str = "20261122";

/// schemathesis; none where it could not be had, which is then said.
fn schemathesis() -> Option<PathBuf> {
    let tools = seatpilot_testkit::tools_folder();
    if tools.join("schemathesis/packages").exists() {
        return tools.join("schemathesis/bin/st").canonicalize().ok();
    }
    match std::fs::read_to_string(tools.join("schemathesis.missing")) {
        Ok(reason) => {
            println!("SKIPPED: {}", reason.trim());
            None
        }
        Err(_) => panic!("{} has no schemathesis: scripts/test.sh fetches it", tools.display()),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_service_answers_as_its_document_says() {
    let Some(schemathesis) = schemathesis() else { return };
    let mut doors = Doors::open(20).await;
    let examples = match Effort::of_run() {
        Effort::Quick => "6",
        Effort::Full => "500",
    };
    let folder = root().join("packages/guarantees/schemathesis");
    // At the same time: each of them mostly thinks.
    let asked: u32 = std::thread::scope(|scope| {
        let ask = |service: &'static str, address| {
            let (schemathesis, folder, doors) = (&schemathesis, &folder, &doors);
            scope.spawn(move || {
                asked_of(schemathesis, folder, examples, service, address, doors.credentials())
            })
        };
        let asking: Vec<_> = doors.all().map(|(service, address, _)| ask(service, address)).collect();
        asking.into_iter().map(|asked| asked.join().expect("the service is as its document says")).sum()
    });
    doors.assert_unharmed().await;
    println!("guarantee: G34 | {asked} requests made up from five documents");
}

/// Asks one service; how many requests were made up. Panics with what contradicts its document.
fn asked_of(
    schemathesis: &Path,
    folder: &Path,
    examples: &str,
    service: &str,
    address: SocketAddr,
    credentials: Vec<(&'static str, String)>,
) -> u32 {
    let ran = Command::new(schemathesis)
        .args(["--config-file", folder.join("schemathesis.toml").to_str().unwrap(), "run"])
        .arg(format!("http://{address}/openapi.json"))
        .args(["--seed", SEED, "--max-examples", examples, "--no-shrink"])
        .env("PYTHONPATH", folder)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("SCHEMATHESIS_HOOKS", "hooks")
        .env("NO_COLOR", "1")
        .envs(credentials)
        .current_dir(std::env::temp_dir())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ran.stdout).into_owned();
    let wrong = said.split_once("= FAILURES =").map_or(said.as_str(), |(_, failures)| failures);
    assert!(ran.status.success(), "{service}: {wrong}\n{}", String::from_utf8_lossy(&ran.stderr));
    // A run that asked nothing proves nothing.
    let generated = said.lines().find_map(|line| line.trim().split_once(" generated, ")).map(|(n, _)| n);
    let generated = generated.and_then(|number| number.replace(',', "").parse().ok()).unwrap_or(0);
    assert!(generated >= 20, "{service}: {said}");
    generated
}
