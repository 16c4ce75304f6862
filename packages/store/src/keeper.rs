//! Keeps contact with the database: says when it was reached and when it is lost, and hears what changes.
//!
//! One connection listens. Where it is lost, everything may have changed, so every cache is dropped when it is
//! back. Caches also have a time to live: a notification is only ever the faster way. Where a pooler stands before the
//! server, the listening connection goes past it, and a second one is held through it: contact is both.

use std::{sync::Weak, time::Duration};

use futures_util::future::poll_fn;
use seatpilot_runtime::ReadinessState;
use tokio::{
    sync::mpsc::{self, Receiver},
    task::JoinHandle,
};
use tokio_postgres::{AsyncMessage, Client, NoTls, types::Type};
use uuid::Uuid;

use crate::{
    Error, Inner, MIN_SCHEMA_VERSION,
    connection::{Connection, Target},
    standing::is_patched,
    waits::{OPEN_MAX, PING_EVERY, PING_MAX, POOLER_MAX},
};

/// How often maps are looked at without being told.
const LOOK_EVERY: Duration = Duration::from_secs(20);
/// How often the writers are asked at the first contact whether they have a connection.
const WRITERS_EVERY: Duration = Duration::from_millis(5);
/// How long they may take: to open one, and to run their statement once on it.
const WRITERS_MAX: Duration = Duration::from_secs(5);
/// How often two connections are tried whether a pooler swaps them: other clients of a busy one may be in between.
const SWAPS: usize = 3;
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

/// A writer that has no connection yet refuses at once: whoever was told `ready` would be told
/// `database_unavailable` by the next answer.
async fn writers_connected(inner: &Inner) -> Result<(), Error> {
    let all = async {
        while !inner.writers_connected() {
            tokio::time::sleep(WRITERS_EVERY).await;
        }
    };
    tokio::time::timeout(WRITERS_MAX, all).await.map_err(|_| Error::Unreachable)
}

async fn contact(target: &Target, store: &Weak<Inner>, pause: &mut Duration) -> Result<(), Error> {
    let opened = tokio::time::timeout(OPEN_MAX, target.direct_config().connect(NoTls)).await;
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
    // Before the schema: whoever has to mend both should read of this first.
    target.vet(&client).await?;
    let version = within(OPEN_MAX, schema_version(&client)).await?;
    if version.as_str() < MIN_SCHEMA_VERSION {
        return Err(Error::Corrupt(format!(
            "the schema is at {version}, this version needs {MIN_SCHEMA_VERSION}: run `seatpilot migrate`"
        )));
    }
    within(OPEN_MAX, warn_of_known_holes(&client)).await?;
    within(OPEN_MAX, async { Ok(client.batch_execute("listen seatpilot").await?) }).await?;
    let pooled = match target.pooled() {
        None => {
            stay_on_their_connections(&client, &target.open().await?).await?;
            None
        }
        Some(_) => {
            let pooled = target.open().await?;
            lead_to_one_database(&pooled, &mut notifications).await?;
            Some(pooled)
        }
    };
    {
        let Some(inner) = store.upgrade() else { return Ok(()) };
        hold_to_waits(pooled.as_ref().map_or(&client, |pooled| &pooled.client), &inner).await?;
        inner.forget_everything();
        // After an outage the reader answers nobody, us included, until it is over.
        if matches!(inner.readiness.state(), ReadinessState::Degraded { .. }) {
            inner.readiness.reached(&version);
        }
        inner.look_around().await?;
        writers_connected(&inner).await?;
        inner.readiness.reached(&version);
        tracing::info!(schema_version = version, "reached the database");
    }
    *pause = RETRY_MIN;
    let mut looked = tokio::time::Instant::now();
    let mut owed = false;
    while !driver.0.is_finished() {
        let news = tokio::select! {
            news = tokio::time::timeout(PING_EVERY, notifications.recv()) => news,
            () = lost(pooled.as_ref()) => return Ok(()),
        };
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
                ping(&client, PING_MAX).await?;
                if let Some(pooled) = &pooled {
                    ping(&pooled.client, POOLER_MAX).await?;
                }
            }
        }
        let moved = inner.hear(&kinds);
        if moved || owed || looked.elapsed() >= LOOK_EVERY {
            looked = tokio::time::Instant::now();
            // A server's settings can change under a connection.
            target.vet(&client).await?;
            inner.let_go_of_connections();
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
            if owed {
                // A server that hangs is one reason, and was waited for already.
                ping(&client, PING_MAX).await?;
            }
        }
    }
    Ok(())
}

async fn ping(client: &Client, max: Duration) -> Result<(), Error> {
    within(max, async { Ok(client.batch_execute("").await?) }).await
}

/// Waits so long at most: a server that hangs says nothing, not even that.
async fn within<T>(max: Duration, answer: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    tokio::time::timeout(max, answer).await.map_err(|_| Error::Deadline(max))?
}

/// Ends when the connection through the pooler has; never, where there is none.
async fn lost(pooled: Option<&Connection>) {
    match pooled {
        Some(pooled) => pooled.dead().await,
        None => std::future::pending().await,
    }
}

/// Where nobody told of a pooler, a connection is to be the server's own: what is prepared on it would be another's
/// statement under the same name. A pooler in transaction mode gives two clients in turn the connection that the other
/// one had last.
async fn stay_on_their_connections(one: &Client, other: &Connection) -> Result<(), Error> {
    const SQL: &str = "select pg_backend_pid()";
    let other = &other.client;
    let pid = async || Ok::<i32, Error>(other.query_typed_one(SQL, &[]).await?.try_get(0)?);
    let same = async {
        let own = pid().await?;
        for _ in 0..SWAPS {
            one.batch_execute("begin").await?;
            let meanwhile = pid().await?;
            one.batch_execute("commit").await?;
            if own != meanwhile || own != pid().await? {
                return Ok(false);
            }
        }
        Ok::<_, Error>(true)
    };
    match tokio::time::timeout(OPEN_MAX, same).await {
        Ok(Ok(true)) => Ok(()),
        // A pooler that has one connection only lets the other wait for it.
        Ok(Ok(false)) | Err(_) => Err(Error::Corrupt(
            "DATABASE_URL leads to a pooler that shares connections between transactions, or to a server that does not \
             answer: for a pooler set DATABASE_POOLER=transaction and DATABASE_DIRECT_URL"
                .into(),
        )),
        Ok(Err(error)) => Err(error),
    }
}

/// What is told through the pooler must be heard past it: else the two lead to different databases, or the second one to
/// a pooler as well, where nobody listens.
async fn lead_to_one_database(
    pooled: &Connection,
    notifications: &mut Receiver<String>,
) -> Result<(), Error> {
    const SQL: &str = "select pg_notify('seatpilot', $1)";
    let word = format!("contact {}", Uuid::new_v4());
    let told = async {
        pooled.client.query_typed(SQL, &[(&word, Type::TEXT)]).await?;
        while let Some(heard) = notifications.recv().await {
            if heard == word {
                return Ok(());
            }
        }
        Err(Error::Unreachable)
    };
    tokio::time::timeout(POOLER_MAX, told).await.unwrap_or_else(|_| {
        Err(Error::Corrupt(
            "what is told through DATABASE_URL is not heard at DATABASE_DIRECT_URL: it must lead to the same database, and \
             to Postgres itself"
                .into(),
        ))
    })
}

/// Whether the server ends our statements before we give up on them. A login of ours that was changed is refused before
/// the first contact, where refusing costs nobody an answer; later, and for other logins, it is said.
async fn hold_to_waits(client: &Client, inner: &Inner) -> Result<(), Error> {
    let Some(found) = inner.waits.contradiction(client).await? else { return Ok(()) };
    if found.is_ours && matches!(inner.readiness.state(), ReadinessState::Starting) {
        let mend = "set them by `alter role` as 001_schema_core.sql does";
        return Err(Error::Corrupt(format!("{}: {mend}", found.sentence)));
    }
    tracing::warn!(
        found = found.sentence,
        "the database lets statements take longer than is waited for here"
    );
    Ok(())
}

async fn warn_of_known_holes(client: &Client) -> Result<(), Error> {
    const SQL: &str = "select current_setting('server_version_num')";
    let server: String = client.query_typed_one(SQL, &[]).await?.try_get(0)?;
    if !is_patched(server.parse().unwrap_or(0)) {
        tracing::warn!(
            server_version_num = server,
            "this Postgres is older than 15.14, 16.10 or 17.6 and has known holes: update it"
        );
    }
    Ok(())
}

async fn schema_version(client: &Client) -> Result<String, Error> {
    const SQL: &str = include_str!("../sql/schema_version.sql");
    let row = client.query_typed_one(SQL, &[]).await.map_err(|error| {
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
