//! Where events wait until the server has answered for them.

use std::{
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use uuid::Uuid;

use crate::disk::Disk;

/// Keeps events in order until they are settled, so many at most.
#[derive(Debug)]
pub struct Outbox {
    limit: u64,
    place: Place,
}

/// The disk did not keep, or did not give back.
#[derive(Debug, thiserror::Error)]
#[error("the outbox {}: {reason}", .path.display())]
pub struct OutboxError {
    /// The file.
    pub path: PathBuf,
    /// In words.
    pub reason: String,
}

#[derive(Debug)]
enum Place {
    Memory(Mutex<Memory>),
    Disk(Arc<Disk>),
}

/// An event that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) id: Uuid,
    pub(crate) json: String,
}

#[derive(Debug, Default)]
struct Memory {
    next: u64,
    entries: BTreeMap<u64, Entry>,
    ids: HashMap<Uuid, u64>,
}

impl Outbox {
    /// In memory: ends with the process. `limit` events at most, of 32 KiB at most.
    pub fn memory(limit: u64) -> Self {
        Self { limit, place: Place::Memory(Mutex::default()) }
    }

    /// In a file, which is made where there is none. An event is on the disk, and synced, before
    /// [`Sender::send`](crate::Sender::send) returns. One process at a time may have it open.
    ///
    /// # Errors
    /// [`OutboxError`] where the file cannot be opened, is none of these, or is another process's.
    pub fn on_disk(path: impl AsRef<Path>, limit: u64) -> Result<Self, OutboxError> {
        Ok(Self { limit, place: Place::Disk(Arc::new(Disk::open(path.as_ref())?)) })
    }

    /// Keeps it; false where there is no room, and nothing was kept. The same id again needs none.
    pub(crate) async fn put(&self, entry: Entry) -> Result<bool, OutboxError> {
        let limit = self.limit;
        match &self.place {
            Place::Memory(memory) => {
                let mut memory = memory.lock().unwrap_or_else(PoisonError::into_inner);
                if memory.ids.contains_key(&entry.id) {
                    return Ok(true);
                }
                if memory.entries.len() as u64 >= limit {
                    return Ok(false);
                }
                let at = memory.next;
                memory.next += 1;
                memory.ids.insert(entry.id, at);
                memory.entries.insert(at, entry);
                Ok(true)
            }
            Place::Disk(disk) => on_a_thread(disk, move |disk| disk.put(&entry, limit)).await,
        }
    }

    /// The oldest, which stay.
    pub(crate) async fn oldest(&self, count: usize) -> Result<Vec<Entry>, OutboxError> {
        match &self.place {
            Place::Memory(memory) => {
                let memory = memory.lock().unwrap_or_else(PoisonError::into_inner);
                Ok(memory.entries.values().take(count).cloned().collect())
            }
            Place::Disk(disk) => on_a_thread(disk, move |disk| disk.oldest(count)).await,
        }
    }

    /// Lets go of those that are settled.
    pub(crate) async fn remove(&self, ids: Vec<Uuid>) -> Result<(), OutboxError> {
        match &self.place {
            Place::Memory(memory) => {
                let mut memory = memory.lock().unwrap_or_else(PoisonError::into_inner);
                for id in ids {
                    if let Some(at) = memory.ids.remove(&id) {
                        memory.entries.remove(&at);
                    }
                }
                Ok(())
            }
            Place::Disk(disk) => on_a_thread(disk, move |disk| disk.remove(&ids)).await,
        }
    }

    /// How many wait.
    pub(crate) async fn size(&self) -> Result<u64, OutboxError> {
        match &self.place {
            Place::Memory(memory) => {
                Ok(memory.lock().unwrap_or_else(PoisonError::into_inner).entries.len() as u64)
            }
            Place::Disk(disk) => on_a_thread(disk, Disk::size).await,
        }
    }
}

/// A disk may take its time: not on a thread that others wait for.
async fn on_a_thread<T: Send + 'static>(
    disk: &Arc<Disk>,
    work: impl FnOnce(&Disk) -> Result<T, OutboxError> + Send + 'static,
) -> Result<T, OutboxError> {
    let (own, path) = (Arc::clone(disk), disk.path().to_owned());
    tokio::task::spawn_blocking(move || work(&own))
        .await
        .unwrap_or_else(|error| Err(OutboxError { path, reason: error.to_string() }))
}
