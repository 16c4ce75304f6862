//! The binary `metrics-api`.

fn main() -> std::process::ExitCode {
    seatpilot_runtime::run_service(seatpilot_metrics_api_app::run)
}
