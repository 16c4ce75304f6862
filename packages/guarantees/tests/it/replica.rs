//! A streaming replica: a tenant's KPIs are read from it under the same policies, and no service takes it for its database.

use std::time::{Duration, Instant};

use seatpilot_testkit::{Binary, Evening, TestDb, own_cluster};
use serde_json::json;
use tokio_postgres::Client;
use uuid::Uuid;

use crate::{dashboards::night::reader, durability::open_folder};

const SOON: Duration = Duration::from_secs(20);

/// A check-in that is told of that database.
fn check_in_on(url: &str) -> Binary {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    drop(listener);
    Binary::spawn("checkin", &[("PORT", &port), ("DATABASE_URL", url), ("SEATPILOT_DRAIN_MS", "0")])
}

async fn scan(evening: &Evening, service: &Binary, n: usize) -> u16 {
    let body = json!({
        "scan_id": Uuid::now_v7(), "venue_id": evening.venue.as_str(), "event_id": evening.event.as_str(),
        "door_id": evening.door.as_str(), "ticket": Evening::ticket(n), "channel": "kiosk",
    });
    let request = reqwest::Client::new().post(format!("{}/api/checkin/success", service.url()));
    let request = request.bearer_auth(&evening.device_token).header("content-type", "application/json");
    request.body(body.to_string()).send().await.unwrap().status().as_u16()
}

/// Waits until the replica has what the first server wrote until now.
async fn caught_up(primary: &Client, replica: &Client) {
    let written: String = primary.query_one("select pg_current_wal_lsn()::text", &[]).await.unwrap().get(0);
    let sql = "select pg_last_wal_replay_lsn() >= $1::text::pg_lsn";
    let since = Instant::now();
    while !replica.query_one(sql, &[&written]).await.unwrap().get::<_, bool>(0) {
        assert!(since.elapsed() < SOON, "the replica does not follow");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn tenants(client: &Client) -> Vec<String> {
    let sql = "select distinct tenant_id::text from telemetry.mv_kpi_checkin order by 1";
    client.query(sql, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn kpis_are_read_from_a_replica_and_no_service_takes_it_for_its_database() {
    let Some(base_backup) = seatpilot_testkit::postgres_program("pg_basebackup") else {
        println!("SKIPPED: no pg_basebackup beside this Postgres");
        return;
    };
    let folders = [open_folder(), open_folder()];
    let primary = own_cluster(folders[0].path()).await;
    let evening = Evening::on(TestDb::on(&primary.url("")).await, 2).await;
    let login = reader(&evening).await;
    let copy = folders[1].path().join("postgres");
    let made = tokio::process::Command::new(base_backup)
        .args([
            "--dbname",
            &primary.url("postgres"),
            "--write-recovery-conf",
            "--checkpoint=fast",
            "--no-sync",
        ])
        .arg("--pgdata")
        .arg(&copy)
        .kill_on_drop(true)
        .output()
        .await
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let replica = own_cluster(folders[1].path()).await;

    // What happens from now on is streamed: a guest of ours, and a KPI of somebody else's.
    let mut first = check_in_on(&evening.db.url_as("seatpilot_checkin"));
    first.ready().await;
    assert_eq!(scan(&evening, &first, 0).await, 201);
    let owner = evening.db.owner().await;
    let name = evening.db.name();
    let more = "select telemetry.refresh_mv('mv_kpi_checkin');
        insert into telemetry.mv_kpi_checkin
        select (jsonb_populate_record(k, '{\"tenant_id\": \"rival\"}')).* from telemetry.mv_kpi_checkin k";
    owner.batch_execute(more).await.unwrap();
    let on_replica = seatpilot_testkit::connect(&replica.url(name)).await.unwrap();
    caught_up(&owner, &on_replica).await;

    let as_reader = seatpilot_testkit::connect(&replica.url_as(&login, None, name)).await.unwrap();
    assert_eq!(tenants(&as_reader).await, ["acme"]);
    // The control: both are there, for who is bound by no policy, who writes nothing there either.
    assert_eq!(tenants(&on_replica).await, ["acme", "rival"]);
    let written = on_replica.execute("delete from telemetry.mv_kpi_checkin", &[]).await.unwrap_err();
    assert_eq!(written.code().map(tokio_postgres::error::SqlState::code), Some("25006"));

    // A service that is told of the replica only is never ready, and admits nobody.
    let mut misled = check_in_on(&replica.url_as("seatpilot_checkin", None, name));
    misled.answers("/health").await;
    for _ in 0..10 {
        let ready = reqwest::get(format!("{}/ready", misled.url())).await.unwrap().status();
        assert_eq!((ready.as_u16(), scan(&evening, &misled, 1).await), (503, 503), "{}", misled.output());
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    // The control: it was the replica's standing. Once that is the first server, the same process serves.
    drop(primary);
    assert!(on_replica.query_one("select pg_promote()", &[]).await.unwrap().get::<_, bool>(0));
    misled.ready().await;
    assert_eq!(scan(&evening, &misled, 1).await, 201);
}
