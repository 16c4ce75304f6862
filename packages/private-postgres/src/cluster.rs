//! A cluster and its server: started, waited for, stopped, killed and started again.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tokio::time::timeout;
use tokio_postgres::NoTls;
use tokio_postgres::error::SqlState;

use crate::account::{Account, Orphaned};
use crate::folder::{self, Holds};
use crate::initdb::{self, beside};
use crate::server::Server;
use crate::{Auth, ClusterOptions, Durability, Error, Lifetime, Tcp};

/// Crash recovery of a box that was busy takes seconds; a minute and a half is a fault.
const READY_WITHIN: Duration = Duration::from_secs(90);
/// A server on loopback greets within milliseconds.
const ANSWERED_WITHIN: Duration = Duration::from_secs(5);
/// Fast shutdown: cut the clients, write the checkpoint.
const FAST_WITHIN: Duration = Duration::from_secs(15);
/// Immediate shutdown: leave the rest to recovery.
const IMMEDIATE_WITHIN: Duration = Duration::from_secs(5);
/// A free port may be taken by another program before the server binds it.
const PORT_TRIES: u32 = 5;

/// A Postgres server on a folder of its own. Dropping it stops the server (see [`Lifetime`]).
#[derive(Debug)]
pub struct Cluster {
    options: ClusterOptions,
    account: Account,
    port: Option<u16>,
    server: Option<Server>,
    /// Between [`sigstop`](Self::sigstop) and [`sigcont`](Self::sigcont).
    is_stopped: AtomicBool,
}

impl Cluster {
    /// Makes the cluster where the folder is new, starts the server, and returns when it takes connections.
    ///
    /// # Errors
    /// Whatever keeps it from running; see [`Error`].
    pub async fn start(mut options: ClusterOptions) -> Result<Self, Error> {
        options.data_dir = absolute(&options.data_dir)?;
        let account = Account::for_folder(&options.data_dir)?;
        let prepared = tokio::task::spawn_blocking({
            let (options, account) = (options.clone(), account.clone());
            move || prepare(&options, &account)
        });
        prepared.await.map_err(|error| Error::Io {
            what: "cannot prepare the data folder".to_owned(),
            source: std::io::Error::other(error),
        })??;
        let mut cluster =
            Self { options, account, port: None, server: None, is_stopped: AtomicBool::new(false) };
        cluster.start_again().await?;
        Ok(cluster)
    }

    /// Starts the server of a cluster that was stopped or killed, on the same port. Nothing to do while it runs.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub async fn start_again(&mut self) -> Result<(), Error> {
        if self.server.as_ref().is_some_and(|server| server.ended().is_none()) {
            return Ok(());
        }
        let since = Instant::now();
        let mut tries = 0;
        loop {
            folder::unlock(&self.options.data_dir, self.options.lingering)?;
            let port = match (self.options.tcp, self.port) {
                (Tcp::Off, _) => None,
                (Tcp::Port(port), _) | (Tcp::Free, Some(port)) => Some(port),
                (Tcp::Free, None) => Some(free_port()?),
            };
            let orphaned = match self.options.lifetime {
                Lifetime::Owned => Orphaned::Stops,
                Lifetime::Touched { .. } => Orphaned::Stays,
            };
            let server = Server::spawn(self.command(port)?, &self.log_path(), orphaned).await?;
            match self.ready(&server, port).await {
                Ok(()) => {
                    (self.port, self.server) = (port, Some(server));
                    return Ok(());
                }
                Err(Error::PortInUse(_)) if self.options.tcp == Tcp::Free && self.port.is_none() => {
                    tries += 1;
                    if tries == PORT_TRIES {
                        return Err(Error::PortInUse(port.unwrap_or(0)));
                    }
                }
                // Backends of a killed postmaster hold its memory until they notice.
                Err(Error::Broken { said, .. })
                    if said.contains("pre-existing shared memory block")
                        && since.elapsed() < IMMEDIATE_WITHIN =>
                {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                Err(error) => {
                    server.signal(Signal::QUIT);
                    let _ = timeout(IMMEDIATE_WITHIN, server.wait()).await;
                    return Err(error);
                }
            }
        }
    }

    /// Makes a database, unless it is there. The name must need no quoting.
    ///
    /// # Errors
    /// What the server answered.
    pub async fn ensure_database(&self, name: &str) -> Result<(), Error> {
        let failed = |error: tokio_postgres::Error| Error::Io {
            what: format!("cannot make the database {name}"),
            source: std::io::Error::other(error),
        };
        let (client, connection) =
            tokio_postgres::connect(&self.url("postgres"), NoTls).await.map_err(failed)?;
        let driver = tokio::spawn(connection);
        let known = client.query_opt("select from pg_database where datname = $1", &[&name]).await;
        if known.map_err(failed)?.is_none() {
            client.batch_execute(&format!("create database {name}")).await.map_err(failed)?;
        }
        drop(client);
        // Ends with the client: afterwards nobody is connected.
        let _ = driver.await;
        Ok(())
    }

    /// Stops the server: fast, then immediately, then by force; returns when it is reaped.
    pub async fn stop(&mut self) {
        self.end(&[(Signal::INT, FAST_WITHIN), (Signal::QUIT, IMMEDIATE_WITHIN)]).await;
    }

    /// Stops the server without a checkpoint (SIGQUIT): the next start recovers from the log.
    pub async fn stop_immediate(&mut self) {
        self.end(&[(Signal::QUIT, IMMEDIATE_WITHIN)]).await;
    }

    /// Kills the server and each of its processes at once, as an out-of-memory killer or a power switch would.
    pub async fn kill9(&mut self) {
        let Some(server) = &self.server else { return };
        let backends = children_of(server.pid());
        server.signal(Signal::KILL);
        for backend in backends {
            let _ = kill_process(backend, Signal::KILL);
        }
        self.end(&[]).await;
    }

    /// Stops the clock of the server and its processes: connections stay open and nothing answers.
    pub fn sigstop(&self) {
        self.is_stopped.store(true, Ordering::Relaxed);
        self.signal_all(Signal::STOP);
    }

    /// Lets a stopped clock run again.
    pub fn sigcont(&self) {
        self.signal_all(Signal::CONT);
        self.is_stopped.store(false, Ordering::Relaxed);
    }

    /// Waits until the server ends by itself (which it should not); never, when it does not run.
    pub async fn ended(&self) {
        match &self.server {
            Some(server) => _ = server.wait().await,
            None => std::future::pending().await,
        }
    }

    /// A URL of the superuser for a database, over TCP where the server listens there.
    pub fn url(&self, database: &str) -> String {
        let password = match &self.options.auth {
            Auth::Trust => None,
            Auth::Password(password) => Some(password.as_str()),
        };
        self.url_as("postgres", password, database)
    }

    /// A URL of a role for a database. Role, password and database must need no escaping.
    pub fn url_as(&self, role: &str, password: Option<&str>, database: &str) -> String {
        let password = password.map(|password| format!(":{password}")).unwrap_or_default();
        match (self.port, &self.options.socket_dir) {
            (Some(port), _) => format!("postgresql://{role}{password}@127.0.0.1:{port}/{database}"),
            (None, Some(dir)) => {
                let dir = dir.display().to_string().replace('%', "%25").replace('/', "%2F");
                format!("postgresql://{role}{password}@{dir}/{database}")
            }
            (None, None) => String::new(),
        }
    }

    /// The TCP port.
    pub fn port(&self) -> Option<u16> {
        self.port
    }

    /// The data folder, absolute.
    pub fn data_dir(&self) -> &Path {
        &self.options.data_dir
    }

    /// Where the server's log is kept, bounded.
    pub fn log_path(&self) -> PathBuf {
        beside(&self.options.data_dir, "log")
    }

    fn signal_all(&self, signal: Signal) {
        if let Some(server) = &self.server {
            server.signal(signal);
            for backend in children_of(server.pid()) {
                let _ = kill_process(backend, signal);
            }
        }
    }

    async fn end(&mut self, steps: &[(Signal, Duration)]) {
        let Some(server) = self.server.take() else { return };
        for (signal, within) in steps {
            server.signal(*signal);
            if timeout(*within, server.wait()).await.is_ok() {
                return;
            }
            tracing::warn!(pid = server.pid(), ?signal, "postgres did not stop in time");
        }
        server.signal(Signal::KILL);
        server.wait().await;
    }

    /// The `postgres -D …` of this cluster.
    fn command(&self, port: Option<u16>) -> Result<Command, Error> {
        let options = &self.options;
        let postgres = options.binaries.program("postgres");
        let mut command = match &options.lifetime {
            Lifetime::Owned => self.account.command(&postgres, &options.data_dir, Orphaned::Stops)?,
            Lifetime::Touched { file, minutes } => {
                let mut shell =
                    self.account.command(Path::new("/bin/sh"), &options.data_dir, Orphaned::Stays)?;
                shell.args(["-c", WATCH_THE_FILE, "postgres-watch"]).arg(file).arg(minutes.to_string());
                shell.arg(postgres);
                shell
            }
        };
        command.arg("-D").arg(&options.data_dir);
        let mut set = |name: &str, value: &str| {
            command.arg("-c").arg(format!("{name}={value}"));
        };
        set("listen_addresses", if port.is_some() { "127.0.0.1" } else { "" });
        if let Some(port) = port {
            set("port", &port.to_string());
        }
        match &options.socket_dir {
            Some(dir) => set("unix_socket_directories", &dir.display().to_string()),
            None => set("unix_socket_directories", ""),
        }
        match options.durability {
            Durability::Full => {
                set("fsync", "on");
                set("full_page_writes", "on");
            }
            Durability::None => {
                set("fsync", "off");
                set("full_page_writes", "off");
            }
        }
        set("synchronous_commit", "on");
        for (name, value) in &options.settings {
            set(name, value);
        }
        Ok(command)
    }

    /// Waits until the server takes connections, or says why it will not.
    async fn ready(&self, server: &Server, port: Option<u16>) -> Result<(), Error> {
        let mut config = tokio_postgres::Config::new();
        config.user("postgres").dbname("postgres").connect_timeout(Duration::from_secs(2));
        match (&self.options.socket_dir, port) {
            (_, Some(port)) => config.host("127.0.0.1").port(port),
            (Some(dir), None) => config.host_path(dir),
            (None, None) => return Ok(()),
        };
        if let Auth::Password(password) = &self.options.auth {
            config.password(password);
        }
        let since = Instant::now();
        while since.elapsed() < READY_WITHIN {
            if server.ended().is_some() {
                return Err(Error::from_output(&server.tail(), &self.options.data_dir, port));
            }
            // Another program on the port may accept and never answer, while our server has long ended.
            let answered = tokio::select! {
                answered = timeout(ANSWERED_WITHIN, config.connect(NoTls)) => answered,
                _ = server.wait() => continue,
            };
            match answered {
                // Dropping the connection closes it.
                Ok(Ok(_)) => return Ok(()),
                Ok(Err(error)) if error.code() == Some(&SqlState::INVALID_PASSWORD) => {
                    return Err(Error::WrongPassword(self.options.data_dir.clone()));
                }
                _ => {
                    let _ = timeout(Duration::from_millis(20), server.wait()).await;
                }
            }
        }
        Err(Error::Slow {
            path: self.options.data_dir.clone(),
            seconds: READY_WITHIN.as_secs(),
            log: self.log_path(),
        })
    }
}

impl Drop for Cluster {
    /// Also on a panic. Blocks while the server stops: nothing that this process started may outlive it.
    fn drop(&mut self) {
        if self.options.lifetime != Lifetime::Owned {
            return;
        }
        if self.is_stopped.load(Ordering::Relaxed) {
            // Stopped processes take their signals when they run again.
            self.sigcont();
        }
        let Some(server) = self.server.take() else { return };
        // What a test writes is thrown away: no checkpoint then.
        let steps: &[_] = match self.options.durability {
            Durability::Full => &[(Signal::INT, FAST_WITHIN), (Signal::QUIT, IMMEDIATE_WITHIN)],
            Durability::None => &[(Signal::QUIT, IMMEDIATE_WITHIN)],
        };
        for (signal, within) in steps {
            server.signal(*signal);
            if server.wait_blocking(*within) {
                return;
            }
        }
        server.signal(Signal::KILL);
        server.wait_blocking(IMMEDIATE_WITHIN);
    }
}

/// Runs the server in the background of a shell that looks every five seconds whether the file ($1) was touched
/// within so many minutes ($2); the rest is the server.
const WATCH_THE_FILE: &str = r#"
file=$1 minutes=$2; shift 2
"$@" </dev/null & pid=$!
trap 'kill -INT $pid' INT TERM
trap 'kill -QUIT $pid' QUIT
while kill -0 $pid 2>/dev/null && [ -n "$(find "$file" -mmin "-$minutes" 2>/dev/null)" ]; do sleep 5 & wait $!; done
kill -INT $pid 2>/dev/null
wait $pid
"#;

/// Looks at the folder, makes the cluster where there is none, and sees that its version is the server's.
fn prepare(options: &ClusterOptions, account: &Account) -> Result<(), Error> {
    let data_dir = &options.data_dir;
    if let Some(parent) = data_dir.parent() {
        fs::create_dir_all(parent).map_err(Error::io("cannot make", parent))?;
    }
    match folder::look(data_dir)? {
        Holds::Nothing => initdb::run(options, account),
        Holds::Cluster(made_by) if made_by != options.binaries.major() => {
            Err(Error::OtherMajor { path: data_dir.clone(), made_by, have: options.binaries.major() })
        }
        // Copied or unpacked by root, it may belong to root.
        Holds::Cluster(_) => account.own(data_dir),
    }
}

/// An absolute path with the links of its parents resolved; the folder itself need not exist.
fn absolute(path: &Path) -> Result<PathBuf, Error> {
    let path = std::path::absolute(path).map_err(Error::io("cannot resolve", path))?;
    let resolved = path.canonicalize();
    Ok(resolved.unwrap_or(path))
}

fn free_port() -> Result<u16, Error> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .map(|address| address.port())
        .map_err(Error::io("cannot find a free port on", Path::new("127.0.0.1")))
}

/// The processes whose parent is `pid`.
fn children_of(pid: i32) -> Vec<Pid> {
    let said = Command::new("ps").args(["-A", "-o", "pid=,ppid="]).output();
    let said = said.map(|said| String::from_utf8_lossy(&said.stdout).into_owned()).unwrap_or_default();
    said.lines()
        .filter_map(|line| {
            let mut fields = line.split_whitespace();
            let (child, parent) = (fields.next()?.parse().ok()?, fields.next()?.parse::<i32>().ok()?);
            (parent == pid).then(|| Pid::from_raw(child)).flatten()
        })
        .collect()
}
