//! The migrated database that every test's own is a copy of.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use tokio_postgres::Client;

use crate::server::connect;

/// The name of the template.
pub const TEMPLATE: &str = "seatpilot_template";
/// Whoever makes the template holds this advisory lock on database `postgres`: "SeatPilo" in ASCII.
const LOCK: i64 = 0x5365_6174_5069_6c6f;

/// Makes the template on the server at `url`, unless it is there and of the migrations as they are now. Any number
/// of processes may do so at once.
///
/// # Errors
/// What the server answered, with the name of the migration.
pub async fn make(url: &str) -> anyhow::Result<()> {
    let migrations = migrations()?;
    let wanted = fingerprint(&migrations);
    let client = connect(&format!("{url}/postgres")).await?;
    if is_current(&client, &wanted).await? {
        return Ok(());
    }
    // Given back when the connection ends, whatever happens.
    client.execute("select pg_advisory_lock($1)", &[&LOCK]).await?;
    if is_current(&client, &wanted).await? {
        return Ok(());
    }
    let exists = client.query_opt("select 1 from pg_database where datname = $1", &[&TEMPLATE]).await?;
    if exists.is_some() {
        client.batch_execute(&format!("alter database {TEMPLATE} is_template false")).await?;
        client.batch_execute(&format!("drop database {TEMPLATE} with (force)")).await?;
    }
    client.batch_execute(&format!("create database {TEMPLATE} template template0")).await?;
    migrate(&format!("{url}/{TEMPLATE}"), &migrations).await?;
    // A copy is refused while anybody is connected to the template.
    client
        .batch_execute(&format!("alter database {TEMPLATE} allow_connections false is_template true"))
        .await?;
    // The mark comes last: without it the next process begins anew.
    client.batch_execute(&format!("comment on database {TEMPLATE} is '{wanted}'")).await?;
    Ok(())
}

async fn is_current(client: &Client, wanted: &str) -> anyhow::Result<bool> {
    let mark = client
        .query_opt(
            "select shobj_description(oid, 'pg_database') from pg_database where datname = $1",
            &[&TEMPLATE],
        )
        .await?;
    Ok(mark.and_then(|row| row.get::<_, Option<String>>(0)).is_some_and(|mark| mark == wanted))
}

async fn migrate(url: &str, migrations: &[(PathBuf, String)]) -> anyhow::Result<()> {
    let client = connect(url).await?;
    for (path, sql) in migrations {
        client.batch_execute(sql).await.map_err(|error| {
            let detail = error.as_db_error().map_or_else(|| error.to_string(), describe);
            anyhow::anyhow!("{}: {detail}", path.display())
        })?;
    }
    Ok(())
}

fn describe(error: &tokio_postgres::error::DbError) -> String {
    let mut text = format!("{} ({})", error.message(), error.code().code());
    if let Some(tokio_postgres::error::ErrorPosition::Original(at)) = error.position() {
        let _ = write!(text, " at character {at}");
    }
    if let Some(context) = error.where_() {
        let _ = write!(text, " in {context}");
    }
    text
}

/// `supabase/sql/NNN_*.sql` in order, with their text.
fn migrations() -> anyhow::Result<Vec<(PathBuf, String)>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../supabase/sql");
    let mut paths: Vec<PathBuf> = fs::read_dir(folder)?
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            name.ends_with(".sql") && name.starts_with(|c: char| c.is_ascii_digit())
        })
        .collect();
    paths.sort();
    paths.into_iter().map(|path| Ok((path.clone(), fs::read_to_string(path)?))).collect()
}

fn fingerprint(migrations: &[(PathBuf, String)]) -> String {
    let mut hash = Sha256::new();
    for (path, sql) in migrations {
        hash.update(path.file_name().unwrap_or_default().as_encoded_bytes());
        hash.update([0]);
        hash.update(sql.as_bytes());
        hash.update([0]);
    }
    hex::encode(hash.finalize())
}
