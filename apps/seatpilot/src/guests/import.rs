//! `seatpilot guests import`: a list into the database, all of it or its good lines.

use std::{
    collections::{BTreeSet, HashSet},
    fs::File,
    io::{self, IsTerminal},
    path::PathBuf,
    time::Duration,
};

use indicatif::ProgressBar;
use seatpilot_domain_model::VenueId;
use seatpilot_store::admin::{Admin, GuestRow};
use seatpilot_venue_graph::PlaceKind;
use serde_json::json;

use super::{GuestLine, list};
use crate::{
    failure::Failure,
    global::Global,
    output::{Output, Style},
    running::Running,
};

/// Doors that a warning names.
const DOORS_NAMED_MAX: usize = 10;

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

/// Loads it.
///
/// # Errors
/// Where the list is bad, there is no venue, or the database does not answer.
pub(super) async fn run(args: &Import, global: &Global) -> Result<(), Failure> {
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
pub(crate) async fn venue_for(
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
