//! `seatpilot dlq`: the telemetry that was refused and kept. What waits is sent again, or given up.

mod progress;
mod report;
mod wanted;

use clap::{ArgGroup, Args, Subcommand};
use seatpilot_domain_model::{DISCARD_REASON_MAX, LetterState};
use seatpilot_store::LetterFilter;
use uuid::Uuid;

use crate::{failure::Failure, global::Global, output::columns, running::Running};

use self::{progress::Progress, wanted::Matching};

/// What to do with the dead-letter queue.
#[derive(Debug, Clone, Subcommand)]
pub enum Command {
    /// List what was refused, newest first, without the payloads.
    #[command(after_help = "Examples:\n  seatpilot dlq list --limit 20 --json\n  \
        seatpilot dlq list --state parked --reason quota_exceeded --older-than 7d")]
    List {
        /// Which.
        #[command(flatten)]
        matching: Matching,
        /// Only letters in this state: parked, redriving, redriven or discarded.
        #[arg(long)]
        state: Option<LetterState>,
        /// How many at most.
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
        limit: u32,
    },
    /// Show one letter with its payload. It is a sender's own text and may name guests: not into a ticket.
    #[command(after_help = "Example:\n  seatpilot dlq show 019aa0c4-7a00-7000-8000-000000000001 --json")]
    Show {
        /// The letter's id, as `list` shows it.
        id: Uuid,
    },
    /// Send letters again: each is judged by today's schemas and plan, as of the time it was received.
    ///
    /// What passes is stored once, under its own id and its first time of receipt; what does not waits on, with the
    /// reason. Event, letter and audit row are one transaction: broken off, run twice or by two people at once, a letter
    /// becomes one event. At most 50 a second; five refusals and only `discard` is left. Exit 0 where all was tried,
    /// whatever became of it.
    #[command(
        after_help = "With --json: { dry_run, accepted, duplicates, rejected, skipped, items: [{ dlq_id, event_id, \
        status,\nreason, detail }] }; reason of what was skipped: unknown, redriven, discarded, leased, exhausted, \
        truncated, lost.\n\nExamples:\n  seatpilot dlq redrive --reason quota_exceeded --dry-run\n  \
        seatpilot dlq redrive 019aa0c4-7a00-7000-8000-000000000001"
    )]
    Redrive {
        /// Which.
        #[command(flatten)]
        chosen: Chosen,
        /// Only say what would become of each. Changes nothing.
        #[arg(long)]
        dry_run: bool,
    },
    /// Give letters up. They stay readable until their 30 days are over, and are never sent again.
    #[command(
        after_help = "With --json: { discarded, skipped, items: [{ dlq_id, outcome }] }.\n\nExample:\n  \
        seatpilot dlq discard --key acme_gate_01 --older-than 7d --why \"sent again by hand on the 3rd\""
    )]
    Discard {
        /// Which.
        #[command(flatten)]
        chosen: Chosen,
        /// Why: it is kept with the letter and in the audit log.
        #[arg(long, value_name = "TEXT", value_parser = why)]
        why: String,
        /// Only count them. Changes nothing.
        #[arg(long)]
        dry_run: bool,
    },
}

/// The letters to work on: some by their ids, those that match, or all that wait.
#[derive(Debug, Clone, Args)]
#[command(group = ArgGroup::new("which").required(true).multiple(true)
    .args(["ids", "reason", "event_type", "key", "older_than", "newer_than", "all"]))]
pub struct Chosen {
    /// Letters by their ids.
    #[arg(value_name = "ID", conflicts_with_all = ["reason", "event_type", "key", "older_than", "newer_than", "all"])]
    ids: Vec<Uuid>,
    /// Of those that wait, the ones that match.
    #[command(flatten)]
    matching: Matching,
    /// All that wait.
    #[arg(long)]
    all: bool,
    /// How many at most, oldest first.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    limit: u32,
}

impl Chosen {
    fn filter(&self) -> LetterFilter {
        self.matching.filter(None)
    }
}

/// Does it.
///
/// # Errors
/// Where the database does not answer, or there is no such letter.
pub async fn run(command: &Command, global: &Global) -> Result<(), Failure> {
    let (running, mut admin) = Running::connect(global).await?;
    let output = global.output();
    let mut desk = admin.dead_letter_desk(&running.tenant);
    match command {
        Command::List { matching, state, limit } => {
            let letters = desk.list(&matching.filter(*state), None, *limit).await?;
            let rows = letters.iter().map(serde_json::to_value).collect::<Result<Vec<_>, _>>();
            let names = [
                "dlq_id",
                "received_at",
                "reason",
                "detail",
                "event_id",
                "event_type",
                "key_id",
                "state",
                "attempts",
            ];
            output.list(&names, &rows.map_err(Failure::new)?, columns(&names))
        }
        Command::Show { id } => {
            let letter = desk.show(*id).await?;
            let letter = letter
                .ok_or_else(|| Failure::new(format!("tenant {} has no dead letter {id}", running.tenant)))?;
            report::shown(output, &letter)
        }
        Command::Redrive { chosen, dry_run } => {
            let ids = match chosen.ids.is_empty() {
                true => wanted::ids(desk.redrivable(&chosen.filter(), None, chosen.limit).await?),
                false => wanted::distinct(&chosen.ids)?,
            };
            let mut progress = Progress::of(ids.len(), if *dry_run { "judged" } else { "sent again" });
            let became = match dry_run {
                true => desk.dry_run(&ids, |some| progress.advance(some.len())).await?,
                false => desk.redrive(&ids, |some| progress.advance(some.len())).await?,
            };
            report::redriven(output, *dry_run, &became)
        }
        Command::Discard { chosen, why, dry_run } => {
            let ids = match chosen.ids.is_empty() {
                true => wanted::ids(desk.discardable(&chosen.filter(), None, chosen.limit).await?),
                false => wanted::distinct(&chosen.ids)?,
            };
            if *dry_run {
                return report::discardable(output, &ids);
            }
            let mut progress = Progress::of(ids.len(), "given up");
            let became = desk.discard(&ids, why, |some| progress.advance(some.len())).await?;
            report::discarded(output, &became)
        }
    }
}

fn why(text: &str) -> Result<String, String> {
    let text = text.trim();
    let characters = text.chars().count();
    if !(1..=DISCARD_REASON_MAX).contains(&characters) || text.chars().any(char::is_control) {
        return Err(format!("must be one line of 1 to {DISCARD_REASON_MAX} characters"));
    }
    Ok(text.to_owned())
}
