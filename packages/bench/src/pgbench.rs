//! pgbench, Postgres' own load generator: what the same writes cost who asks the database one by one.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context as _, bail, ensure};
use tokio::process::Command;

use crate::{
    drive::{Reading, histogram},
    house::House,
    machine::{Of, Watch},
};

/// A script for it, and how far into its rows it is.
pub(crate) struct Pgbench {
    program: PathBuf,
    script: PathBuf,
    clients: usize,
    /// Rows that earlier runs have used: the script finds them as `:base`.
    base: u64,
}

impl Pgbench {
    /// With so many clients. The script's row is `:base + :i * :clients + :client_id`, with `\set i :i + 1` in it.
    ///
    /// # Errors
    /// There is no pgbench beside the server or on the path.
    pub(crate) fn new(house: &House, name: &str, clients: usize, script: &str) -> anyhow::Result<Self> {
        let beside = house.binaries.bin_dir().join("pgbench");
        let program = if beside.exists() { beside } else { PathBuf::from("pgbench") };
        let file = house.folder().join(format!("{name}.sql"));
        fs::write(&file, script)?;
        Ok(Self { program, script: file, clients, base: 0 })
    }

    /// How many rows were used so far, or may have been.
    pub(crate) fn used(&self) -> u64 {
        self.base
    }

    /// Runs for so long.
    ///
    /// # Errors
    /// It ended otherwise than well, or a transaction failed.
    pub(crate) async fn run(&mut self, house: &House, lasting: Duration) -> anyhow::Result<Reading> {
        let prefix = house.folder().join("pgbench-log");
        remove_logs(house.folder())?;
        let seconds = lasting.as_secs_f64().ceil().max(1.0);
        let watch = Watch::start(&[("driver", Of::Ended), ("database", Of::Family(house.database_pid))]);
        let out = Command::new(&self.program)
            .args(["-n", "-M", "prepared", "-U", "postgres", "-D", "i=-1"])
            .arg("-h")
            .arg(house.socket_dir())
            .arg(format!("-c{}", self.clients))
            // A thread more than one only takes what the server needs.
            .args(["-j1", &format!("-T{seconds}"), "-l"])
            .arg(format!("--log-prefix={}", prefix.display()))
            .arg(format!("-Dbase={}", self.base))
            .arg(format!("-Dclients={}", self.clients))
            .arg("-f")
            .arg(&self.script)
            .arg(house.evening.db.name())
            .stdin(Stdio::null())
            .output()
            .await
            .with_context(|| format!("{} could not be run", self.program.display()))?;
        let (_, used) = watch.stop();
        let (said, wrong) = (String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
        ensure!(out.status.success() && !wrong.contains("ERROR"), "pgbench failed: {wrong}\n{said}");
        let rate = number(&said, "tps = ")?;
        let (latency, done, most) = read_logs(house.folder())?;
        self.base += (most + 1) * self.clients as u64;
        // By its own clock, without the time that it needs to start and connect.
        Ok(Reading { done, seconds: done as f64 / rate, latency, used })
    }
}

fn number(text: &str, after: &str) -> anyhow::Result<f64> {
    let Some(rest) = text.split(after).nth(1) else { bail!("pgbench said nothing of {after:?}: {text}") };
    Ok(rest.split_whitespace().next().unwrap_or_default().parse()?)
}

fn logs(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let all = fs::read_dir(folder)?.flatten().map(|entry| entry.path());
    Ok(all
        .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("pgbench-log")))
        .collect())
}

fn remove_logs(folder: &Path) -> anyhow::Result<()> {
    for path in logs(folder)? {
        fs::remove_file(path)?;
    }
    Ok(())
}

/// Every latency, how many there are, and how many the busiest client did. A line is `client number latency_us …`.
fn read_logs(folder: &Path) -> anyhow::Result<(hdrhistogram::Histogram<u64>, u64, u64)> {
    let (mut latency, mut done, mut most) = (histogram()?, 0, 0);
    for path in logs(folder)? {
        for line in fs::read_to_string(path)?.lines() {
            let mut fields = line.split(' ').skip(1);
            let mut field =
                || fields.next().and_then(|text| text.parse::<u64>().ok()).context("a line of pgbench's log");
            let (number, us) = (field()?, field()?);
            latency.saturating_record(us);
            (done, most) = (done + 1, most.max(number));
        }
    }
    Ok((latency, done, most))
}
