//! Facts that cannot change: which event is at which venue, and which doors that has. A known combination is
//! cached; an unknown one is asked for each time, so that an event made a moment ago is found.

use std::time::Duration;

use moka::future::Cache;
use seatpilot_domain_model::{DoorId, EventId, TenantId, VenueId};

use crate::{
    Error,
    reader::Reader,
    shelf::{Holds, Shelf},
};

const PLACE_TTL: Duration = Duration::from_secs(600);
const PLACES_MAX: u64 = 100_000;

/// Tenant, venue, event and door that belong together.
pub(crate) type Place = (TenantId, VenueId, EventId, DoorId);

pub(crate) struct Places {
    /// Those asked for lately, at hand.
    shelf: Shelf<Place, ()>,
    known: Cache<Place, Holds>,
}

impl Places {
    pub(crate) fn new() -> Self {
        Self {
            shelf: Shelf::new(),
            known: Cache::builder().max_capacity(PLACES_MAX).time_to_live(PLACE_TTL).build(),
        }
    }

    pub(crate) fn forget(&self) {
        self.shelf.forget();
        self.known.invalidate_all();
    }

    pub(crate) async fn knows(
        &self,
        reader: &Reader,
        tenant: &TenantId,
        venue: &VenueId,
        event: &EventId,
        door: &DoorId,
    ) -> Result<bool, Error> {
        let asked = (tenant, venue, event, door);
        if self.shelf.get(&asked, |(t, v, e, d)| (t, v, e, d) == asked).is_some() {
            return Ok(true);
        }
        let place = (tenant.clone(), venue.clone(), event.clone(), door.clone());
        if let Some(holds) = self.known.get(&place).await {
            self.shelf.put(place, (), holds);
            return Ok(true);
        }
        const SQL: &str = include_str!("../sql/place_known.sql");
        let holds = self.shelf.asking(PLACE_TTL);
        let rows = reader.claimed(tenant, SQL, &[&event.as_str(), &venue.as_str(), &door.as_str()]).await?;
        let known = rows.first().map(|row| row.try_get::<_, bool>("known")).transpose()?.unwrap_or(false);
        if known {
            self.known.insert(place.clone(), holds).await;
            self.shelf.put(place, (), holds);
        }
        Ok(known)
    }

    /// Remembers the doors of this evening's events, so that the first guest does not wait for a look-up.
    pub(crate) async fn warm(&self, reader: &Reader, tenants: &[TenantId]) -> Result<(), Error> {
        const SQL: &str = include_str!("../sql/place_list.sql");
        for tenant in tenants {
            let holds = self.shelf.asking(PLACE_TTL);
            for row in reader.claimed(tenant, SQL, &[]).await? {
                let parts = (
                    row.try_get::<_, &str>("venue_id")?.parse(),
                    row.try_get::<_, &str>("event_id")?.parse(),
                    row.try_get::<_, &str>("door_id")?.parse(),
                );
                if let (Ok(venue), Ok(event), Ok(door)) = parts {
                    self.known.insert((tenant.clone(), venue, event, door), holds).await;
                }
            }
        }
        Ok(())
    }
}
