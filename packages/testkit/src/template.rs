//! The migrated database that every test's own is a copy of.

use seatpilot_runtime::SecretString;
use seatpilot_store::admin::{Admin, MIGRATIONS};
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
    let wanted = fingerprint();
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
    // As `seatpilot migrate` does it, so that the ledger is there too.
    let mut owner = Admin::connect(&SecretString::new(format!("{url}/{TEMPLATE}"))).await?;
    owner.migrate(|_| {}).await?;
    drop(owner);
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

/// Of the migrations as they were when the test was built.
fn fingerprint() -> String {
    let mut hash = Sha256::new();
    for migration in MIGRATIONS {
        for part in [migration.version, migration.name, migration.sql] {
            hash.update(part);
            hash.update([0]);
        }
    }
    hex::encode(hash.finalize())
}
