//! `seatpilot up`: everything that one box needs, from the database to the first guest in a seat.

use std::path::PathBuf;

use crate::{cli::Global, failure::Failure};

/// What `up` is told; `--data-dir`, `--json` and `DATABASE_URL` are in [`Global`].
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// The venue to load: a folder or file; without it the built-in one.
    #[arg(long, value_name = "PATH")]
    pub venue: Option<PathBuf>,
    /// The guest list to load; without it guests are made for the venue.
    #[arg(long, value_name = "CSV")]
    pub guests: Option<PathBuf>,
    /// Stop after the first guest is seated: exit 0 only if all of it worked.
    #[arg(long)]
    pub once: bool,
    /// Take free ports instead of the fixed ones.
    #[arg(long)]
    pub free_ports: bool,
    /// Send the demo guest also where `DATABASE_URL` is given.
    #[arg(long)]
    pub demo: bool,
}

/// Runs it.
///
/// # Errors
/// [`Failure`] with why it did not come up.
pub async fn run(_args: Args, _global: &Global) -> Result<(), Failure> {
    Err(Failure::new("`up` is not built yet"))
}
