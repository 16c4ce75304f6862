//! Why there is no answer by the bus.

use std::time::Duration;

use seatpilot_domain_model::{Fault, FaultCode};
use serde::{Deserialize, Serialize};

/// Why a writer did not store a request: what it tells its caller, and nothing of its database's own words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// The nonces of the signed time were let go.
    #[error("the signed time is forgotten")]
    ForgottenTime,
    /// Its queue is full. Nothing was stored.
    #[error("the writer is full")]
    Overloaded,
    /// Its database did not answer, or not in time. It is not known whether it was stored.
    #[error("the writer's database did not answer")]
    Unavailable,
    /// Its fault; logged there.
    #[error("the writer failed")]
    Internal,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BusFault {
    /// There is no connection to the bus, or no stream. Nothing was sent, or nobody took it.
    #[error("the bus cannot be reached")]
    Away,
    /// The bus took no message in time. It is not known whether it will be stored.
    #[error("the bus did not say within {TAKEN:?} that it has the request", TAKEN = crate::waits::TAKEN_MAX)]
    NotTaken,
    /// The stream is full, or too many wait. Nothing was sent, or it was not taken.
    #[error("the bus is full")]
    Full,
    /// No writer answered in time. It is not known whether it was stored.
    #[error("no writer answered within {0:?}")]
    Late(Duration),
    /// An answer was not sealed by one of us, or is not understood. It is not known whether it was stored.
    #[error("an answer came that no writer of ours gave, or of another version")]
    Unreadable,
    /// The request is larger than what the bus takes.
    #[error("the request has {0} bytes on the bus, more than its server takes")]
    TooLarge(usize),
    /// A writer answered that it did not store it.
    #[error("{0}")]
    Refused(Refusal),
}

impl BusFault {
    /// Whether the writer's database has let go of the nonces of the signed time.
    pub fn is_forgotten_time(&self) -> bool {
        matches!(self, Self::Refused(Refusal::ForgottenTime))
    }
}

impl From<BusFault> for Fault {
    fn from(fault: BusFault) -> Self {
        match fault {
            BusFault::Full | BusFault::Refused(Refusal::Overloaded) => Self::overloaded(),
            BusFault::Refused(Refusal::ForgottenTime) => Self::unauthorized(),
            BusFault::Away
            | BusFault::NotTaken
            | BusFault::Late(_)
            | BusFault::Unreadable
            | BusFault::Refused(Refusal::Unavailable) => Self::database_unavailable().with_cause(fault),
            BusFault::TooLarge(_) | BusFault::Refused(Refusal::Internal) => {
                Self::new(FaultCode::Internal, Self::internal().detail().to_owned()).with_cause(fault)
            }
        }
    }
}
