//! Keeps contact with the database: says when it was reached and when it is lost, and hears what changes.
//!
//! One connection listens. Where it is lost, everything may have changed, so every cache is dropped when it is
//! back. Caches also have a time to live: a notification is only ever the faster way.

use std::{sync::Weak, time::Duration};

use futures_util::future::poll_fn;
use seatpilot_runtime::ReadinessState;
use tokio::{sync::mpsc, task::JoinHandle};
use tokio_postgres::{AsyncMessage, Client, NoTls};

use crate::{Error, Inner, MIN_SCHEMA_VERSION, connection::Target};

/// How often the connection is tried while nothing is heard.
const PING_EVERY: Duration = Duration::from_secs(2);
/// How long a reply to that may take.
const PING_MAX: Duration = Duration::from_secs(1);
/// How often maps are looked at without being told.
const LOOK_EVERY: Duration = Duration::from_secs(20);
const RETRY_MIN: Duration = Duration::from_millis(100);
const RETRY_MAX: Duration = Duration::from_secs(2);

/// Runs until the store is dropped.
pub(crate) async fn keep(target: Target, store: Weak<Inner>) {
    let mut pause = RETRY_MIN;
    let mut said = String::new();
    loop {
        let outcome = contact(&target, &store, &mut pause).await;
        let Some(inner) = store.upgrade() else { return };
        inner.readiness.lost();
        let reason = match outcome {
            Ok(()) => "the connection ended".to_owned(),
            Err(error) => describe(&error),
        };
        // The same trouble is said once, not every two seconds.
        if reason != said {
            tracing::warn!(reason, "no contact with the database; trying again");
            said = reason;
        }
        drop(inner);
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(RETRY_MAX);
    }
}

/// The message of an error and of its causes.
fn describe(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}

async fn contact(target: &Target, store: &Weak<Inner>, pause: &mut Duration) -> Result<(), Error> {
    let opened = tokio::time::timeout(Duration::from_secs(2), target.config().connect(NoTls)).await;
    let (client, mut connection) = opened.map_err(|_| Error::Unreachable)??;
    let (heard, mut notifications) = mpsc::channel(64);
    let driver = Driver(tokio::spawn(async move {
        while let Some(Ok(message)) = poll_fn(|context| connection.poll_message(context)).await {
            if let AsyncMessage::Notification(notification) = message {
                // Full means that there is enough to do already: every kind of news is looked at anyway.
                let _ = heard.try_send(notification.payload().to_owned());
            }
        }
    }));
    let version = schema_version(&client).await?;
    if version.as_str() < MIN_SCHEMA_VERSION {
        return Err(Error::Corrupt(format!(
            "the schema is at {version}, this version needs {MIN_SCHEMA_VERSION}: run `seatpilot migrate`"
        )));
    }
    client.batch_execute("listen seatpilot").await?;
    {
        let Some(inner) = store.upgrade() else { return Ok(()) };
        inner.forget_everything();
        // After an outage the reader answers nobody, us included, until it is over.
        if matches!(inner.readiness.state(), ReadinessState::Degraded { .. }) {
            inner.readiness.reached(&version);
        }
        inner.look_around().await?;
        inner.readiness.reached(&version);
        tracing::info!(schema_version = version, "reached the database");
    }
    *pause = RETRY_MIN;
    let mut looked = tokio::time::Instant::now();
    let mut owed = false;
    while !driver.0.is_finished() {
        let news = tokio::time::timeout(PING_EVERY, notifications.recv()).await;
        let Some(inner) = store.upgrade() else { return Ok(()) };
        let mut kinds = Vec::new();
        match news {
            Ok(None) => return Ok(()),
            Ok(Some(first)) => {
                kinds.push(first);
                while let Ok(more) = notifications.try_recv() {
                    if !kinds.contains(&more) {
                        kinds.push(more);
                    }
                }
            }
            Err(_) => {
                tokio::time::timeout(PING_MAX, client.batch_execute(""))
                    .await
                    .map_err(|_| Error::Deadline(PING_MAX))??;
            }
        }
        let moved = inner.hear(&kinds);
        if moved || owed || looked.elapsed() >= LOOK_EVERY {
            looked = tokio::time::Instant::now();
            // A full pool is no lost contact: the look is owed, not the readiness of everybody.
            owed = inner
                .look_around()
                .await
                .inspect_err(|error| {
                    tracing::warn!(
                        error = error as &dyn std::error::Error,
                        "could not look at what changed; trying again"
                    );
                })
                .is_err();
        }
    }
    Ok(())
}

async fn schema_version(client: &Client) -> Result<String, Error> {
    const SQL: &str = include_str!("../sql/schema_version.sql");
    let row = client.query_one(SQL, &[]).await.map_err(|error| {
        if error.as_db_error().is_some() {
            Error::Corrupt("the database has no SeatPilot schema: run `seatpilot migrate`".into())
        } else {
            error.into()
        }
    })?;
    Ok(row.try_get::<_, Option<String>>(0)?.unwrap_or_default())
}

/// Stops with its owner.
struct Driver(JoinHandle<()>);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}
