//! Where the real Prometheus and what belongs to it are: the folder that `need_prometheus` of
//! `scripts/lib/prometheus.sh` fills.

use std::path::{Path, PathBuf};

/// The folder of `prometheus`, `alertmanager` and `node_exporter`.
#[derive(Debug, Clone)]
pub struct Tools {
    folder: PathBuf,
}

impl Tools {
    /// The path of a program.
    pub(crate) fn program(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// The program that checks what the others read, for tests that judge files.
    pub fn promtool(&self) -> PathBuf {
        self.program("promtool")
    }
}

/// The tools; none where they could not be had on this machine, which is then said on standard error: the caller's
/// test is skipped. Panics where nobody tried to have them.
pub fn monitoring() -> Option<Tools> {
    let tools = seatpilot_testkit::tools_folder();
    let folder = tools.join("prometheus/bin");
    if is_complete(&folder) {
        return Some(Tools { folder });
    }
    match std::fs::read_to_string(tools.join("prometheus.missing")) {
        Ok(reason) => {
            said(&format!("SKIPPED: no Prometheus on this machine: {}", reason.trim()));
            None
        }
        Err(_) => panic!(
            "{} has no Prometheus, Alertmanager and node_exporter: scripts/test.sh fetches them",
            folder.display()
        ),
    }
}

fn is_complete(folder: &Path) -> bool {
    ["prometheus", "alertmanager", "node_exporter"].iter().all(|name| folder.join(name).exists())
}

#[expect(clippy::print_stderr, reason = "a skipped test says so where its reader looks")]
pub(crate) fn said(line: &str) {
    eprintln!("{line}");
}
