//! `seatpilot key`: what signs telemetry.

use base64::{Engine, engine::general_purpose::STANDARD};
use clap::Subcommand;
use seatpilot_domain_model::KeyScope;
use seatpilot_store::admin::RevokedKey;
use serde_json::json;

use crate::{
    failure::Failure,
    global::Global,
    output::{Style, columns},
    running::Running,
};

/// What to do with keys.
#[derive(Debug, Clone, Subcommand)]
pub enum Command {
    /// Make a key and print its secret in base64, which is shown this once.
    #[command(after_help = "Example:\n  seatpilot key add acme_gate_01 --scope ingest,arrive")]
    Add {
        /// Its id, 8 to 64 of A-Z a-z 0-9 _ - [default: one is made up].
        #[arg(value_name = "KEY_ID", value_parser = key_id)]
        id: Option<String>,
        /// What it may do: ingest (send events), arrive (send arrival pings).
        #[arg(long = "scope", value_name = "SCOPE", value_delimiter = ',', default_value = "ingest")]
        scopes: Vec<KeyScope>,
    },
    /// List the tenant's keys, without their secrets.
    #[command(after_help = "Example:\n  seatpilot key list --json")]
    List,
    /// Take a key's access away, everywhere within 5 seconds; twice is fine.
    #[command(after_help = "Example:\n  seatpilot key revoke acme_gate_01")]
    Revoke {
        /// The key's id.
        #[arg(value_name = "KEY_ID", value_parser = key_id)]
        id: String,
    },
}

/// `x-key`'s grammar (contract section 4): another id could never be sent.
fn key_id(text: &str) -> Result<String, &'static str> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    if (8..=64).contains(&text.len()) && text.bytes().all(allowed) {
        Ok(text.to_owned())
    } else {
        Err("must be 8 to 64 of A-Z a-z 0-9 _ -")
    }
}

/// Does it.
///
/// # Errors
/// Where the database does not answer, the id is taken, or there is no such key.
pub async fn run(command: &Command, global: &Global) -> Result<(), Failure> {
    let (running, mut admin) = Running::connect(global).await?;
    let (output, tenant) = (global.output(), &running.tenant);
    match command {
        Command::Add { id, scopes } => {
            let mut scopes = scopes.clone();
            scopes.sort();
            scopes.dedup();
            admin.ensure_tenant(tenant, tenant.as_str()).await?;
            let key = admin.add_key(tenant, id.as_deref(), &scopes).await?;
            let secret = STANDARD.encode(key.secret.expose_secret());
            if output.style() != Style::Json {
                output.note("the secret is shown this once:")?;
            }
            let made = json!({ "key_id": key.key_id, "secret": secret, "scopes": scopes });
            output.result(&format!("{}\t{secret}", key.key_id), &made)
        }
        Command::List => {
            let keys = admin.keys(tenant).await?;
            let rows = keys.iter().map(|key| {
                json!({
                    "key_id": key.key_id,
                    "scopes": key.scopes,
                    "created_at": key.created_at,
                    "revoked_at": key.revoked_at,
                })
            });
            let names = ["key_id", "scopes", "created_at", "revoked_at"];
            output.list(&names, &rows.collect::<Vec<_>>(), columns(&names))
        }
        Command::Revoke { id } => match admin.revoke_key(tenant, id).await? {
            RevokedKey::Revoked => {
                output.result(&format!("{id} is revoked"), &json!({ "key_id": id, "revoked": true }))
            }
            RevokedKey::Unknown => Err(Failure::new(format!("tenant {tenant} has no key {id}"))),
        },
    }
}
