//! How long a process waits for its database: every wait of this crate in one place, each below the one around it.
//!
//! The database has the first word: `statement_timeout` and `lock_timeout` of the role end a statement before anybody
//! here gives up on it, so that nothing goes on in the server that nobody waits for. They are set by `alter role` in
//! `001_schema_core.sql`; what a login really has is compared with what is expected here as contact is made
//! ([`Waits::contradiction`]). That the constants fit each other is asserted when this crate is compiled.

use std::{fmt::Write as _, time::Duration};

use tokio_postgres::Client;

use crate::{Error, room::Patience};

/// Longest wait for a socket.
pub(crate) const CONNECT_MAX: Duration = Duration::from_secs(1);
/// Longest wait for a connection with everything that opens it: a server may accept and then say nothing.
pub(crate) const OPEN_MAX: Duration = Duration::from_secs(2);
/// How long sent bytes may stay unacknowledged.
pub(crate) const UNACKNOWLEDGED_MAX: Duration = Duration::from_secs(3);
/// When a silent connection is asked whether it lives.
pub(crate) const KEEPALIVE_AFTER: Duration = Duration::from_secs(10);

/// Longest wait for a connection of a pool. A place among those under way is not waited for at all.
pub(crate) const POOL_MAX: Duration = Duration::from_millis(250);
/// Longest wait for a new connection of a pool.
pub(crate) const POOL_OPEN_MAX: Duration = Duration::from_millis(1_000);
/// Longest look whether one still lives.
pub(crate) const POOL_RECYCLE_MAX: Duration = Duration::from_millis(250);
/// A connection of a pool that nobody used for so long is closed; deadpool never does that by itself.
pub(crate) const POOL_IDLE_MAX: Duration = Duration::from_secs(5 * 60);
/// So is one that is so old: what a server keeps for it grows.
pub(crate) const POOL_AGE_MAX: Duration = Duration::from_secs(30 * 60);

/// How long a pooler may take to answer, where one waits for a turn: longer than a statement of those before.
pub(crate) const POOLER_MAX: Duration = Duration::from_secs(3);
/// How often the listening connection is tried while nothing is heard.
pub(crate) const PING_EVERY: Duration = Duration::from_secs(1);
/// How long a reply to that may take: then the database is away.
pub(crate) const PING_MAX: Duration = Duration::from_secs(1);

/// The waits of one kind of process, from the innermost to the outermost.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Waits {
    /// What the server lets a statement of the role wait for a lock: `lock_timeout`.
    pub(crate) lock: Duration,
    /// What the server lets a statement of the role take: `statement_timeout`.
    pub(crate) statement: Duration,
    /// Longest read, with the way to the server and back.
    pub(crate) read: Duration,
    /// How long rows wait for a writer.
    pub(crate) queue: Patience,
    /// Longest statement of a writer with its commit, which `statement_timeout` does not count: beyond it the
    /// connection is given up.
    pub(crate) write: Duration,
    /// Longest wait of a request for its writer.
    pub(crate) deadline: Duration,
    /// What a client should wait for its answer, at least (docs/openapi).
    pub(crate) client: Duration,
}

/// Check-ins and arrivals: a guest stands there.
pub(crate) const SESSIONS: Waits = Waits {
    lock: Duration::from_millis(200),
    statement: Duration::from_millis(750),
    read: Duration::from_millis(1_250),
    queue: Patience {
        target: Duration::from_millis(150),
        interval: Duration::from_millis(250),
        max: Duration::from_millis(500),
    },
    write: Duration::from_millis(1_300),
    deadline: Duration::from_millis(1_400),
    client: Duration::from_secs(2),
};

/// Telemetry: a batch waits, and is sent again.
pub(crate) const EVENTS: Waits = Waits {
    lock: Duration::from_millis(500),
    statement: Duration::from_millis(2_000),
    read: Duration::from_millis(2_500),
    queue: Patience {
        target: Duration::from_millis(500),
        interval: Duration::from_millis(500),
        max: Duration::from_millis(2_000),
    },
    write: Duration::from_millis(3_000),
    deadline: Duration::from_millis(4_500),
    client: Duration::from_secs(10),
};

/// Who writes through functions only: refreshes and housekeeping. Nobody waits for those.
pub(crate) const HOUSEKEEPING: Waits = Waits {
    lock: Duration::from_secs(2),
    statement: Duration::from_secs(60),
    // Longer than the role lets a statement take, so that the server has the first word.
    read: Duration::from_secs(65),
    queue: EVENTS.queue,
    write: Duration::from_secs(65),
    deadline: Duration::from_secs(70),
    client: Duration::from_secs(75),
};

const _: () = {
    SESSIONS.fit();
    EVENTS.fit();
    HOUSEKEEPING.fit();
    assert!(below(CONNECT_MAX, OPEN_MAX));
    assert!(below(EVENTS.statement, POOLER_MAX));
    assert!(below(POOL_RECYCLE_MAX, POOL_OPEN_MAX) && below(POOL_IDLE_MAX, POOL_AGE_MAX));
    // Who finds the pool full is told before who waits for a writer, and both before the client has gone.
    assert!(below(POOL_MAX, SESSIONS.queue.max));
};

impl Waits {
    /// Fails to compile where a wait is not below the one around it.
    const fn fit(&self) {
        assert!(below(self.lock, self.statement), "a lock is waited for within a statement");
        assert!(below(self.statement, self.read), "the server ends a read before we give it up");
        assert!(below(self.statement, self.write), "the server ends a write before we give it up");
        assert!(below(self.queue.target, self.queue.max), "rows are late before they are too late");
        let (queue, pool) = (self.queue.max.as_millis(), POOL_MAX.as_millis());
        let around = self.statement.as_millis() + if queue > pool { queue } else { pool };
        assert!(around < self.deadline.as_millis(), "wait and statement fit into the deadline");
        assert!(below(self.write, self.deadline), "a connection is given up before its callers give up");
        assert!(below(self.deadline, self.client), "the answer comes while its client waits");
    }

    /// What is wrong with the limits that the server puts on this login, in a sentence; none where they are as expected
    /// or tighter.
    ///
    /// # Errors
    /// [`Error`] where the server does not answer.
    pub(crate) async fn contradiction(&self, client: &Client) -> Result<Option<Contradiction>, Error> {
        const SQL: &str = include_str!("../sql/login_waits.sql");
        let asked = tokio::time::timeout(OPEN_MAX, client.query_typed_one(SQL, &[])).await;
        let row = asked.map_err(|_| Error::Deadline(OPEN_MAX))??;
        let mut sentence = String::new();
        for (name, most) in [("statement_timeout", Some(self.statement)), ("lock_timeout", Some(self.lock))]
            .into_iter()
            .chain([("idle_in_transaction_session_timeout", None)])
        {
            let ms = row.try_get::<_, i64>(name)?;
            let wanted = match most {
                _ if ms == 0 => "off",
                Some(most) if u128::try_from(ms).unwrap_or(0) > most.as_millis() => "too long",
                Some(_) | None => continue,
            };
            let comma = if sentence.is_empty() { "" } else { ", " };
            let _ = write!(sentence, "{comma}{name} is {ms} ms ({wanted}");
            let _ = match most {
                Some(most) => write!(sentence, ", at most {} ms is expected)", most.as_millis()),
                None => write!(sentence, ")"),
            };
        }
        let login: String = row.try_get("login")?;
        Ok((!sentence.is_empty()).then(|| Contradiction {
            is_ours: login.starts_with("seatpilot_"),
            sentence: format!("for the login {login} {sentence}"),
        }))
    }
}

/// A login whose limits are none, or above what is waited for here.
#[derive(Debug)]
pub(crate) struct Contradiction {
    /// Whether the login is one that the migrations make: its limits were right until somebody changed them.
    pub(crate) is_ours: bool,
    /// What differs.
    pub(crate) sentence: String,
}

const fn below(inner: Duration, outer: Duration) -> bool {
    inner.as_millis() < outer.as_millis()
}
