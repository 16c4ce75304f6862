//! A built binary, run as its user would run it.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// Kept of each binary's output; older lines are forgotten.
const OUTPUT_LINES_MAX: usize = 10_000;

/// A running process of one of our binaries. Dropping it kills it.
#[derive(Debug)]
pub struct Binary {
    name: String,
    child: Child,
    output: Arc<Mutex<Vec<String>>>,
    /// The address that it serves on, where it was given a `PORT`.
    url: Option<String>,
}

impl Binary {
    /// Runs the binary of that name from the target folder of this test, with exactly these variables (and `PATH`)
    /// in its environment.
    pub fn spawn(name: &str, envs: &[(&str, &str)]) -> Self {
        Self::spawn_with(&binary_path(name), &[], envs)
    }

    /// As [`spawn`](Self::spawn), for a path (`CARGO_BIN_EXE_…`) and with arguments.
    pub fn spawn_with(path: &Path, args: &[&str], envs: &[(&str, &str)]) -> Self {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut command = Command::new(path);
        command.args(args).env_clear().envs(envs.iter().copied());
        if let Some(search) = std::env::var_os("PATH") {
            command.env("PATH", search);
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| {
            panic!("{} could not be run ({error}): build it first, cargo build --bin {name}", path.display())
        });
        let output = Arc::new(Mutex::new(Vec::new()));
        if let Some(stdout) = child.stdout.take() {
            collect(stdout, Arc::clone(&output));
        }
        if let Some(stderr) = child.stderr.take() {
            collect(stderr, Arc::clone(&output));
        }
        let port = envs.iter().find(|(name, _)| *name == "PORT").map(|(_, port)| *port);
        Self { name, child, output, url: port.map(|port| format!("http://127.0.0.1:{port}")) }
    }

    /// `http://127.0.0.1:PORT`, no slash at the end.
    pub fn url(&self) -> &str {
        self.url.as_deref().expect("the binary was given a PORT")
    }

    /// Waits until `GET /ready` answers 200. Panics with its output when it ends instead, or takes over 30 s.
    pub async fn ready(&mut self) {
        self.answers("/ready").await;
    }

    /// As [`ready`](Self::ready), for a program that is not ours and has another path for it.
    pub async fn answers(&mut self, path: &str) {
        let url = format!("{}{path}", self.url());
        let since = Instant::now();
        loop {
            if let Ok(answer) = reqwest::get(&url).await
                && answer.status() == 200
            {
                return;
            }
            let ended = self.child.try_wait().ok().flatten();
            if ended.is_some() || since.elapsed() > Duration::from_secs(30) {
                panic!("{} is not ready ({ended:?}):\n{}", self.name, self.output());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// What it printed so far, both streams.
    pub fn output(&self) -> String {
        self.output.lock().unwrap_or_else(PoisonError::into_inner).join("\n")
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Asks it to end (SIGTERM).
    pub fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        let _ = kill_process(Pid::from_child(&self.child), signal);
    }

    /// Kills it at once.
    pub fn kill9(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Waits until it ends; `None` when it has not within so long.
    pub async fn wait(&mut self, within: Duration) -> Option<ExitStatus> {
        let since = Instant::now();
        loop {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Some(status);
            }
            if since.elapsed() > within {
                return None;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

impl Drop for Binary {
    fn drop(&mut self) {
        self.kill9();
    }
}

/// The path of a built binary of the workspace: beside the test's own folder (`target/<profile>/deps`).
pub fn binary_path(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("the path of this test");
    let folder = test.parent().expect("a folder");
    let folder = if folder.ends_with("deps") { folder.parent().expect("target/<profile>") } else { folder };
    folder.join(name)
}

fn collect(stream: impl Read + Send + 'static, output: Arc<Mutex<Vec<String>>>) {
    std::thread::spawn(move || {
        for line in BufReader::new(stream).split(b'\n') {
            let Ok(line) = line else { return };
            let mut kept = output.lock().unwrap_or_else(PoisonError::into_inner);
            if kept.len() == OUTPUT_LINES_MAX {
                kept.drain(..OUTPUT_LINES_MAX / 2);
            }
            kept.push(String::from_utf8_lossy(&line).into_owned());
        }
    });
}
