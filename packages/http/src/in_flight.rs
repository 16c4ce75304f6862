//! Shedding: how many requests of a kind may be under way at once.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use seatpilot_domain_model::Fault;

/// A bound on requests under way, shared by the handlers that clone it. A handler enters before it reads the
/// body, so that a request over the bound costs its head and nothing more.
#[derive(Debug, Clone)]
pub struct InFlight(Arc<Gate>);

#[derive(Debug)]
struct Gate {
    now: AtomicUsize,
    limit: usize,
}

/// A place among the requests under way, given back on drop.
#[derive(Debug)]
#[must_use = "the place is given back when this is dropped"]
pub struct Permit(Arc<Gate>);

impl InFlight {
    /// At most `limit` at once.
    pub fn new(limit: usize) -> Self {
        Self(Arc::new(Gate { now: AtomicUsize::new(0), limit }))
    }

    /// Takes a place.
    ///
    /// # Errors
    /// `overloaded`, at once, where there is none.
    pub fn enter(&self) -> Result<Permit, Fault> {
        let gate = &self.0;
        let taken = gate
            .now
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |now| (now < gate.limit).then_some(now + 1));
        taken.map(|_| Permit(Arc::clone(gate))).map_err(|_| Fault::overloaded())
    }

    /// How many are under way.
    pub fn now(&self) -> usize {
        self.0.now.load(Ordering::Acquire)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.now.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use seatpilot_domain_model::FaultCode;

    use super::*;

    #[test]
    fn a_place_is_free_again_when_its_holder_is_gone() {
        let in_flight = InFlight::new(2);
        let first = in_flight.enter().unwrap();
        let _second = in_flight.enter().unwrap();
        let refused = in_flight.enter().unwrap_err();
        assert_eq!(refused.code(), FaultCode::Overloaded);
        assert_eq!(refused.retry_after_seconds(), Some(1));
        drop(first);
        assert!(in_flight.enter().is_ok());
        assert_eq!(in_flight.now(), 1);
    }
}
