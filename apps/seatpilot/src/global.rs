//! What every command takes: which data directory, which tenant, how to print.

use std::path::PathBuf;

use clap::Args;
use seatpilot_domain_model::TenantId;

use crate::output::Output;

/// The data directory where none is named.
pub const DEFAULT_DATA_DIR: &str = ".seatpilot";
/// The tenant where neither `--tenant` nor a running `up` names one.
pub const DEFAULT_TENANT: &str = "demo";

/// What every command takes.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Everywhere")]
pub struct Global {
    /// Where `up` keeps its database and state.json [default: .seatpilot].
    #[arg(long, global = true, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// The tenant [default: the running one's, else demo].
    #[arg(long, global = true, value_name = "ID")]
    pub tenant: Option<TenantId>,
    /// Print JSON for scripts.
    #[arg(long, global = true)]
    pub json: bool,
}

impl Global {
    /// The data directory.
    pub fn data_dir(&self) -> PathBuf {
        self.data_dir.clone().unwrap_or_else(|| PathBuf::from(DEFAULT_DATA_DIR))
    }

    /// Standard output in the style asked for.
    pub fn output(&self) -> Output {
        Output::of_stdout(self.json)
    }
}
