//! The machine that is measured on: what it is, whose processor time went where, and what was stolen from it.

use std::{fs, path::Path, process::Command, time::Instant};

use seatpilot_runtime::Clock;
use serde::Serialize;

/// Ticks of `/proc` in a second; Linux has had 100 for user space on every architecture that we build for.
const TICKS: f64 = 100.0;

/// What a table of figures is worth nothing without.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Machine {
    /// The processor's name.
    pub(crate) processor: String,
    /// How many of them.
    pub(crate) cores: usize,
    /// Of the kernel.
    pub(crate) kernel: String,
    /// Of the tree that was built; `-dirty` where it was changed since.
    pub(crate) commit: String,
    /// Of the database.
    pub(crate) postgres: String,
    /// When, UTC.
    pub(crate) at: String,
}

impl Machine {
    /// Looks around.
    pub(crate) fn look(postgres: String) -> Self {
        let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let processor = info
            .lines()
            .find_map(|line| line.strip_prefix("model name")?.split(':').nth(1))
            .unwrap_or("unknown")
            .trim()
            .to_owned();
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim().to_owned();
        let at = Clock::system()
            .now()
            .round(jiff::Unit::Second)
            .map_or_else(|_| String::new(), |at| at.to_string());
        Self { processor, cores, kernel, commit: commit(), postgres, at }
    }
}

fn commit() -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let described = Command::new("git")
        .args(["describe", "--always", "--dirty", "--abbrev=10"])
        .current_dir(root)
        .output();
    described
        .ok()
        .filter(|out| out.status.success())
        .map_or_else(|| "unknown".to_owned(), |out| String::from_utf8_lossy(&out.stdout).trim().to_owned())
}

/// Time of all processors together, in ticks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ticks {
    all: u64,
    stolen: u64,
}

impl Ticks {
    /// As `/proc/stat` has it; nothing where there is none.
    pub(crate) fn now() -> Self {
        let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
        let first = stat.lines().next().unwrap_or_default();
        let fields: Vec<u64> =
            first.split_whitespace().skip(1).filter_map(|field| field.parse().ok()).collect();
        // user nice system idle iowait irq softirq steal; the guest's are in user already.
        Self { all: fields.iter().take(8).sum(), stolen: fields.get(7).copied().unwrap_or(0) }
    }

    /// The share of the time since then that another machine of this host had.
    pub(crate) fn stolen_since(self) -> f64 {
        let now = Self::now();
        let all = now.all.saturating_sub(self.all);
        if all == 0 { 0.0 } else { now.stolen.saturating_sub(self.stolen) as f64 / all as f64 }
    }
}

/// Whose processor time is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Of {
    /// One process.
    Process(u32),
    /// A process and its children: Postgres.
    Family(u32),
    /// The children of this process that have ended: pgbench.
    Ended,
}

/// Processor time used so far, in seconds.
pub(crate) fn processor_seconds(of: Of) -> f64 {
    match of {
        Of::Process(pid) => stat(pid).map_or(0.0, |stat| stat.own),
        Of::Family(parent) => {
            let own = stat(parent).map_or(0.0, |stat| stat.own + stat.children);
            let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
            let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
            own + pids.filter_map(stat).filter(|stat| stat.parent == parent).map(|stat| stat.own).sum::<f64>()
        }
        Of::Ended => stat(std::process::id()).map_or(0.0, |stat| stat.children),
    }
}

struct Stat {
    parent: u32,
    own: f64,
    children: f64,
}

fn stat(pid: u32) -> Option<Stat> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name stands in brackets and may hold anything.
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
    Some(Stat {
        parent: u32::try_from(field(4)?).ok()?,
        own: (field(14)? + field(15)?) as f64 / TICKS,
        children: (field(16)? + field(17)?) as f64 / TICKS,
    })
}

/// Resident memory of a process, in MiB.
pub(crate) fn resident_mib(pid: u32) -> f64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let kib = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:")?.split_whitespace().next()?.parse::<f64>().ok());
    kib.unwrap_or(0.0) / 1024.0
}

/// A stopwatch over time and processors.
#[derive(Debug)]
pub(crate) struct Watch {
    began: Instant,
    of: Vec<(&'static str, Of, f64)>,
}

impl Watch {
    /// Begins to count.
    pub(crate) fn start(of: &[(&'static str, Of)]) -> Self {
        let of = of.iter().map(|(name, of)| (*name, *of, processor_seconds(*of))).collect();
        Self { began: Instant::now(), of }
    }

    /// Seconds since then, and the seconds of a processor that each had.
    pub(crate) fn stop(self) -> (f64, Vec<(&'static str, f64)>) {
        let seconds = self.began.elapsed().as_secs_f64();
        let used =
            self.of.into_iter().map(|(name, of, before)| (name, processor_seconds(of) - before)).collect();
        (seconds, used)
    }
}
