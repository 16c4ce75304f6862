//! What is shipped in `prometheus/`, read as it stands: what is drilled must be what is shipped.

use std::path::{Path, PathBuf};

use regex::Regex;

/// The texts of the shipped configuration.
#[derive(Debug, Clone)]
pub struct Shipped {
    /// `prometheus.yml`.
    pub prometheus: String,
    /// `alertmanager.yml`.
    pub alertmanager: String,
    /// `seatpilot.rules.yml`.
    pub rules: String,
}

impl Shipped {
    /// Reads them.
    pub fn read() -> Self {
        let folder = root().join("prometheus");
        let text = |name: &str| {
            let path = folder.join(name);
            std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
        };
        Self {
            prometheus: text("prometheus.yml"),
            alertmanager: text("alertmanager.yml"),
            rules: text("seatpilot.rules.yml"),
        }
    }

    /// The names of all alerts, in the order of the rules.
    pub fn alerts(&self) -> Vec<String> {
        let name = Regex::new(r"(?m)^\s*-?\s*alert:\s*(\w+)\s*$").expect("a pattern");
        name.captures_iter(&self.rules).map(|found| found[1].to_owned()).collect()
    }
}

/// The folder of the repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("this repository")
}
