//! Keeps contact over REST: says when the function answered and when it does not.
//!
//! Nothing can be listened to here, so what changes is asked for: keys expire from the cache within 4 s, tenants and
//! limits are read every 10 s.

use std::{
    sync::Weak,
    time::{Duration, Instant},
};

use super::{ingest::Hello, store::Inner};
use crate::{Error, MIN_SCHEMA_VERSION};

/// How often the function is asked whether it is there.
const HELLO_EVERY: Duration = Duration::from_secs(2);
/// How often tenants and limits are read.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// How often the writers are asked at the first contact whether they reached the function, and for how long.
const WRITERS_EVERY: Duration = Duration::from_millis(5);
const WRITERS_MAX: Duration = Duration::from_secs(5);
const RETRY_MIN: Duration = Duration::from_millis(100);
const RETRY_MAX: Duration = Duration::from_secs(2);

/// Runs until the store is dropped.
pub(super) async fn keep(store: Weak<Inner>) {
    let mut pause = RETRY_MIN;
    let mut said = String::new();
    loop {
        let outcome = contact(&store, &mut pause).await;
        let Some(inner) = store.upgrade() else { return };
        let Err(error) = outcome else { return };
        inner.readiness.lost();
        let reason = said_by(&error);
        // The same trouble is said once, not every two seconds.
        if reason != said {
            tracing::warn!(reason, "no contact with Supabase's REST interface; trying again");
            said = reason;
        }
        drop(inner);
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(RETRY_MAX);
    }
}

/// An error of the store and what caused it.
fn said_by(error: &Error) -> String {
    match error {
        Error::Unavailable(cause) | Error::BadValue(cause) | Error::Broken(cause) => {
            format!("{error}: {cause}")
        }
        Error::Unreachable
        | Error::Deadline(_)
        | Error::Full(_)
        | Error::Corrupt(_)
        | Error::NotStarted(_) => error.to_string(),
    }
}

/// Ends well when the store is dropped.
async fn contact(store: &Weak<Inner>, pause: &mut Duration) -> Result<(), Error> {
    let Some(inner) = store.upgrade() else { return Ok(()) };
    let version = hello(&inner).await?;
    // Anything may have changed while there was no contact.
    inner.keys.invalidate_all();
    inner.look_around().await?;
    writers_connected(&inner).await?;
    inner.readiness.reached(&version);
    tracing::info!(schema_version = version, "reached the database by Supabase's REST interface");
    drop(inner);
    *pause = RETRY_MIN;
    let mut looked = Instant::now();
    loop {
        tokio::time::sleep(HELLO_EVERY).await;
        let Some(inner) = store.upgrade() else { return Ok(()) };
        let version = hello(&inner).await?;
        inner.readiness.reached(&version);
        if looked.elapsed() >= LOOK_EVERY {
            looked = Instant::now();
            // Busy for a moment is no lost contact.
            if let Err(error) = inner.look_around().await {
                tracing::warn!(reason = said_by(&error), "could not read tenants and limits; trying again");
            }
        }
    }
}

async fn hello(inner: &Inner) -> Result<String, Error> {
    let hello: Hello = inner.client.call("hello", &()).await?;
    let version = hello.schema_version.unwrap_or_default();
    if version.as_str() < MIN_SCHEMA_VERSION {
        return Err(Error::Corrupt(format!(
            "the schema is at {version}, this version needs {MIN_SCHEMA_VERSION}: run `seatpilot migrate`"
        )));
    }
    Ok(version)
}

/// Whoever is told `ready` is not to be refused by a writer that has not begun.
async fn writers_connected(inner: &Inner) -> Result<(), Error> {
    let all = async {
        while inner.writer.connected() == 0 {
            tokio::time::sleep(WRITERS_EVERY).await;
        }
    };
    tokio::time::timeout(WRITERS_MAX, all).await.map_err(|_| Error::Unreachable)
}
