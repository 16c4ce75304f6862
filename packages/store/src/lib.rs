//! The database, deep: callers see nouns, never SQL, rows or pools.
//!
//! [`Store`] is what a service holds. The hot paths ([`Store::check_in`], [`Store::arrive`], [`Store::submit`])
//! go through a group-commit writer each: one statement, one round trip, answered after its commit. Reads go
//! through a small pool, under a tenant's claim. [`admin`] is the operator's door: it needs the owner's login.

pub mod admin;
mod asking;
mod atlas;
pub mod audit;
mod batch;
mod bills;
mod caller;
mod connection;
mod credentials;
mod dead_letters;
mod download;
mod error;
mod event_store;
mod events;
#[cfg(test)]
mod isolation;
mod keeper;
pub mod keys;
mod kpi;
mod memory;
mod metering;
mod places;
mod prepared;
mod quotas;
mod reader;
mod rest;
mod room;
mod sealing;
mod sessions;
mod settings;
mod shelf;
mod shift;
mod signer;
mod standing;
mod wait_trace;
mod waits;
mod writer;

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use seatpilot_domain_model::{
    ArrivalPing, CheckIn, Device, DoorId, EventId, Feature, Nonce, ScanAnswer, Submission, SubmitAnswer,
    TenantId, TokenHash, VenueId,
};
use seatpilot_metrics_api::{Metrics, StoreKind};
use seatpilot_runtime::Readiness;
use seatpilot_venue_graph::Graph;
use tokio::runtime::Handle;

use crate::{
    atlas::Atlas,
    connection::Target,
    credentials::Credentials,
    download::DOWNLOADS_MAX,
    events::{EventIngest, bury_refused},
    places::Places,
    quotas::Quotas,
    reader::Reader,
    sessions::{SessionArrive, SessionCheckIn, SignedPing},
    waits::Waits,
    writer::{Limits, Writer},
};
pub use crate::{
    bills::{BillLine, BillMonth},
    caller::{Caller, Opened, SessionBy, VenueRow},
    connection::UrlFault,
    credentials::SigningKey,
    dead_letters::{
        DeadLetterDesk, DeadLetterRow, DiscardedLetter, KeptDeadLetter, LETTERS_MAX, LetterCursor,
        LetterFilter, RedrivenLetter,
    },
    error::{Cause, Error},
    event_store::EventStore,
    kpi::{Behind, Refreshed, Retained, Staleness},
    memory::{KeptEvent, KeptLetter, MEMORY_BYTES_MAX, MemoryStore},
    metering::{Metered, ServedRoutes},
    quotas::{Allowance, Exhausted},
    rest::{RestFault, RestSettings, RestSettingsFault, RestStore},
    sessions::ArriveAnswer,
    settings::{Maps, StoreSettings, Writes},
};

/// The oldest schema that this code works on.
pub const MIN_SCHEMA_VERSION: &str = "117";

/// The store of one process. Clones share it.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

pub(crate) struct Inner {
    reader: Reader,
    /// What people read: a bulkhead, so that a slow page never holds up a key's look-up.
    people: Reader,
    /// What people take away, for minutes: apart from the pages.
    downloads: Reader,
    pub(crate) readiness: Readiness,
    waits: Waits,
    credentials: Credentials,
    places: Places,
    maps: Option<Atlas>,
    /// In the processes that hold somebody to a plan's limits.
    quotas: Option<Quotas>,
    check_ins: Option<Writer<SessionCheckIn>>,
    arrivals: Option<Writer<SessionArrive>>,
    events: Option<Writer<EventIngest>>,
    /// Told of tenants as they are seen, so that each has its series at 0.
    metrics: OnceLock<Arc<Metrics>>,
    tenants: Mutex<Arc<[TenantId]>>,
}

/// Connections that write: one executes while the other waits for its fsync.
const WRITERS: usize = 2;
/// Connections for people's pages; none is opened before somebody looks.
const PEOPLE_POOL_SIZE: usize = 2;

impl Store {
    /// Starts the store with its writers: it connects in the background, and says through `readiness` when it has. Must
    /// be called inside a tokio runtime, which then runs its connections.
    ///
    /// # Errors
    /// [`UrlFault`] where the URL cannot be used; a database that does not answer is none.
    pub fn open(settings: StoreSettings) -> Result<Self, UrlFault> {
        let store = Self::open_without_writers(settings)?;
        for _ in 0..WRITERS {
            store.write_here();
        }
        Ok(store)
    }

    /// The same without writers: they come by [`write_here`](Self::write_here), and it is not ready before there is one.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_without_writers(settings: StoreSettings) -> Result<Self, UrlFault> {
        let target = Target::of(&settings.database, &settings.application_name)?
            .serving(settings.deployment, &settings.readiness)?;
        let waits = match settings.writes {
            Writes::CheckIns | Writes::Arrivals => waits::SESSIONS,
            Writes::Events | Writes::EventsElsewhere => waits::EVENTS,
            Writes::Nothing => waits::HOUSEKEEPING,
        };
        let read_max = waits.read.min(waits::EVENTS.read);
        let reader = Reader::new(&target, settings.pool_size.max(1), settings.readiness.clone())
            .map_err(|_| UrlFault::Malformed)?
            .within(read_max);
        let people = Reader::new(&target, PEOPLE_POOL_SIZE, settings.readiness.clone())
            .map_err(|_| UrlFault::Malformed)?;
        let downloads = Reader::new(&target, DOWNLOADS_MAX, settings.readiness.clone())
            .map_err(|_| UrlFault::Malformed)?;
        let runtime = Handle::current();
        let session_limits = Limits {
            writers: WRITERS,
            queue_rows: 4_096,
            queue_bytes: 8 << 20,
            batch_rows: 64,
            batch_items: 64,
            patience: waits::SESSIONS.queue,
            statement_max: waits::SESSIONS.write,
            deadline: waits::SESSIONS.deadline,
        };
        let event_limits = Limits {
            writers: WRITERS,
            queue_rows: 4_096,
            queue_bytes: 32 << 20,
            batch_rows: 256,
            batch_items: 1_000,
            patience: waits::EVENTS.queue,
            statement_max: waits::EVENTS.write,
            deadline: waits::EVENTS.deadline,
        };
        let writes = settings.writes;
        let clock = settings.clock;
        let inner = Arc::new(Inner {
            reader,
            people,
            downloads,
            readiness: settings.readiness,
            waits,
            credentials: Credentials::new(),
            places: Places::new(),
            maps: (settings.maps == Maps::Kept).then(Atlas::default),
            // A check-in at an open door is never refused for a bill.
            quotas: matches!(writes, Writes::Arrivals | Writes::Events | Writes::EventsElsewhere)
                .then(Quotas::default),
            check_ins: (writes == Writes::CheckIns)
                .then(|| Writer::new(&target, SessionCheckIn { clock }, session_limits)),
            arrivals: (writes == Writes::Arrivals)
                .then(|| Writer::new(&target, SessionArrive, session_limits)),
            events: (writes == Writes::Events).then(|| Writer::new(&target, EventIngest, event_limits)),
            metrics: OnceLock::new(),
            tenants: Mutex::default(),
        });
        runtime.spawn(keeper::keep(target, Arc::downgrade(&inner)));
        Ok(Self { inner })
    }

    /// Starts a writer on the runtime of this thread, unless there are as many as there may be. Where requests are served
    /// on this thread, a lone one is written without waking another.
    pub fn write_here(&self) {
        let (inner, here) = (&self.inner, Handle::current());
        if let Some(writer) = &inner.check_ins {
            writer.join(&here);
        }
        if let Some(writer) = &inner.arrivals {
            writer.join(&here);
        }
        if let Some(writer) = &inner.events {
            writer.join(&here);
        }
    }

    /// Decides a scan and, where it is admitted, records session and telemetry event: one statement.
    ///
    /// # Errors
    /// [`Error`]; after `Unavailable` and `Deadline` the same scan must be sent again to know.
    pub async fn check_in(&self, scan: CheckIn) -> Result<ScanAnswer, Error> {
        self.inner.check_ins.as_ref().ok_or(Error::NotStarted("check-ins"))?.write(scan).await
    }

    /// Closes a session's door-to-seat time, or answers as the first ping was answered. A signed ping comes
    /// with its nonce, which is used up in the same transaction.
    ///
    /// # Errors
    /// As [`Store::check_in`].
    pub async fn arrive(&self, ping: ArrivalPing, nonce: Option<Nonce>) -> Result<ArriveAnswer, Error> {
        self.inner
            .arrivals
            .as_ref()
            .ok_or(Error::NotStarted("arrivals"))?
            .write(SignedPing { ping, nonce })
            .await
    }

    /// Stores a signed request: its nonce, its events and its dead letters in one transaction.
    ///
    /// # Errors
    /// As [`Store::check_in`]. A value that only the database refuses makes a dead letter, not an error.
    pub async fn submit(&self, submission: Submission) -> Result<SubmitAnswer, Error> {
        let writer = self.inner.events.as_ref().ok_or(Error::NotStarted("events"))?;
        let submission = Arc::new(submission);
        match writer.write(Arc::clone(&submission).into()).await {
            // The one case in which it is needed again: the database refuses what the parser let through.
            Err(Error::BadValue(cause)) if !cause.is_forgotten_time() => {
                let mut submission = Arc::unwrap_or_clone(submission);
                let buried = self.inner.reader.bury_refused(&mut submission).await?;
                tracing::warn!(buried, error = %cause, "the database refused values that the parser let through");
                if buried == 0 { Err(Error::BadValue(cause)) } else { writer.write(submission.into()).await }
            }
            answer => answer,
        }
    }

    /// Whether a nonce is used up. For a signed body that is refused before it comes to a statement: those look for
    /// themselves, and a used nonce is said before anything that is wrong with the body.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn knows_nonce(&self, tenant: &TenantId, nonce: &Nonce) -> Result<bool, Error> {
        const SQL: &str = include_str!("../sql/nonce_known.sql");
        let rows = self.inner.reader.claimed(tenant, SQL, &[&nonce.nonce, &nonce.ts, &nonce.key_id]).await?;
        Ok(rows.first().map(|row| row.try_get("known")).transpose()?.unwrap_or(false))
    }

    /// The device of a bearer token; none where it is unknown or revoked (within 5 s).
    ///
    /// # Errors
    /// [`Error`] where the database has to be asked and cannot be, and before the first contact with it.
    pub async fn device(&self, token: TokenHash) -> Result<Option<Arc<Device>>, Error> {
        self.reached()?;
        self.inner.credentials.device(&self.inner.reader, token).await
    }

    /// The signing key of an id, a revoked one included; changes are seen within 5 s.
    ///
    /// # Errors
    /// As [`Store::device`].
    pub async fn signing_key(&self, key_id: &str) -> Result<Option<Arc<SigningKey>>, Error> {
        self.reached()?;
        self.inner.credentials.key(&self.inner.reader, key_id).await
    }

    /// A process that was started just now knows nobody yet: its maps and limits are still on their way, and an answer
    /// without them would be a wrong one.
    fn reached(&self) -> Result<(), Error> {
        if self.inner.readiness.is_starting() { Err(Error::Unreachable) } else { Ok(()) }
    }

    /// Forgets an answer of [`Store::signing_key`], so that the next one is the database's. For a key that does not
    /// verify what it should: it may just have been rotated.
    pub(crate) async fn forget_signing_key(&self, stale: &Arc<SigningKey>) {
        self.inner.credentials.forget_key(stale).await;
    }

    /// Whether the tenant has this event at this venue, with this door.
    ///
    /// # Errors
    /// As [`Store::device`].
    pub async fn knows_place(
        &self,
        tenant: &TenantId,
        venue: &VenueId,
        event: &EventId,
        door: &DoorId,
    ) -> Result<bool, Error> {
        self.inner.places.knows(&self.inner.reader, tenant, venue, event, door).await
    }

    /// Asks for so many units of what a tenant's plan limits, and counts those that are allowed as used; never waits.
    /// What is not used after all goes back by [`Store::give_back`].
    pub fn take(&self, tenant: &TenantId, feature: Feature, units: u64) -> Allowance {
        self.inner.quotas.as_ref().map_or(Allowance::All, |quotas| quotas.take(tenant, feature, units))
    }

    /// Whether the tenant's plan limits anything at all; never waits.
    pub fn limits(&self, tenant: &TenantId) -> bool {
        self.inner.quotas.as_ref().is_some_and(|quotas| quotas.limits(tenant))
    }

    /// Gives back units that were taken and not used: what was not stored, or was stored before.
    pub fn give_back(&self, tenant: &TenantId, feature: Feature, units: u64) {
        if let Some(quotas) = &self.inner.quotas {
            quotas.give_back(tenant, feature, units);
        }
    }

    /// The published map of a venue, compiled; never waits.
    pub fn graph(&self, tenant: &TenantId, venue: &VenueId) -> Option<Arc<Graph>> {
        self.inner.maps.as_ref()?.graph(tenant, venue)
    }

    /// Every tenant's id.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn tenants(&self) -> Result<Vec<TenantId>, Error> {
        self.inner.tenants().await
    }

    /// Shows the store in the process' metrics: its kind, its pool, its writer; and gives every tenant its series,
    /// now and as tenants are added. Once a process.
    pub fn observe(&self, metrics: &Arc<Metrics>) {
        let inner = &self.inner;
        metrics.set_store(StoreKind::Postgres);
        let reader = inner.reader.clone();
        metrics.watch_pool("reader", move || reader.reading());
        if let Some(writer) = &inner.check_ins {
            writer.observe(metrics);
        }
        if let Some(writer) = &inner.arrivals {
            writer.observe(metrics);
        }
        if let Some(writer) = &inner.events {
            writer.observe(metrics);
        }
        let _ = inner.metrics.set(Arc::clone(metrics));
        let tenants = Arc::clone(&inner.tenants.lock().unwrap_or_else(PoisonError::into_inner));
        metrics.set_tenants(&tenants);
    }

    /// Whether what this process writes would be refused now: for handlers that have not read their body yet.
    pub fn is_full(&self) -> bool {
        let inner = &self.inner;
        [
            inner.check_ins.as_ref().map(Writer::is_full),
            inner.arrivals.as_ref().map(Writer::is_full),
            inner.events.as_ref().map(Writer::is_full),
        ]
        .contains(&Some(true))
    }

    /// Rows that wait for the writer, and the connections it holds; for the gauges.
    pub fn writer_load(&self) -> (usize, usize) {
        let inner = &self.inner;
        let loads = [
            inner.check_ins.as_ref().map(|writer| (writer.waiting(), writer.connected())),
            inner.arrivals.as_ref().map(|writer| (writer.waiting(), writer.connected())),
            inner.events.as_ref().map(|writer| (writer.waiting(), writer.connected())),
        ];
        loads.into_iter().flatten().fold((0, 0), |sum, load| (sum.0 + load.0, sum.1 + load.1))
    }
}

impl Inner {
    /// Whether each writer that this service has holds a connection.
    fn writers_connected(&self) -> bool {
        let up = [
            self.check_ins.as_ref().map(|writer| writer.connected() > 0),
            self.arrivals.as_ref().map(|writer| writer.connected() > 0),
            self.events.as_ref().map(|writer| writer.connected() > 0),
        ];
        up.into_iter().flatten().all(|connected| connected)
    }

    async fn tenants(&self) -> Result<Vec<TenantId>, Error> {
        const SQL: &str = include_str!("../sql/tenant_list.sql");
        let rows = self.reader.look_up(SQL, &[]).await?;
        rows.iter()
            .map(|row| {
                row.try_get::<_, &str>(0)?
                    .parse()
                    .map_err(|_| Error::Corrupt("a tenant's id is no slug".into()))
            })
            .collect()
    }

    /// Closes connections of the pools that nobody uses.
    pub(crate) fn let_go_of_connections(&self) {
        for pool in [&self.reader, &self.people, &self.downloads] {
            pool.let_go();
        }
    }

    /// Drops every cache: anything may have changed while there was no contact.
    pub(crate) fn forget_everything(&self) {
        self.credentials.forget_devices();
        self.credentials.forget_keys();
        self.places.forget();
    }

    /// Loads maps that changed and warms tonight's doors, in the processes that use them.
    pub(crate) async fn look_around(&self) -> Result<(), Error> {
        let tenants = self.tenants().await?;
        *self.tenants.lock().unwrap_or_else(PoisonError::into_inner) = tenants.as_slice().into();
        if let Some(metrics) = self.metrics.get() {
            metrics.set_tenants(&tenants);
        }
        if let Some(quotas) = &self.quotas {
            quotas.put(self.entitlements().await?);
        }
        if let Some(maps) = &self.maps {
            maps.reload(&self.reader, &tenants).await?;
            if self.check_ins.is_some() {
                self.places.warm(&self.reader, &tenants).await?;
            }
        }
        Ok(())
    }

    /// Drops what the database said has changed, and tells whether there is something to look at anew.
    pub(crate) fn hear(&self, kinds: &[String]) -> bool {
        let mut look = false;
        for kind in kinds {
            match kind.as_str() {
                "devices" => self.credentials.forget_devices(),
                "signing_keys" => self.credentials.forget_keys(),
                "entitlements" => look |= self.quotas.is_some(),
                "venues" | "tenants" => {
                    self.places.forget();
                    look = true;
                }
                _ => {}
            }
        }
        look
    }
}
