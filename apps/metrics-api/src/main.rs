//! The binary `metrics-api`.

fn main() -> std::process::ExitCode {
    seatpilot_runtime::service_main(
        seatpilot_metrics_api_app::Config::DEFAULTS,
        seatpilot_metrics_api_app::run,
    )
}
