//! The `wayfinding` binary.

fn main() -> std::process::ExitCode {
    seatpilot_runtime::service_main(seatpilot_wayfinding::Config::DEFAULTS, seatpilot_wayfinding::run)
}
