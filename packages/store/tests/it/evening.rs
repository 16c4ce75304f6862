//! The evening of the testkit, and the store of each service on it.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use seatpilot_domain_model::{Channel, CheckIn, TicketCode};
use seatpilot_runtime::{Clock, Deployment, Readiness, SecretString, StoreKind};
use seatpilot_store::{Maps, Store, StoreSettings, Writes};
use uuid::Uuid;

pub(crate) struct Evening(seatpilot_testkit::Evening);

impl std::ops::Deref for Evening {
    type Target = seatpilot_testkit::Evening;
    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

/// The ticket of guest `n`.
pub(crate) fn ticket(n: usize) -> TicketCode {
    TicketCode::new(seatpilot_testkit::Evening::ticket(n)).unwrap()
}

impl Evening {
    pub(crate) async fn of(tickets: usize) -> Self {
        Self(seatpilot_testkit::Evening::of(tickets).await)
    }

    /// The same on that database.
    pub(crate) async fn on(db: seatpilot_testkit::TestDb) -> Self {
        Self(seatpilot_testkit::Evening::on(db, 0).await)
    }

    /// A store as one process would open it, once it is ready.
    pub(crate) async fn store(&self, role: &str, writes: Writes) -> Store {
        let readiness = Readiness::starting(StoreKind::Postgres);
        let store = Store::open(StoreSettings {
            database: SecretString::from(self.db.url_as(role).as_str()).into(),
            application_name: "test".into(),
            writes,
            maps: if [Writes::Events, Writes::Nothing].contains(&writes) {
                Maps::NotKept
            } else {
                Maps::Kept
            },
            pool_size: 2,
            deployment: Deployment::Development,
            readiness: readiness.clone(),
            clock: Clock::system(),
        })
        .unwrap();
        let mut state = readiness.subscribe();
        tokio::time::timeout(Duration::from_secs(10), state.wait_for(|state| state.takes_work()))
            .await
            .expect("ready within 10 s")
            .unwrap();
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
            door: self.door.clone(),
            ticket: ticket(n).hash(),
            channel: Channel::Kiosk,
            device: Uuid::nil(),
            party_size: None,
            checked_in_at: now(),
            received: Instant::now(),
            trace: None,
        }
    }
}

pub(crate) fn now() -> Timestamp {
    Clock::system().now()
}
