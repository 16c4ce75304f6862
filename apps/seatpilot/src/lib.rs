//! The command that an operator types: `up`, `simulate`, `watch`, `migrate`, `venue`, `guests`, `device`, `key`, `dlq`,
//! `audit`, `sign`.
//!
//! Each command is a module with its clap arguments and a `run`; what they share is [`global::Global`] (which
//! database, which tenant, how to print), [`output::Output`] and [`failure::Failure`]. SQL and rows belong to
//! `seatpilot-store`, maps to `seatpilot-venue-graph`.

use std::process::ExitCode;

use clap::Parser;

pub mod audit;
pub mod billing;
pub mod cli;
pub mod device;
pub mod dlq;
pub mod doctor;
pub mod failure;
pub mod global;
pub mod guests;
pub mod key;
pub mod key_args;
pub mod migrate;
pub mod output;
pub mod running;
pub mod sign;
pub mod simulate;
pub mod state;
pub mod up;
pub mod venue;
pub mod watch;

/// Reads the command line, does what it says, and answers with the contract's exit code: 0, 1 (it failed, why
/// in one line), 2 (usage), 64 (configuration).
pub fn run() -> ExitCode {
    let cli = cli::Cli::parse();
    let outcome = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(failure::Failure::from)
        .and_then(|runtime| runtime.block_on(cli.run()));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            output::complain(&failure);
            failure.exit_code()
        }
    }
}
