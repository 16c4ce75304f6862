//! How a process ends: 0, 1 (it failed, why in one line), 2 (usage), 64 (configuration).

use std::{error::Error, fmt, io, process::ExitCode, time::Duration};

use crate::{
    clock::Clock,
    environment::{ConfigFaults, Environment},
    shutdown::Shutdown,
};

/// Why a process ends before its time. [`ConfigFaults`] and [`UsageError`] anywhere in its chain of sources
/// choose the exit code.
pub type Failure = Box<dyn Error + Send + Sync>;

/// The command line makes no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct UsageError(pub String);

/// What a process is given by the world.
#[derive(Debug)]
pub struct Process {
    /// What it was started with.
    pub environment: Environment,
    /// The time.
    pub clock: Clock,
    /// Whether it was asked to end.
    pub shutdown: Shutdown,
}

/// The whole of a service's `main`: signals first, then a runtime, the service, its exit code.
///
/// ```no_run
/// # async fn run(process: seatpilot_runtime::Process) -> Result<(), seatpilot_runtime::Failure> { Ok(()) }
/// fn main() -> std::process::ExitCode {
///     seatpilot_runtime::run_service(run)
/// }
/// ```
pub fn run_service<Fut>(service: impl FnOnce(Process) -> Fut) -> ExitCode
where
    Fut: Future<Output = Result<(), Failure>>,
{
    let run = || {
        let shutdown = Shutdown::for_service()?;
        // One thread: what runs here are connections, which hand small things to each other, and waking another thread
        // for each would cost more than the work. Requests are served by threads of the server's own.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let process = Process { environment: Environment::process(), clock: Clock::system(), shutdown };
        let result = runtime.block_on(service(process));
        // Background tasks hold nothing that a caller was promised; they are not waited for.
        runtime.shutdown_timeout(Duration::from_millis(200));
        result
    };
    main_exit(run())
}

/// Prints why a process failed, one line a reason, and chooses its exit code.
pub fn main_exit(result: Result<(), Failure>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let (code, lines) = verdict(&*failure);
            // A closed standard error is no reason to fail differently.
            let _ = io::Write::write_all(&mut io::stderr(), lines.as_bytes());
            ExitCode::from(code)
        }
    }
}

fn verdict(failure: &(dyn Error + 'static)) -> (u8, String) {
    let mut cause = Some(failure);
    while let Some(error) = cause {
        if let Some(faults) = error.downcast_ref::<ConfigFaults>() {
            return (64, faults.iter().map(|fault| format!("configuration: {fault}\n")).collect());
        }
        if let Some(usage) = error.downcast_ref::<UsageError>() {
            return (2, format!("usage: {usage}\n"));
        }
        cause = error.source();
    }
    (1, format!("error: {}\n", with_causes(failure).replace('\n', " ")))
}

/// An error and what caused it, on one line: `Display` of ours never repeats its source.
pub(crate) fn with_causes(error: &(dyn Error + 'static)) -> String {
    struct Chain<'a>(&'a (dyn Error + 'static));
    impl fmt::Display for Chain<'_> {
        fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(out, "{}", self.0)?;
            let mut cause = self.0.source();
            while let Some(error) = cause {
                write!(out, ": {error}")?;
                cause = error.source();
            }
            Ok(())
        }
    }
    Chain(error).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::variable;

    #[derive(Debug, thiserror::Error)]
    #[error("the service did not start")]
    struct Wrapped(#[source] ConfigFaults);

    #[test]
    fn configuration_ends_with_64_wherever_it_stands_in_the_chain() {
        let faults = ConfigFaults::of(&variable::PORT, "must be a port");
        assert_eq!(verdict(&faults), (64, "configuration: PORT: must be a port\n".to_owned()));
        assert_eq!(verdict(&Wrapped(faults)).0, 64);
    }

    #[test]
    fn a_failure_is_one_line_with_its_causes() {
        let error = io::Error::other("disk full\nreally");
        assert_eq!(verdict(&error), (1, "error: disk full really\n".to_owned()));
        assert_eq!(
            verdict(&UsageError("no such command".into())),
            (2, "usage: no such command\n".to_owned())
        );
    }
}
