//! What a writer is given: a statement that takes many rows of one tenant, what it goes over, and its bounds.

use std::{future::Future, time::Duration};

use seatpilot_domain_model::TenantId;

use crate::{Error, error::Cause, room::Patience};

/// What a writer sends its batches on: a connection with its statement prepared, or a way over HTTP.
pub(crate) trait Line: Send + Sync + Sized + 'static {
    /// What it is opened to.
    type Target: Clone + Send + Sync + 'static;

    /// Ends when the line is known to be of no more use.
    fn lost(&self) -> impl Future<Output = ()> + Send;
}

/// One statement that takes many rows of one tenant.
pub(crate) trait Batch: Send + Sync + 'static {
    /// What a caller hands in.
    type Row: Send + Sync + 'static;
    /// What a caller gets back.
    type Answer: Send + 'static;

    /// What it goes over.
    type Line: Line;

    /// Noun and verb, as in the SQL file.
    const NAME: &'static str;

    fn tenant(row: &Self::Row) -> &TenantId;
    /// Rows that share a key are kept apart.
    fn key(row: &Self::Row) -> u64;
    /// What the row counts against the queue's bytes.
    fn bytes(row: &Self::Row) -> usize;
    /// How many items the row brings to a statement; 1 unless it is itself a list.
    fn items(_row: &Self::Row) -> usize {
        1
    }

    /// Opens a line, which then runs once without rows.
    fn open(
        &self,
        target: &<Self::Line as Line>::Target,
    ) -> impl Future<Output = Result<Self::Line, Error>> + Send;

    /// Sends the rows and returns one answer a row, in their order. No rows: does nothing but run once.
    fn send(
        &self,
        line: &Self::Line,
        tenant: &str,
        rows: &[&Self::Row],
    ) -> impl Future<Output = Result<Vec<Self::Answer>, SendError>> + Send;
}

/// Why a batch has no answers.
pub(crate) enum SendError {
    Failed(Cause),
    Shape(String),
}

impl From<tokio_postgres::Error> for SendError {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Failed(error.into())
    }
}

impl From<SendError> for Error {
    fn from(error: SendError) -> Self {
        match error {
            SendError::Failed(cause) => cause.into(),
            SendError::Shape(shape) => Self::Corrupt(shape),
        }
    }
}

/// The bounds of a writer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Connections that write at the same time: one executes while the other waits for its fsync.
    pub(crate) writers: usize,
    /// Rows that may wait.
    pub(crate) queue_rows: usize,
    /// Bytes that may wait.
    pub(crate) queue_bytes: usize,
    /// Rows of one statement.
    pub(crate) batch_rows: usize,
    /// Items of one statement, over all its rows (one row may bring more).
    pub(crate) batch_items: usize,
    /// How long rows may wait.
    pub(crate) patience: Patience,
    /// Longest statement, commit included: beyond it the connection is given up.
    pub(crate) statement_max: Duration,
    /// How long a caller waits.
    pub(crate) deadline: Duration,
}
