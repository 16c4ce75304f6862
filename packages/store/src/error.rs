//! What can go wrong between a caller and the database.

use std::{sync::Arc, time::Duration};

use seatpilot_domain_model::{Fault, FaultCode};
use tokio_postgres::error::SqlState;

use crate::rest::RestFault;

/// What `telemetry.nonce_floor_hold` raises: of the class of broken constraints, so that its row alone is at fault.
const FORGOTTEN_TIME: &str = "23SP1";

/// Why the store has no answer. Cloned to everybody who shared the statement.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// No connection, and none is waited for. Nothing was sent.
    #[error("the database cannot be reached")]
    Unreachable,
    /// The connection broke, or the server could not take the statement. It is not known whether it was stored.
    #[error("the database did not answer")]
    Unavailable(#[source] Arc<Cause>),
    /// No answer in time. It is not known whether it was stored.
    #[error("no answer from the database within {0:?}")]
    Deadline(Duration),
    /// The queue in front of the writer is full. Nothing was sent.
    #[error("the queue of {0} is full")]
    Full(&'static str),
    /// The server refused a value (SQLSTATE classes 22, 23 and 54). Nothing was stored.
    #[error("the database refused a value")]
    BadValue(#[source] Arc<Cause>),
    /// A statement of ours is wrong, or the schema is. Nothing was stored.
    #[error("a statement failed")]
    Broken(#[source] Arc<Cause>),
    /// A document in the database cannot be read, or a statement answered out of shape.
    #[error("{0}")]
    Corrupt(String),
    /// This process did not start the writer that the call needs.
    #[error("this process writes no {0}")]
    NotStarted(&'static str),
}

/// What the database, or the way to it, said.
#[derive(Debug, thiserror::Error)]
pub enum Cause {
    /// By Postgres' own protocol.
    #[error(transparent)]
    Postgres(#[from] tokio_postgres::Error),
    /// By Supabase's REST interface.
    #[error(transparent)]
    Rest(#[from] RestFault),
}

impl Cause {
    /// The constraint that a value broke, where the server names one.
    pub(crate) fn constraint(&self) -> Option<&str> {
        match self {
            Self::Postgres(error) => error.as_db_error()?.constraint(),
            Self::Rest(_) => None,
        }
    }

    /// As [`Error::is_forgotten_time`].
    pub(crate) fn is_forgotten_time(&self) -> bool {
        let code = match self {
            Self::Postgres(error) => error.code().map(SqlState::code),
            Self::Rest(fault) => fault.code(),
        };
        code == Some(FORGOTTEN_TIME)
    }
}

impl Error {
    /// Whether a signed time was refused because the nonces of it were let go: then only a clock that was stepped back
    /// calls it fresh (`113_telemetry_nonce_floor.sql`).
    pub fn is_forgotten_time(&self) -> bool {
        matches!(self, Self::BadValue(cause) if cause.is_forgotten_time())
    }
}

/// What to do after a failed statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failure {
    /// Send the same once more: two transactions met.
    Resend,
    /// A row is at fault: find it.
    BadValue,
    /// The server is short of something; the connection is good.
    Busy,
    /// The connection is gone or of no use.
    Lost,
    /// Ours.
    Broken,
}

impl Failure {
    pub(crate) fn of(cause: &Cause) -> Self {
        match cause {
            Cause::Postgres(error) => Self::of_postgres(error),
            Cause::Rest(fault) => fault.failure(),
        }
    }

    fn of_postgres(error: &tokio_postgres::Error) -> Self {
        let Some(db) = error.as_db_error() else {
            return if error.is_closed() || std::error::Error::source(error).is_some() {
                Self::Lost
            } else {
                Self::Broken
            };
        };
        let code = db.code();
        if *code == SqlState::T_R_SERIALIZATION_FAILURE || *code == SqlState::T_R_DEADLOCK_DETECTED {
            return Self::Resend;
        }
        // Another instance used the nonce while this statement ran: now it is known, and the next try finds it.
        if *code == SqlState::UNIQUE_VIOLATION
            && db.table().is_some_and(|table| table.starts_with("ingest_nonces"))
        {
            return Self::Resend;
        }
        Self::of_sqlstate(code.code())
    }

    /// By what the server says, whichever way it came.
    pub(crate) fn of_sqlstate(code: &str) -> Self {
        match code.get(..2) {
            Some("22" | "23" | "54") => Self::BadValue,
            // Out of disk, memory or connections; lock not available; cancelled by a timeout.
            Some("53" | "55") => Self::Busy,
            Some("57") if code == SqlState::QUERY_CANCELED.code() => Self::Busy,
            // Shut down, crashed, or a standby that does not write (25006).
            Some("57" | "08" | "58" | "25") => Self::Lost,
            _ => Self::Broken,
        }
    }
}

impl From<tokio_postgres::Error> for Error {
    fn from(error: tokio_postgres::Error) -> Self {
        Cause::from(error).into()
    }
}

impl From<Cause> for Error {
    fn from(cause: Cause) -> Self {
        match Failure::of(&cause) {
            Failure::Resend | Failure::Busy | Failure::Lost => Self::Unavailable(Arc::new(cause)),
            Failure::BadValue => Self::BadValue(Arc::new(cause)),
            Failure::Broken => Self::Broken(Arc::new(cause)),
        }
    }
}

impl From<deadpool_postgres::PoolError> for Error {
    fn from(error: deadpool_postgres::PoolError) -> Self {
        match error {
            // No connection was opened, or the one there is broke before anything was sent on it. What the server says
            // to one that it does not let in (another password, no place, no database) is no fault of a statement.
            deadpool_postgres::PoolError::Backend(error) => Self::Unavailable(Arc::new(error.into())),
            deadpool_postgres::PoolError::Timeout(deadpool_postgres::TimeoutType::Wait) => {
                Self::Full("the pool")
            }
            _ => Self::Unreachable,
        }
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        match &error {
            error if error.is_forgotten_time() => Self::unauthorized(),
            Error::Full(_) => Self::overloaded(),
            Error::Unreachable | Error::Unavailable(_) | Error::Deadline(_) => {
                Self::database_unavailable().with_cause(error)
            }
            Error::BadValue(_) | Error::Broken(_) | Error::Corrupt(_) | Error::NotStarted(_) => {
                Self::new(FaultCode::Internal, Self::internal().detail().to_owned()).with_cause(error)
            }
        }
    }
}
