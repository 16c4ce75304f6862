//! A tenant with a venue, an event and some tickets, and the store of each service on it.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use seatpilot_domain_model::{Channel, CheckIn, EventId, PartySize, TenantId, TicketCode, VenueId};
use seatpilot_runtime::{Clock, Readiness, SecretString, StoreKind};
use seatpilot_store::{
    Maps, Store, StoreSettings, Writes,
    admin::{Admin, GuestRow},
};
use seatpilot_testkit::TestDb;
use seatpilot_venue_graph::Venue;
use uuid::Uuid;

pub(crate) struct Evening {
    pub(crate) db: TestDb,
    pub(crate) tenant: TenantId,
    pub(crate) venue: VenueId,
    pub(crate) event: EventId,
    pub(crate) door: String,
}

/// The ticket of guest `n`.
pub(crate) fn ticket(n: usize) -> TicketCode {
    TicketCode::new(format!("ticket-{n}")).unwrap()
}

pub(crate) fn guest(event: &EventId, n: usize) -> GuestRow {
    GuestRow {
        event: event.clone(),
        ticket: ticket(n).hash(),
        name: format!("Guest {n}"),
        party_size: PartySize::new(2).unwrap(),
        section: Some("S1".parse().unwrap()),
        table: Some("T1".parse().unwrap()),
        seat: None,
        doors: Vec::new(),
        valid_from: None,
        valid_until: None,
        profile: None,
    }
}

impl Evening {
    /// Of tenant `acme`, with so many tickets for event `gala`.
    pub(crate) async fn of(tickets: usize) -> Self {
        let db = TestDb::new().await;
        let tenant: TenantId = "acme".parse().unwrap();
        let venue: VenueId = "hall".parse().unwrap();
        let event: EventId = "gala".parse().unwrap();
        let map = Venue::demo();
        let door = map
            .places()
            .iter()
            .find(|place| place.kind == seatpilot_venue_graph::PlaceKind::Door)
            .unwrap()
            .id
            .clone();
        let evening = Self { db, tenant, venue, event, door };
        let mut admin = evening.admin().await;
        admin.ensure_tenant(&evening.tenant, "Acme").await.unwrap();
        admin.publish_venue(&evening.tenant, &evening.venue, "Hall", "Europe/Madrid", &map).await.unwrap();
        let guests: Vec<GuestRow> = (0..tickets).map(|n| guest(&evening.event, n)).collect();
        let imported = admin.import_guests(&evening.tenant, &evening.venue, &guests).await.unwrap();
        assert_eq!(imported.new, tickets as u64);
        evening
    }

    pub(crate) async fn admin(&self) -> Admin {
        Admin::connect(&SecretString::from(self.db.owner_url().as_str())).await.unwrap()
    }

    /// A store as one process would open it, once it is ready.
    pub(crate) async fn store(&self, role: &str, writes: Writes) -> Store {
        let readiness = Readiness::starting(StoreKind::Postgres);
        let store = Store::open(StoreSettings {
            url: SecretString::from(self.db.url_as(role).as_str()),
            application_name: "test".into(),
            writes,
            maps: if writes == Writes::Events { Maps::NotKept } else { Maps::Kept },
            pool_size: 2,
            readiness: readiness.clone(),
            clock: Clock::system(),
        })
        .unwrap();
        let mut state = readiness.subscribe();
        tokio::time::timeout(Duration::from_secs(10), state.wait_for(|state| state.takes_work()))
            .await
            .expect("ready within 10 s")
            .unwrap();
        // Ready is about the schema; a writer's own connection is there a moment later.
        let asked = Instant::now();
        while store.writer_load().1 == 0 && asked.elapsed() < Duration::from_secs(5) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        store
    }

    pub(crate) async fn check_ins(&self) -> Store {
        self.store("seatpilot_checkin", Writes::CheckIns).await
    }

    /// A scan of a guest's ticket, now, at the evening's door.
    pub(crate) fn scan(&self, n: usize) -> CheckIn {
        let scan_id = Uuid::now_v7();
        CheckIn {
            tenant: self.tenant.clone(),
            scan_id,
            session_id: Uuid::now_v7(),
            telemetry_id: Uuid::now_v7(),
            fingerprint: [7; 32],
            venue: self.venue.clone(),
            event: self.event.clone(),
            door: self.door.parse().unwrap(),
            ticket: ticket(n).hash(),
            channel: Channel::Kiosk,
            device: Uuid::nil(),
            party_size: None,
            checked_in_at: now(),
            received: Instant::now(),
        }
    }

    /// How many rows a query counts, as the owner sees them.
    pub(crate) async fn count(&self, sql: &str) -> i64 {
        self.db.owner().await.query_one(sql, &[]).await.unwrap().get(0)
    }
}

pub(crate) fn now() -> Timestamp {
    Clock::system().now()
}
