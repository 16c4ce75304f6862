//! A real server, started, stopped, killed and refused.
#![expect(clippy::unwrap_used, reason = "a test that fails, fails")]

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use seatpilot_private_postgres::{Auth, Binaries, Cluster, ClusterOptions, Error, Lingering, Tcp};
use tokio_postgres::NoTls;

fn binaries() -> Binaries {
    Binaries::find(None, None).unwrap()
}

async fn connect(url: &str) -> tokio_postgres::Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(async move { _ = connection.await });
    client
}

fn is_running(pid: i32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    if Path::new("/proc/self").exists() {
        return !status.is_empty() && !status.contains(") Z ");
    }
    Command::new("kill").args(["-0", &pid.to_string()]).stderr(Stdio::null()).status().unwrap().success()
}

fn postmaster_of(data_dir: &Path) -> i32 {
    let lock = fs::read_to_string(data_dir.join("postmaster.pid")).unwrap();
    lock.lines().next().unwrap().trim().parse().unwrap()
}

#[tokio::test]
async fn a_new_folder_becomes_a_server_that_keeps_what_it_was_given() {
    let folder = tempfile::tempdir().unwrap();
    let options =
        ClusterOptions::durable(binaries(), folder.path().join("pg"), "s3cret").setting("work_mem", "5MB");
    let mut cluster = Cluster::start(options.clone()).await.unwrap();
    let client = connect(&cluster.url("postgres")).await;
    client.batch_execute("create table kept (n int); insert into kept values (7)").await.unwrap();
    let encoding: String = client.query_one("show server_encoding", &[]).await.unwrap().get(0);
    let work_mem: String = client.query_one("show work_mem", &[]).await.unwrap().get(0);
    assert_eq!((encoding.as_str(), work_mem.as_str()), ("UTF8", "5MB"));
    let pid = postmaster_of(cluster.data_dir());
    cluster.stop().await;
    assert!(!is_running(pid));

    let again = Cluster::start(options).await.unwrap();
    let client = connect(&again.url("postgres")).await;
    let kept: i32 = client.query_one("select n from kept", &[]).await.unwrap().get(0);
    assert_eq!(kept, 7);
}

#[tokio::test]
async fn a_password_is_asked_for_where_one_was_set() {
    let folder = tempfile::tempdir().unwrap();
    let mut options = ClusterOptions::durable(binaries(), folder.path().join("pg"), "right");
    let cluster = Cluster::start(options.clone()).await.unwrap();
    let wrong = cluster.url("postgres").replace("right", "wrong");
    assert!(tokio_postgres::connect(&wrong, NoTls).await.is_err());
    drop(cluster);
    options.auth = Auth::Password("forgotten".to_owned());
    let error = Cluster::start(options).await.unwrap_err();
    assert!(matches!(error, Error::WrongPassword(_)), "{error}");
}

#[tokio::test]
async fn a_killed_server_starts_again_on_its_port_with_what_was_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let mut cluster =
        Cluster::start(ClusterOptions::for_tests(binaries(), folder.path().join("pg"))).await.unwrap();
    let (url, port) = (cluster.url("postgres"), cluster.port());
    let client = connect(&url).await;
    client.batch_execute("create table t (n int); insert into t values (1)").await.unwrap();
    cluster.kill9().await;
    assert!(client.simple_query("select 1").await.is_err());
    cluster.start_again().await.unwrap();
    assert_eq!(cluster.port(), port);
    let client = connect(&url).await;
    assert_eq!(client.query("select n from t", &[]).await.unwrap().len(), 1);
    cluster.stop_immediate().await;
    cluster.start_again().await.unwrap();
    let client = connect(&url).await;
    assert_eq!(client.query("select n from t", &[]).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_stopped_clock_answers_nothing_until_it_runs_again() {
    let folder = tempfile::tempdir().unwrap();
    let cluster =
        Cluster::start(ClusterOptions::for_tests(binaries(), folder.path().join("pg"))).await.unwrap();
    let client = connect(&cluster.url("postgres")).await;
    cluster.sigstop();
    let asked = tokio::time::timeout(Duration::from_millis(300), client.simple_query("select 1"));
    assert!(asked.await.is_err());
    cluster.sigcont();
    client.simple_query("select 1").await.unwrap();
    cluster.sigstop();
    // Dropped while it sleeps: it still ends.
    let pid = postmaster_of(cluster.data_dir());
    drop(cluster);
    assert!(!is_running(pid));
}

#[tokio::test]
async fn a_panic_of_the_owner_stops_the_server() {
    let folder = tempfile::tempdir().unwrap();
    let options = ClusterOptions::for_tests(binaries(), folder.path().join("pg"));
    let owner = tokio::spawn(async move {
        let cluster = Cluster::start(options).await.unwrap();
        std::panic::resume_unwind(Box::new(postmaster_of(cluster.data_dir())));
    });
    let pid = *owner.await.unwrap_err().into_panic().downcast::<i32>().unwrap();
    assert!(!is_running(pid));
}

#[tokio::test]
async fn a_folder_in_use_is_refused_and_a_lingering_server_is_stopped_when_asked() {
    let folder = tempfile::tempdir().unwrap();
    let mut options = ClusterOptions::for_tests(binaries(), folder.path().join("pg"));
    let first = Cluster::start(options.clone()).await.unwrap();
    let pid = postmaster_of(first.data_dir());
    let error = Cluster::start(options.clone()).await.unwrap_err();
    assert!(matches!(error, Error::InUse { pid: held, .. } if held == pid), "{error}");
    options.lingering = Lingering::Stop;
    let second = Cluster::start(options).await.unwrap();
    assert!(!is_running(pid));
    connect(&second.url("postgres")).await.simple_query("select 1").await.unwrap();
}

#[tokio::test]
async fn each_thing_that_is_wrong_is_said_in_one_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| ClusterOptions::for_tests(binaries(), folder.path().join(name));

    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let error = Cluster::start(ClusterOptions { tcp: Tcp::Port(port), ..at("port") }).await.unwrap_err();
    assert!(matches!(error, Error::PortInUse(p) if p == port), "{error}");

    fs::create_dir(folder.path().join("photos")).unwrap();
    fs::write(folder.path().join("photos/one.jpg"), "x").unwrap();
    let error = Cluster::start(at("photos")).await.unwrap_err();
    assert!(matches!(error, Error::NotACluster(_)), "{error}");

    drop(Cluster::start(at("other")).await.unwrap());
    fs::write(folder.path().join("other/PG_VERSION"), "9\n").unwrap();
    let error = Cluster::start(at("other")).await.unwrap_err();
    assert!(matches!(error, Error::OtherMajor { made_by: 9, .. }), "{error}");

    drop(Cluster::start(at("broken")).await.unwrap());
    fs::remove_file(folder.path().join("broken/global/pg_control")).unwrap();
    let error = Cluster::start(at("broken")).await.unwrap_err();
    assert!(matches!(error, Error::Broken { .. }), "{error}");
    for error in [error.to_string(), Error::NoServer.to_string()] {
        assert!(!error.contains('\n') && error.contains(": "), "{error}");
    }
}

#[tokio::test]
async fn an_interrupted_initdb_leaves_nothing_that_hinders_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("pg.new/base")).unwrap();
    fs::write(folder.path().join("pg.new/PG_VERSION"), "15\n").unwrap();
    let cluster =
        Cluster::start(ClusterOptions::for_tests(binaries(), folder.path().join("pg"))).await.unwrap();
    assert!(!folder.path().join("pg.new").exists());
    connect(&cluster.url("postgres")).await.simple_query("select 1").await.unwrap();
}

/// Below a folder that only its owner may enter, as a checkout in root's home is.
#[tokio::test]
async fn a_folder_below_a_closed_one_works_or_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).unwrap();
    match Cluster::start(ClusterOptions::for_tests(binaries(), folder.path().join("pg"))).await {
        Ok(cluster) => {
            connect(&cluster.url("postgres")).await.simple_query("select 1").await.unwrap();
        }
        Err(error) => assert!(matches!(error, Error::OutOfReach { .. }), "{error}"),
    }
}

/// The owner here is this test binary, run again for [`own_a_server_until_killed`] and killed with SIGKILL.
#[cfg(target_os = "linux")]
#[test]
fn a_killed_owner_takes_its_server_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut owner = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "own_a_server_until_killed"])
        .env("SERVER_FOLDER", folder.path())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let data_dir = folder.path().join("pg");
    let within = |seconds: u64, done: &dyn Fn() -> bool| {
        let since = Instant::now();
        while !done() {
            assert!(since.elapsed() < Duration::from_secs(seconds), "not within {seconds} s");
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    within(30, &|| folder.path().join("ready").exists());
    let pid = postmaster_of(&data_dir);
    owner.kill().unwrap();
    owner.wait().unwrap();
    within(20, &|| !is_running(pid));
}

/// The other half of [`a_killed_owner_takes_its_server_with_it`]: by itself it does nothing.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn own_a_server_until_killed() {
    let Some(folder) = std::env::var_os("SERVER_FOLDER") else { return };
    let folder = Path::new(&folder);
    let _cluster = Cluster::start(ClusterOptions::for_tests(binaries(), folder.join("pg"))).await.unwrap();
    fs::write(folder.join("ready"), "").unwrap();
    tokio::time::sleep(Duration::from_secs(60)).await;
}
