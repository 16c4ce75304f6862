//! The `wayfinding` binary.

fn main() -> std::process::ExitCode {
    seatpilot_runtime::run_service(seatpilot_wayfinding::run)
}
