//! The database of one box: a private Postgres in the data directory, or one that was given.

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use seatpilot_private_postgres::{Binaries, Cluster, ClusterOptions, Lingering};
use seatpilot_runtime::SecretString;
use seatpilot_store::admin::{Admin, SERVICE_ROLES};

use super::{data_dir::DataDir, progress::Progress, secrets::Secrets};
use crate::failure::Failure;

/// The database inside the private cluster.
const NAME: &str = "seatpilot";
/// Connections: the services' pools and writers, the operator's commands, and as much again.
const CONNECTIONS: &str = "200";

/// How often a role's password is tried to be set.
const ROLE_TRIES: u32 = 20;

/// Where the data is, as an owner reaches it.
#[derive(Clone)]
pub(super) struct Database {
    /// The owner's URL.
    pub(super) url: SecretString,
    /// The same, where the environment gave it.
    pub(super) given: Option<SecretString>,
}

/// Starts the private cluster.
///
/// # Errors
/// One sentence of why not, with the way out.
pub(super) async fn start_private(
    data_dir: &DataDir,
    secrets: &Secrets,
    bin: Option<&Path>,
) -> Result<(Cluster, Database), Failure> {
    let folder = data_dir.postgres();
    let binaries = Binaries::find_for(&folder, bin, tools().as_deref()).map_err(Failure::new)?;
    let step = Progress::begin(format!("database (Postgres {})", binaries.major()));
    let mut options = ClusterOptions::durable(binaries, &folder, &secrets.postgres_password)
        .setting("max_connections", CONNECTIONS)
        .setting("shared_buffers", "256MB")
        .setting("max_wal_size", "2GB")
        .setting("random_page_cost", "1.1")
        .setting("log_min_messages", "warning")
        .setting("TimeZone", "UTC")
        .setting("log_timezone", "UTC");
    // The lock of the data directory is ours: a server that still runs on it has lost its owner.
    options.lingering = Lingering::Stop;
    let cluster = Cluster::start(options).await.map_err(Failure::new)?;
    cluster.ensure_database(NAME).await.map_err(Failure::new)?;
    step.done(format!("{}, port {}", folder.display(), cluster.port().unwrap_or_default()));
    let url = SecretString::new(cluster.url(NAME));
    Ok((cluster, Database { url, given: None }))
}

/// Brings the schema up to date and gives each service's role its password.
///
/// # Errors
/// Where the database does not answer or a migration fails.
pub(super) async fn migrate(database: &Database, secrets: &Secrets) -> Result<Admin, Failure> {
    let step = Progress::begin("schema");
    let connected = Admin::connect(&database.url).await;
    let mut admin =
        connected.map_err(|error| Failure::from(error).while_doing("the database does not answer"))?;
    let applied = admin.migrate(|_| {}).await?.len();
    for role in SERVICE_ROLES {
        let password = secrets.role_password(role, database.given.as_ref());
        let mut tries = 0;
        // Another start on the same server at the same moment fails one of the two: the row of a role is updated
        // without waiting.
        while let Err(error) = admin.set_role_password(role, &password).await {
            tries += 1;
            if tries == ROLE_TRIES {
                return Err(error.into());
            }
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
    }
    let version = admin.schema_version().await?.unwrap_or_default();
    step.done(match applied {
        0 => format!("up to date at {version}"),
        _ => format!("{applied} migrations applied, now at {version}"),
    });
    Ok(admin)
}

/// The owner's URL with another login.
///
/// # Errors
/// Where the URL is none.
pub(super) fn url_as(
    owner: &SecretString,
    role: &str,
    password: &SecretString,
) -> Result<SecretString, Failure> {
    let (owner, password) = (owner.expose_secret(), password.expose_secret());
    if let Some((scheme, rest)) = owner.split_once("://") {
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        let hosts = authority.rsplit_once('@').map_or(authority, |(_, hosts)| hosts);
        return Ok(SecretString::new(format!("{scheme}://{role}:{password}@{hosts}{path}")));
    }
    if owner.contains('=') {
        // Of a word that comes twice the last one counts.
        return Ok(SecretString::new(format!("{owner} user={role} password={password}")));
    }
    Err(Failure::Configuration(vec![
        "DATABASE_URL must be postgres://user:password@host:port/database".to_owned(),
    ]))
}

/// Where `scripts/up.sh` puts a server that it had to fetch: `target/tools`, seen from `target/release`.
fn tools() -> Option<PathBuf> {
    let own: io::Result<PathBuf> = std::env::current_exe();
    Some(own.ok()?.parent()?.parent()?.join("tools"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_reaches_the_owner_s_database_with_a_login_of_its_own() {
        let to = |owner: &str| {
            let url = url_as(&SecretString::from(owner), "seatpilot_kpi", &SecretString::from("pw"));
            url.map(|url| url.expose_secret().clone()).expect("a URL")
        };
        assert_eq!(
            to("postgres://o:p%40q@db:5433/x?sslmode=disable"),
            "postgres://seatpilot_kpi:pw@db:5433/x?sslmode=disable"
        );
        assert_eq!(to("postgresql://db"), "postgresql://seatpilot_kpi:pw@db");
        assert_eq!(to("postgres://a@h1,h2/x"), "postgres://seatpilot_kpi:pw@h1,h2/x");
        let words = "host=/tmp user=owner dbname=x";
        assert_eq!(to(words), format!("{words} user=seatpilot_kpi password=pw"));
    }
}
