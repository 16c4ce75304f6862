//! `kpi-refresher`: see the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    seatpilot_runtime::service_main(seatpilot_kpi_refresher::Config::DEFAULTS, seatpilot_kpi_refresher::run)
}
