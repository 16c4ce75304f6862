//! Whether a process may be sent work, as one value that the store moves and the server reads.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use tokio::sync::watch;

use crate::environment::ConfigFaults;

/// What answers for the data behind a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreKind {
    /// A Postgres reached directly.
    Postgres,
    /// Postgres behind Supabase's REST interface.
    Supabase,
    /// Memory, asked for by name.
    Memory,
    /// No store at all.
    None,
}

impl StoreKind {
    /// The word on `/ready` and in `seatpilot_store_info`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::Supabase => "supabase",
            Self::Memory => "memory",
            Self::None => "none",
        }
    }
}

/// The way between those who verify and those who write, where a process needs one besides its store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BusState {
    /// It was not reached yet.
    Starting,
    /// It is there.
    Connected,
    /// It was there, and is not now.
    Away,
}

impl BusState {
    /// The word on `/ready`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Connected => "connected",
            Self::Away => "away",
        }
    }
}

/// How far a process is. `schema_version` is the newest migration that the database has (`"013"`), none
/// where there is no database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReadinessState {
    /// Schema and store were not reached yet.
    Starting,
    /// Reached.
    Ready {
        /// The newest migration.
        schema_version: Option<Arc<str>>,
    },
    /// Reached once, out of reach now. Still ready: a database that all instances share must not empty the
    /// balancer. Requests are answered 503 quickly.
    Degraded {
        /// The newest migration, as it was.
        schema_version: Option<Arc<str>>,
    },
    /// Going down; nothing leads back.
    Draining {
        /// The newest migration, as it was.
        schema_version: Option<Arc<str>>,
    },
}

impl ReadinessState {
    /// The word on `/ready`.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Ready { .. } => "ready",
            Self::Degraded { .. } => "degraded",
            Self::Draining { .. } => "draining",
        }
    }

    /// Whether a balancer should send work.
    pub const fn takes_work(&self) -> bool {
        matches!(self, Self::Ready { .. } | Self::Degraded { .. })
    }

    /// The newest migration, where one is known.
    pub fn schema_version(&self) -> Option<&Arc<str>> {
        match self {
            Self::Starting => None,
            Self::Ready { schema_version }
            | Self::Degraded { schema_version }
            | Self::Draining { schema_version } => schema_version.as_ref(),
        }
    }
}

/// The readiness of this process. Clones share it.
#[derive(Debug, Clone)]
pub struct Readiness {
    store: StoreKind,
    state: Arc<watch::Sender<ReadinessState>>,
    /// Set once it was seen not to start any more: nothing leads back, so that no request asks for the state's lock.
    started: Arc<AtomicBool>,
    refusal: Arc<watch::Sender<Option<ConfigFaults>>>,
    bus: Option<watch::Receiver<BusState>>,
}

impl Readiness {
    /// A process that waits for its first contact with a store.
    pub fn starting(store: StoreKind) -> Self {
        Self::of(store, ReadinessState::Starting)
    }

    /// A process that needs no store.
    pub fn without_store() -> Self {
        Self::without_database(StoreKind::None)
    }

    /// A process whose store is no database, and is there at once.
    pub fn without_database(store: StoreKind) -> Self {
        Self::of(store, ReadinessState::Ready { schema_version: None })
    }

    fn of(store: StoreKind, state: ReadinessState) -> Self {
        Self {
            store,
            state: Arc::new(watch::Sender::new(state)),
            started: Arc::default(),
            refusal: Arc::default(),
            bus: None,
        }
    }

    /// The store was reached, and its schema is new enough.
    pub fn reached(&self, schema_version: &str) {
        self.change(|state| match state {
            ReadinessState::Draining { .. } => None,
            ReadinessState::Ready { schema_version: Some(known) } if **known == *schema_version => None,
            _ => Some(ReadinessState::Ready { schema_version: Some(schema_version.into()) }),
        });
    }

    /// The store is out of reach. Says nothing before the first contact.
    pub fn lost(&self) {
        self.change(|state| match state {
            ReadinessState::Ready { schema_version } => {
                Some(ReadinessState::Degraded { schema_version: schema_version.clone() })
            }
            _ => None,
        });
    }

    /// Whether there was no contact with the store yet.
    pub fn is_starting(&self) -> bool {
        if self.started.load(Ordering::Relaxed) {
            return false;
        }
        let starting = matches!(*self.state.borrow(), ReadinessState::Starting);
        if !starting {
            self.started.store(true, Ordering::Relaxed);
        }
        starting
    }

    /// The process goes down.
    pub fn drain(&self) {
        self.change(|state| match state {
            ReadinessState::Draining { .. } => None,
            other => Some(ReadinessState::Draining { schema_version: other.schema_version().cloned() }),
        });
    }

    /// What the process works with is none that it may work with: it ends, by whoever waits for [`Readiness::refused`].
    /// The first reason is the one that is said.
    pub fn refuse(&self, faults: ConfigFaults) {
        self.refusal.send_if_modified(|known| {
            let is_first = known.is_none();
            if is_first {
                *known = Some(faults);
            }
            is_first
        });
    }

    /// Waits until the process must not go on, and says why. Safe to drop and to call again.
    pub async fn refused(&self) -> ConfigFaults {
        let mut refusal = self.refusal.subscribe();
        let faults = match refusal.wait_for(Option::is_some).await {
            Ok(known) => known.clone(),
            // Only when the sender is gone, and `self` holds it.
            Err(_) => None,
        };
        match faults {
            Some(faults) => faults,
            None => std::future::pending().await,
        }
    }

    /// The same process as its server is to show it: what goes over a bus needs that as well as the store. The store
    /// keeps its own view, for a bus that is away must not keep anybody from the database.
    #[must_use]
    pub fn over_bus(&self, bus: watch::Receiver<BusState>) -> Self {
        Self { bus: Some(bus), ..self.clone() }
    }

    /// The bus, where the process needs one.
    pub fn bus(&self) -> Option<BusState> {
        self.bus.as_ref().map(|bus| *bus.borrow())
    }

    /// The state now.
    pub fn state(&self) -> ReadinessState {
        let state = self.state.borrow().clone();
        match (self.bus(), state) {
            (None | Some(BusState::Connected), state) => state,
            (Some(BusState::Starting), ReadinessState::Ready { .. } | ReadinessState::Degraded { .. }) => {
                ReadinessState::Starting
            }
            (Some(BusState::Away), ReadinessState::Ready { schema_version }) => {
                ReadinessState::Degraded { schema_version }
            }
            (Some(BusState::Starting | BusState::Away), state) => state,
        }
    }

    /// What answers for the data.
    pub fn store(&self) -> StoreKind {
        self.store
    }

    /// Sees every change of the store from now on.
    pub fn subscribe(&self) -> watch::Receiver<ReadinessState> {
        self.state.subscribe()
    }

    fn change(&self, next: impl FnOnce(&ReadinessState) -> Option<ReadinessState>) {
        self.state.send_if_modified(|state| match next(state) {
            Some(new) => {
                *state = new;
                true
            }
            None => false,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_after_the_first_contact_degrades_and_heals() {
        let readiness = Readiness::starting(StoreKind::Postgres);
        readiness.lost();
        assert_eq!(readiness.state(), ReadinessState::Starting);
        readiness.reached("013");
        assert!(readiness.state().takes_work());
        readiness.lost();
        assert_eq!(readiness.state().as_str(), "degraded");
        assert_eq!(readiness.state().schema_version().map(|version| &**version), Some("013"));
        assert!(readiness.state().takes_work());
        readiness.reached("014");
        assert_eq!(readiness.state().schema_version().map(|version| &**version), Some("014"));
    }

    #[tokio::test]
    async fn the_first_refusal_is_seen_by_those_who_wait_and_by_those_who_come_later() {
        let readiness = Readiness::starting(StoreKind::Postgres);
        let waiting = tokio::spawn({
            let readiness = readiness.clone();
            async move { readiness.refused().await }
        });
        let faults = |detail| ConfigFaults::of(&crate::variable::DATABASE_URL, detail);
        readiness.refuse(faults("first"));
        readiness.refuse(faults("second"));
        assert_eq!(waiting.await.unwrap(), faults("first"));
        assert_eq!(readiness.refused().await, faults("first"));
    }

    #[test]
    fn a_bus_is_needed_besides_the_store_and_the_store_hears_nothing_of_it() {
        let store = Readiness::starting(StoreKind::Postgres);
        let bus = watch::Sender::new(BusState::Starting);
        let server = store.over_bus(bus.subscribe());
        store.reached("013");
        assert_eq!((server.state(), server.bus()), (ReadinessState::Starting, Some(BusState::Starting)));
        bus.send_replace(BusState::Connected);
        assert_eq!(server.state(), store.state());
        bus.send_replace(BusState::Away);
        assert_eq!(server.state().as_str(), "degraded");
        assert_eq!((store.state().as_str(), store.bus()), ("ready", None));
        server.drain();
        assert_eq!(server.state().as_str(), "draining");
    }

    #[test]
    fn nothing_leads_back_from_draining() {
        let readiness = Readiness::without_store();
        readiness.drain();
        readiness.reached("013");
        readiness.lost();
        assert_eq!(readiness.state(), ReadinessState::Draining { schema_version: None });
        assert!(!readiness.state().takes_work());
    }
}
