//! Signals: the first SIGTERM or SIGINT asks a process to drain, the second to go at once.

use std::{
    io,
    sync::{Arc, mpsc},
    time::Duration,
};

use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::watch,
    time::timeout,
};

/// Longest time between the first signal and the end of a service. A supervisor gives 15 s or more; what
/// hangs beyond that would be killed anyway, without a word.
const SERVICE_END_AFTER: Duration = Duration::from_millis(14_500);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Running,
    Begun,
    Insisted,
}

/// Whether this process was asked to end. Clones share it.
#[derive(Debug, Clone)]
pub struct Shutdown(Arc<watch::Sender<Phase>>);

impl Shutdown {
    /// For a service: a second signal ends the process at once with code 1, and so does a drain that takes
    /// longer than 14.5 s. Signals are caught from this call on, by a thread of their own, so that neither
    /// a start that hangs nor a blocked runtime can miss one.
    ///
    /// # Errors
    /// The system gives no thread or no signal handler.
    pub fn for_service() -> io::Result<Self> {
        Self::install(|shutdown, signals| async move {
            let mut signals = signals;
            signals.next().await;
            shutdown.begin();
            let reason = match timeout(SERVICE_END_AFTER, signals.next()).await {
                Ok(()) => "a second signal came",
                Err(_) => "draining took too long",
            };
            tracing::error!("{reason}: ending without waiting for what is under way");
            std::process::exit(1);
        })
    }

    /// For a command that has children to take down: it sees the second signal by [`Shutdown::insisted`]
    /// and ends itself.
    ///
    /// # Errors
    /// The system gives no thread or no signal handler.
    pub fn for_command() -> io::Result<Self> {
        Self::install(|shutdown, signals| async move {
            let mut signals = signals;
            signals.next().await;
            shutdown.begin();
            loop {
                signals.next().await;
                shutdown.insist();
            }
        })
    }

    /// One that no signal moves, for tests: [`Shutdown::begin`] does.
    pub fn manual() -> Self {
        Self(Arc::new(watch::Sender::new(Phase::Running)))
    }

    /// Asks for the end, as the first signal does.
    pub fn begin(&self) {
        self.raise(Phase::Begun);
    }

    /// Asks for it again, as the second signal does.
    pub fn insist(&self) {
        self.raise(Phase::Insisted);
    }

    /// Whether the end was asked for.
    pub fn is_draining(&self) -> bool {
        *self.0.borrow() >= Phase::Begun
    }

    /// Waits until the end is asked for. Safe to drop and to call again.
    pub async fn begun(&self) {
        self.reached(Phase::Begun).await;
    }

    /// Waits until it is asked for a second time.
    pub async fn insisted(&self) {
        self.reached(Phase::Insisted).await;
    }

    async fn reached(&self, phase: Phase) {
        // Fails only when the sender is gone, and `self` holds it.
        let _ = self.0.subscribe().wait_for(|now| *now >= phase).await;
    }

    fn raise(&self, phase: Phase) {
        self.0.send_if_modified(|now| {
            let higher = phase > *now;
            if higher {
                *now = phase;
            }
            higher
        });
    }

    fn install<Fut: Future<Output = ()>>(
        follow: impl FnOnce(Self, Signals) -> Fut + Send + 'static,
    ) -> io::Result<Self> {
        let shutdown = Self::manual();
        let (installed, wait) = mpsc::sync_channel(1);
        let shared = shutdown.clone();
        std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
            let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => runtime,
                Err(error) => {
                    let _ = installed.send(Err(error));
                    return;
                }
            };
            runtime.block_on(async move {
                match Signals::install() {
                    Ok(signals) => {
                        let _ = installed.send(Ok(()));
                        follow(shared, signals).await;
                    }
                    Err(error) => {
                        let _ = installed.send(Err(error));
                    }
                }
            });
        })?;
        wait.recv().map_err(io::Error::other)??;
        Ok(shutdown)
    }
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn install() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_end_is_seen_by_those_who_wait_and_by_those_who_come_later() {
        let shutdown = Shutdown::manual();
        let waiting = tokio::spawn({
            let shutdown = shutdown.clone();
            async move { shutdown.begun().await }
        });
        assert!(!shutdown.is_draining());
        shutdown.begin();
        waiting.await.unwrap();
        shutdown.begun().await;
        assert!(shutdown.is_draining());
        shutdown.insist();
        shutdown.begin();
        shutdown.insisted().await;
    }
}
