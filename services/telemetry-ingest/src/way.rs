//! The way of a verified request to its rows: straight to this process' store, or over the bus to whoever writes.

use std::{sync::Arc, time::Duration};

use seatpilot_bus::{Bus, BusFault, BusSettings, BusSettingsFault, Refusal, Writing};
use seatpilot_domain_model::{Fault, FaultCode, Submission, SubmitAnswer, TraceParent};
use seatpilot_metrics_api::BusMetrics;
use seatpilot_runtime::{BusConfig, BusRole, ConfigFaults, Readiness, ReadinessState, variable};
use seatpilot_store::{Error, EventStore};

/// How long after its first signal a process has written what it took off the bus: a little before it is ended.
pub(crate) const WRITTEN_WITHIN: Duration = Duration::from_millis(14_200);

/// The way that this process' requests take.
pub(crate) enum Way {
    /// To its own store.
    Straight,
    /// Over the bus. What the database's state is, the store says, which verifies with it.
    Bus(Bus, Readiness),
}

/// The bus of a process: the way of its requests, what takes those of all off it, and how the process stands.
pub(crate) struct OnBus {
    pub(crate) way: Way,
    pub(crate) writing: Option<Writing>,
    pub(crate) bus: Option<Bus>,
    pub(crate) readiness: Readiness,
}

impl OnBus {
    /// Without one.
    pub(crate) fn none(readiness: Readiness) -> Self {
        Self { way: Way::Straight, writing: None, bus: None, readiness }
    }

    /// Opens the bus, in the role that the configuration names.
    ///
    /// # Errors
    /// Certificates that cannot be read.
    pub(crate) fn open(
        config: &BusConfig,
        name: &str,
        store: &EventStore,
        readiness: Readiness,
        metrics: Arc<BusMetrics>,
    ) -> Result<Self, ConfigFaults> {
        let bus = Bus::open(BusSettings::of(config, name), metrics).map_err(|fault| {
            let variable = match fault {
                BusSettingsFault::NoKey => &variable::SEATPILOT_SECRETS_KEY_FILE,
                BusSettingsFault::Certificates(_) => &variable::NATS_CA_FILE,
            };
            ConfigFaults::of(variable, fault.to_string())
        })?;
        let shown = readiness.over_bus(bus.state());
        let writing = match config.role {
            BusRole::Both | BusRole::Write => Some(write_into(&bus, store.clone())),
            BusRole::Verify => None,
        };
        let way = match config.role {
            BusRole::Both | BusRole::Verify => Way::Bus(bus.clone(), readiness),
            // It has its own connections: a detour would only cost time.
            BusRole::Write => Way::Straight,
        };
        Ok(Self { way, writing, bus: Some(bus), readiness: shown })
    }
}

fn write_into(bus: &Bus, store: EventStore) -> Writing {
    bus.write_with(move |submission| {
        let store = store.clone();
        async move { store.submit(submission).await.map_err(refusal) }
    })
}

/// What is told of an error, which is logged where it happened.
fn refusal(error: Error) -> Refusal {
    if error.is_forgotten_time() {
        return Refusal::ForgottenTime;
    }
    let fault = Fault::from(error);
    let cause = fault.cause().map(ToString::to_string);
    match fault.code() {
        FaultCode::Overloaded => Refusal::Overloaded,
        FaultCode::DatabaseUnavailable => {
            tracing::debug!(cause, "a request off the bus was not written");
            Refusal::Unavailable
        }
        _ => {
            tracing::error!(cause, "a request off the bus could not be written");
            Refusal::Internal
        }
    }
}

/// Why a submission has no answer.
#[derive(Debug)]
pub(crate) enum SubmitFault {
    Store(Error),
    Bus(BusFault),
}

impl SubmitFault {
    /// As [`Error::is_forgotten_time`].
    pub(crate) fn is_forgotten_time(&self) -> bool {
        match self {
            Self::Store(error) => error.is_forgotten_time(),
            Self::Bus(fault) => fault.is_forgotten_time(),
        }
    }
}

impl From<SubmitFault> for Fault {
    fn from(fault: SubmitFault) -> Self {
        match fault {
            SubmitFault::Store(error) => error.into(),
            SubmitFault::Bus(fault) => fault.into(),
        }
    }
}

impl Way {
    /// Stores a submission, by whoever does; answered after its commit.
    ///
    /// # Errors
    /// [`SubmitFault`].
    pub(crate) async fn submit(
        &self,
        store: &EventStore,
        submission: Submission,
        trace: TraceParent,
    ) -> Result<SubmitAnswer, SubmitFault> {
        match self {
            Self::Straight => store.submit(submission).await.map_err(SubmitFault::Store),
            Self::Bus(bus, readiness) => {
                // The database that all share is away: nobody waits for a writer to find that out.
                if matches!(readiness.state(), ReadinessState::Degraded { .. }) {
                    return Err(SubmitFault::Store(Error::Unreachable));
                }
                bus.submit(&submission, trace).await.map_err(SubmitFault::Bus)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_writer_refuses_is_the_same_to_the_sender_as_if_its_own_store_had() {
        for error in [Error::Full("events"), Error::Unreachable, Error::Deadline(Duration::from_secs(1))] {
            let direct = Fault::from(SubmitFault::Store(error.clone()));
            let by_bus = Fault::from(SubmitFault::Bus(BusFault::Refused(refusal(error))));
            assert_eq!((direct.code(), direct.detail()), (by_bus.code(), by_bus.detail()));
            assert_eq!(direct.retry_after_seconds(), by_bus.retry_after_seconds());
        }
        let broken = Fault::from(SubmitFault::Bus(BusFault::Refused(refusal(Error::NotStarted("events")))));
        assert_eq!(broken.code(), FaultCode::Internal);
        for fault in
            [BusFault::Away, BusFault::NotTaken, BusFault::Late(Duration::ZERO), BusFault::Unreadable]
        {
            let fault = Fault::from(SubmitFault::Bus(fault));
            assert_eq!(
                (fault.code(), fault.retry_after_seconds()),
                (FaultCode::DatabaseUnavailable, Some(1))
            );
        }
    }
}
