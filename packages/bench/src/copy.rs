//! A binary COPY by one connection, a thousand rows a transaction: the fastest way into Postgres, which knows no
//! signature, no schema, no repetition and no answer.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use futures_util::pin_mut;
use seatpilot_runtime::Clock;
use tokio_postgres::{
    Client,
    binary_copy::BinaryCopyInWriter,
    types::{Json, Type},
};
use uuid::Uuid;

use crate::{
    drive::{Reading, histogram},
    house::House,
    machine::{Of, Watch},
};

/// Rows of a transaction.
const ROWS: usize = 1_000;

/// What is copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tables {
    /// The events alone.
    Events,
    /// And the ids that keep one from being stored twice.
    EventsAndIds,
}

/// A connection that copies.
pub(crate) struct Copier {
    client: Client,
    venue: String,
}

impl Copier {
    /// Connects as the owner, whom no policy is asked for.
    ///
    /// # Errors
    /// The server is away.
    pub(crate) async fn open(house: &House) -> anyhow::Result<Self> {
        Ok(Self { client: house.evening.db.owner().await, venue: house.evening.venue.to_string() })
    }

    /// Copies for so long.
    ///
    /// # Errors
    /// What the server says.
    pub(crate) async fn copy(
        &mut self,
        house: &House,
        tables: Tables,
        lasting: Duration,
    ) -> anyhow::Result<Reading> {
        let watch = Watch::start(&[
            ("driver", Of::Process(std::process::id())),
            ("database", Of::Family(house.database_pid)),
        ]);
        let (began, mut done, mut latency) = (Instant::now(), 0, histogram()?);
        while began.elapsed() < lasting {
            let from = Instant::now();
            self.transaction(tables).await.context("a COPY failed")?;
            latency.saturating_record(u64::try_from(from.elapsed().as_micros())?);
            done += ROWS as u64;
        }
        let (seconds, used) = watch.stop();
        Ok(Reading { done, seconds, latency, used })
    }

    async fn transaction(&mut self, tables: Tables) -> Result<(), tokio_postgres::Error> {
        let (at, ids): (_, Vec<Uuid>) = (Clock::system().now(), (0..ROWS).map(|_| Uuid::now_v7()).collect());
        let data = Json(serde_json::value::RawValue::NULL);
        let transaction = self.client.transaction().await?;
        let into = "copy telemetry.events_raw (occurred_at, id, tenant_id, type, source, venue_id, data) \
                    from stdin binary";
        let types =
            [Type::TIMESTAMPTZ, Type::UUID, Type::TEXT, Type::TEXT, Type::TEXT, Type::TEXT, Type::JSONB];
        let writer = BinaryCopyInWriter::new(transaction.copy_in(into).await?, &types);
        pin_mut!(writer);
        for id in &ids {
            writer
                .as_mut()
                .write(&[&at, id, &"acme", &"device.heartbeat", &"copy", &self.venue, &data])
                .await?;
        }
        writer.finish().await?;
        match tables {
            Tables::Events => {}
            Tables::EventsAndIds => {
                let into = "copy telemetry.event_ids (id, tenant_id, body_sha256) from stdin binary";
                let types = [Type::UUID, Type::TEXT, Type::BYTEA];
                let writer = BinaryCopyInWriter::new(transaction.copy_in(into).await?, &types);
                pin_mut!(writer);
                for id in &ids {
                    writer.as_mut().write(&[id, &"acme", &[7_u8; 32].as_slice()]).await?;
                }
                writer.finish().await?;
            }
        }
        transaction.commit().await
    }
}
