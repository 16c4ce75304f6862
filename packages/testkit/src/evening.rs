//! An evening to test on: a tenant, a venue with the built-in map, an event, guests, a device and a key.

use seatpilot_domain_model::{
    DeviceScope, DoorId, EventId, KeyScope, PartySize, TenantId, TicketCode, VenueId,
};
use seatpilot_runtime::{SecretBytes, SecretString};
use seatpilot_store::admin::{Admin, GuestRow};
use seatpilot_venue_graph::{PlaceKind, Venue};

use crate::TestDb;

/// A migrated database with everything that a guest needs to come in.
pub struct Evening {
    /// The database.
    pub db: TestDb,
    /// `acme`.
    pub tenant: TenantId,
    /// `hall`, with [`Venue::demo`] as its map.
    pub venue: VenueId,
    /// `gala`.
    pub event: EventId,
    /// A door of the map.
    pub door: DoorId,
    /// A section of the map, where every guest sits.
    pub section: String,
    /// The token of a device without limits.
    pub device_token: String,
    /// A key scoped `ingest` and `arrive`.
    pub key_id: String,
    /// Its secret.
    pub key_secret: SecretBytes,
}

impl Evening {
    /// With so many guests, tickets `ticket-0` and so on, two people each.
    pub async fn of(guests: usize) -> Self {
        Self::on(TestDb::new().await, guests).await
    }

    /// The same, on that database.
    pub async fn on(db: TestDb, guests: usize) -> Self {
        let tenant: TenantId = "acme".parse().expect("a slug");
        let venue: VenueId = "hall".parse().expect("a slug");
        let event: EventId = "gala".parse().expect("a slug");
        let map = Venue::demo();
        let first =
            |kind| map.places().iter().find(|place| place.kind == kind).expect("the map has one").id.clone();
        let (door, section) = (first(PlaceKind::Door), first(PlaceKind::Section));
        let mut admin =
            Admin::connect(&SecretString::from(db.owner_url().as_str())).await.expect("the owner may");
        admin.ensure_tenant(&tenant, "Acme").await.expect("a tenant");
        admin.publish_venue(&tenant, &venue, "Hall", Some("Europe/Madrid"), &map).await.expect("a venue");
        admin.ensure_event(&tenant, &event, &venue, "Gala").await.expect("an event");
        let device = admin.add_device(&tenant, "gate", &DeviceScope::default()).await.expect("a device");
        let key = admin
            .add_key(&tenant, Some("acme_gate_01"), &[KeyScope::Ingest, KeyScope::Arrive])
            .await
            .expect("a key");
        let evening = Self {
            db,
            tenant,
            venue,
            event,
            door: door.parse().expect("a slug"),
            section,
            device_token: device.token.expose_secret().clone(),
            key_id: key.key_id,
            key_secret: key.secret,
        };
        let rows: Vec<GuestRow> = (0..guests).map(|n| evening.guest(n)).collect();
        let imported = admin.import_guests(&evening.tenant, &evening.venue, &rows).await.expect("guests");
        assert_eq!(imported.new, guests as u64);
        evening
    }

    /// A connection of the operator.
    pub async fn admin(&self) -> Admin {
        Admin::connect(&SecretString::from(self.db.owner_url().as_str())).await.expect("the owner may")
    }

    /// The ticket of guest `n`, as scanned.
    pub fn ticket(n: usize) -> String {
        format!("ticket-{n}")
    }

    /// The line of guest `n`.
    pub fn guest(&self, n: usize) -> GuestRow {
        GuestRow {
            event: self.event.clone(),
            ticket: TicketCode::new(Self::ticket(n)).expect("a ticket").hash(),
            name: format!("Guest {n}"),
            party_size: PartySize::new(2).expect("a party"),
            section: Some(self.section.parse().expect("a slug")),
            table: None,
            seat: None,
            doors: Vec::new(),
            valid_from: None,
            valid_until: None,
            profile: None,
        }
    }

    /// What a query of one number answers, as the owner sees it.
    pub async fn count(&self, sql: &str) -> i64 {
        self.db.owner().await.query_one(sql, &[]).await.expect("a number").get(0)
    }
}
