//! `telemetry-ingest`: takes signed telemetry events.

fn main() -> std::process::ExitCode {
    seatpilot_runtime::run_service(seatpilot_telemetry_ingest::run)
}
