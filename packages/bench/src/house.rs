//! What is measured: a durable Postgres of its own on a socket, an evening in it, and the services as they ship.

use std::{
    fs::File,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use seatpilot_private_postgres::{
    Auth, Binaries, Cluster, ClusterOptions, Durability, Lifetime, Lingering, Tcp,
};
use seatpilot_testkit::{Evening, TestDb};
use tempfile::TempDir;

use crate::line::{Line, write_request};

/// How long a service may take to be ready.
const READY_MAX: Duration = Duration::from_secs(30);

/// The settings that differ from Postgres' own. Checkpoints would fall into one round and not into the other.
pub(crate) const SETTINGS: &[(&str, &str)] = &[
    ("shared_buffers", "512MB"),
    ("max_wal_size", "8GB"),
    ("checkpoint_timeout", "60min"),
    ("max_connections", "200"),
    ("autovacuum", "off"),
];

/// The house that is measured.
pub(crate) struct House {
    /// Its evening: tenant `acme`, venue `hall`, event `gala`, a device and a key.
    pub(crate) evening: Evening,
    /// The server.
    cluster: Cluster,
    /// Where its programs are.
    pub(crate) binaries: Binaries,
    /// Of the postmaster.
    pub(crate) database_pid: u32,
    folder: TempDir,
}

impl House {
    /// Starts a server in a folder below `target`, and makes an evening without guests.
    ///
    /// # Errors
    /// There is no server installed, or no space.
    pub(crate) async fn build(target: &Path) -> anyhow::Result<Self> {
        std::fs::create_dir_all(target)?;
        let folder = tempfile::Builder::new().prefix("bench-").tempdir_in(target)?;
        // Postgres runs as a user of its own where we are root.
        open_up(folder.path())?;
        let tools = seatpilot_testkit::tools_folder();
        let given = std::env::var_os("SEATPILOT_PG_BIN").map(PathBuf::from);
        let binaries =
            Binaries::find(given.as_deref(), Some(&tools)).context("no Postgres server is installed")?;
        let cluster = Cluster::start(ClusterOptions {
            binaries: binaries.clone(),
            data_dir: folder.path().join("pg"),
            tcp: Tcp::Off,
            socket_dir: Some(folder.path().to_owned()),
            auth: Auth::Trust,
            durability: Durability::Full,
            lingering: Lingering::Refuse,
            lifetime: Lifetime::Owned,
            settings: SETTINGS
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
        })
        .await?;
        let pid = std::fs::read_to_string(cluster.data_dir().join("postmaster.pid"))?;
        let database_pid = pid.lines().next().context("an empty postmaster.pid")?.trim().parse()?;
        let evening = Evening::on(TestDb::on(&cluster.url("")).await, 0).await;
        Ok(Self { evening, cluster, binaries, database_pid, folder })
    }

    /// A folder for what a case leaves.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Where the socket is, as libpq's programs take it.
    pub(crate) fn socket_dir(&self) -> &Path {
        self.folder.path()
    }

    /// Another evening, in a database of its own on the same server.
    pub(crate) async fn another(&self) -> Evening {
        Evening::on(TestDb::on(&self.cluster.url("")).await, 0).await
    }

    /// Runs SQL as the owner, many statements at once.
    ///
    /// # Errors
    /// What the server says.
    pub(crate) async fn sql(&self, sql: &str) -> anyhow::Result<()> {
        run_sql(&self.evening, sql).await
    }

    /// Guests `0..count` with tickets `ticket-N`, made in the database: a list of a million would take minutes.
    ///
    /// # Errors
    /// What the server says.
    pub(crate) async fn guests(&self, count: u64) -> anyhow::Result<()> {
        make_guests(&self.evening, count).await
    }

    /// Bytes that the server has written ahead.
    pub(crate) async fn log_bytes(&self) -> i64 {
        self.evening.count("select wal_bytes::bigint from pg_stat_wal").await
    }

    /// How often it has flushed them.
    pub(crate) async fn log_flushes(&self) -> i64 {
        self.evening.count("select wal_sync from pg_stat_wal").await
    }

    /// Starts a service as its role, with further variables.
    ///
    /// # Errors
    /// It is not built, or does not become ready.
    pub(crate) async fn service(
        &self,
        name: &'static str,
        role: &str,
        envs: &[(&str, &str)],
    ) -> anyhow::Result<Service> {
        self.service_on(&self.evening, name, role, envs).await
    }

    /// The same on another evening.
    ///
    /// # Errors
    /// As [`House::service`].
    pub(crate) async fn service_on(
        &self,
        evening: &Evening,
        name: &'static str,
        role: &str,
        envs: &[(&str, &str)],
    ) -> anyhow::Result<Service> {
        let url = evening.db.url_as(role);
        let mut all = vec![("DATABASE_URL", url.as_str())];
        all.extend_from_slice(envs);
        Service::start(name, self.folder.path(), &all).await
    }
}

/// Runs SQL as the owner of an evening's database, many statements at once.
///
/// # Errors
/// What the server says.
pub(crate) async fn run_sql(evening: &Evening, sql: &str) -> anyhow::Result<()> {
    evening.db.owner().await.batch_execute(sql).await.with_context(|| format!("refused: {sql}"))
}

/// As [`House::guests`], of any evening.
///
/// # Errors
/// What the server says.
pub(crate) async fn make_guests(evening: &Evening, count: u64) -> anyhow::Result<()> {
    let Evening { tenant, event, section, .. } = evening;
    let sql = format!(
        "set session_replication_role = replica;
         insert into ops.tickets (tenant_id, event_id, ticket_hash, ticket_id, name, party_size, section)
         select '{tenant}', '{event}', sha256(convert_to('ticket-' || n, 'UTF8')), gen_random_uuid(), 'Guest ' || n, 2,
             '{section}'
         from generate_series(0, {count} - 1) n;
         analyze ops.tickets; checkpoint"
    );
    run_sql(evening, &sql).await
}

/// A service of ours, as its binary ships.
pub(crate) struct Service {
    name: &'static str,
    child: Child,
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// From its start until `/ready` said 200.
    pub(crate) ready_after: Duration,
}

impl Service {
    /// Starts it with exactly these variables; what it says goes to a file, as to a journal.
    ///
    /// # Errors
    /// It is not built, or does not become ready.
    pub(crate) async fn start(
        name: &'static str,
        folder: &Path,
        envs: &[(&str, &str)],
    ) -> anyhow::Result<Self> {
        Self::start_with(name, &[], folder, envs).await
    }

    /// The same, with arguments.
    ///
    /// # Errors
    /// As [`Service::start`].
    pub(crate) async fn start_with(
        name: &'static str,
        arguments: &[&str],
        folder: &Path,
        envs: &[(&str, &str)],
    ) -> anyhow::Result<Self> {
        let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        let port = address.port().to_string();
        let path = seatpilot_testkit::binary_path(name);
        let said = File::create(folder.join(format!("{name}-{port}.log")))?;
        let began = Instant::now();
        let child = Command::new(&path)
            .args(arguments)
            .env_clear()
            .envs(envs.iter().copied())
            .env("PORT", &port)
            .env("BIND", "127.0.0.1")
            .stdin(Stdio::null())
            .stdout(said.try_clone()?)
            .stderr(said)
            .spawn()
            .with_context(|| format!("{} could not be run: build it first", path.display()))?;
        let mut service = Self { name, child, address, ready_after: Duration::ZERO };
        service.ready(began).await?;
        Ok(service)
    }

    async fn ready(&mut self, began: Instant) -> anyhow::Result<()> {
        let mut request = Vec::new();
        write_request(&mut request, "GET", "/ready", &[], b"");
        loop {
            if let Ok(mut line) = Line::open(self.address).await
                && line.ask(&request).await.is_ok_and(|heard| heard.status == 200)
            {
                self.ready_after = began.elapsed();
                return Ok(());
            }
            if let Some(status) = self.child.try_wait()? {
                bail!("{} ended ({status}) before it was ready", self.name);
            }
            if began.elapsed() > READY_MAX {
                bail!("{} is not ready after {READY_MAX:?}", self.name);
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Lets other users into the folder.
fn open_up(folder: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    Ok(std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o777))?)
}
