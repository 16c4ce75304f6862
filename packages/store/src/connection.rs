//! One connection to Postgres, and the settings that all of them share.

use std::sync::Arc;

use seatpilot_runtime::{
    DatabaseConfig, Deployment, Pooler, Readiness, SecretString,
    variable::{self, Variable},
};
use tokio::{sync::watch, task::JoinHandle};
use tokio_postgres::{
    Client, NoTls,
    config::{SslMode, TargetSessionAttrs},
};

use crate::{
    Error,
    asking::Types,
    standing,
    waits::{CONNECT_MAX, KEEPALIVE_AFTER, OPEN_MAX, UNACKNOWLEDGED_MAX},
};

/// Why a database URL cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum UrlFault {
    /// Not a URL, or with options that libpq does not know.
    #[error("is no Postgres URL such as postgres://user:password@host:5432/database")]
    Malformed,
    /// Encryption is asked for.
    #[error(
        "asks for sslmode=require, which this version does not speak: reach the database over a private network or a TLS tunnel, with sslmode=disable"
    )]
    Tls,
    /// Everybody knows the password.
    #[error("has a password that anybody would try first: production asks for another")]
    GuessablePassword,
    /// Settings of a session, which is nobody's behind a pooler.
    #[error(
        "has options=…, which a pooler in transaction mode does not hand on: set them by `alter role … set …`"
    )]
    Options,
    /// The way past a pooler cannot be used.
    #[error(transparent)]
    Direct(Box<UrlFault>),
}

impl UrlFault {
    /// What it is a fault of.
    pub fn variable(&self) -> &'static Variable {
        match self {
            Self::Malformed | Self::Tls | Self::GuessablePassword | Self::Options => &variable::DATABASE_URL,
            Self::Direct(_) => &variable::DATABASE_DIRECT_URL,
        }
    }
}

/// Shortest password in production, in bytes; a database is seldom asked from outside, but it is all there is.
const PASSWORD_BYTES_MIN: usize = 8;
/// Passwords of manuals and examples, ours and Supabase's.
const PASSWORDS_OF_MANUALS: &[&str] = &[
    "change-me",
    "changeme",
    "password",
    "postgres",
    "seatpilot",
    "supabase",
    "your-super-secret-and-long-postgres-password",
];

/// How to reach the database. The password is inside: never printed.
#[derive(Clone)]
pub(crate) struct Target {
    config: tokio_postgres::Config,
    /// Where a pooler stands in between: what statements need that are sent through it, and the way past it.
    pooled: Option<Arc<Types>>,
    /// In production: who is told of a database that must not be used.
    held_to: Option<Readiness>,
}

impl Target {
    /// Reads a URL.
    pub(crate) fn parse(url: &SecretString, application_name: &str) -> Result<Self, UrlFault> {
        let mut config: tokio_postgres::Config =
            url.expose_secret().parse().map_err(|_| UrlFault::Malformed)?;
        if config.get_ssl_mode() == SslMode::Require {
            return Err(UrlFault::Tls);
        }
        config
            .ssl_mode(SslMode::Disable)
            .application_name(application_name)
            .connect_timeout(CONNECT_MAX)
            .tcp_user_timeout(UNACKNOWLEDGED_MAX)
            .keepalives_idle(KEEPALIVE_AFTER)
            // Of several hosts the one that writes; a standby is no contact.
            .target_session_attrs(TargetSessionAttrs::ReadWrite);
        Ok(Self { config, pooled: None, held_to: None })
    }

    /// Where a process was told that its database is.
    pub(crate) fn of(database: &DatabaseConfig, application_name: &str) -> Result<Self, UrlFault> {
        let mut target = Self::parse(&database.url, application_name)?;
        match &database.pooler {
            Pooler::None => {}
            Pooler::Transaction { direct_url } => {
                if target.config.get_options().is_some() {
                    return Err(UrlFault::Options);
                }
                let direct = Self::parse(direct_url, &format!("{application_name} direct"))
                    .map_err(|fault| UrlFault::Direct(Box::new(fault)))?;
                target.pooled = Some(Arc::new(Types::new(direct.config)));
            }
        }
        Ok(target)
    }

    /// The same for a process that serves. In production each connection is held to what a database has to be there;
    /// `readiness` hears of one that is not.
    pub(crate) fn serving(mut self, deployment: Deployment, readiness: &Readiness) -> Result<Self, UrlFault> {
        match deployment {
            Deployment::Development => {}
            Deployment::Production => {
                if is_guessable(&self.config) {
                    return Err(UrlFault::GuessablePassword);
                }
                if self.pooled.as_ref().is_some_and(|types| is_guessable(types.direct())) {
                    return Err(UrlFault::Direct(Box::new(UrlFault::GuessablePassword)));
                }
                self.held_to = Some(readiness.clone());
            }
        }
        Ok(self)
    }

    /// Whether a process of ours may use the database of this connection; see [`standing`].
    ///
    /// # Errors
    /// [`Error`] where it may not, or where it could not be asked.
    pub(crate) async fn vet(&self, client: &Client) -> Result<(), Error> {
        match &self.held_to {
            Some(readiness) => standing::demand(client, readiness).await,
            None => Ok(()),
        }
    }

    /// The way that requests take.
    pub(crate) fn config(&self) -> &tokio_postgres::Config {
        &self.config
    }

    /// The way to the server itself: what belongs to a connection, and not to a transaction, goes there.
    pub(crate) fn direct_config(&self) -> &tokio_postgres::Config {
        self.pooled.as_ref().map_or(&self.config, |types| types.direct())
    }

    /// What statements need that go through a pooler; none where there is no pooler.
    pub(crate) fn pooled(&self) -> Option<&Types> {
        self.pooled.as_deref()
    }

    /// Opens a connection on the way that requests take.
    pub(crate) async fn open(&self) -> Result<Connection, Error> {
        let connection = Connection::open(&self.config).await?;
        self.vet(&connection.client).await?;
        Ok(connection)
    }
}

/// Whether the password is none: too short, the user's name, or printed in a manual. A login without one is the server's
/// business (its own account, a certificate of a tunnel).
fn is_guessable(config: &tokio_postgres::Config) -> bool {
    config.get_password().is_some_and(|password| {
        password.len() < PASSWORD_BYTES_MIN
            || config.get_user().is_some_and(|user| user.as_bytes() == password)
            || PASSWORDS_OF_MANUALS.iter().any(|known| known.as_bytes() == password)
    })
}

/// A connection; dropped, it is closed.
pub(crate) struct Connection {
    pub(crate) client: Client,
    is_dead: watch::Receiver<bool>,
    driver: JoinHandle<()>,
}

impl Connection {
    /// Opens one, and a task that drives it. `connect_timeout` bounds the socket only, so the whole is bounded here: a
    /// server that accepts and then says nothing must not hold us.
    pub(crate) async fn open(config: &tokio_postgres::Config) -> Result<Self, Error> {
        let (client, connection) = match tokio::time::timeout(OPEN_MAX, config.connect(NoTls)).await {
            Ok(opened) => opened.map_err(|error| Error::Unavailable(Arc::new(error.into())))?,
            Err(_) => return Err(Error::Deadline(OPEN_MAX)),
        };
        let (dead, is_dead) = watch::channel(false);
        let driver = tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a database connection ended");
            }
            let _ = dead.send(true);
        });
        Ok(Self { client, is_dead, driver })
    }

    /// Ends when the connection has ended.
    pub(crate) async fn dead(&self) {
        let mut is_dead = self.is_dead.clone();
        let _ = is_dead.wait_for(|dead| *dead).await;
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // A driver that hangs on a silent peer would outlive its client.
        self.driver.abort();
    }
}

#[cfg(test)]
mod tests {
    use seatpilot_runtime::StoreKind;

    use super::*;

    /// The variable and the fault of a database behind a pooler.
    fn fault(url: &str, direct_url: &str) -> Option<(&'static str, String)> {
        let pooler = Pooler::Transaction { direct_url: SecretString::from(direct_url) };
        let database = DatabaseConfig { url: SecretString::from(url), pooler };
        let readiness = Readiness::starting(StoreKind::Postgres);
        let target = Target::of(&database, "test")
            .and_then(|target| target.serving(Deployment::Production, &readiness));
        target.err().map(|fault| (fault.variable().name, fault.to_string()))
    }

    #[test]
    fn a_fault_on_the_way_past_a_pooler_is_of_that_way() {
        const GOOD: &str = "postgres://seatpilot_checkin:a-long-secret@db/seatpilot";
        assert_eq!(fault(GOOD, GOOD), None);
        let of = |url, direct_url| fault(url, direct_url).map(|(variable, _)| variable);
        assert_eq!(of("postgres://db:port", GOOD), Some("DATABASE_URL"));
        assert_eq!(of(GOOD, "postgres://db:port"), Some("DATABASE_DIRECT_URL"));
        assert_eq!(of(GOOD, "postgres://a:change-me@db/seatpilot"), Some("DATABASE_DIRECT_URL"));
        assert_eq!(of(GOOD, "postgres://a:a-long-secret@db/d?sslmode=require"), Some("DATABASE_DIRECT_URL"));
        let (variable, said) =
            fault("postgres://a:a-long-secret@db/d?options=-c%20statement_timeout%3D1s", GOOD).unwrap();
        assert!(variable == "DATABASE_URL" && said.starts_with("has options="), "{variable} {said}");
        assert!(!said.contains("a-long-secret"));
    }
}
