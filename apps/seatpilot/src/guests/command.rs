//! `seatpilot guests`: load a list, take tickets back, make a list up.

use std::{
    collections::{BTreeSet, HashSet},
    fs::File,
    io::{self, BufWriter, IsTerminal, Read, Write},
    path::PathBuf,
    time::Duration,
};

use clap::Subcommand;
use indicatif::ProgressBar;
use jiff::Timestamp;
use seatpilot_domain_model::{EventId, TicketHash, VenueId, parse_rfc3339};
use seatpilot_store::admin::{Admin, GuestRow};
use seatpilot_venue_graph::{Graph, PlaceKind, Venue};
use serde_json::json;

use super::{GuestLine, GuestPlan, Seating, Ticket, generate, list};
use crate::{
    cli::Global,
    failure::Failure,
    output::{Output, Style},
    running::Running,
    venue,
};

/// Most tickets that one call revokes, from arguments and standard input.
const REVOKE_MAX: usize = 100_000;
/// Most bytes of standard input that `revoke -` reads: so many codes of the greatest length would be a mistake.
const REVOKE_BYTES_MAX: u64 = 16 << 20;
/// Most guests that are made up at once.
const GENERATE_MAX: usize = 1_000_000;
/// Doors that a warning names.
const DOORS_NAMED_MAX: usize = 10;

/// What to do with guests.
#[derive(Debug, Clone, Subcommand)]
pub enum Command {
    /// Load a guest list; the same line again changes nothing, a changed one updates what is not yet used.
    #[command(after_help = "Columns, in any order, the last one optional:\n  \
        ticket,event_id,name,party_size,section,table_id,seat_id,doors,valid_from,valid_until[,profile]\n\n\
        Examples:\n  seatpilot guests import tonight.csv\n  seatpilot guests import - --partial --json < tonight.csv")]
    Import(Import),
    /// Take tickets back; whoever holds one is refused from now on. Twice is fine.
    #[command(after_help = "Examples:\n  seatpilot guests revoke SP-7K3M-0001 --event derby\n  \
        seatpilot guests revoke - < stolen.txt")]
    Revoke(Revoke),
    /// Make up a guest list that reads like a real one, for trying a venue out: parties, names, seats, doors.
    #[command(
        after_help = "The same seed makes the same list. Whoever knows the seed knows the tickets.\n\n\
        Example:\n  seatpilot guests generate --event derby --count 72000 --seed 7 \\\n    \
        --venue venues/nissan-stadium --out derby.csv"
    )]
    Generate(Generate),
}

/// Which list.
#[derive(Debug, Clone, clap::Args)]
pub struct Import {
    /// The list, or - for standard input.
    #[arg(value_name = "CSV")]
    path: PathBuf,
    /// Load the good lines even if there are bad ones.
    #[arg(long)]
    partial: bool,
    /// Where an event is held that nobody knows yet [default: the running venue, or the only one].
    #[arg(long, value_name = "ID")]
    venue: Option<VenueId>,
}

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
        Command::Import(args) => import(args, global).await,
        Command::Revoke(args) => revoke(args, global).await,
        Command::Generate(args) => make_up(args, global).await,
    }
}

async fn import(args: &Import, global: &Global) -> Result<(), Failure> {
    let (running, mut admin) = Running::connect(global).await?;
    let output = global.output();
    let list = if args.path.as_os_str() == "-" {
        list::read(io::stdin().lock())
    } else {
        let file = File::open(&args.path);
        list::read(file.map_err(|error| Failure::from(error).while_doing(args.path.display()))?)
    };
    let list = list.map_err(|fault| Failure::new(fault).while_doing(args.path.display()))?;
    let refused = list.refused.len();
    if output.style() != Style::Json {
        list.refused.iter().try_for_each(|line| output.line(line.to_string()))?;
    }
    if refused > 0 && !args.partial {
        if output.style() == Style::Json {
            output.result(
                "",
                &json!({ "new": 0, "updated": 0, "unchanged": 0, "used": 0, "refused": list.refused }),
            )?;
        }
        let all = refused + list.lines.len() + list.repeated;
        let first = list.refused.first().map(ToString::to_string).unwrap_or_default();
        return Err(Failure::new(format!(
            "{refused} of {all} lines are bad, nothing was loaded (--partial loads the others); {first}"
        )));
    }
    let venue = venue_for(args.venue.as_ref(), &running, &mut admin).await?;
    warn_of_doors(&list.lines, &venue, &running, &mut admin, output).await?;
    let rows: Vec<GuestRow> = list.lines.into_iter().map(row).collect();
    let waiting = waiting(format!("loading {} guests", rows.len()));
    let imported = admin.import_guests(&running.tenant, &venue, &rows).await;
    waiting.finish_and_clear();
    let imported = imported?;
    let unchanged = imported.unchanged + list.repeated as u64;
    let mut sentence = format!("{} new, {} updated, {unchanged} unchanged", imported.new, imported.updated);
    for (count, what) in [
        (imported.used, "changed in the list but already used: left as they were"),
        (refused as u64, "bad lines left out"),
        (imported.events_made, "events made"),
    ] {
        if count > 0 {
            sentence.push_str(&format!(", {count} {what}"));
        }
    }
    output.result(
        &sentence,
        &json!({
            "new": imported.new,
            "updated": imported.updated,
            "unchanged": unchanged,
            "used": imported.used,
            "events_made": imported.events_made,
            "venue_id": venue,
            "refused": list.refused,
        }),
    )
}

/// A line as the store takes it.
pub fn row(line: GuestLine) -> GuestRow {
    GuestRow {
        event: line.event,
        ticket: line.ticket.hash(),
        name: line.name,
        party_size: line.party_size,
        section: line.section,
        table: line.table,
        seat: line.seat,
        doors: line.doors,
        valid_from: line.valid_from,
        valid_until: line.valid_until,
        profile: line.profile,
    }
}

/// Where an event is held that nobody knows: the venue asked for, else the running one's, else the only one.
async fn venue_for(
    asked: Option<&VenueId>,
    running: &Running,
    admin: &mut Admin,
) -> Result<VenueId, Failure> {
    let venues: Vec<VenueId> = admin.venues(&running.tenant).await?.into_iter().map(|(id, _)| id).collect();
    let own =
        running.state.as_ref().filter(|state| state.tenant_id == running.tenant).map(|state| &state.venue_id);
    let ids = || venues.iter().map(AsRef::as_ref).collect::<Vec<&str>>().join(", ");
    match (asked.or(own.filter(|own| venues.contains(own))), venues.as_slice()) {
        (_, []) => Err(Failure::new(format!(
            "tenant {} has no venue yet: import one with `seatpilot venue import PATH`",
            running.tenant
        ))),
        (Some(venue), _) if venues.contains(venue) => Ok(venue.clone()),
        (Some(venue), _) => Err(Failure::new(format!("there is no venue {venue}: there is {}", ids()))),
        (None, [only]) => Ok(only.clone()),
        (None, _) => Err(Failure::new(format!("which venue? name one with --venue: {}", ids()))),
    }
}

/// A ticket for doors that a venue does not have lets nobody in: probably a list for another venue. The list is
/// loaded all the same, for its events may be held elsewhere.
async fn warn_of_doors(
    lines: &[GuestLine],
    venue: &VenueId,
    running: &Running,
    admin: &mut Admin,
    output: Output,
) -> Result<(), Failure> {
    let Some(map) = admin.venue(&running.tenant, venue).await? else { return Ok(()) };
    let unknown: BTreeSet<&str> = lines
        .iter()
        .flat_map(|line| line.doors.iter().map(AsRef::as_ref))
        .collect::<HashSet<&str>>()
        .into_iter()
        .filter(|door| map.place(PlaceKind::Door, door).is_none())
        .collect();
    if unknown.is_empty() {
        return Ok(());
    }
    let named = unknown.iter().take(DOORS_NAMED_MAX).copied().collect::<Vec<_>>().join(", ");
    let more = if unknown.len() > DOORS_NAMED_MAX { " …" } else { "" };
    output.note(format!("warning: venue {venue} has no door {named}{more}"))
}

/// Something to look at while the database works; nothing where nobody looks.
fn waiting(what: String) -> ProgressBar {
    let bar = if io::stderr().is_terminal() { ProgressBar::new_spinner() } else { ProgressBar::hidden() };
    bar.set_message(what);
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}

async fn revoke(args: &Revoke, global: &Global) -> Result<(), Failure> {
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
    match &args.out {
        None => list::write(BufWriter::new(io::stdout().lock()), &lines)?,
        Some(path) => {
            let written = File::create(path).and_then(|file| {
                let mut out = BufWriter::new(file);
                list::write(&mut out, &lines)?;
                out.flush()
            });
            written.map_err(|error| Failure::from(error).while_doing(path.display()))?;
            let people: u64 = lines.iter().map(|line| u64::from(line.party_size.get())).sum();
            global.output().result(
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
    let venue = venue_for(asked.as_ref(), &running, &mut admin).await?;
    Ok(admin.venue(&running.tenant, &venue).await?)
}
