//! `testkit-postgres`: one server for a whole test run.
//!
//! Prints `SEATPILOT_TEST_PG=<url>` when the template is ready, and runs until its standard input is closed or a
//! signal ends it; then the server and its folder are gone. `scripts/test.sh` holds the other end.

use std::io::Write;
use std::path::PathBuf;

use anyhow::Context;
use seatpilot_private_postgres::{Binaries, Cluster, ClusterOptions};
use tokio::signal::unix::{SignalKind, signal};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let given = std::env::var_os("SEATPILOT_PG_BIN").filter(|dir| !dir.is_empty()).map(PathBuf::from);
    let binaries = Binaries::find(given.as_deref(), Some(&seatpilot_testkit::tools_folder()))?;
    let folder = tempfile::Builder::new().prefix("seatpilot-test-").tempdir()?;
    // The server's account must be able to pass.
    std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o711))?;
    let options = ClusterOptions::for_tests(binaries, folder.path().join("postgres"));
    let mut cluster = Cluster::start(seatpilot_testkit::server_settings(options)).await?;
    let url = cluster.url("").trim_end_matches('/').to_owned();
    seatpilot_testkit::make_template(&url).await.context("the migrations do not apply")?;
    writeln!(std::io::stdout(), "SEATPILOT_TEST_PG={url}")?;
    std::io::stdout().flush()?;
    // A read of standard input cannot be cancelled: a thread that nobody waits for does it.
    let (let_go, mut released) = tokio::sync::mpsc::channel::<()>(1);
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        drop(let_go);
    });
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        _ = released.recv() => {}
        () = cluster.ended() => anyhow::bail!("the server of the tests ended by itself"),
    }
    cluster.stop_immediate().await;
    Ok(())
}
