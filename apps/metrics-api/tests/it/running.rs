//! A running metrics-api.

use seatpilot_metrics_api_app::{Config, serve};
use seatpilot_runtime::{Clock, Environment, Shutdown};
use serde_json::Value;

pub(crate) const KEY: &str = "a-metrics-key-of-a-test";

/// A server of one test; it ends with the test's runtime.
pub(crate) struct Running {
    pub(crate) url: String,
    pub(crate) http: reqwest::Client,
    pub(crate) shutdown: Shutdown,
}

impl Running {
    /// With two tenants and one key.
    pub(crate) fn start() -> Self {
        Self::start_with(&[("METRICS_INGEST_KEY", KEY), ("METRICS_TENANT", "acme,globex")])
    }

    pub(crate) fn start_with(variables: &[(&str, &str)]) -> Self {
        let mut all = vec![("PORT", "0"), ("SEATPILOT_DRAIN_MS", "200")];
        all.extend_from_slice(variables);
        let config = Environment::of(all).read(Config::read).unwrap();
        let shutdown = Shutdown::manual();
        let server = serve(config, Clock::system(), shutdown.clone()).unwrap();
        let url = server.url();
        tokio::spawn(server.run());
        Self { url, http: reqwest::Client::new(), shutdown }
    }

    /// Status and body of a request with the key.
    pub(crate) async fn observe(&self, what: &str, body: impl Into<String>) -> (u16, String) {
        let request = self.http.post(format!("{}/observe/{what}", self.url)).header("x-metrics-key", KEY);
        let response = request.body(body.into()).send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    }

    /// The problem of a refused request: status, code, and the pointer of its first error.
    pub(crate) async fn refused(&self, what: &str, body: &str) -> (u16, String, String) {
        let (status, text) = self.observe(what, body).await;
        let problem: Value = serde_json::from_str(&text).unwrap_or_default();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        (status, text(&problem["code"]), text(&problem["errors"][0]["pointer"]))
    }

    pub(crate) async fn get(&self, path: &str) -> (u16, String) {
        let response = self.http.get(format!("{}{path}", self.url)).send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    }

    pub(crate) async fn metrics(&self) -> String {
        self.get("/metrics").await.1
    }

    /// The value of one series, written as it stands in the exposition.
    pub(crate) async fn value(&self, series: &str) -> Option<f64> {
        value(&self.metrics().await, series)
    }
}

/// The value of one series in an exposition.
pub(crate) fn value(metrics: &str, series: &str) -> Option<f64> {
    let line = metrics.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '))?;
    line.parse().ok()
}

/// What was observed: an exposition without what every request moves.
pub(crate) fn observed(metrics: &str) -> Vec<&str> {
    let moves = |line: &&str| !line.contains("http_request_duration_seconds") && !line.contains("process_");
    metrics.lines().filter(moves).collect()
}
