//! The bus before a database, and the instance that writes what comes over it.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use seatpilot_runtime::{Clock, Shutdown};
use seatpilot_telemetry_ingest::bind;
use seatpilot_testkit::{Nats, TestDb};
use tempfile::NamedTempFile;

use crate::service::run;

/// The bus, and the instance that writes what comes over it.
pub(crate) struct BusBehind {
    pub(crate) nats: Nats,
    at_rest: NamedTempFile,
    writer: Shutdown,
}

impl BusBehind {
    /// Before a database, with a writer at work.
    pub(crate) async fn before(db: &TestDb) -> Self {
        let nats = Nats::start().await.unwrap();
        // Only its owner reads it: made so.
        let at_rest = NamedTempFile::new().unwrap();
        std::fs::write(at_rest.path(), STANDARD.encode([7; 32])).unwrap();
        let mut bus = Self { nats, at_rest, writer: Shutdown::manual() };
        let (_, writer) = run(&bus.variables(db, "write"), |config, shutdown| {
            bind(config, Clock::system(), shutdown).unwrap()
        })
        .await;
        bus.writer = writer;
        bus
    }

    /// What an instance in that role is told.
    pub(crate) fn variables(&self, db: &TestDb, role: &str) -> Vec<(&'static str, String)> {
        vec![
            ("DATABASE_URL", db.url_as("seatpilot_ingest")),
            ("SEATPILOT_SECRETS_KEY_FILE", self.at_rest.path().to_str().unwrap().to_owned()),
            ("INGEST_BUS", "nats".to_owned()),
            ("INGEST_BUS_ROLE", role.to_owned()),
            ("NATS_URL", self.nats.url()),
        ]
    }
}

impl Drop for BusBehind {
    fn drop(&mut self) {
        self.writer.begin();
    }
}
