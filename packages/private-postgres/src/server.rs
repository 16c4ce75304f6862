//! The server process: one thread owns it, from the spawn to the reaping.
//!
//! The kernel's "your parent died" follows the *thread* that spawned, and an idle thread of a runtime may end at any
//! time; so the thread that spawns is a thread of our own that waits for the child.

use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};
use tokio::sync::watch;

use crate::Error;
use crate::account::Orphaned;
use crate::log::{Tail, keep};

/// The last lines of a server that ended are waited for so long: a backend may hold the pipe a little longer.
const LAST_WORDS_WITHIN: Duration = Duration::from_millis(300);

/// An immediate shutdown writes nothing.
const GIVEN_UP_WITHIN: Duration = Duration::from_secs(5);

/// A running (or ended) server.
#[derive(Debug)]
pub(crate) struct Server {
    pid: Pid,
    /// True until the process is about to be reaped: its id is nobody else's while this is true.
    alive: Arc<Mutex<bool>>,
    exit: watch::Receiver<Option<ExitStatus>>,
    tail: Tail,
    orphaned: Orphaned,
}

impl Drop for Server {
    /// A start that was given up half way: whoever stops the server in good order has waited for its end before.
    fn drop(&mut self) {
        if self.orphaned == Orphaned::Stops && self.ended().is_none() {
            self.signal(Signal::QUIT);
            if !self.wait_blocking(GIVEN_UP_WITHIN) {
                self.signal(Signal::KILL);
                self.wait_blocking(GIVEN_UP_WITHIN);
            }
        }
    }
}

impl Server {
    /// Spawns the command as the leader of a process group of its own: a Ctrl-C on the terminal is for the owner,
    /// who stops the server last.
    pub(crate) async fn spawn(mut command: Command, log: &Path, orphaned: Orphaned) -> Result<Self, Error> {
        let program = Path::new(command.get_program()).to_owned();
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).process_group(0);
        let tail = Tail::default();
        let alive = Arc::new(Mutex::new(true));
        let (exit_tx, exit) = watch::channel(None);
        let (started_tx, started) = tokio::sync::oneshot::channel();
        let (log, said, is_alive) = (log.to_owned(), tail.clone(), Arc::clone(&alive));
        let owner = move || {
            let mut child = match command.spawn() {
                Ok(child) => child,
                Err(error) => {
                    let _ = started_tx.send(Err(error));
                    return;
                }
            };
            let pid = Pid::from_child(&child);
            let _ = started_tx.send(Ok(pid));
            let (silent_tx, silent) = std::sync::mpsc::channel::<()>();
            if let Some(stderr) = child.stderr.take() {
                let kept = std::thread::Builder::new().name("postgres-log".to_owned()).spawn(move || {
                    keep(stderr, &log, &said);
                    drop(silent_tx);
                });
                drop(kept);
            }
            // Seen dead, but not yet reaped: from here on nobody may signal the id.
            let seen = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
            while waitid(WaitId::Pid(pid), seen).is_err_and(|error| error == rustix::io::Errno::INTR) {}
            *is_alive.lock().unwrap_or_else(PoisonError::into_inner) = false;
            let status = child.wait().unwrap_or_else(|_| ExitStatus::from_raw(-1));
            let _ = silent.recv_timeout(LAST_WORDS_WITHIN);
            let _ = exit_tx.send(Some(status));
        };
        std::thread::Builder::new()
            .name("postgres".to_owned())
            .spawn(owner)
            .map_err(Error::io("cannot start a thread for", &program))?;
        let pid = match started.await {
            Ok(started) => started.map_err(Error::io("cannot run", &program))?,
            Err(_) => {
                return Err(Error::Io {
                    what: "the thread of the server ended".to_owned(),
                    source: std::io::Error::other("no answer"),
                });
            }
        };
        Ok(Self { pid, alive, exit, tail, orphaned })
    }

    pub(crate) fn pid(&self) -> i32 {
        self.pid.as_raw_nonzero().get()
    }

    /// Its last words.
    pub(crate) fn tail(&self) -> String {
        self.tail.text()
    }

    /// Sends a signal, unless the server has ended.
    pub(crate) fn signal(&self, signal: Signal) {
        let alive = self.alive.lock().unwrap_or_else(PoisonError::into_inner);
        if *alive && let Err(error) = kill_process(self.pid, signal) {
            tracing::warn!(pid = self.pid(), %error, "postgres could not be signalled");
        }
    }

    /// The exit status, if it has ended.
    pub(crate) fn ended(&self) -> Option<ExitStatus> {
        *self.exit.borrow()
    }

    /// Waits until it has ended and was reaped.
    pub(crate) async fn wait(&self) -> Option<ExitStatus> {
        let mut exit = self.exit.clone();
        let ended = exit.wait_for(Option::is_some).await;
        ended.ok().and_then(|status| *status)
    }

    /// Waits for the end without a runtime, for so long at most.
    pub(crate) fn wait_blocking(&self, within: Duration) -> bool {
        let since = Instant::now();
        while since.elapsed() < within {
            if self.ended().is_some() {
                return true;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        self.ended().is_some()
    }
}
