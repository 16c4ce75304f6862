//! The published maps of every tenant, compiled and swapped whole: a request reads them without a lock and
//! without the database. A new publication is served within two seconds.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
};

use arc_swap::ArcSwap;
use seatpilot_domain_model::{TenantId, VenueId};
use seatpilot_venue_graph::{Graph, Venue};
use tokio::sync::Mutex;

use crate::{Error, reader::Reader};

/// Maps that one process holds.
const MAPS_MAX: usize = 1_000;

type Key = (TenantId, VenueId);

#[derive(Clone)]
struct Loaded {
    revision: i64,
    graph: Arc<Graph>,
}

/// Every map, by tenant and venue.
#[derive(Default)]
pub(crate) struct Atlas {
    maps: ArcSwap<HashMap<Key, Loaded>>,
    /// One reload at a time.
    reloading: Mutex<()>,
    /// Documents that cannot be read, by the revision that was tried: said once.
    broken: RwLock<HashMap<Key, i64>>,
}

impl Atlas {
    /// The map of a venue, where one is published and readable.
    pub(crate) fn graph(&self, tenant: &TenantId, venue: &VenueId) -> Option<Arc<Graph>> {
        let maps = self.maps.load();
        maps.get(&(tenant.clone(), venue.clone())).map(|loaded| Arc::clone(&loaded.graph))
    }

    /// Loads what was published since, and drops what is gone.
    pub(crate) async fn reload(&self, reader: &Reader, tenants: &[TenantId]) -> Result<(), Error> {
        const LIST: &str = include_str!("../sql/venue_list.sql");
        let _alone = self.reloading.lock().await;
        let before = self.maps.load_full();
        let mut now = HashMap::new();
        let mut changed = false;
        for tenant in tenants {
            for row in reader.claimed(tenant, LIST, &[]).await? {
                let revision: i64 = row.try_get("map_revision")?;
                let Ok(venue) = row.try_get::<_, &str>("venue_id")?.parse::<VenueId>() else { continue };
                let key = (tenant.clone(), venue);
                if now.len() >= MAPS_MAX {
                    tracing::warn!(limit = MAPS_MAX, "more maps are published than one process holds");
                    break;
                }
                match before.get(&key) {
                    Some(loaded) if loaded.revision == revision => {
                        now.insert(key, loaded.clone());
                    }
                    known => match self.load(reader, &key, revision).await? {
                        Some(loaded) => {
                            now.insert(key, loaded);
                            changed = true;
                        }
                        // A document that cannot be read does not take the last good one away.
                        None => {
                            if let Some(loaded) = known {
                                now.insert(key, loaded.clone());
                            }
                        }
                    },
                }
            }
        }
        if changed || now.len() != before.len() {
            self.maps.store(Arc::new(now));
        }
        Ok(())
    }

    async fn load(&self, reader: &Reader, key: &Key, revision: i64) -> Result<Option<Loaded>, Error> {
        const DOCUMENT: &str = include_str!("../sql/venue_map.sql");
        let (tenant, venue) = key;
        let tried = self.broken.read().unwrap_or_else(PoisonError::into_inner).get(key).copied();
        if tried == Some(revision) {
            return Ok(None);
        }
        let rows = reader.claimed(tenant, DOCUMENT, &[&venue.as_str()]).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let document: Vec<u8> = row.try_get("document")?;
        let compiled = tokio::task::spawn_blocking(move || {
            Venue::from_bytes(&document).map(Graph::new).map_err(|error| error.to_string())
        })
        .await
        .unwrap_or_else(|_| Err("the compiler of maps failed".into()));
        match compiled {
            Ok(graph) => Ok(Some(Loaded { revision, graph: Arc::new(graph) })),
            Err(reason) => {
                tracing::error!(%tenant, %venue, revision, reason, "a published map cannot be read");
                self.broken.write().unwrap_or_else(PoisonError::into_inner).insert(key.clone(), revision);
                Ok(None)
            }
        }
    }
}
