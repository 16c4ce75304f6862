//! Venues, their maps and their events.

use seatpilot_domain_model::{EventId, TenantId, VenueId};
use seatpilot_venue_graph::{PlaceKind, Venue};
use serde_json::json;

use super::{Admin, AdminError};
use crate::audit::{Act, record};

impl Admin {
    /// Publishes a map: the venue, its doors, sections, tables and seats, and the document that services
    /// compile. Without a time zone the venue keeps the one it has, a new one gets UTC. Doors and places of an earlier map that the new one lacks are taken away. Returns the
    /// revision, from 1.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn publish_venue(
        &mut self,
        tenant: &TenantId,
        venue_id: &VenueId,
        name: &str,
        time_zone: Option<&str>,
        venue: &Venue,
    ) -> Result<i64, AdminError> {
        let document = venue.to_bytes();
        let actor = self.actor();
        let transaction = self.claimed(tenant).await?;
        let (tenant, id) = (tenant.as_str(), venue_id.as_str());
        let row = transaction
            .query_one(
                "insert into ops.venues (tenant_id, venue_id, name, time_zone, map_revision)
                 values ($1::text, $2::text, $3, coalesce($4::text, 'UTC'), 1)
                 on conflict (venue_id, tenant_id) do update
                 set name = excluded.name, time_zone = coalesce($4::text, ops.venues.time_zone), map_revision = ops.venues.map_revision + 1
                 returning map_revision",
                &[&tenant, &id, &name, &time_zone],
            )
            .await?;
        transaction
            .execute(
                "insert into ops.venue_maps (tenant_id, venue_id, document) values ($1::text, $2::text, $3)
                 on conflict (venue_id, tenant_id) do update set document = excluded.document, published_at = now()",
                &[&tenant, &id, &document],
            )
            .await?;
        for table in ["seats", "tables", "sections", "doors"] {
            let delete = match table {
                "seats" => "delete from ops.seats where venue_id = $1 and tenant_id = $2",
                "tables" => "delete from ops.tables where venue_id = $1 and tenant_id = $2",
                "sections" => "delete from ops.sections where venue_id = $1 and tenant_id = $2",
                _ => "delete from ops.doors where venue_id = $1 and tenant_id = $2",
            };
            transaction.execute(delete, &[&id, &tenant]).await?;
        }
        let of = |kind: PlaceKind| venue.places().iter().filter(move |place| place.kind == kind);
        let column = |kind, pick: fn(&seatpilot_venue_graph::Place) -> Option<&str>| {
            of(kind).map(pick).collect::<Vec<Option<&str>>>()
        };
        for (kind, insert) in [
            (
                PlaceKind::Door,
                "insert into ops.doors (tenant_id, venue_id, door_id, name)
              select $1::text, $2::text, p.id, p.name from unnest($3::text[], $4::text[]) as p (id, name)",
            ),
            (
                PlaceKind::Section,
                "insert into ops.sections (tenant_id, venue_id, section, name)
              select $1::text, $2::text, p.id, p.name from unnest($3::text[], $4::text[]) as p (id, name)",
            ),
        ] {
            let ids = column(kind, |place| Some(&place.id));
            let names = column(kind, |place| place.name.as_deref().or(Some(&place.id)));
            transaction.execute(insert, &[&tenant, &id, &ids, &names]).await?;
        }
        let ids = column(PlaceKind::Table, |place| Some(&place.id));
        let names = column(PlaceKind::Table, |place| place.name.as_deref().or(Some(&place.id)));
        let sections = column(PlaceKind::Table, |place| place.section.as_deref());
        transaction
            .execute(
                "insert into ops.tables (tenant_id, venue_id, table_id, name, section)
                 select $1::text, $2::text, p.id, p.name, p.section
                 from unnest($3::text[], $4::text[], $5::text[]) as p (id, name, section)",
                &[&tenant, &id, &ids, &names, &sections],
            )
            .await?;
        let ids = column(PlaceKind::Seat, |place| Some(&place.id));
        let names = column(PlaceKind::Seat, |place| place.name.as_deref().or(Some(&place.id)));
        let tables = column(PlaceKind::Seat, |place| place.table.as_deref());
        let sections = column(PlaceKind::Seat, |place| place.section.as_deref());
        transaction
            .execute(
                "insert into ops.seats (tenant_id, venue_id, seat_id, name, table_id, section)
                 select $1::text, $2::text, p.id, p.name, p.table_id, p.section
                 from unnest($3::text[], $4::text[], $5::text[], $6::text[]) as p (id, name, table_id, section)",
                &[&tenant, &id, &ids, &names, &tables, &sections],
            )
            .await?;
        let revision: i64 = row.try_get(0)?;
        let after = json!({
            "name": name, "time_zone": time_zone, "map_revision": revision, "places": venue.places().len(),
        });
        let act = Act {
            action: "venue.publish",
            target_type: "venue",
            target_id: id,
            before: None,
            after: Some(&after),
        };
        record(&transaction, &actor, act).await?;
        transaction.commit().await?;
        Ok(revision)
    }

    /// The tenant's venues, by id, with the revision of their maps.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn venues(&mut self, tenant: &TenantId) -> Result<Vec<(VenueId, i64)>, AdminError> {
        let transaction = self.claimed(tenant).await?;
        let rows = transaction
            .query(
                "select venue_id, map_revision from ops.venues where tenant_id = $1 order by venue_id",
                &[&tenant.as_str()],
            )
            .await?;
        rows.iter()
            .map(|row| {
                let id = row
                    .try_get::<_, &str>(0)?
                    .parse()
                    .map_err(|_| AdminError::Refused("a venue's id is no slug".into()))?;
                Ok((id, row.try_get(1)?))
            })
            .collect()
    }

    /// The published map of a venue, if there is one that can be read.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn venue(&mut self, tenant: &TenantId, venue: &VenueId) -> Result<Option<Venue>, AdminError> {
        let transaction = self.claimed(tenant).await?;
        let row = transaction
            .query_opt(
                "select document from ops.venue_maps where venue_id = $1 and tenant_id = $2",
                &[&venue.as_str(), &tenant.as_str()],
            )
            .await?;
        let Some(row) = row else { return Ok(None) };
        let document: &[u8] = row.try_get(0)?;
        Venue::from_bytes(document).map(Some).map_err(|error| AdminError::Refused(error.to_string()))
    }

    /// Makes an event, open at once, unless it is there. An event never changes its venue.
    ///
    /// # Errors
    /// [`AdminError::Refused`] where it is at another venue.
    pub async fn ensure_event(
        &mut self,
        tenant: &TenantId,
        event: &EventId,
        venue: &VenueId,
        name: &str,
    ) -> Result<(), AdminError> {
        let actor = self.actor();
        let transaction = self.claimed(tenant).await?;
        let made = transaction
            .execute(
                "insert into ops.events (tenant_id, event_id, venue_id, name) values ($1::text, $2::text, $3::text, $4)
                 on conflict do nothing",
                &[&tenant.as_str(), &event.as_str(), &venue.as_str(), &name],
            )
            .await?;
        let row = transaction
            .query_one(
                "select venue_id from ops.events where event_id = $1 and tenant_id = $2",
                &[&event.as_str(), &tenant.as_str()],
            )
            .await?;
        let at: &str = row.try_get(0)?;
        if at != venue.as_str() {
            return Err(AdminError::Refused(format!("event {event} is at venue {at}, not at {venue}")));
        }
        if made == 1 {
            let after = json!({ "venue_id": venue, "name": name });
            let act = Act {
                action: "event.make",
                target_type: "event",
                target_id: event.as_str(),
                before: None,
                after: Some(&after),
            };
            record(&transaction, &actor, act).await?;
        }
        transaction.commit().await?;
        Ok(())
    }
}
