//! `telemetry-ingest`: takes signed telemetry events.

fn main() -> std::process::ExitCode {
    seatpilot_runtime::service_main(
        seatpilot_telemetry_ingest::Config::DEFAULTS,
        seatpilot_telemetry_ingest::run,
    )
}
