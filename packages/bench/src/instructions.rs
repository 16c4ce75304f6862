//! Instructions of fixed work, counted by callgrind: the same on a busy machine as on a quiet one, so that a change which
//! makes a path dearer is seen before anybody measures. Held against what is checked in.

use std::{collections::BTreeMap, fs, io::Write as _, path::PathBuf, process::Command};

use anyhow::{Context as _, bail, ensure};
use comfy_table::{Table, presets};
use serde::{Deserialize, Serialize};

use crate::workload::{WORKLOADS, Workload};

/// Allocators, hashes with a seed and versions of the compiler move a count by a percent or two.
const TOLERANCE_PERCENT: f64 = 5.0;

/// What is checked in: `packages/bench/callgrind.json`.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Counted {
    /// What counted them.
    by: String,
    /// For which processor.
    on: String,
    /// For an item of each workload.
    instructions: BTreeMap<String, u64>,
}

/// Whether the counts are written down, or compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Then {
    /// Fails where one is off.
    Compare,
    /// As they are now.
    Update,
}

/// Counts all workloads and prints them.
///
/// # Errors
/// There is no valgrind; a count is further off than the tolerance.
pub(crate) fn run(then: Then) -> anyhow::Result<()> {
    let known: Counted = match fs::read(file()) {
        Ok(bytes) => serde_json::from_slice(&bytes).context("callgrind.json cannot be read")?,
        Err(_) => Counted::default(),
    };
    let mut now = Counted { by: version()?, on: std::env::consts::ARCH.to_owned(), ..Counted::default() };
    let mut table = Table::new();
    table.load_preset(presets::UTF8_HORIZONTAL_ONLY);
    table.set_header(["workload", "instructions an item", "checked in", "differs by", "what"]);
    let mut off = Vec::new();
    for Workload { name, items, what } in WORKLOADS {
        let each = count(name, items * 3)?.saturating_sub(count(name, *items)?) / u64::from(items * 2);
        let before = known.instructions.get(*name).copied();
        let differs = before.map(|before| (each as f64 / before as f64 - 1.0) * 100.0);
        if differs.is_none_or(|percent| percent.abs() > TOLERANCE_PERCENT) {
            off.push(*name);
        }
        let told = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
        table.add_row([
            (*name).to_owned(),
            each.to_string(),
            told(before.map(|before| before.to_string())),
            told(differs.map(|percent| format!("{percent:+.1} %"))),
            (*what).to_owned(),
        ]);
        now.instructions.insert((*name).to_owned(), each);
    }
    writeln!(std::io::stdout(), "{table}")?;
    match then {
        Then::Update => {
            let mut text = serde_json::to_string_pretty(&now)?;
            text.push('\n');
            fs::write(file(), text).context("callgrind.json cannot be written")
        }
        Then::Compare if known.instructions.is_empty() => {
            bail!("no counts are checked in: --instructions --update writes them down")
        }
        Then::Compare if known.on != now.on => {
            bail!("the counts that are checked in are of {}, these are of {}", known.on, now.on)
        }
        Then::Compare => {
            ensure!(
                off.is_empty(),
                "over {TOLERANCE_PERCENT} % off what is checked in: {}. If it is meant, --instructions --update",
                off.join(", ")
            );
            Ok(())
        }
    }
}

fn file() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("callgrind.json")
}

fn version() -> anyhow::Result<String> {
    let out = Command::new("valgrind").arg("--version").output();
    let out = out.context("valgrind could not be run: install it (apt-get install valgrind)")?;
    Ok(String::from_utf8_lossy(&out.stdout).trim().to_owned())
}

/// Instructions of a whole run of this program.
fn count(workload: &str, items: u32) -> anyhow::Result<u64> {
    let out = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(std::env::current_exe()?)
        .args(["--workload", workload, "--items", &items.to_string()])
        .output()?;
    let said = String::from_utf8_lossy(&out.stderr);
    ensure!(out.status.success(), "{workload} failed under valgrind: {said}");
    let collected =
        said.lines().find_map(|line| line.split_once("Collected : ").map(|(_, number)| number.trim()));
    Ok(collected.context("valgrind counted nothing")?.parse()?)
}
