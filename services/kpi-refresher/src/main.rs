//! `kpi-refresher`: see the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    seatpilot_runtime::run_service(seatpilot_kpi_refresher::run)
}
