//! The shipped configurations, told where this house's processes are. Besides the pace
//! ([`Pace`](crate::Pace)) only addresses change:
//!
//! - `targets` and Alertmanager's address, by the port that the contract gives each process;
//! - the address of each receiver, which becomes a path of the test's own: the receiver's name, after `slack-` for
//!   Slack's;
//! - the job `supabase` is left out (there is none), and `node` where nothing may be mounted.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use regex::{Captures, Regex};

use crate::{Pace, Receiver, Shipped};

/// The contract's ports of those who watch.
const PROMETHEUS: u16 = 9090;
const ALERTMANAGER: u16 = 9093;
const NODE: u16 = 9100;

/// Where everything is.
pub(crate) struct Wiring {
    /// Of each service, by the port that the contract gives it.
    pub(crate) services: BTreeMap<u16, u16>,
    pub(crate) prometheus: u16,
    pub(crate) alertmanager: u16,
    /// node_exporter's, where it runs.
    pub(crate) node: Option<u16>,
}

/// The files as they were written.
pub(crate) struct Written {
    pub(crate) prometheus: PathBuf,
    pub(crate) alertmanager: PathBuf,
}

impl Wiring {
    /// Writes what Prometheus and Alertmanager are run with into `folder`.
    pub(crate) fn write(&self, shipped: &Shipped, pace: Pace, receiver: &Receiver, folder: &Path) -> Written {
        let written = Written {
            prometheus: folder.join("prometheus.yml"),
            alertmanager: folder.join("alertmanager.yml"),
        };
        let put = |path: &Path, text: &str| std::fs::write(path, text).expect("the folder is writable");
        put(&folder.join("seatpilot.rules.yml"), &pace.rules(&shipped.rules));
        put(&written.prometheus, &pace.prometheus(&self.prometheus_config(&shipped.prometheus, folder)));
        put(&written.alertmanager, &pace.alertmanager(&receivers(&shipped.alertmanager, receiver, folder)));
        written
    }

    fn prometheus_config(&self, shipped: &str, folder: &Path) -> String {
        let without = match &self.node {
            Some(_) => vec!["supabase"],
            None => vec!["supabase", "node"],
        };
        let mut text = without.into_iter().fold(shipped.to_owned(), |text, job| without_job(&text, job));
        let rules =
            Regex::new(r#"(?m)^(\s*-\s*)["']?[\w./-]*seatpilot\.rules\.yml["']?"#).expect("a pattern");
        let path = folder.join("seatpilot.rules.yml");
        text = rules.replace_all(&text, format!("${{1}}{}", path.display())).into_owned();
        let target = Regex::new(r"\b[A-Za-z][\w.-]*:([0-9]{4,5})\b").expect("a pattern");
        target
            .replace_all(&text, |found: &Captures<'_>| {
                let port = found[1].parse().ok().and_then(|port| self.port(port));
                port.map_or_else(|| found[0].to_owned(), |port| format!("127.0.0.1:{port}"))
            })
            .into_owned()
    }

    /// Where what the contract has at this port is now.
    fn port(&self, shipped: u16) -> Option<u16> {
        match shipped {
            PROMETHEUS => Some(self.prometheus),
            ALERTMANAGER => Some(self.alertmanager),
            NODE => self.node,
            _ => self.services.get(&shipped).copied(),
        }
    }
}

/// A configuration without the block of one job.
fn without_job(text: &str, job: &str) -> String {
    let mut kept = String::new();
    let mut inside = false;
    for line in text.lines() {
        let begins = line.trim_start().starts_with("- job_name:");
        let top = !line.is_empty() && !line.starts_with([' ', '#']);
        if begins || top {
            inside = begins && job_name(line) == job;
        }
        if !inside {
            kept.push_str(line);
            kept.push('\n');
        }
    }
    kept
}

fn job_name(line: &str) -> &str {
    line.split_once(':').map_or("", |(_, name)| name.trim().trim_matches(['"', '\'']))
}

/// Every address of every receiver is a path of the test's own. Where a file holds the address, a file does.
fn receivers(shipped: &str, receiver: &Receiver, folder: &Path) -> String {
    let name = Regex::new(r#"^\s*-\s*name:\s*["']?([\w-]+)"#).expect("a pattern");
    let address = Regex::new(r"^(\s*-?\s*)(url|api_url|url_file|api_url_file):\s*\S+").expect("a pattern");
    let mut current = "nobody".to_owned();
    let mut text = String::new();
    for line in shipped.lines() {
        if let Some(found) = name.captures(line) {
            current = found[1].to_owned();
        }
        let line = address.replace(line, |found: &Captures<'_>| {
            let path =
                if found[2].starts_with("api_") { format!("slack-{current}") } else { current.clone() };
            let url = receiver.url(&path);
            if found[2].ends_with("_file") {
                let path = folder.join(format!("{path}.url"));
                std::fs::write(&path, url).expect("the folder is writable");
                format!("{}{}: {}", &found[1], &found[2], path.display())
            } else {
                format!("{}{}: {url}", &found[1], &found[2])
            }
        });
        text.push_str(&line);
        text.push('\n');
    }
    text
}
