//! The venue and the guests that `up` loads: those that were named, else built-in and made-up ones.

use std::{
    fs::File,
    path::{Path, PathBuf},
};

use seatpilot_domain_model::{EventId, TenantId, VenueId};
use seatpilot_store::admin::{Admin, AdminError, GuestRow};
use seatpilot_venue_graph::{Graph, PlaceKind, Venue};
use serde::{Deserialize, Serialize};

use super::{
    data_dir::DataDir,
    progress::{Progress, say},
};
use crate::{
    failure::Failure,
    guests::{GuestLine, GuestPlan, Seating, Seats, command::row, generate, list},
    venue,
};

/// The id and name of the built-in venue.
const BUILT_IN: &str = "demo";
/// The event that made-up guests have tickets for.
const MADE_UP_EVENT: &str = "tonight";
/// Tickets that are made up for a section whose seats the map does not name: a stadium of 80 such sections has 72,000.
const TICKETS_IN_A_SECTION: usize = 900;
/// Of known seats there is a party for every third.
const SEATS_OF_A_PARTY: usize = 3;
/// Broken features and lines that are named; `venue import` and `guests import` name them all.
const NAMED_MAX: usize = 20;
/// Remembers which list was made up, so that a second start does not make it again.
const MADE_UP_FILE: &str = "made-up-guests.json";

/// The venue, read and sound, before anything is started.
pub(super) struct Map {
    pub(super) id: VenueId,
    name: String,
    venue: Venue,
}

/// Reads the venue's files.
///
/// # Errors
/// Where they are no venue.
pub(super) fn map(path: Option<&PathBuf>) -> Result<Map, Failure> {
    let Some(path) = path else {
        let id = BUILT_IN.parse().map_err(Failure::new)?;
        return Ok(Map { id, name: "The built-in venue".to_owned(), venue: Venue::demo() });
    };
    let id = venue::slug_of(path)?;
    let read = venue::read(path)?;
    let venue = read.venue.map_err(|error| Failure::new(error).while_doing(path.display()))?;
    read.refused.iter().take(NAMED_MAX).for_each(|feature| say(format!("left out: {feature}")));
    if read.refused.len() > NAMED_MAX {
        say(format!(
            "left out: {} more; `seatpilot venue import` names them all",
            read.refused.len() - NAMED_MAX
        ));
    }
    let name = path.file_name().map_or_else(|| id.to_string(), |name| name.to_string_lossy().into_owned());
    Ok(Map { id, name, venue })
}

/// Reads the guest list.
///
/// # Errors
/// Where it cannot be read, or a line is bad: its number and reason.
pub(super) fn guest_list(path: &Path) -> Result<Vec<GuestLine>, Failure> {
    let file = File::open(path).map_err(|error| Failure::from(error).while_doing(path.display()))?;
    let list = list::read(file).map_err(|fault| Failure::new(fault).while_doing(path.display()))?;
    list.refused.iter().take(NAMED_MAX).for_each(|line| say(line.to_string()));
    match list.refused.first() {
        Some(first) => Err(Failure::new(format!(
            "{}: {} lines are bad, nothing was loaded; {first}",
            path.display(),
            list.refused.len()
        ))),
        None if list.lines.is_empty() => {
            Err(Failure::new(format!("{}: the list has no guests", path.display())))
        }
        None => Ok(list.lines),
    }
}

/// Publishes the map, unless it is published as it is.
///
/// # Errors
/// What the database says.
pub(super) async fn publish(
    admin: &mut Admin,
    tenant: &TenantId,
    map: Map,
) -> Result<(VenueId, Graph), Failure> {
    let Map { id, name, venue } = map;
    let step = Progress::begin(format!("venue {id}"));
    admin.ensure_tenant(tenant, tenant.as_str()).await?;
    let published = admin.venue(tenant, &id).await?;
    let same = published.is_some_and(|published| published.to_bytes() == venue.to_bytes());
    if !same {
        admin.publish_venue(tenant, &id, &name, None, &venue).await?;
    }
    let count = |kind| venue.places().iter().filter(|place| place.kind == kind).count();
    step.done(format!(
        "{} doors, {} sections, {} tables, {} seats, {} nodes{}",
        count(PlaceKind::Door),
        count(PlaceKind::Section),
        count(PlaceKind::Table),
        count(PlaceKind::Seat),
        venue.nodes().len(),
        if same { ", as published before" } else { "" },
    ));
    Ok((id, Graph::new(venue)))
}

/// Loads a list that was named. Answers with its first event.
///
/// # Errors
/// What the database says.
pub(super) async fn load_list(
    admin: &mut Admin,
    tenant: &TenantId,
    venue: &VenueId,
    lines: Vec<GuestLine>,
) -> Result<EventId, Failure> {
    let first = lines.first().map(|line| line.event.clone());
    let event = first.ok_or_else(|| Failure::new("the list has no guests"))?;
    let step = Progress::begin(format!("{} guests", lines.len()));
    let rows: Vec<GuestRow> = lines.into_iter().map(row).collect();
    let imported = admin.import_guests(tenant, venue, &rows).await?;
    step.done(format!(
        "event {event}, {} new, {} updated, {} unchanged, {} used",
        imported.new, imported.updated, imported.unchanged, imported.used
    ));
    Ok(event)
}

/// Which list was made up and loaded.
#[derive(PartialEq, Serialize, Deserialize)]
struct MadeUp {
    venue: VenueId,
    tenant: TenantId,
    event: EventId,
    tickets: usize,
    seed: u64,
}

/// Makes guests up for the venue and loads them, once. Answers with their event.
///
/// # Errors
/// What the database says.
pub(super) async fn make_up(
    admin: &mut Admin,
    tenant: &TenantId,
    venue: &VenueId,
    graph: &Graph,
    seed: u64,
    remember: Option<&DataDir>,
) -> Result<EventId, Failure> {
    let event = event_at(admin, tenant, venue, MADE_UP_EVENT).await?;
    let tickets = room(graph.venue());
    let made = MadeUp { venue: venue.clone(), tenant: tenant.clone(), event: event.clone(), tickets, seed };
    let step = Progress::begin(format!("{tickets} made-up guests"));
    if let Some(data_dir) = remember
        && let Some(bytes) = data_dir.read(MADE_UP_FILE)?
        && serde_json::from_slice::<MadeUp>(&bytes).is_ok_and(|known| known == made)
    {
        step.done(format!("event {event}, loaded before"));
        return Ok(event);
    }
    let lines = generate(&GuestPlan {
        event: event.clone(),
        count: tickets,
        seed,
        seating: Seating::of(graph),
        valid_from: None,
        valid_until: None,
    });
    let rows: Vec<GuestRow> = lines.into_iter().map(row).collect();
    let imported = admin.import_guests(tenant, venue, &rows).await?;
    if let Some(data_dir) = remember {
        data_dir.write(MADE_UP_FILE, &serde_json::to_vec(&made).map_err(Failure::new)?)?;
    }
    step.done(format!(
        "event {event}, {} new, {} as before",
        imported.new,
        imported.unchanged + imported.used
    ));
    Ok(event)
}

/// How many tickets fill the venue. The map's own places are counted, not its ways: this must be quick.
fn room(venue: &Venue) -> usize {
    let places = |kind| venue.places().iter().filter(move |place| place.kind == kind);
    let seats = places(PlaceKind::Seat).count();
    let whole_sections = places(PlaceKind::Section).filter(|section| {
        let id = Some(section.id.as_str());
        !places(PlaceKind::Table).chain(places(PlaceKind::Seat)).any(|part| part.section.as_deref() == id)
    });
    let sections = whole_sections.count() * TICKETS_IN_A_SECTION;
    (seats / SEATS_OF_A_PARTY + places(PlaceKind::Table).count() + sections).max(100)
}

/// An event at the venue: `name`, or `name-<venue>` where that one is at another venue since an earlier start, for
/// an event never moves.
///
/// # Errors
/// What the database says.
pub(super) async fn event_at(
    admin: &mut Admin,
    tenant: &TenantId,
    venue: &VenueId,
    name: &str,
) -> Result<EventId, Failure> {
    let event: EventId = name.parse().map_err(Failure::new)?;
    match admin.ensure_event(tenant, &event, venue, name).await {
        Ok(()) => Ok(event),
        Err(AdminError::Refused(_)) => {
            let long = format!("{name}-{venue}");
            let event: EventId = long.chars().take(64).collect::<String>().parse().map_err(Failure::new)?;
            admin.ensure_event(tenant, &event, venue, event.as_str()).await?;
            Ok(event)
        }
        Err(error) => Err(error.into()),
    }
}

/// Somewhere to sit that the map knows, for a guest who comes in by `door`: the nearest of a few.
pub(super) fn seating_at(graph: &Graph, door: &str, nth: usize) -> Option<Seating> {
    use seatpilot_domain_model::{Lang, Profile};
    /// A way takes well under a millisecond, and nobody should wait for the nearest of a thousand.
    const LOOKED_AT_MAX: usize = 80;
    let venue = graph.venue();
    let kinds = [PlaceKind::Section, PlaceKind::Table, PlaceKind::Seat];
    let kind = kinds.into_iter().find(|kind| venue.places().iter().any(|place| place.kind == *kind))?;
    let mut reached: Vec<_> = venue
        .places()
        .iter()
        .filter(|place| place.kind == kind)
        .take(LOOKED_AT_MAX)
        .filter_map(|place| {
            let id = Some(place.id.as_str());
            let (seat, table, section) = match kind {
                PlaceKind::Section => (None, None, id),
                PlaceKind::Table => (None, id, None),
                _ => (id, None, None),
            };
            let way = graph.way(door, seat, table, section, Profile::Walk, Lang::En)?;
            Some((way.duration_s, place))
        })
        .collect();
    reached.sort_by(|a, b| a.0.total_cmp(&b.0));
    // Not all of them the very nearest: a way should be worth printing.
    let place = reached.get((nth * 2 + 1).min(reached.len().checked_sub(1)?))?.1;
    let doors = vec![door.parse().ok()?];
    let (section, table, seats) = match kind {
        PlaceKind::Section => (place.id.parse().ok(), None, Seats::Rows { wide: 24 }),
        PlaceKind::Table => (
            place.section.as_deref().and_then(|id| id.parse().ok()),
            place.id.parse().ok(),
            Seats::Table { chairs: 10 },
        ),
        // The generator wants seats side by side; a party is told its first one.
        _ => (None, None, Seats::Named(vec![place.id.parse().ok()?; 8])),
    };
    let block = crate::guests::Block { section, table, seats, step_free_doors: Vec::new(), doors };
    Some(Seating { blocks: vec![block] })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_venue_has_room_and_a_seat_near_every_door() {
        let graph = Graph::new(Venue::demo());
        assert!(room(graph.venue()) >= 100);
        let doors = graph.venue().places().iter().filter(|place| place.kind == PlaceKind::Door);
        for (nth, door) in doors.enumerate() {
            let seating = seating_at(&graph, &door.id, nth).expect("somewhere to sit");
            assert_eq!(seating.blocks.len(), 1);
        }
    }
}
