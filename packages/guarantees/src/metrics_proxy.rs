//! metrics-proxy as it is shipped: the real `entrypoint.sh`, which becomes the real nginx.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use crate::{Supabase, root};

/// How long a start, an answer or an end may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// The folder of nginx; none where it could not be had on this machine, which is then said on standard error: the
/// caller's test is skipped. Panics where nobody tried to have it.
pub fn nginx() -> Option<PathBuf> {
    if !cfg!(target_os = "linux") {
        crate::tools::said("SKIPPED: entrypoint.sh is a container's, and containers are Linux");
        return None;
    }
    let tools = seatpilot_testkit::tools_folder();
    let folder = tools.join("nginx/bin");
    if folder.join("nginx").exists() {
        return folder.canonicalize().ok();
    }
    match std::fs::read_to_string(tools.join("nginx.missing")) {
        Ok(reason) => {
            crate::tools::said(&format!("SKIPPED: no nginx on this machine: {}", reason.trim()));
            None
        }
        Err(_) => panic!("{} has no nginx: scripts/test.sh fetches it", folder.display()),
    }
}

/// How metrics-proxy is started.
pub struct ProxyOptions<'a> {
    /// Of [`nginx`].
    pub nginx: &'a Path,
    /// A folder of the test's, for the configuration that is rendered.
    pub folder: &'a Path,
    /// The file with the key.
    pub key_file: &'a Path,
    /// Variables beside and instead of those that the stand-in needs.
    pub variables: &'a [(&'a str, &'a str)],
    /// What is changed in the shipped template: for the test that plants a bug.
    pub template: fn(String) -> String,
}

/// metrics-proxy, started; ended with the value.
pub struct MetricsProxy {
    child: Child,
    address: SocketAddr,
    said: Arc<Mutex<String>>,
}

impl MetricsProxy {
    /// Starts it before this stand-in; whether it serves is another question.
    pub fn start(supabase: &Supabase, options: &ProxyOptions<'_>) -> Self {
        let shipped = root().join("apps/metrics-proxy");
        let program = options.folder.join("program");
        std::fs::create_dir_all(&program).expect("the folder is writable");
        std::fs::copy(shipped.join("entrypoint.sh"), program.join("entrypoint.sh")).expect("it is shipped");
        let template = std::fs::read_to_string(shipped.join("nginx.conf.template")).expect("it is shipped");
        std::fs::write(program.join("nginx.conf.template"), (options.template)(template)).expect("written");

        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        let address = listener.local_addr().expect("it listens");
        drop(listener);
        let mut path = options.nginx.as_os_str().to_owned();
        path.push(":");
        path.push(std::env::var_os("PATH").unwrap_or_default());
        let mut command = Command::new(program.join("entrypoint.sh"));
        command
            .env_clear()
            .env("PATH", path)
            .env("PORT", address.port().to_string())
            .env("SUPABASE_HOST", "localhost")
            .env("SUPABASE_SERVICE_ROLE_KEY_FILE", options.key_file)
            .env("METRICS_PROXY_PRIVATE_HOSTS", "localhost")
            .env("METRICS_PROXY_UPSTREAM_PORT", supabase.port.to_string())
            .env("METRICS_PROXY_CA_FILE", &supabase.authority)
            .env("METRICS_PROXY_RUN_DIR", options.folder.join("run"))
            .envs(options.variables.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0);
        let mut child = command.spawn().expect("entrypoint.sh runs");
        let said = Arc::new(Mutex::new(String::new()));
        let streams: [Option<Box<dyn Read + Send>>; 2] = [
            child.stdout.take().map(|stream| Box::new(stream) as Box<dyn Read + Send>),
            child.stderr.take().map(|stream| Box::new(stream) as Box<dyn Read + Send>),
        ];
        for mut stream in streams.into_iter().flatten() {
            let said = Arc::clone(&said);
            std::thread::spawn(move || {
                let mut part = [0; 4096];
                while let Ok(count @ 1..) = stream.read(&mut part) {
                    let text = String::from_utf8_lossy(part.get(..count).unwrap_or_default());
                    said.lock().unwrap_or_else(PoisonError::into_inner).push_str(&text);
                }
            });
        }
        Self { child, address, said }
    }

    /// Waits until it answers on `/health`. Panics with what it said where it does not.
    #[must_use]
    pub fn healthy(mut self) -> Self {
        let since = Instant::now();
        while !self.try_send(b"GET /health HTTP/1.0\r\n\r\n").starts_with("HTTP/1.1 200") {
            let ended = self.child.try_wait().ok().flatten();
            assert!(ended.is_none() && since.elapsed() < PATIENCE, "{ended:?}: {}", self.said());
            std::thread::sleep(Duration::from_millis(20));
        }
        self
    }

    /// The code that it ends with by itself, and what it said. Panics where it goes on running.
    pub fn ended(mut self) -> (Option<i32>, String) {
        let since = Instant::now();
        loop {
            if let Ok(Some(status)) = self.child.try_wait() {
                // The last words may still be on their way through the pipe.
                std::thread::sleep(Duration::from_millis(20));
                return (status.code(), self.said());
            }
            assert!(since.elapsed() < PATIENCE, "it runs on: {}", self.said());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Sends these bytes on a connection of their own and reads the answer to its end.
    pub fn send(&self, request: &[u8]) -> String {
        let answer = self.try_send(request);
        assert!(!answer.is_empty(), "no answer to {:?}", String::from_utf8_lossy(request));
        answer
    }

    fn try_send(&self, request: &[u8]) -> String {
        let Ok(mut stream) = TcpStream::connect_timeout(&self.address, PATIENCE) else {
            return String::new();
        };
        let _ = stream.set_read_timeout(Some(PATIENCE));
        // A refusal may come, and the connection be closed, before all of a hostile request was read.
        let _ = stream.write_all(request);
        let mut answer = Vec::new();
        let mut part = [0; 4096];
        while let Ok(count @ 1..) = stream.read(&mut part) {
            answer.extend_from_slice(part.get(..count).unwrap_or_default());
        }
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// What it wrote so far, both streams.
    pub fn said(&self) -> String {
        self.said.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Arguments and environments of every process of it, as others on the machine could see them.
    pub fn visible(&self) -> String {
        let group = self.child.id().to_string();
        let entries = std::fs::read_dir("/proc").expect("this is Linux").flatten();
        let of_it = entries.filter(|entry| {
            let stat = std::fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
            let after_name = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
            after_name.split(' ').nth(2) == Some(group.as_str())
        });
        let read =
            |path: PathBuf| String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).into_owned();
        of_it.map(|entry| read(entry.path().join("cmdline")) + &read(entry.path().join("environ"))).collect()
    }

    /// Asks it to end as Docker does (SIGQUIT) and waits; false where it does not.
    pub fn quit(&mut self) -> bool {
        let _ = kill_process(Pid::from_child(&self.child), Signal::QUIT);
        let since = Instant::now();
        while since.elapsed() < PATIENCE {
            if let Ok(Some(status)) = self.child.try_wait() {
                return status.success();
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        false
    }
}

impl Drop for MetricsProxy {
    /// The whole group: a killed nginx leaves its worker behind.
    fn drop(&mut self) {
        let _ = kill_process_group(Pid::from_child(&self.child), Signal::KILL);
        let _ = self.child.wait();
    }
}
