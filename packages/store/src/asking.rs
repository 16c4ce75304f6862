//! How a statement reaches the server: prepared once a connection; or, where a pooler stands in between and the next
//! transaction may run on another connection of the server, whole each time, with the types of its parameters. Either way
//! it is one flight there and back.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::Semaphore;
use tokio_postgres::{
    Client, Row, RowStream,
    types::{ToSql, Type},
};

use crate::{
    Error,
    connection::{Connection, Target},
    waits::OPEN_MAX,
};

/// A value of a statement.
pub(crate) type Value<'v> = &'v (dyn ToSql + Sync);

/// A statement as it is sent.
pub(crate) enum Asking {
    /// By its name on this connection.
    Prepared(tokio_postgres::Statement),
    /// By its text, without a name that the server would have to remember.
    Whole(&'static str, Arc<[Type]>),
}

impl Asking {
    /// All rows. What is sent is sent at the first poll.
    pub(crate) async fn query(
        &self,
        client: &Client,
        values: &[Value<'_>],
    ) -> Result<Vec<Row>, tokio_postgres::Error> {
        match self {
            Self::Prepared(statement) => client.query(statement, values).await,
            Self::Whole(sql, types) => client.query_typed(sql, &typed(values, types)).await,
        }
    }

    /// The rows as they come.
    pub(crate) async fn stream(
        &self,
        client: &Client,
        values: &[Value<'_>],
    ) -> Result<RowStream, tokio_postgres::Error> {
        match self {
            Self::Prepared(statement) => client.query_raw(statement, values.iter().copied()).await,
            Self::Whole(sql, types) => client.query_typed_raw(sql, typed(values, types)).await,
        }
    }
}

fn typed<'v>(values: &[Value<'v>], types: &[Type]) -> Vec<(Value<'v>, Type)> {
    debug_assert_eq!(values.len(), types.len(), "a value for each parameter");
    values.iter().copied().zip(types.iter().cloned()).collect()
}

/// The types of the parameters of our statements, which the server tells once in the life of a process. It is asked past
/// the pooler: to describe a statement is to prepare it, under a name that others have too.
pub(crate) struct Types {
    direct: tokio_postgres::Config,
    known: Mutex<HashMap<&'static str, Arc<[Type]>>>,
    /// One connection at a time asks.
    asking: Semaphore,
}

impl Types {
    pub(crate) fn new(direct: tokio_postgres::Config) -> Self {
        Self { direct, known: Mutex::default(), asking: Semaphore::new(1) }
    }

    /// Where to ask.
    pub(crate) fn direct(&self) -> &tokio_postgres::Config {
        &self.direct
    }

    /// The statement, to be sent whole. There are as many as this crate has.
    pub(crate) async fn asking(&self, sql: &'static str) -> Result<Asking, Error> {
        if let Some(types) = self.known(sql) {
            return Ok(Asking::Whole(sql, types));
        }
        let _turn = self.asking.acquire().await.map_err(|_| Error::Unreachable)?;
        let types = match self.known(sql) {
            Some(types) => types,
            None => self.described(sql).await?,
        };
        Ok(Asking::Whole(sql, types))
    }

    fn known(&self, sql: &'static str) -> Option<Arc<[Type]>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).get(sql).map(Arc::clone)
    }

    async fn described(&self, sql: &'static str) -> Result<Arc<[Type]>, Error> {
        let connection = Connection::open(&self.direct).await?;
        let statement = tokio::time::timeout(OPEN_MAX, connection.client.prepare(sql))
            .await
            .map_err(|_| Error::Deadline(OPEN_MAX))??;
        // The driver asks the server for types that it does not know by itself, and prepares statements for that.
        if let Some(column) =
            statement.columns().iter().find(|column| Type::from_oid(column.type_().oid()).is_none())
        {
            return Err(Error::Corrupt(format!(
                "the column {} is of the type {}, which cannot be read through a pooler",
                column.name(),
                column.type_()
            )));
        }
        let types: Arc<[Type]> = statement.params().into();
        self.known.lock().unwrap_or_else(PoisonError::into_inner).insert(sql, Arc::clone(&types));
        Ok(types)
    }
}

impl Target {
    /// The statement for a connection of this target. Cheap from the second time on.
    pub(crate) async fn asking(
        &self,
        object: &deadpool_postgres::Object,
        sql: &'static str,
    ) -> Result<Asking, Error> {
        match self.pooled() {
            None => Ok(Asking::Prepared(object.prepare_cached(sql).await?)),
            Some(types) => types.asking(sql).await,
        }
    }
}
