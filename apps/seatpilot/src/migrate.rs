//! `seatpilot migrate`: brings the database's schema up to this program's, and gives the services their passwords.

use std::path::{Path, PathBuf};

use seatpilot_runtime::{DatabaseConfig, Environment};
use seatpilot_store::admin::{Admin, AdminError, Migration};
use serde::Serialize;

use crate::{failure::Failure, global::Global, output::Output, running::Running};

/// Which logins are set beside the schema.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A file with a service's own DATABASE_URL: its role gets the password that stands in it. For each service once.
    #[arg(long = "login", value_name = "FILE")]
    logins: Vec<PathBuf>,
}

#[derive(Serialize)]
struct Migrated {
    applied: Vec<String>,
    schema_version: Option<String>,
    logins: Vec<String>,
}

/// Applies what is missing.
///
/// # Errors
/// Where the database does not answer, a migration fails (it is rolled back), an applied one was edited, or a file of
/// `--login` holds no URL of a service's role.
pub async fn run(args: &Args, global: &Global) -> Result<(), Failure> {
    let output = global.output();
    let mut admin = Running::find(global)?.open(global).await?;
    let applied = admin.migrate(|migration| announce(output, migration)).await?;
    let applied: Vec<String> = applied.into_iter().map(file).collect();
    let mut logins = Vec::new();
    for path in &args.logins {
        logins.push(set_login(&mut admin, path).await?);
    }
    let schema_version = admin.schema_version().await?;
    let version = schema_version.as_deref().unwrap_or("none");
    let mut sentence = match applied.len() {
        0 => format!("the schema is up to date, at {version}"),
        count => format!("{count} applied, the schema is at {version}"),
    };
    if !logins.is_empty() {
        sentence.push_str(&format!("; passwords set: {}", logins.join(", ")));
    }
    output.result(&sentence, &Migrated { applied, schema_version, logins })
}

/// Reads the file as the service itself does, so that what is set here is what the service will say.
async fn set_login(admin: &mut Admin, path: &Path) -> Result<String, Failure> {
    let wrong = |why: String| Failure::Configuration(vec![format!("--login {}: {why}", path.display())]);
    let environment = Environment::of([("DATABASE_URL_FILE", path.as_os_str())]);
    let config = environment.read(DatabaseConfig::required).map_err(|faults| wrong(faults.to_string()))?;
    admin.set_login(&config.url).await.map_err(|error| match error {
        AdminError::Url(_) | AdminError::Refused(_) => wrong(error.to_string()),
        AdminError::Store(_) => Failure::from(error),
    })
}

fn announce(output: Output, migration: &Migration) {
    // Progress only: nobody reading it does not stop the migration.
    let _ = output.note(format!("applying {}", file(migration)));
}

fn file(migration: &Migration) -> String {
    format!("{}_{}", migration.version, migration.name)
}
