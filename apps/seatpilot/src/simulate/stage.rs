//! What an evening is played with: an event of its own, guests of its own, a device for each door, a key. Made as the
//! operator makes them, and the credentials are revoked when it is over.

use std::collections::{BTreeSet, HashMap};

use jiff::{SignedDuration, Timestamp};
use seatpilot_domain_model::{DeviceScope, DoorId, EventId, KeyScope, TenantId, VenueId};
use seatpilot_runtime::{Clock, SecretBytes, SecretString};
use seatpilot_signing::Key;
use seatpilot_store::admin::{Admin, Turnout};
use seatpilot_venue_graph::{Graph, PlaceKind};
use uuid::Uuid;

use super::wire::{Credentials, Doors, Wire};
use crate::{
    failure::Failure,
    guests::{GuestLine, GuestPlan, Seating, command::row, generate},
};

/// Events of simulations begin so, and no others are touched.
const EVENT_PREFIX: &str = "simulation-";
/// Doors with a gate of their own at most: the venue's first ones.
const GATES_MAX: usize = 64;
/// Tickets are worth nothing so long after the end: nobody gets in with a code that a seed gives away.
const WORTHLESS_AFTER: SignedDuration = SignedDuration::from_hours(1);

/// Everything that was made for it.
pub(super) struct Stage {
    pub(super) tenant: TenantId,
    pub(super) venue: VenueId,
    pub(super) event: EventId,
    pub(super) graph: Graph,
    /// The doors with gates.
    pub(super) doors: Vec<DoorId>,
    pub(super) lines: Vec<GuestLine>,
    /// Before anything was made.
    pub(super) since: Timestamp,
    tokens: HashMap<DoorId, SecretString>,
    inside: SecretString,
    devices: Vec<Uuid>,
    key_id: String,
    key_secret: SecretBytes,
}

/// What to make.
pub(super) struct Wanted {
    pub(super) tenant: TenantId,
    pub(super) venue: VenueId,
    /// The event's id; else one is made of the time and the seed.
    pub(super) event: Option<EventId>,
    pub(super) guests: usize,
    pub(super) seed: u64,
    pub(super) lasts: SignedDuration,
}

/// An event's id, if it is one of a simulation's.
///
/// # Errors
/// What it has to begin with.
pub(super) fn simulated(text: &str) -> Result<EventId, String> {
    match text.parse::<EventId>() {
        Ok(event) if text.starts_with(EVENT_PREFIX) && text.len() > EVENT_PREFIX.len() => Ok(event),
        Ok(_) => Err(format!("must begin with {EVENT_PREFIX}, so that no list of yours is meant")),
        Err(error) => Err(error.to_string()),
    }
}

impl Stage {
    /// Makes it.
    ///
    /// # Errors
    /// Where the venue has no map or no door, the event has guests already, or the database says no.
    pub(super) async fn set(admin: &mut Admin, wanted: Wanted, clock: &Clock) -> Result<Self, Failure> {
        let Wanted { tenant, venue, event, guests, seed, lasts } = wanted;
        let since = clock.now();
        let map = admin.venue(&tenant, &venue).await?;
        let map = map.ok_or_else(|| Failure::new(format!("venue {venue} has no map: import one")))?;
        let graph = Graph::new(map);
        let places = graph.venue().places().iter();
        let doors =
            places.filter(|place| place.kind == PlaceKind::Door).filter_map(|door| door.id.parse().ok());
        let doors: Vec<DoorId> = doors.take(GATES_MAX).collect();
        if doors.is_empty() {
            return Err(Failure::new(format!("venue {venue} names no door, so nobody can come")));
        }
        let event = match event {
            Some(event) => event,
            None => {
                let time = since.strftime("%Y%m%d-%H%M%S");
                format!("{EVENT_PREFIX}{time}-{seed}").parse().map_err(Failure::new)?
            }
        };
        admin.ensure_event(&tenant, &event, &venue, "Simulation").await?;
        if admin.turnout(&tenant, &event, "", since).await?.listed > 0 {
            return Err(Failure::new(format!("event {event} has guests already: name another one")));
        }
        let valid_until = since.checked_add(lasts.saturating_add(WORTHLESS_AFTER)).ok();
        let mut lines = generate(&GuestPlan {
            event: event.clone(),
            count: guests,
            seed,
            seating: Seating::of(&graph),
            valid_from: None,
            valid_until,
        });
        for line in &mut lines {
            // A door without a gate of ours would let nobody in.
            line.doors.retain(|door| doors.contains(door));
        }
        admin.import_guests(&tenant, &venue, &lines.iter().cloned().map(row).collect::<Vec<_>>()).await?;

        let (mut devices, mut tokens) = (Vec::new(), HashMap::new());
        for door in &doors {
            let scope = DeviceScope {
                venues: Some(BTreeSet::from([venue.clone()])),
                events: Some(BTreeSet::from([event.clone()])),
                doors: Some(BTreeSet::from([door.clone()])),
                channels: None,
            };
            let device = admin.add_device(&tenant, &format!("{event}, gate {door}"), &scope).await?;
            devices.push(device.id);
            tokens.insert(door.clone(), device.token);
        }
        let scope = DeviceScope { venues: Some(BTreeSet::from([venue.clone()])), ..DeviceScope::default() };
        let inside = admin.add_device(&tenant, &format!("{event}, inside"), &scope).await?;
        devices.push(inside.id);
        let key = admin.add_key(&tenant, None, &[KeyScope::Ingest, KeyScope::Arrive]).await?;
        Ok(Self {
            tenant,
            venue,
            event,
            graph,
            doors,
            lines,
            since,
            tokens,
            inside: inside.token,
            devices,
            key_id: key.key_id,
            key_secret: key.secret,
        })
    }

    /// The client that knocks with these credentials.
    ///
    /// # Errors
    /// Where no HTTP client can be made.
    pub(super) fn wire(&self, doors: Doors, clock: Clock) -> Result<Wire, Failure> {
        let key = Key::new(self.key_secret.expose_secret()).map_err(Failure::new)?;
        let credentials = Credentials {
            gates: self.tokens.clone(),
            inside: self.inside.clone(),
            key_id: self.key_id.clone(),
            key,
        };
        Wire::new(doors, credentials, clock)
    }

    /// What the database has of it.
    ///
    /// # Errors
    /// What the database says.
    pub(super) async fn turnout(&self, admin: &mut Admin) -> Result<Turnout, Failure> {
        Ok(admin.turnout(&self.tenant, &self.event, &self.key_id, self.since).await?)
    }

    /// Revokes what it made to knock with. Guests, sessions and events stay, to be looked at.
    ///
    /// # Errors
    /// What the database says.
    pub(super) async fn strike(&self, admin: &mut Admin) -> Result<(), Failure> {
        for device in &self.devices {
            admin.revoke_device(&self.tenant, *device).await?;
        }
        admin.revoke_key(&self.tenant, &self.key_id).await?;
        Ok(())
    }
}
