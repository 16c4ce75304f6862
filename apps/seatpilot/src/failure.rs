//! How a command ends when it does not succeed: one line of why, and one of the contract's exit codes.

use std::{fmt, io, process::ExitCode};

/// Why a command stopped.
#[derive(Debug)]
pub enum Failure {
    /// It was tried and did not work: exit 1, with one line of why.
    Failed(String),
    /// The configuration is wrong: exit 64, each fault by name.
    Configuration(Vec<String>),
    /// Nobody reads our output any more (`seatpilot … | head`): a quiet end, exit 0.
    ReaderGone,
}

impl Failure {
    /// A failure with its one line of why.
    pub fn new(why: impl fmt::Display) -> Self {
        Self::Failed(one_line(&why.to_string()))
    }

    /// The same failure, with what was being done before it.
    #[must_use]
    pub fn while_doing(self, what: impl fmt::Display) -> Self {
        match self {
            Self::Failed(why) => Self::Failed(format!("{}: {why}", one_line(&what.to_string()))),
            other => other,
        }
    }

    /// The process's exit code (contract section 7).
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Failed(_) => ExitCode::FAILURE,
            Self::Configuration(_) => ExitCode::from(64),
            Self::ReaderGone => ExitCode::SUCCESS,
        }
    }
}

/// A cause may come with line ends of its own (Postgres details do); why a command failed is one line.
fn one_line(text: &str) -> String {
    text.split(['\n', '\r']).map(str::trim).filter(|part| !part.is_empty()).collect::<Vec<_>>().join("; ")
}

impl fmt::Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(why) => write!(out, "seatpilot: {why}"),
            Self::Configuration(faults) => {
                for (index, fault) in faults.iter().enumerate() {
                    let line_end = if index == 0 { "" } else { "\n" };
                    write!(out, "{line_end}seatpilot: configuration: {fault}")?;
                }
                Ok(())
            }
            Self::ReaderGone => Ok(()),
        }
    }
}

impl std::error::Error for Failure {}

impl From<anyhow::Error> for Failure {
    /// Takes the whole chain of causes into the one line.
    fn from(error: anyhow::Error) -> Self {
        Self::new(format!("{error:#}"))
    }
}

impl From<seatpilot_runtime::ConfigFaults> for Failure {
    fn from(faults: seatpilot_runtime::ConfigFaults) -> Self {
        Self::Configuration(faults.iter().map(ToString::to_string).collect())
    }
}

impl From<seatpilot_store::admin::AdminError> for Failure {
    fn from(error: seatpilot_store::admin::AdminError) -> Self {
        anyhow::Error::from(error).into()
    }
}

impl From<seatpilot_store::Error> for Failure {
    fn from(error: seatpilot_store::Error) -> Self {
        anyhow::Error::from(error).into()
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::ReaderGone,
            _ => Self::new(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn why_a_command_failed_is_one_line() {
        let failure = Failure::new("db error: ERROR: no\r\nDETAIL: none\n").while_doing("revoking");
        assert_eq!(failure.to_string(), "seatpilot: revoking: db error: ERROR: no; DETAIL: none");
    }

    #[test]
    fn a_reader_that_went_away_is_no_failure() {
        let gone = Failure::from(io::Error::from(io::ErrorKind::BrokenPipe));
        assert!(matches!(gone, Failure::ReaderGone));
    }
}
