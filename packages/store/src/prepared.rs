//! The line of a writer that speaks Postgres' own protocol: a connection, and the statement that it runs.

use tokio_postgres::{Row, Statement, types::ToSql};

use crate::{
    Error,
    connection::{Connection, Target},
    waits::OPEN_MAX,
    writer::Line,
};

/// A connection with its statement prepared.
pub(crate) struct Prepared {
    connection: Connection,
    statement: Statement,
}

impl Prepared {
    /// Opens a connection and prepares the statement on it.
    pub(crate) async fn open(target: &Target, sql: &'static str) -> Result<Self, Error> {
        let connection = target.open().await?;
        let statement = tokio::time::timeout(OPEN_MAX, connection.client.prepare(sql))
            .await
            .map_err(|_| Error::Deadline(OPEN_MAX))??;
        Ok(Self { connection, statement })
    }

    /// Runs the statement.
    pub(crate) async fn query(
        &self,
        values: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, tokio_postgres::Error> {
        self.connection.client.query(&self.statement, values).await
    }
}

impl Line for Prepared {
    type Target = Target;

    async fn lost(&self) {
        self.connection.dead().await;
    }
}
