//! The same for programs without async: a thread of its own does the sending.

use std::time::Duration;

use tokio::runtime::{Builder as RuntimeBuilder, Runtime};

use crate::{
    event::Event,
    outbox::OutboxError,
    outcome::{Outcome, Sent},
    sender::{BadOption, Builder, SendError},
};

/// Sends events from a program without async. Not to be used inside of one: it would block the runtime.
#[derive(Debug)]
pub struct Sender {
    sender: crate::Sender,
    runtime: Runtime,
}

impl Sender {
    /// Begins to send.
    ///
    /// # Errors
    /// [`BadOption`], which names it, or says that there is no thread to be had.
    pub fn start(builder: Builder) -> Result<Self, BadOption> {
        let runtime = RuntimeBuilder::new_multi_thread()
            .worker_threads(1)
            .thread_name("seatpilot-sdk")
            .enable_all()
            .build()
            .map_err(|error| BadOption { option: "runtime", rule: error.to_string() })?;
        let sender = {
            let _inside = runtime.enter();
            builder.start()?
        };
        Ok(Self { sender, runtime })
    }

    /// Keeps the event and sends it soon. Returns when it is kept.
    ///
    /// # Errors
    /// [`SendError`]: nothing was kept of it.
    pub fn send(&self, event: Event) -> Result<Kept, SendError> {
        self.runtime.block_on(self.sender.send(event)).map(Kept)
    }

    /// Sends what waits now. Returns when all of it is settled, or cannot be sent for the time being.
    pub fn flush(&self) {
        self.runtime.block_on(self.sender.flush());
    }

    /// How many events wait.
    ///
    /// # Errors
    /// [`OutboxError`] where the disk does not say.
    pub fn waiting(&self) -> Result<u64, OutboxError> {
        self.runtime.block_on(self.sender.waiting())
    }

    /// As [`crate::Sender::close`].
    ///
    /// # Errors
    /// [`OutboxError`] where the disk does not say how many still wait.
    pub fn close(self, deadline: Duration) -> Result<u64, OutboxError> {
        self.runtime.block_on(self.sender.close(deadline))
    }
}

/// An event that is kept.
#[derive(Debug)]
pub struct Kept(Sent);

impl Kept {
    /// The event's id.
    pub fn id(&self) -> uuid::Uuid {
        self.0.id()
    }

    /// Waits until the server has answered for it, or the sender ended.
    pub fn outcome(self) -> Outcome {
        self.0.blocking_outcome()
    }
}
