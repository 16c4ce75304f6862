//! One connection to Postgres, and the settings that all of them share.

use std::time::Duration;

use seatpilot_runtime::SecretString;
use tokio::{sync::watch, task::JoinHandle};
use tokio_postgres::{Client, NoTls, config::SslMode};

use crate::Error;

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
}

/// How to reach the database. The password is inside: never printed.
#[derive(Clone)]
pub(crate) struct Target(tokio_postgres::Config);

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
            .connect_timeout(Duration::from_secs(1))
            .tcp_user_timeout(Duration::from_secs(3))
            .keepalives_idle(Duration::from_secs(10));
        Ok(Self(config))
    }

    pub(crate) fn config(&self) -> &tokio_postgres::Config {
        &self.0
    }

    /// Opens a connection and a task that drives it. `connect_timeout` bounds the socket only, so the whole
    /// is bounded here: a server that accepts and then says nothing must not hold us.
    pub(crate) async fn open(&self) -> Result<Connection, Error> {
        const OPEN_MAX: Duration = Duration::from_secs(2);
        let (client, connection) = match tokio::time::timeout(OPEN_MAX, self.0.connect(NoTls)).await {
            Ok(opened) => opened?,
            Err(_) => return Err(Error::Deadline(OPEN_MAX)),
        };
        let (dead, is_dead) = watch::channel(false);
        let driver = tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a database connection ended");
            }
            let _ = dead.send(true);
        });
        Ok(Connection { client, is_dead, driver })
    }
}

/// A connection; dropped, it is closed.
pub(crate) struct Connection {
    pub(crate) client: Client,
    is_dead: watch::Receiver<bool>,
    driver: JoinHandle<()>,
}

impl Connection {
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
