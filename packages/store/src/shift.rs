//! Which writers have nothing to do, and which of them is woken: the one on the thread that asks, where there is one.
//!
//! To wake another thread costs a lone row more than to encode it does.

use std::{
    sync::Arc,
    thread::{self, ThreadId},
};

use tokio::sync::{Notify, futures::Notified};

/// The writers of a queue that have nothing to do.
#[derive(Debug, Default)]
pub(crate) struct Shift {
    resting: Vec<Seat>,
}

/// A writer's place on the shift.
#[derive(Debug, Clone)]
pub(crate) struct Seat {
    thread: ThreadId,
    wake: Arc<Notify>,
}

impl Seat {
    /// Of a writer on this thread.
    pub(crate) fn here() -> Self {
        Self { thread: thread::current().id(), wake: Arc::default() }
    }

    /// Ends when the writer was woken; at once, where that was before.
    pub(crate) fn woken(&self) -> Notified<'_> {
        self.wake.notified()
    }
}

impl Shift {
    /// The writer has nothing to do.
    pub(crate) fn rest(&mut self, seat: &Seat) {
        if !self.resting.iter().any(|resting| Arc::ptr_eq(&resting.wake, &seat.wake)) {
            self.resting.push(seat.clone());
        }
    }

    /// Who is to be woken: of this thread, else whoever rested last, whose memory is still warm.
    pub(crate) fn next(&mut self) -> Option<Arc<Notify>> {
        let here = thread::current().id();
        let at = self.resting.iter().rposition(|seat| seat.thread == here);
        let seat = match at {
            Some(at) => Some(self.resting.remove(at)),
            None => self.resting.pop(),
        };
        seat.map(|seat| seat.wake)
    }

    /// The writer goes.
    pub(crate) fn leave(&mut self, seat: &Seat) {
        self.resting.retain(|resting| !Arc::ptr_eq(&resting.wake, &seat.wake));
    }

    /// Everybody: there will be nothing more.
    pub(crate) fn wake_all(&mut self) {
        for seat in self.resting.drain(..) {
            seat.wake.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_writer_of_this_thread_is_woken_before_another() {
        let (here, there) = (Seat::here(), thread::spawn(Seat::here).join().unwrap());
        let mut shift = Shift::default();
        shift.rest(&here);
        shift.rest(&there);
        assert!(Arc::ptr_eq(&shift.next().unwrap(), &here.wake));
        assert!(Arc::ptr_eq(&shift.next().unwrap(), &there.wake));
        assert!(shift.next().is_none());
    }

    #[test]
    fn who_rests_twice_is_woken_once_and_who_left_never() {
        let seat = Seat::here();
        let mut shift = Shift::default();
        shift.rest(&seat);
        shift.rest(&seat);
        assert!(shift.next().is_some() && shift.next().is_none());
        shift.rest(&seat);
        shift.leave(&seat);
        assert!(shift.next().is_none());
    }
}
