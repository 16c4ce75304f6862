//! A real pgBouncer of a test's own, run with `docs/examples/pgbouncer.ini`, to be killed and started again.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use tempfile::TempDir;

use crate::{TestDb, server::tools_folder};

/// How long it may take to listen.
const LISTENS_WITHIN: Duration = Duration::from_secs(20);
/// What every role logs in with.
const PASSWORD: &str = "through-the-pooler";
const ROLES: [&str; 5] =
    ["seatpilot_checkin", "seatpilot_wayfinding", "seatpilot_ingest", "seatpilot_kpi", "seatpilot_metrics"];

/// Whose pgBouncer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PgBouncerOf {
    /// This machine's: Debian 12 has 1.18, which knows no prepared statements in transaction mode.
    Machine,
    /// Debian's next release: 1.24, which does.
    NextDebian,
}

/// A running pgBouncer; it is killed with the value.
#[derive(Debug)]
pub struct PgBouncer {
    child: Child,
    port: u16,
    program: PathBuf,
    folder: TempDir,
}

impl PgBouncer {
    /// Starts one before that database, with at most so many connections to the server for each role. None where there
    /// is no such pgBouncer on this machine, which is then said on standard error: the caller's test is skipped. Panics
    /// where nobody tried to have one.
    pub async fn start(of: PgBouncerOf, db: &TestDb, connections: usize) -> Option<Self> {
        let program = program(of)?;
        let folder = tempfile::Builder::new().prefix("seatpilot-pgbouncer-").tempdir().expect("a folder");
        // It refuses root, and becomes nobody.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755))
            .expect("a folder of everybody's");
        // Free now, and again after it was killed: nobody else on this machine asks for it by number.
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("its address").port();
        drop(listener);
        let logins: String = ROLES.iter().map(|role| format!("\"{role}\" \"{PASSWORD}\"\n")).collect();
        let users = folder.path().join("userlist.txt");
        fs::write(&users, logins).expect("its logins");
        let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/examples/pgbouncer.ini");
        let mut configuration = fs::read_to_string(example).expect("docs/examples/pgbouncer.ini");
        let url = db.owner_url();
        let (_, server) = url.split_once('@').expect("a URL with a role");
        let (server, _) = server.split_once('/').expect("a URL with a database");
        let (host, server_port) = server.rsplit_once(':').expect("a URL with a port");
        for (line, instead) in [
            (
                "seatpilot = host=127.0.0.1 port=5432 dbname=seatpilot",
                format!("seatpilot = host={host} port={server_port} dbname={}", db.name()),
            ),
            ("listen_port = 6432", format!("listen_port = {port}\nunix_socket_dir =")),
            ("auth_file = /etc/pgbouncer/userlist.txt", format!("auth_file = {}", users.display())),
            ("default_pool_size = 8", format!("default_pool_size = {connections}")),
        ] {
            assert!(configuration.contains(line), "docs/examples/pgbouncer.ini has no line {line}");
            configuration = configuration.replace(line, &instead);
        }
        fs::write(folder.path().join("pgbouncer.ini"), configuration).expect("its configuration");
        let child = spawn(&program, &folder);
        let mut pgbouncer = Self { child, port, program, folder };
        pgbouncer.listens().await;
        Some(pgbouncer)
    }

    /// The database through it, as a role of ours.
    pub fn url_as(&self, role: &str) -> String {
        format!("postgres://{role}:{PASSWORD}@127.0.0.1:{}/seatpilot", self.port)
    }

    /// Kills it at once.
    pub fn kill9(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Starts it again after it was killed, on the same port.
    pub async fn start_again(&mut self) {
        self.child = spawn(&self.program, &self.folder);
        self.listens().await;
    }

    /// What it logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    async fn listens(&mut self) {
        let began = Instant::now();
        while tokio::net::TcpStream::connect(("127.0.0.1", self.port)).await.is_err() {
            let ended = self.child.try_wait().ok().flatten();
            if ended.is_some() || began.elapsed() > LISTENS_WITHIN {
                panic!("pgBouncer does not listen ({ended:?}):\n{}", self.log());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

impl Drop for PgBouncer {
    fn drop(&mut self) {
        self.kill9();
    }
}

fn spawn(program: &PathBuf, folder: &TempDir) -> Child {
    let log = fs::File::options().create(true).append(true).open(folder.path().join("log")).expect("a log");
    let mut command = Command::new(program);
    if rustix::process::geteuid().is_root() {
        command.args(["-u", "nobody"]);
    }
    command
        .arg(folder.path().join("pgbouncer.ini"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .expect("pgBouncer can be run")
}

#[expect(clippy::print_stderr, reason = "a skipped test says so where its reader looks")]
fn program(of: PgBouncerOf) -> Option<PathBuf> {
    let tools = tools_folder();
    let name = match of {
        PgBouncerOf::Machine => "pgbouncer",
        PgBouncerOf::NextDebian => "pgbouncer-next",
    };
    let program = tools.join(name).join("bin/pgbouncer");
    if program.exists() {
        return Some(program);
    }
    match fs::read_to_string(tools.join(format!("{name}.missing"))) {
        Ok(reason) => {
            eprintln!("SKIPPED: no {name} on this machine: {}", reason.trim());
            None
        }
        Err(_) => panic!("{} is missing: scripts/test.sh fetches it", program.display()),
    }
}
