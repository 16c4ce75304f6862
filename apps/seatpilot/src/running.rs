//! What is running: the database and the tenant that a command works on.
//!
//! A data directory named on the command line, with a `state.json` in it, comes first; then `DATABASE_URL`
//! (or `SUPABASE_DB_URL`), as for `up`; then the default data directory.

use std::path::Path;

use seatpilot_domain_model::TenantId;
use seatpilot_runtime::{AtRest, DatabaseConfig, Deployment, Environment, PlainSecrets, SecretString};
use seatpilot_store::admin::{Admin, AdminError, MIGRATIONS};

use crate::{
    failure::Failure,
    global::{DEFAULT_TENANT, Global},
    state::{AT_REST_FILE, State},
};

/// What to do for a command that works on any database, where nothing runs here.
const INSTEAD: &str = "set DATABASE_URL";

/// A database, and what `up` left about it.
#[derive(Debug, Clone)]
pub struct Running {
    /// An owner's connection string.
    pub database_url: SecretString,
    /// The running `up`'s own account; none where the environment named the database.
    pub state: Option<State>,
    /// Which tenant to work on.
    pub tenant: TenantId,
    /// What seals and opens secrets: the key file of the environment, else the one in the data directory of `up`.
    pub at_rest: AtRest,
}

impl Running {
    /// Finds it.
    ///
    /// # Errors
    /// `not running: start it with …` where there is none; configuration faults (exit 64).
    pub fn find(global: &Global) -> Result<Self, Failure> {
        let state = State::read(&global.data_dir())?;
        let explicit = global.data_dir.is_some() && state.is_some();
        let from_environment = if explicit { None } else { database_of(Environment::process())? };
        let at_rest = Environment::process().read(|env| {
            let deployment = Deployment::read(env);
            AtRest::optional(env, deployment)
        })?;
        match (from_environment, state) {
            (Some(database_url), _) => {
                Ok(Self { database_url, tenant: tenant_of(global, None)?, state: None, at_rest })
            }
            (None, Some(state)) => Ok(Self {
                database_url: SecretString::from(state.database_url.as_str()),
                tenant: tenant_of(global, Some(&state))?,
                at_rest: if at_rest.keys.is_empty() { at_rest_of(&global.data_dir())? } else { at_rest },
                state: Some(state),
            }),
            (None, None) => Err(not_running(global, INSTEAD)),
        }
    }

    /// Whether a secret may be written to this database as things are.
    ///
    /// # Errors
    /// In production without a key file (exit 64): it would be refused by every service.
    pub fn may_write_secrets(&self) -> Result<(), Failure> {
        match self.at_rest.plain {
            PlainSecrets::Read => Ok(()),
            PlainSecrets::Refused => self.needs_a_key_file(),
        }
    }

    /// For what only a key file can do.
    ///
    /// # Errors
    /// Without one (exit 64).
    pub fn needs_a_key_file(&self) -> Result<(), Failure> {
        if self.at_rest.keys.is_empty() {
            return Err(Failure::Configuration(vec![
                "SEATPILOT_SECRETS_KEY_FILE: is required here: it names the file with the keys that seal secrets, as \
                 the services have it"
                    .to_owned(),
            ]));
        }
        Ok(())
    }

    /// Opens the operator's door, whatever the schema.
    ///
    /// # Errors
    /// `not running: start it with …` where the database of a `state.json` does not answer; for `DATABASE_URL`
    /// why it does not, without the URL, which holds a password.
    pub async fn open(&self, global: &Global) -> Result<Admin, Failure> {
        let admin = Admin::connect(&self.database_url)
            .await
            .map(|admin| admin.acting_as(&account()).sealing_with(&self.at_rest));
        admin.map_err(|error| match (error, &self.state) {
            (AdminError::Url(fault), None) => Failure::Configuration(vec![format!("DATABASE_URL {fault}")]),
            (_, Some(_)) => not_running(global, INSTEAD),
            (error, None) => Failure::from(error).while_doing("the database of DATABASE_URL does not answer"),
        })
    }

    /// Finds the database and opens it, its schema being as new as this program needs.
    ///
    /// # Errors
    /// As [`Running::find`] and [`Running::open`]; where `seatpilot migrate` has to run first.
    pub async fn connect(global: &Global) -> Result<(Self, Admin), Failure> {
        let running = Self::find(global)?;
        let mut admin = running.open(global).await?;
        let newest = MIGRATIONS.last().map(|migration| migration.version).unwrap_or_default();
        match admin.schema_version().await? {
            Some(version) if version.as_str() >= newest => Ok((running, admin)),
            _ => Err(Failure::new("the database has an older schema: run `seatpilot migrate` first")),
        }
    }
}

/// The key file that `up` keeps in its data directory, if it does.
fn at_rest_of(data_dir: &Path) -> Result<AtRest, Failure> {
    let path = data_dir.join(AT_REST_FILE);
    if !path.exists() {
        return Ok(AtRest::unsealed());
    }
    AtRest::of_file(&path)
        .map_err(|reason| Failure::Configuration(vec![format!("{}: a file that {reason}", path.display())]))
}

/// The database that the environment names, if it names one.
///
/// # Errors
/// Configuration faults (exit 64).
pub fn database_of(environment: Environment) -> Result<Option<SecretString>, Failure> {
    let config = environment.read(DatabaseConfig::optional)?;
    Ok(config.map(DatabaseConfig::into_direct))
}

/// Which tenant: the one asked for, else the running one's, else [`DEFAULT_TENANT`].
fn tenant_of(global: &Global, state: Option<&State>) -> Result<TenantId, Failure> {
    match (&global.tenant, state) {
        (Some(tenant), _) => Ok(tenant.clone()),
        (None, Some(state)) => Ok(state.tenant_id.clone()),
        (None, None) => DEFAULT_TENANT.parse().map_err(Failure::new),
    }
}

/// The account that runs this, for the audit log: its name where the system lists it, else its number. Who may be
/// another account may be written down as it; what the log holds against that is the account's password.
fn account() -> String {
    let uid = rustix::process::geteuid().as_raw();
    let listed = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let name = listed.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(uid)).then(|| name.to_owned())
    });
    name.unwrap_or_else(|| format!("uid {uid}"))
}

/// There is nothing to work on: how to start it, and what to do instead.
pub(crate) fn not_running(global: &Global, instead: &str) -> Failure {
    let directory = match &global.data_dir {
        Some(directory) => format!(" --data-dir {}", directory.display()),
        None => String::new(),
    };
    Failure::new(format!("not running: start it with `seatpilot up{directory}`, or {instead}"))
}
