//! Which server the tests of this process use: the run's, or the one that bare runs share.

use std::fs::{self, File, OpenOptions};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use seatpilot_private_postgres::{Binaries, Cluster, ClusterOptions, Lifetime, Lingering};
use tokio::sync::OnceCell;
use tokio_postgres::NoTls;

use crate::template;

/// Names the server of the run: a URL of its superuser, without a database.
const SERVER_VARIABLE: &str = "SEATPILOT_TEST_PG";
/// Names the folder of the Postgres binaries, as for `seatpilot up`.
const BIN_VARIABLE: &str = "SEATPILOT_PG_BIN";
/// The shared server of bare runs stops this long after the last database was asked for.
const IDLE_MINUTES: u32 = 5;
/// A test that runs longer than [`IDLE_MINUTES`] keeps the shared server alive by itself.
const TOUCH_EVERY: Duration = Duration::from_secs(60);

/// The superuser's URL of the server, without a database; its template is ready.
pub(crate) async fn url() -> &'static str {
    static SERVER: OnceCell<String> = OnceCell::const_new();
    SERVER
        .get_or_init(async || {
            let url = match variable(SERVER_VARIABLE) {
                Some(url) => {
                    url.to_str().expect("SEATPILOT_TEST_PG is a URL").trim_end_matches('/').to_owned()
                }
                None => shared().await,
            };
            template::make(&url).await.expect("the template is made");
            url
        })
        .await
}

/// A server of the test's own in `folder`, to be stopped, killed and started again.
pub async fn own_cluster(folder: &Path) -> Cluster {
    own_cluster_with(folder, |options| options).await
}

/// The same, with options changed.
pub async fn own_cluster_with(
    folder: &Path,
    change: impl FnOnce(ClusterOptions) -> ClusterOptions,
) -> Cluster {
    Cluster::start(change(ClusterOptions::for_tests(binaries(), folder.join("postgres"))))
        .await
        .expect("a server starts")
}

/// A server of the test's own that asks for passwords, as every server but the tests' does; `password` is the
/// superuser's.
pub async fn guarded_cluster(folder: &Path, password: &str) -> Cluster {
    Cluster::start(ClusterOptions::durable(binaries(), folder.join("postgres"), password))
        .await
        .expect("a server starts")
}

/// A program that comes with the server's own version; none where it was not installed with it.
pub fn postgres_program(name: &str) -> Option<PathBuf> {
    Some(binaries().bin_dir().join(name)).filter(|program| program.is_file())
}

/// Where `scripts/lib/setup.sh` puts a server that it had to install without root.
pub fn tools_folder() -> PathBuf {
    target_folder().join("tools")
}

/// The server's binaries, as every script finds them.
pub(crate) fn binaries() -> Binaries {
    let given = variable(BIN_VARIABLE).map(PathBuf::from);
    Binaries::find(given.as_deref(), Some(&tools_folder())).expect("a Postgres server is installed")
}

/// The server that test processes share when nobody started one for the run. Its folder is kept, so that the next
/// run finds the template made.
async fn shared() -> String {
    let folder = target_folder().join("test-postgres");
    fs::create_dir_all(&folder).expect("target/ is writable");
    let touched = folder.join("last-used");
    touch(&touched);
    let lock = OpenOptions::new().create(true).append(true).open(folder.join("lock")).expect("a lock file");
    let lock = tokio::task::spawn_blocking(move || -> File {
        flock(&lock, FlockOperation::LockExclusive).expect("the lock of target/test-postgres");
        lock
    });
    let _held = lock.await.expect("the lock is waited for");
    let named = folder.join("url");
    let url = match fs::read_to_string(&named) {
        Ok(url) if answers(&url).await => url,
        _ => {
            let url = start_shared(&folder, &touched).await;
            fs::write(&named, &url).expect("target/ is writable");
            url
        }
    };
    std::thread::spawn(move || {
        loop {
            std::thread::sleep(TOUCH_EVERY);
            touch(&touched);
        }
    });
    url
}

async fn start_shared(folder: &Path, touched: &Path) -> String {
    let data_dir = folder.join("data");
    let mut options = ClusterOptions::for_tests(binaries(), &data_dir);
    options.lingering = Lingering::Stop;
    options.lifetime = Lifetime::Touched { file: touched.to_owned(), minutes: IDLE_MINUTES };
    let options = settings(options);
    let cluster = match Cluster::start(options.clone()).await {
        Ok(cluster) => cluster,
        // Nothing in it is worth keeping: without fsync, a machine that went down leaves it broken; and another
        // major version of Postgres may have come.
        Err(_) if data_dir.exists() => {
            fs::remove_dir_all(&data_dir).expect("target/ is writable");
            Cluster::start(options).await.expect("a server starts")
        }
        Err(error) => panic!("no server for the tests: {error}"),
    };
    let url = cluster.url("").trim_end_matches('/').to_owned();
    drop_leftovers(&url).await;
    url
}

/// What a server for many test processes at once needs.
pub fn settings(options: ClusterOptions) -> ClusterOptions {
    options
        .setting("max_connections", "300")
        .setting("shared_buffers", "128MB")
        // Each test clones a database: fewer checkpoints, less to write.
        .setting("max_wal_size", "2GB")
        .setting("autovacuum_naptime", "1min")
        .setting("log_min_messages", "warning")
}

/// Databases of tests that were killed.
async fn drop_leftovers(url: &str) {
    let client = connect(&format!("{url}/postgres")).await.expect("the server answers");
    let rows = client.query("select datname from pg_database where datname like 't\\_%'", &[]).await;
    for row in rows.expect("the databases are listed") {
        let name: &str = row.get(0);
        let _ = client.batch_execute(&format!("drop database if exists \"{name}\" with (force)")).await;
    }
}

/// A connection whose task ends with it.
///
/// # Errors
/// What the server, or its absence, says.
pub async fn connect(url: &str) -> Result<tokio_postgres::Client, tokio_postgres::Error> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    tokio::spawn(async move { _ = connection.await });
    Ok(client)
}

async fn answers(url: &str) -> bool {
    connect(&format!("{}/postgres", url.trim())).await.is_ok()
}

fn touch(path: &Path) {
    // Written, not only opened: the time of the last change is what is looked at.
    let _ = fs::write(path, std::process::id().to_string());
}

/// `target/` of this workspace, also for a process that was started elsewhere.
fn target_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target")
}

pub(crate) fn variable(name: &str) -> Option<std::ffi::OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}
