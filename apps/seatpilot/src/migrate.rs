//! `seatpilot migrate`: brings the database's schema up to this program's.

use seatpilot_store::admin::Migration;
use serde::Serialize;

use crate::{failure::Failure, global::Global, output::Output, running::Running};

#[derive(Serialize)]
struct Migrated {
    applied: Vec<String>,
    schema_version: Option<String>,
}

/// Applies what is missing.
///
/// # Errors
/// Where the database does not answer, a migration fails (it is rolled back), or an applied one was edited.
pub async fn run(global: &Global) -> Result<(), Failure> {
    let output = global.output();
    let mut admin = Running::find(global)?.open(global).await?;
    let applied = admin.migrate(|migration| announce(output, migration)).await?;
    let applied: Vec<String> = applied.into_iter().map(file).collect();
    let schema_version = admin.schema_version().await?;
    let version = schema_version.as_deref().unwrap_or("none");
    let sentence = match applied.len() {
        0 => format!("the schema is up to date, at {version}"),
        count => format!("{count} applied, the schema is at {version}"),
    };
    output.result(&sentence, &Migrated { applied, schema_version })
}

fn announce(output: Output, migration: &Migration) {
    // Progress only: nobody reading it does not stop the migration.
    let _ = output.note(format!("applying {}", file(migration)));
}

fn file(migration: &Migration) -> String {
    format!("{}_{}", migration.version, migration.name)
}
