//! The `checkin` binary.

fn main() -> std::process::ExitCode {
    seatpilot_runtime::service_main(seatpilot_checkin::Config::DEFAULTS, seatpilot_checkin::run)
}
