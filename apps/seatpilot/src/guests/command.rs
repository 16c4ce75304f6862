//! `seatpilot guests`: load a list, take tickets back, make a list up.

use std::{
    fs::File,
    io::{self, BufWriter, Write},
    path::PathBuf,
};

use clap::Subcommand;
use jiff::Timestamp;
use seatpilot_domain_model::{EventId, VenueId, parse_rfc3339};
use seatpilot_venue_graph::{Graph, Venue};
use serde_json::json;

use super::{GuestPlan, Seating, generate, import, json, list, revoke};
use crate::{failure::Failure, global::Global, output::Style, running::Running, venue};

pub use super::import::row;

/// Most guests that are made up at once.
const GENERATE_MAX: usize = 1_000_000;
/// What to do with guests.
#[derive(Debug, Clone, Subcommand)]
pub enum Command {
    /// Load a guest list; the same line again changes nothing, a changed one updates what is not yet used.
    #[command(after_help = "Columns, in any order, the last one optional:\n  \
        ticket,event_id,name,party_size,section,table_id,seat_id,doors,valid_from,valid_until[,profile]\n\n\
        Examples:\n  seatpilot guests import tonight.csv\n  seatpilot guests import - --partial --json < tonight.csv")]
    Import(import::Import),
    /// Take tickets back; whoever holds one is refused from now on. Twice is fine.
    #[command(after_help = "Examples:\n  seatpilot guests revoke SP-7K3M-0001 --event derby\n  \
        seatpilot guests revoke - < stolen.txt")]
    Revoke(revoke::Revoke),
    /// Make up a guest list that reads like a real one, for trying a venue out: parties, names, seats, doors.
    #[command(
        after_help = "The same seed makes the same list. Whoever knows the seed knows the tickets. With --json: an array\n\
        with the columns of the CSV as members, for `jq`; --out writes the CSV.\n\n\
        Example:\n  seatpilot guests generate --event derby --count 72000 --seed 7 \\\n    \
        --venue venues/nissan-stadium --out derby.csv"
    )]
    Generate(Generate),
}

/// What to make up.
#[derive(Debug, Clone, clap::Args)]
pub struct Generate {
    /// For which event.
    #[arg(long, value_name = "ID")]
    event: EventId,
    /// How many tickets; each is a line, and a party of 1 to 8.
    #[arg(long, value_name = "N", value_parser = count)]
    count: usize,
    /// The seed [default: a random one].
    #[arg(long, value_name = "S")]
    seed: Option<u64>,
    /// A venue's folder, or the id of a published one [default: the running venue, else the built-in one].
    #[arg(long, value_name = "PATH|ID")]
    venue: Option<PathBuf>,
    /// Write here instead of to standard output.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Tickets are good from then on (RFC 3339).
    #[arg(long, value_name = "TIME", value_parser = parse_rfc3339)]
    valid_from: Option<Timestamp>,
    /// Tickets are good until then (RFC 3339).
    #[arg(long, value_name = "TIME", value_parser = parse_rfc3339)]
    valid_until: Option<Timestamp>,
}

fn count(text: &str) -> Result<usize, String> {
    let count = text.parse().ok().filter(|count| (1..=GENERATE_MAX).contains(count));
    count.ok_or_else(|| format!("must be 1 to {GENERATE_MAX}"))
}

/// Does it.
///
/// # Errors
/// Where a list is bad, a ticket is unknown, or the database does not answer.
pub async fn run(command: &Command, global: &Global) -> Result<(), Failure> {
    match command {
        Command::Import(args) => import::run(args, global).await,
        Command::Revoke(args) => revoke::run(args, global).await,
        Command::Generate(args) => make_up(args, global).await,
    }
}

async fn make_up(args: &Generate, global: &Global) -> Result<(), Failure> {
    let seed = match args.seed {
        Some(seed) => seed,
        None => {
            let mut bytes = [0; 8];
            getrandom::fill(&mut bytes).map_err(Failure::new)?;
            u64::from_le_bytes(bytes)
        }
    };
    let seating = match map_of(args, global).await? {
        Some(venue) => Seating::of(&Graph::new(venue)),
        None => Seating::of(&Graph::new(Venue::demo())),
    };
    let lines = generate(&GuestPlan {
        event: args.event.clone(),
        count: args.count,
        seed,
        seating,
        valid_from: args.valid_from,
        valid_until: args.valid_until,
    });
    let output = global.output();
    match (&args.out, output.style()) {
        (None, Style::Json) => json::write(BufWriter::new(io::stdout().lock()), &lines)?,
        (None, Style::Terminal | Style::Plain) => {
            list::write(BufWriter::new(io::stdout().lock()), &lines)?;
        }
        (Some(path), _) => {
            let written = File::create(path).and_then(|file| {
                let mut out = BufWriter::new(file);
                list::write(&mut out, &lines)?;
                out.flush()
            });
            written.map_err(|error| Failure::from(error).while_doing(path.display()))?;
            let people: u64 = lines.iter().map(|line| u64::from(line.party_size.get())).sum();
            output.result(
                &format!("{} tickets for {people} guests are in {}", lines.len(), path.display()),
                &json!({ "tickets": lines.len(), "guests": people, "seed": seed, "out": path }),
            )?;
        }
    }
    Ok(())
}

/// The map to seat guests on: a folder, a published venue, the running one; none for the built-in one.
async fn map_of(args: &Generate, global: &Global) -> Result<Option<Venue>, Failure> {
    let asked =
        match &args.venue {
            Some(path) if path.exists() => {
                return venue::read(path)?.venue.map(Some).map_err(Failure::new);
            }
            Some(id) => Some(id.to_string_lossy().parse::<VenueId>().map_err(|_| {
                Failure::new(format!("{} is neither a folder nor a venue's id", id.display()))
            })?),
            None => None,
        };
    let (running, mut admin) = match (Running::connect(global).await, &asked) {
        (Ok(connected), _) => connected,
        // A list can be made with nothing running.
        (Err(Failure::Failed(_)), None) => return Ok(None),
        (Err(failure), _) => return Err(failure),
    };
    if asked.is_none() && admin.venues(&running.tenant).await?.is_empty() {
        return Ok(None);
    }
    let venue = import::venue_for(asked.as_ref(), &running, &mut admin).await?;
    Ok(admin.venue(&running.tenant, &venue).await?)
}
