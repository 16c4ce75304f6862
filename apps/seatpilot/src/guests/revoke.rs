//! `seatpilot guests revoke`: tickets that let nobody in any more.

use std::io::{self, Read};

use seatpilot_domain_model::{EventId, TicketHash};
use serde_json::json;

use super::Ticket;
use crate::{failure::Failure, global::Global, running::Running};

/// Most tickets that one call revokes, from arguments and standard input.
const REVOKE_MAX: usize = 100_000;
/// Most bytes of standard input that `revoke -` reads.
const REVOKE_BYTES_MAX: u64 = 16 << 20;

/// Which tickets.
#[derive(Debug, Clone, clap::Args)]
pub struct Revoke {
    /// The codes, or - for one a line from standard input.
    #[arg(value_name = "TICKET", required = true)]
    tickets: Vec<String>,
    /// For this event only; without it for all events of the tenant.
    #[arg(long, value_name = "ID")]
    event: Option<EventId>,
}

/// Revokes them.
///
/// # Errors
/// Where a ticket is unknown (the others are revoked), or the database does not answer.
pub(super) async fn run(args: &Revoke, global: &Global) -> Result<(), Failure> {
    let mut codes = Vec::new();
    for ticket in &args.tickets {
        if ticket == "-" {
            let mut text = String::new();
            io::stdin().lock().take(REVOKE_BYTES_MAX).read_to_string(&mut text)?;
            codes.extend(text.lines().filter(|line| !line.is_empty()).map(str::to_owned));
        } else {
            codes.push(ticket.clone());
        }
    }
    if codes.len() > REVOKE_MAX {
        return Err(Failure::new(format!("over {REVOKE_MAX} tickets at once")));
    }
    let hashes: Option<Vec<TicketHash>> =
        codes.into_iter().map(|code| Ticket::new(code).map(|ticket| ticket.hash())).collect();
    let hashes = hashes.ok_or_else(|| Failure::new("a ticket has 1 to 512 characters"))?;
    let (running, mut admin) = Running::connect(global).await?;
    let outcome = admin.revoke_tickets(&running.tenant, args.event.as_ref(), &hashes).await?;
    let sentence =
        format!("{} revoked, {} were before, {} unknown", outcome.revoked, outcome.already, outcome.unknown);
    global.output().result(
        &sentence,
        &json!({ "revoked": outcome.revoked, "already": outcome.already, "unknown": outcome.unknown }),
    )?;
    match outcome.unknown {
        0 => Ok(()),
        unknown => {
            Err(Failure::new(format!("{unknown} of the tickets are not known; the others are revoked")))
        }
    }
}
