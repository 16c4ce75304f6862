//! The line of a writer that speaks Postgres' own protocol: a connection, and the statement that it runs.

use tokio_postgres::Row;

use crate::{
    Error,
    asking::{Asking, Value},
    connection::{Connection, Target},
    waits::OPEN_MAX,
    writer::Line,
};

/// A connection with its statement, prepared where it can be.
pub(crate) struct Prepared {
    connection: Connection,
    statement: Asking,
}

impl Prepared {
    /// Opens a connection and readies the statement for it.
    pub(crate) async fn open(target: &Target, sql: &'static str) -> Result<Self, Error> {
        let connection = target.open().await?;
        let statement = match target.pooled() {
            None => {
                let prepared = tokio::time::timeout(OPEN_MAX, connection.client.prepare(sql)).await;
                Asking::Prepared(prepared.map_err(|_| Error::Deadline(OPEN_MAX))??)
            }
            Some(types) => types.asking(sql).await?,
        };
        Ok(Self { connection, statement })
    }

    /// Runs the statement.
    pub(crate) async fn query(&self, values: &[Value<'_>]) -> Result<Vec<Row>, tokio_postgres::Error> {
        self.statement.query(&self.connection.client, values).await
    }
}

impl Line for Prepared {
    type Target = Target;

    async fn lost(&self) {
        self.connection.dead().await;
    }
}
