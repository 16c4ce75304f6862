//! A real `nats-server` of a test's own, with JetStream on a disk and every write synced, to be killed and started again.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::server::tools_folder;

/// How long a server may take to listen.
const LISTENS_WITHIN: Duration = Duration::from_secs(20);

/// How often a server waits for its disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Syncs {
    /// Before it says that it has a message.
    Always,
    /// As it does by itself.
    EveryTwoMinutes,
}

/// A running server; it is killed with the value.
#[derive(Debug)]
pub struct Nats {
    child: Child,
    port: u16,
    program: PathBuf,
    folder: TempDir,
}

impl Nats {
    /// Whether there is a `nats-server` on this machine; that there is none is said on standard error. Panics where
    /// nobody tried to have one.
    pub fn is_here() -> bool {
        program().is_some()
    }

    /// Starts one. None where there is no `nats-server` on this machine, which is then said on standard error: the
    /// caller's test is skipped. Panics where nobody tried to have one.
    pub async fn start() -> Option<Self> {
        Self::start_with("").await
    }

    /// The same, with more in its configuration.
    pub async fn start_with(more: &str) -> Option<Self> {
        Self::start_at(&std::env::temp_dir(), Syncs::Always, more).await
    }

    /// The same, with its files in a folder below that one: on the disk that is measured.
    pub async fn start_in(parent: &Path, syncs: Syncs) -> Option<Self> {
        Self::start_at(parent, syncs, "").await
    }

    async fn start_at(parent: &Path, syncs: Syncs, more: &str) -> Option<Self> {
        let program = program()?;
        let folder = tempfile::Builder::new().prefix("seatpilot-nats-").tempdir_in(parent).expect("a folder");
        // Free now, and again after it was killed: nobody else on this machine asks for it by number.
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("its address").port();
        drop(listener);
        let store = folder.path().join("jetstream");
        let configuration = format!(
            "listen: 127.0.0.1:{port}\njetstream {{ store_dir: {:?}, sync_interval: {} }}\n{more}\n",
            store.display().to_string(),
            match syncs {
                Syncs::Always => "always",
                Syncs::EveryTwoMinutes => "2m",
            }
        );
        fs::write(folder.path().join("nats.conf"), configuration).expect("its configuration");
        let child = spawn(&program, &folder);
        let mut nats = Self { child, port, program, folder };
        nats.listens().await;
        Some(nats)
    }

    /// `nats://127.0.0.1:port`.
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Kills it at once.
    pub fn kill9(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Sends it a signal: a server that is stopped takes connections and says nothing.
    pub fn signal(&self, signal: Signal) {
        let _ = kill_process(Pid::from_child(&self.child), signal);
    }

    /// Starts it again after it was killed, on the same folder and port.
    pub async fn start_again(&mut self) {
        self.child = spawn(&self.program, &self.folder);
        self.listens().await;
    }

    /// Lets go of everything that it kept on its disk, while it is down.
    pub fn forget(&self) {
        let _ = fs::remove_dir_all(self.folder.path().join("jetstream"));
    }

    async fn listens(&mut self) {
        let began = Instant::now();
        while tokio::net::TcpStream::connect(("127.0.0.1", self.port)).await.is_err() {
            let ended = self.child.try_wait().ok().flatten();
            if ended.is_some() || began.elapsed() > LISTENS_WITHIN {
                let said = fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
                panic!("nats-server does not listen ({ended:?}):\n{said}");
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

impl Drop for Nats {
    fn drop(&mut self) {
        self.kill9();
    }
}

fn spawn(program: &PathBuf, folder: &TempDir) -> Child {
    let log = fs::File::options().create(true).append(true).open(folder.path().join("log")).expect("a log");
    Command::new(program)
        .arg("--config")
        .arg(folder.path().join("nats.conf"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .expect("nats-server can be run")
}

#[expect(clippy::print_stderr, reason = "a skipped test says so where its reader looks")]
fn program() -> Option<PathBuf> {
    let tools = tools_folder();
    let program = tools.join("nats/bin/nats-server");
    if program.exists() {
        return Some(program);
    }
    match fs::read_to_string(tools.join("nats.missing")) {
        Ok(reason) => {
            eprintln!("SKIPPED: no nats-server on this machine: {}", reason.trim());
            None
        }
        Err(_) => panic!("{} is missing: scripts/test.sh fetches it", program.display()),
    }
}
