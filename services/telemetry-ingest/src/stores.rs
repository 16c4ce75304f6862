//! Where the events go: the store that the configuration names, opened.

use seatpilot_runtime::{BusRole, Clock, ConfigFaults, Readiness, StoreConfig, StoreKind, variable};
use seatpilot_store::{
    EventStore, MEMORY_BYTES_MAX, Maps, MemoryStore, RestSettings, RestSettingsFault, RestStore, Store,
    StoreSettings, Writes,
};

use crate::config::Config;

/// Connections of the reading pool: keys and tenants, all of them cached.
const POOL_SIZE: usize = 4;

/// Who only hands in to a bus has no connections that write.
fn writes(config: &Config) -> Writes {
    match config.bus.as_ref().map(|bus| bus.role) {
        Some(BusRole::Verify) => Writes::EventsElsewhere,
        Some(BusRole::Both | BusRole::Write) | None => Writes::Events,
    }
}

/// Opens the store, and tells how the process is to know of its state.
pub(crate) fn open(config: &Config, clock: &Clock) -> Result<(EventStore, Readiness), ConfigFaults> {
    match &config.store {
        StoreConfig::Postgres(database) => {
            let readiness = Readiness::starting(StoreKind::Postgres);
            // What comes over a bus is written where it is taken off it, else where requests are served.
            let open = if config.bus.is_some() { Store::open } else { Store::open_without_writers };
            let store = open(StoreSettings {
                database: database.clone(),
                application_name: config.service.service_name.clone(),
                writes: writes(config),
                maps: Maps::NotKept,
                pool_size: POOL_SIZE,
                deployment: config.service.deployment,
                readiness: readiness.clone(),
                clock: clock.clone(),
            })
            .map_err(|fault| ConfigFaults::of(fault.variable(), fault.to_string()))?;
            Ok((EventStore::Postgres(store), readiness))
        }
        StoreConfig::Rest(rest) => {
            let readiness = Readiness::starting(StoreKind::Supabase);
            let (url, key) = (rest.url.clone(), rest.key.clone());
            let store = RestStore::open(RestSettings { url, key, readiness: readiness.clone() }).map_err(
                |fault| {
                    let variable = match fault {
                        RestSettingsFault::Key => &variable::SUPABASE_SERVICE_ROLE_KEY,
                        RestSettingsFault::Tls(_) => &variable::SUPABASE_URL,
                    };
                    ConfigFaults::of(variable, fault.to_string())
                },
            )?;
            Ok((EventStore::Rest(store), readiness))
        }
        StoreConfig::Memory => {
            tracing::warn!(
                "STORE=memory: events are kept in this process and are lost when it ends. For trying out only: set DATABASE_URL to keep them"
            );
            let tenant = config.bootstrap.as_ref().map(|key| key.tenant.clone());
            let store = MemoryStore::new(tenant, MEMORY_BYTES_MAX, clock.clone());
            Ok((EventStore::Memory(store), Readiness::without_database(StoreKind::Memory)))
        }
    }
}
