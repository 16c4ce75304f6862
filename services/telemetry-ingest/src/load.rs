//! How much may be under way: so many requests, and so many bytes of bodies.
//!
//! A body is in memory three times while its events are on their way to the database, and a request that waits
//! costs its sender's time: beyond these bounds an honest 503 at once is the better answer.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use seatpilot_domain_model::Fault;
use seatpilot_http::{InFlight, Permit};

/// Requests under way; a quarter of what the writer's queue holds, so that the queue is never what is full first.
const REQUESTS_MAX: usize = 1_024;
/// Bytes of bodies under way.
const BODY_BYTES_MAX: usize = 48 * 1024 * 1024;

/// The bounds, shared by all workers.
#[derive(Debug)]
pub(crate) struct Load {
    requests: InFlight,
    bytes: Arc<AtomicUsize>,
}

/// A request under way; what it takes is given back on drop.
#[derive(Debug)]
#[must_use = "what the request takes is given back when this is dropped"]
pub(crate) struct UnderWay {
    _request: Permit,
    reserved: usize,
    bytes: Arc<AtomicUsize>,
}

impl Load {
    pub(crate) fn new() -> Self {
        Self { requests: InFlight::new(REQUESTS_MAX), bytes: Arc::default() }
    }

    /// Takes what a request with so large a body needs, before its body is read.
    ///
    /// # Errors
    /// `overloaded` where there is not so much left.
    pub(crate) fn enter(&self, body_bytes: usize) -> Result<UnderWay, Fault> {
        let request = self.requests.enter()?;
        self.bytes
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |now| {
                now.checked_add(body_bytes).filter(|sum| *sum <= BODY_BYTES_MAX)
            })
            .map_err(|_| Fault::overloaded())?;
        Ok(UnderWay { _request: request, reserved: body_bytes, bytes: Arc::clone(&self.bytes) })
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.bytes.fetch_sub(self.reserved, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use seatpilot_domain_model::FaultCode;

    use super::*;

    #[test]
    fn large_bodies_fill_the_load_and_give_it_back() {
        let load = Load::new();
        let under_way: Vec<_> = std::iter::from_fn(|| load.enter(256 * 1024).ok()).collect();
        assert_eq!(under_way.len(), 192);
        assert_eq!(load.enter(1).map(|_| ()).unwrap_err().code(), FaultCode::Overloaded);
        drop(under_way);
        assert_eq!(load.bytes.load(Ordering::Acquire), 0);
        assert_eq!(std::iter::from_fn(|| load.enter(100).ok()).take(2_000).collect::<Vec<_>>().len(), 1_024);
    }
}
