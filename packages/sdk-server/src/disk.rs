//! The outbox in a file: two tables of a redb database, each change synced before it is said to be done.

use std::path::{Path, PathBuf};

use redb::{Database, ReadableDatabase, ReadableTable, ReadableTableMetadata, TableDefinition};
use uuid::Uuid;

use crate::outbox::{Entry, OutboxError};

/// What waits, in the order in which it came: number to id and JSON.
const EVENTS: TableDefinition<'_, u64, (u128, &str)> = TableDefinition::new("events");
/// Where an id waits.
const IDS: TableDefinition<'_, u128, u64> = TableDefinition::new("ids");

#[derive(Debug)]
pub(crate) struct Disk {
    path: PathBuf,
    database: Database,
}

impl Disk {
    pub(crate) fn open(path: &Path) -> Result<Self, OutboxError> {
        let failed = |error: redb::Error| OutboxError { path: path.to_owned(), reason: error.to_string() };
        let database = Database::create(path).map_err(|error| failed(error.into()))?;
        let disk = Self { path: path.to_owned(), database };
        // Both tables are there from now on: a reader need not ask.
        disk.changed(|transaction| {
            transaction.open_table(EVENTS)?;
            transaction.open_table(IDS)?;
            Ok(())
        })?;
        Ok(disk)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn put(&self, entry: &Entry, limit: u64) -> Result<bool, OutboxError> {
        self.changed(|transaction| {
            let (mut events, mut ids) = (transaction.open_table(EVENTS)?, transaction.open_table(IDS)?);
            if ids.get(entry.id.as_u128())?.is_some() {
                return Ok(true);
            }
            if events.len()? >= limit {
                return Ok(false);
            }
            let at = events.last()?.map_or(0, |(last, _)| last.value() + 1);
            events.insert(at, (entry.id.as_u128(), entry.json.as_str()))?;
            ids.insert(entry.id.as_u128(), at)?;
            Ok(true)
        })
    }

    pub(crate) fn oldest(&self, count: usize) -> Result<Vec<Entry>, OutboxError> {
        self.read(|transaction| {
            let events = transaction.open_table(EVENTS)?;
            let mut oldest = Vec::new();
            for entry in events.iter()?.take(count) {
                let (_, kept) = entry?;
                let (id, json) = kept.value();
                oldest.push(Entry { id: Uuid::from_u128(id), json: json.to_owned() });
            }
            Ok(oldest)
        })
    }

    pub(crate) fn remove(&self, settled: &[Uuid]) -> Result<(), OutboxError> {
        self.changed(|transaction| {
            let (mut events, mut ids) = (transaction.open_table(EVENTS)?, transaction.open_table(IDS)?);
            for id in settled {
                let at = ids.remove(id.as_u128())?.map(|at| at.value());
                if let Some(at) = at {
                    events.remove(at)?;
                }
            }
            Ok(())
        })
    }

    pub(crate) fn size(&self) -> Result<u64, OutboxError> {
        self.read(|transaction| Ok(transaction.open_table(EVENTS)?.len()?))
    }

    fn changed<T>(
        &self,
        work: impl FnOnce(&redb::WriteTransaction) -> Result<T, redb::Error>,
    ) -> Result<T, OutboxError> {
        let done = || {
            let transaction = self.database.begin_write()?;
            let made = work(&transaction)?;
            // Immediate durability is redb's default: the file is synced when this returns.
            transaction.commit()?;
            Ok(made)
        };
        done().map_err(|error| self.failed(&error))
    }

    fn read<T>(
        &self,
        work: impl FnOnce(&redb::ReadTransaction) -> Result<T, redb::Error>,
    ) -> Result<T, OutboxError> {
        let done = || work(&self.database.begin_read()?);
        done().map_err(|error| self.failed(&error))
    }

    fn failed(&self, error: &redb::Error) -> OutboxError {
        OutboxError { path: self.path.clone(), reason: error.to_string() }
    }
}
