//! Guest lists.

use std::pin::pin;

use jiff::Timestamp;
use seatpilot_domain_model::{
    DoorId, EventId, PartySize, Profile, SeatId, SectionId, TableId, TenantId, TicketHash, VenueId,
};
use serde_json::json;
use tokio_postgres::{
    binary_copy::BinaryCopyInWriter,
    types::{ToSql, Type},
};
use uuid::Uuid;

use super::{Admin, AdminError};
use crate::audit::{Act, record};

/// One line of a guest list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GuestRow {
    /// For which event.
    pub event: EventId,
    /// The ticket; with the event it is the line's key.
    pub ticket: TicketHash,
    /// Who comes. Never logged.
    pub name: String,
    /// How many come.
    pub party_size: PartySize,
    /// Where they sit.
    pub section: Option<SectionId>,
    /// Their table.
    pub table: Option<TableId>,
    /// Their seat.
    pub seat: Option<SeatId>,
    /// Doors where the ticket is good; none = any.
    pub doors: Vec<DoorId>,
    /// From when it is good.
    pub valid_from: Option<Timestamp>,
    /// Until when.
    pub valid_until: Option<Timestamp>,
    /// How they move.
    pub profile: Option<Profile>,
}

/// What an import did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Imported {
    /// Tickets that were not there.
    pub new: u64,
    /// Tickets that changed.
    pub updated: u64,
    /// Tickets that stand as the list says.
    pub unchanged: u64,
    /// Tickets that differ but are used: left as they were.
    pub used: u64,
    /// Events that were made.
    pub events_made: u64,
}

/// What a revocation did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Revoked {
    /// Tickets revoked now.
    pub revoked: u64,
    /// Tickets that were revoked before.
    pub already: u64,
    /// Codes that the tenant does not know (for that event).
    pub unknown: u64,
}

impl Admin {
    /// Loads guests, all or nothing. Events that nobody knows are made at `venue`, open at once.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn import_guests(
        &mut self,
        tenant: &TenantId,
        venue: &VenueId,
        guests: &[GuestRow],
    ) -> Result<Imported, AdminError> {
        const COLUMNS: &[Type] = &[
            Type::TEXT,
            Type::BYTEA,
            Type::UUID,
            Type::TEXT,
            Type::INT2,
            Type::TEXT,
            Type::TEXT,
            Type::TEXT,
            Type::TEXT_ARRAY,
            Type::TIMESTAMPTZ,
            Type::TIMESTAMPTZ,
            Type::TEXT,
        ];
        let actor = self.actor();
        let transaction = self.claimed(tenant).await?;
        transaction
            .batch_execute(
                "create temporary table guest_list (
                     event_id text collate \"C\", ticket_hash bytea, ticket_id uuid, name text, party_size smallint,
                     section text, table_id text, seat_id text, doors text[], valid_from timestamptz,
                     valid_until timestamptz, profile text
                 ) on commit drop",
            )
            .await?;
        let sink = transaction.copy_in("copy guest_list from stdin binary").await?;
        let mut writer = pin!(BinaryCopyInWriter::new(sink, COLUMNS));
        for guest in guests {
            let ticket_id = Uuid::now_v7();
            let party_size = i16::from(guest.party_size.get());
            let doors: Vec<&str> = guest.doors.iter().map(DoorId::as_str).collect();
            let row: [&(dyn ToSql + Sync); 12] = [
                &guest.event.as_str(),
                &guest.ticket.as_bytes().as_slice(),
                &ticket_id,
                &guest.name,
                &party_size,
                &guest.section.as_ref().map(SectionId::as_str),
                &guest.table.as_ref().map(TableId::as_str),
                &guest.seat.as_ref().map(SeatId::as_str),
                &doors,
                &guest.valid_from,
                &guest.valid_until,
                &guest.profile.map(Profile::as_str),
            ];
            writer.as_mut().write(&row).await?;
        }
        let total = writer.as_mut().finish().await?;
        let events_made = transaction
            .execute(
                "insert into ops.events (tenant_id, event_id, venue_id, name)
                 select distinct $1::text, g.event_id, $2::text, g.event_id from pg_temp.guest_list g
                 where not exists (select from ops.events e where e.event_id = g.event_id and e.tenant_id = $1)",
                &[&tenant.as_str(), &venue.as_str()],
            )
            .await?;
        let row =
            transaction.query_one(include_str!("../../sql/guest_import.sql"), &[&tenant.as_str()]).await?;
        let count = |name: &str| row.try_get::<_, i64>(name).map(|n| u64::try_from(n).unwrap_or(0));
        let imported = Imported {
            new: count("inserted")?,
            updated: count("updated")?,
            used: count("used")?,
            unchanged: total.saturating_sub(count("inserted")? + count("updated")? + count("used")?),
            events_made,
        };
        let after = json!({
            "new": imported.new, "updated": imported.updated, "unchanged": imported.unchanged,
            "used": imported.used, "events_made": imported.events_made,
        });
        let act = Act {
            action: "guests.import",
            target_type: "venue",
            target_id: venue.as_str(),
            before: None,
            after: Some(&after),
        };
        record(&transaction, &actor, act).await?;
        transaction.commit().await?;
        // A bulk load changes what the planner should think; the hot statements have generic plans and do not wait for it.
        if imported.new > 10_000 {
            self.client().batch_execute("analyze ops.tickets").await?;
        }
        Ok(imported)
    }

    /// Revokes tickets, for one event or for all of the tenant's. A revoked ticket is refused from the commit on.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn revoke_tickets(
        &mut self,
        tenant: &TenantId,
        event: Option<&EventId>,
        tickets: &[TicketHash],
    ) -> Result<Revoked, AdminError> {
        let hashes: Vec<&[u8]> = tickets.iter().map(|ticket| ticket.as_bytes().as_slice()).collect();
        let actor = self.actor();
        let transaction = self.claimed(tenant).await?;
        let row = transaction
            .query_one(
                include_str!("../../sql/ticket_revoke.sql"),
                &[&tenant.as_str(), &event.map(EventId::as_str), &hashes],
            )
            .await?;
        let count = |name: &str| row.try_get::<_, i64>(name).map(|n| u64::try_from(n).unwrap_or(0));
        let revoked =
            Revoked { revoked: count("revoked")?, already: count("already")?, unknown: count("unknown")? };
        let after = json!({
            "revoked": revoked.revoked, "already": revoked.already, "unknown": revoked.unknown,
        });
        let act = Act {
            action: "guests.revoke",
            target_type: "event",
            // Empty: all of the tenant's.
            target_id: event.map(EventId::as_str).unwrap_or_default(),
            before: None,
            after: Some(&after),
        };
        record(&transaction, &actor, act).await?;
        transaction.commit().await?;
        Ok(revoked)
    }
}
