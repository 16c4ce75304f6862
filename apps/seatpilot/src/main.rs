//! The `seatpilot` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    seatpilot::run()
}
