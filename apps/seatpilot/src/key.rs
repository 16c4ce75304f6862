//! `seatpilot key`: what signs telemetry.

use std::{
    io::{self, IsTerminal, Write as _},
    time::{Duration, Instant},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use clap::Subcommand;
use indicatif::ProgressBar;
use jiff::SignedDuration;
use seatpilot_domain_model::{KeyScope, TenantId};
use seatpilot_store::admin::{Admin, GRACE_MAX, PreviousSecret, RevokedKey, Rotation};
use serde_json::{Value, json};

use crate::{
    failure::Failure,
    global::Global,
    output::{Output, Style, columns},
    running::Running,
};

/// How often a pipe hears how far it is.
const TOLD_EVERY: Duration = Duration::from_secs(2);
/// Keys that cannot be opened and are named in the line of why; with --json all are.
const NAMED_MAX: usize = 5;

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
    /// Give a key a new secret, in base64, which is shown this once; the old one verifies for a while longer.
    ///
    /// Within 5 seconds every instance takes both. Give the sender the new one before the grace is over: then the old one
    /// is refused. Never more than two verify: a key whose last rotation is still in its grace is refused (exit 1, with
    /// how long it lasts), unless --force drops that old secret at once. For a secret that got out: --grace 0s, or revoke.
    ///
    /// With --json: { "key_id", "secret", "rotated_at", "previous_until" }, the last null without a grace.
    #[command(
        after_help = "Examples:\n  seatpilot key rotate acme_gate_01\n  seatpilot key rotate acme_gate_01 --grace 0s --force"
    )]
    Rotate {
        /// The key's id.
        #[arg(value_name = "KEY_ID", value_parser = key_id)]
        id: String,
        /// How long the old secret verifies, such as 24h, 90m, 0s; at most 720h.
        #[arg(long, value_name = "TIME", default_value = "24h", value_parser = grace)]
        grace: SignedDuration,
        /// Drop an older secret whose grace is not over.
        #[arg(long)]
        force: bool,
    },
    /// Seal every key's secrets in the database with the first key of the key file; what is sealed with it already stays.
    ///
    /// For all tenants, or the one that --tenant names. It can be stopped and begun again, and changes nothing for
    /// senders. To change the key that seals: put a new line on top of SEATPILOT_SECRETS_KEY_FILE everywhere, start the
    /// services again, run this, then take the old line out. Exit 1 where a secret cannot be opened, with which.
    ///
    /// With --json: { "sealed", "unreadable": [{ "tenant_id", "key_id", "reason" }] }.
    #[command(
        after_help = "Example:\n  SEATPILOT_SECRETS_KEY_FILE=secrets/at_rest_keys seatpilot key reencrypt"
    )]
    Reencrypt,
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

/// A time as people write it; what stays open for longer than a month is no grace.
fn grace(text: &str) -> Result<SignedDuration, String> {
    let grace: SignedDuration =
        text.parse().map_err(|_| "must be a time such as 24h, 90m or 0s".to_owned())?;
    if grace.is_negative() || grace > GRACE_MAX {
        return Err(format!("must be 0s to {}h", GRACE_MAX.as_hours()));
    }
    Ok(grace)
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
            running.may_write_secrets()?;
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
                    "rotated_at": key.rotated_at,
                    "previous_until": key.previous_until,
                    "sealed_with": key.sealed_with,
                    "revoked_at": key.revoked_at,
                })
            });
            let names = [
                "key_id",
                "scopes",
                "created_at",
                "rotated_at",
                "previous_until",
                "sealed_with",
                "revoked_at",
            ];
            output.list(&names, &rows.collect::<Vec<_>>(), columns(&names))
        }
        Command::Rotate { id, grace, force } => {
            running.may_write_secrets()?;
            let before = if *force { PreviousSecret::Dropped } else { PreviousSecret::Kept };
            let done = match admin.rotate_key(tenant, id, *grace, before).await? {
                Rotation::Done(done) => done,
                Rotation::StillLive { until, left } => {
                    return Err(Failure::new(format!(
                        "{id} was rotated before, and its old secret verifies for {} more, until {until}: wait, or drop it \
                         at once with --force",
                        in_words(left)
                    )));
                }
                Rotation::Revoked => {
                    return Err(Failure::new(format!("{id} is revoked: make another key with `key add`")));
                }
                Rotation::Unknown => return Err(unknown(tenant, id)),
            };
            let secret = STANDARD.encode(done.secret.expose_secret());
            if output.style() != Style::Json {
                match done.previous_until {
                    Some(until) => output.note(format!("the old secret verifies until {until}"))?,
                    None => output.note("the old secret verifies no longer")?,
                }
                output.note("the new secret is shown this once:")?;
            }
            let made = json!({
                "key_id": id,
                "secret": secret,
                "rotated_at": done.rotated_at,
                "previous_until": done.previous_until,
            });
            output.result(&format!("{id}\t{secret}"), &made)
        }
        Command::Reencrypt => {
            running.needs_a_key_file()?;
            let tenants = match &global.tenant {
                Some(tenant) => vec![tenant.clone()],
                None => admin.tenants().await?,
            };
            reencrypt(&mut admin, &tenants, output).await
        }
        Command::Revoke { id } => match admin.revoke_key(tenant, id).await? {
            RevokedKey::Revoked => {
                output.result(&format!("{id} is revoked"), &json!({ "key_id": id, "revoked": true }))
            }
            RevokedKey::Unknown => Err(unknown(tenant, id)),
        },
    }
}

fn unknown(tenant: &TenantId, id: &str) -> Failure {
    Failure::new(format!("tenant {tenant} has no key {id}"))
}

/// `23 h 59 min`, `12 min`, `40 s`: never 0, for it is not over.
fn in_words(left: SignedDuration) -> String {
    let seconds = left.as_secs().max(1);
    match (seconds / 3_600, seconds % 3_600 / 60) {
        (0, 0) => format!("{seconds} s"),
        (0, minutes) => format!("{minutes} min"),
        (hours, minutes) => format!("{hours} h {minutes} min"),
    }
}

/// Seals all keys of these tenants anew, a few hundred in a transaction, and tells how far it is.
async fn reencrypt(admin: &mut Admin, tenants: &[TenantId], output: Output) -> Result<(), Failure> {
    let bar = if io::stderr().is_terminal() { ProgressBar::new_spinner() } else { ProgressBar::hidden() };
    bar.enable_steady_tick(Duration::from_millis(100));
    let (mut sealed, mut unreadable, mut told) = (0, Vec::new(), Instant::now());
    for (nth, tenant) in tenants.iter().enumerate() {
        let mut after = None;
        loop {
            let step = admin.reseal_keys(tenant, after.as_deref()).await?;
            sealed += step.sealed;
            unreadable.extend(
                step.unreadable
                    .into_iter()
                    .map(|(key, why)| json!({ "tenant_id": tenant, "key_id": key, "reason": why })),
            );
            let line = format!("{sealed} keys sealed, tenant {} of {}", nth + 1, tenants.len());
            if bar.is_hidden() && told.elapsed() >= TOLD_EVERY {
                told = Instant::now();
                // Where standard error is closed nobody wants to know.
                let _ = writeln!(io::stderr().lock(), "{line}");
            }
            bar.set_message(line);
            match step.next {
                Some(next) => after = Some(next),
                None => break,
            }
        }
    }
    bar.finish_and_clear();
    let done = json!({ "sealed": sealed, "unreadable": unreadable });
    output.result(&format!("{sealed} keys sealed with the first key of the file"), &done)?;
    if unreadable.is_empty() {
        return Ok(());
    }
    let named: Vec<String> = unreadable
        .iter()
        .take(NAMED_MAX)
        .map(|row| format!("{} {}: {}", word(&row["tenant_id"]), word(&row["key_id"]), word(&row["reason"])))
        .collect();
    Err(Failure::new(format!("{} keys cannot be opened ({})", unreadable.len(), named.join("; "))))
}

fn word(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grace_is_a_time_of_at_most_a_month() {
        for (text, hours) in [("24h", 24), ("0s", 0), ("720h", 720), ("2h 60m", 3)] {
            assert_eq!(grace(text).unwrap(), SignedDuration::from_hours(hours), "{text}");
        }
        assert_eq!(grace("90m").unwrap().as_secs(), 5_400);
        for text in ["", "24", "-1h", "721h", "1 fortnight", "forever"] {
            assert!(grace(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_left_of_a_grace_is_said_in_its_largest_parts() {
        let said = [86_399, 3_600, 719, 59, 0].map(|seconds| in_words(SignedDuration::from_secs(seconds)));
        assert_eq!(said, ["23 h 59 min", "1 h 0 min", "11 min", "59 s", "1 s"]);
    }
}
