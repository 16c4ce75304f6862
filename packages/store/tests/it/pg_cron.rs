//! The real pg_cron drives the counting where it is installed, and kpi-refresher leaves it alone.

use std::{
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    time::{Duration, Instant},
};

use seatpilot_private_postgres::{Binaries, Cluster, ClusterOptions};
use seatpilot_runtime::SecretString;
use seatpilot_store::admin::Admin;

/// A server that has the extension: Debian packs it beside its own.
#[expect(clippy::print_stderr, reason = "a test that did not run says so")]
fn with_pg_cron() -> Option<Binaries> {
    let tools = seatpilot_testkit::tools_folder();
    let found = Binaries::find(None, Some(&tools)).ok().filter(|binaries| {
        let control = format!("/usr/share/postgresql/{}/extension/pg_cron.control", binaries.major());
        binaries.bin_dir().starts_with("/usr/lib/postgresql") && PathBuf::from(control).exists()
    });
    if found.is_none() {
        eprintln!("SKIPPED: no pg_cron on this machine (apt-get install postgresql-15-cron)");
    }
    found
}

#[tokio::test]
async fn pg_cron_counts_every_minute_and_kpi_refresher_does_not() {
    let Some(binaries) = with_pg_cron() else { return };
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let options = ClusterOptions::for_tests(binaries, folder.path().join("postgres"))
        .setting("shared_preload_libraries", "pg_cron")
        .setting("cron.database_name", "seatpilot")
        // Without a password file to log in with.
        .setting("cron.use_background_workers", "on");
    let mut cluster = Cluster::start(options).await.unwrap();
    cluster.ensure_database("seatpilot").await.unwrap();
    let url = cluster.url("seatpilot");
    let owner = seatpilot_testkit::connect(&url).await.unwrap();
    owner.batch_execute("create extension pg_cron").await.unwrap();
    let mut admin = Admin::connect(&SecretString::from(url.as_str())).await.unwrap();
    admin.migrate(|_| {}).await.unwrap();
    let jobs = "select string_agg(jobname || ' ' || schedule, '; ' order by jobname) from cron.job";
    let jobs: String = owner.query_one(jobs, &[]).await.unwrap().get(0);
    assert_eq!(jobs, "ops_metering_seed_daily 5 0 * * *; ops_metering_tick * * * * *");
    // The daily job every minute, so that it need not be midnight. Twice is once: asked below.
    owner
        .batch_execute(
            "select cron.alter_job(jobid, schedule => '* * * * *') from cron.job where jobname = 'ops_metering_seed_daily';
             insert into ops.tenants (tenant_id, name) values ('acme', 'Acme');
             insert into telemetry.events_raw (occurred_at, id, tenant_id, type, source, venue_id, data)
             values (now(), gen_random_uuid(), 'acme', 'device.heartbeat', 'k', 'v', '{}')",
        )
        .await
        .unwrap();
    let driven = "select (select cron_seen_at is not null from app.metering_progress)
        and exists (select from app.job_runs where job = 'ops_metering_seed_daily' and driver = 'pg_cron')
        and exists (select from app.monthly_counters where feature = 'events' and quantity = 1)";
    let began = Instant::now();
    while !owner.query_one(driven, &[]).await.unwrap().get::<_, bool>(0) {
        assert!(began.elapsed() < Duration::from_secs(130), "pg_cron counted nothing in two minutes");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    let kpi = seatpilot_testkit::connect(&cluster.url_as("seatpilot_kpi", None, "seatpilot")).await.unwrap();
    let tick = kpi.query_one("select outcome from app.metering_tick('kpi-refresher')", &[]).await.unwrap();
    assert_eq!(tick.get::<_, &str>(0), "left_to_pg_cron");
    let again = owner.query_one("select app.ops_metering_seed_daily()", &[]).await.unwrap();
    assert!(!again.get::<_, bool>(0), "the day's run was before");
    // Scheduling again changes nothing.
    assert!(owner.query_one("select app.ops_metering_schedule()", &[]).await.unwrap().get::<_, bool>(0));
    let count: i64 = owner.query_one("select count(*) from cron.job", &[]).await.unwrap().get(0);
    assert_eq!(count, 2);
    drop((owner, kpi, admin));
    cluster.stop().await;
}
