//! The `checkin` binary.

fn main() -> std::process::ExitCode {
    seatpilot_runtime::run_service(seatpilot_checkin::run)
}
