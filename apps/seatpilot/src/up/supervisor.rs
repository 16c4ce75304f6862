//! Keeps the services running: each a process of its own, its output in a file, started again when it dies, drained
//! at the end.

use std::{
    ffi::OsString,
    fs::{File, OpenOptions},
    io::{self, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    process::{Child, Command},
    sync::{mpsc, watch},
    task::JoinSet,
    time::{sleep, timeout},
};

use super::service::{Service, withheld};

/// The pause before a service is started again: doubled at each death, up to [`PAUSE_MAX`].
const PAUSE_FIRST: Duration = Duration::from_millis(200);
/// See [`PAUSE_FIRST`].
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// A service that ran so long begins again with [`PAUSE_FIRST`].
const STEADY_AFTER: Duration = Duration::from_secs(30);
/// What services have to drain after SIGTERM; with Postgres' own stop it stays within the contract's 30 s.
const DRAIN_WITHIN: Duration = Duration::from_secs(12);
/// At this size a log becomes `<log>.old`.
const LOG_BYTES_MAX: u64 = 8 << 20;
/// How often that is looked at.
const LOG_LOOK_EVERY: Duration = Duration::from_secs(5);
/// Exit code of a wrong configuration: starting again would not help.
const EXIT_CONFIGURATION: i32 = 64;

/// What a death means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OnDeath {
    /// The service is started again.
    Restart,
    /// All of it has failed.
    Fail,
}

/// How one service is run.
#[derive(Clone)]
pub(super) struct Plan {
    pub(super) service: Service,
    pub(super) program: PathBuf,
    /// Beside what is inherited.
    pub(super) env: Vec<(&'static str, OsString)>,
    pub(super) log: PathBuf,
}

/// The services that run. Dropped, they are killed.
pub(super) struct Supervisor {
    stop: watch::Sender<bool>,
    fatal: mpsc::Receiver<String>,
    keepers: JoinSet<()>,
}

impl Supervisor {
    /// Starts them. What an operator should know of them while they run is told, where there is room.
    pub(super) fn start(plans: Vec<Plan>, on_death: OnDeath, notices: &mpsc::Sender<String>) -> Self {
        let (stop, _) = watch::channel(false);
        // One message from each at most.
        let (tell, fatal) = mpsc::channel(plans.len().max(1));
        let mut keepers = JoinSet::new();
        for plan in plans {
            keepers.spawn(keep(plan, on_death, stop.subscribe(), tell.clone(), notices.clone()));
        }
        Self { stop, fatal, keepers }
    }

    /// Waits until a service has died for good, and says which and why.
    pub(super) async fn failed(&mut self) -> String {
        match self.fatal.recv().await {
            Some(why) => why,
            None => std::future::pending().await,
        }
    }

    /// Asks all of them to end, and waits until they have.
    pub(super) async fn drain(mut self) {
        let _ = self.stop.send(true);
        while self.keepers.join_next().await.is_some() {}
    }
}

async fn keep(
    plan: Plan,
    on_death: OnDeath,
    mut stop: watch::Receiver<bool>,
    tell: mpsc::Sender<String>,
    notices: mpsc::Sender<String>,
) {
    let mut pause = PAUSE_FIRST;
    loop {
        let begun = Instant::now();
        let mut child = match plan.spawn() {
            Ok(child) => child,
            Err(error) => {
                let _ = tell.try_send(format!("{} cannot be run: {error}", plan.program.display()));
                return;
            }
        };
        let ended = tokio::select! {
            ended = plan.watch(&mut child) => Some(ended),
            () = asked(&mut stop) => None,
        };
        let Some(ended) = ended else {
            drain(&mut child).await;
            return;
        };
        let name = plan.service.name();
        let code = ended.as_ref().ok().and_then(ExitStatus::code);
        let how = ended.map_or_else(|error| error.to_string(), |status| status.to_string());
        let last = last_line(&plan.log).map(|line| format!(": {line}")).unwrap_or_default();
        if on_death == OnDeath::Fail || code == Some(EXIT_CONFIGURATION) {
            let _ = tell.try_send(format!("{name} ended ({how}){last} (see {})", plan.log.display()));
            return;
        }
        if begun.elapsed() > STEADY_AFTER {
            pause = PAUSE_FIRST;
        }
        let _ = notices.try_send(format!("{name} ended ({how}): started again in {} ms", pause.as_millis()));
        tokio::select! {
            () = sleep(pause) => {}
            () = asked(&mut stop) => return,
        }
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

/// Waits until the end is asked for, or nobody is left to ask.
async fn asked(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}

impl Plan {
    fn spawn(&self) -> io::Result<Child> {
        let log = OpenOptions::new().create(true).append(true).open(&self.log)?;
        let mut command = if cfg!(target_os = "linux") && has_setpriv() {
            // The kernel ends it when this process is killed. The signal follows the thread that spawns: a worker
            // of the runtime, which lives as long as the runtime.
            let mut command = Command::new("setpriv");
            command.args(["--pdeathsig", "TERM", "--"]).arg(&self.program);
            command
        } else {
            Command::new(&self.program)
        };
        for name in withheld() {
            command.env_remove(name);
        }
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        // A Ctrl-C on the terminal is for us, who drain it.
        command.process_group(0).kill_on_drop(true).spawn()
    }

    /// Waits for the end, and keeps the log within its bound meanwhile.
    async fn watch(&self, child: &mut Child) -> io::Result<ExitStatus> {
        loop {
            tokio::select! {
                ended = child.wait() => return ended,
                () = sleep(LOG_LOOK_EVERY) => trim(&self.log),
            }
        }
    }
}

/// Whether util-linux's `setpriv` can be asked to pass on a parent's death.
fn has_setpriv() -> bool {
    static HAS: std::sync::OnceLock<bool> = std::sync::OnceLock::new();
    *HAS.get_or_init(|| {
        let tried = std::process::Command::new("setpriv")
            .args(["--pdeathsig", "TERM", "--", "true"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        tried.is_ok_and(|status| status.success())
    })
}

async fn drain(child: &mut Child) {
    if let Some(pid) = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw) {
        let _ = kill_process(pid, Signal::TERM);
    }
    if timeout(DRAIN_WITHIN, child.wait()).await.is_err() {
        let _ = child.kill().await;
    }
}

/// A log over its bound is copied away and emptied: the service goes on writing at its end, which is now its
/// beginning.
fn trim(log: &Path) {
    let Ok(file) = OpenOptions::new().write(true).open(log) else { return };
    if file.metadata().is_ok_and(|facts| facts.len() > LOG_BYTES_MAX) {
        let mut old = log.as_os_str().to_owned();
        old.push(".old");
        // On a full disk the copy fails and the log is emptied all the same.
        let _ = std::fs::copy(log, old);
        let _ = file.set_len(0);
    }
}

/// The last line of a log, at most 300 characters.
fn last_line(log: &Path) -> Option<String> {
    let mut file = File::open(log).ok()?;
    let size = file.metadata().ok()?.len();
    file.seek(SeekFrom::Start(size.saturating_sub(4096))).ok()?;
    let mut bytes = Vec::new();
    file.take(4096).read_to_end(&mut bytes).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    let line = text.lines().rev().find(|line| !line.trim().is_empty())?;
    Some(line.chars().filter(|c| !c.is_control()).take(300).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(folder: &Path, script: &str) -> Plan {
        let program = folder.join("service");
        std::fs::write(&program, format!("#!/bin/sh\n{script}\n")).expect("written");
        std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755))
            .expect("mode");
        Plan { service: Service::Checkin, program, env: Vec::new(), log: folder.join("log") }
    }

    async fn until(what: impl Fn() -> bool) {
        for _ in 0..500 {
            if what() {
                return;
            }
            sleep(Duration::from_millis(10)).await;
        }
        panic!("not within 5 s");
    }

    #[tokio::test]
    async fn a_service_that_dies_is_started_again_and_drained_at_the_end() {
        let folder = tempfile::tempdir().expect("a folder");
        let log = folder.path().join("log");
        let said = |what: &str| std::fs::read_to_string(&log).unwrap_or_default().contains(what);
        let script = "echo run; [ -e again ] || { touch again; exit 1; }; trap 'echo drained; exit 0' TERM; \
                      echo up; while :; do sleep 0.05; done";
        let script = script.replace("again", folder.path().join("again").to_str().expect("UTF-8"));
        let (notices, mut told) = mpsc::channel(4);
        let supervisor = Supervisor::start(vec![plan(folder.path(), &script)], OnDeath::Restart, &notices);
        until(|| said("up")).await;
        supervisor.drain().await;
        let notice = told.recv().await.expect("one was told");
        assert!(notice.contains("checkin ended") && notice.contains("started again"), "{notice}");
        assert!(said("run\nrun\nup\ndrained"), "{}", std::fs::read_to_string(&log).expect("a log"));
    }

    #[tokio::test]
    async fn a_death_is_told_with_the_service_s_last_words() {
        let folder = tempfile::tempdir().expect("a folder");
        let one = plan(folder.path(), "echo first; echo 'DATABASE_URL: is required' >&2; exit 64");
        let (notices, _) = mpsc::channel(1);
        let mut supervisor = Supervisor::start(vec![one], OnDeath::Restart, &notices);
        let why = supervisor.failed().await;
        assert!(why.contains("checkin") && why.contains("64") && why.contains("is required"), "{why}");
    }

    #[test]
    fn a_log_over_its_bound_is_begun_anew() {
        let folder = tempfile::tempdir().expect("a folder");
        let log = folder.path().join("log");
        std::fs::write(&log, vec![b'x'; usize::try_from(LOG_BYTES_MAX).expect("fits") + 1]).expect("written");
        trim(&log);
        assert_eq!(std::fs::metadata(&log).expect("there").len(), 0);
        assert!(folder.path().join("log.old").exists());
    }
}
