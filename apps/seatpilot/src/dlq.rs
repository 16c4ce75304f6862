//! `seatpilot dlq`: the telemetry that was refused and kept.

use clap::Subcommand;
use serde_json::json;

use crate::{failure::Failure, global::Global, output::columns, running::Running};

/// What to do with the dead-letter queue.
#[derive(Debug, Clone, Subcommand)]
pub enum Command {
    /// List what was refused, newest first, without the payloads.
    #[command(after_help = "Example:\n  seatpilot dlq list --limit 20 --json")]
    List {
        /// How many at most.
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
        limit: u32,
    },
}

/// Does it.
///
/// # Errors
/// Where the database does not answer.
pub async fn run(command: &Command, global: &Global) -> Result<(), Failure> {
    let (running, mut admin) = Running::connect(global).await?;
    match command {
        Command::List { limit } => {
            let letters = admin.dead_letters(&running.tenant, *limit).await?;
            let rows = letters.iter().map(|letter| {
                json!({
                    "dlq_id": letter.dlq_id,
                    "received_at": letter.received_at,
                    "reason": letter.reason,
                    "detail": letter.detail,
                    "event_id": letter.event_id,
                    "event_type": letter.event_type,
                    "key_id": letter.key_id,
                    "request_id": letter.request_id,
                    "payload_len": letter.payload_len,
                    "state": letter.state,
                })
            });
            let names =
                ["dlq_id", "received_at", "reason", "detail", "event_id", "event_type", "key_id", "state"];
            global.output().list(&names, &rows.collect::<Vec<_>>(), columns(&names))
        }
    }
}
