//! The real Alertmanager, as long as its value lives.

use std::path::Path;

use seatpilot_testkit::Binary;

use crate::Tools;

/// An Alertmanager of the test's own, alone. Dropping it kills it.
pub struct Alertmanager {
    process: Binary,
}

impl Alertmanager {
    /// Runs it with a configuration, its data in `folder`, and waits until it is ready.
    pub async fn start(tools: &Tools, config: &Path, folder: &Path, port: u16) -> Self {
        let args = [
            format!("--config.file={}", config.display()),
            format!("--storage.path={}", folder.join("alertmanager-data").display()),
            format!("--web.listen-address=127.0.0.1:{port}"),
            // No cluster: it would listen on a port of its own.
            "--cluster.listen-address=".to_owned(),
            "--log.level=info".to_owned(),
        ];
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let port = port.to_string();
        let mut process = Binary::spawn_with(&tools.program("alertmanager"), &args, &[("PORT", &port)]);
        process.answers("/-/ready").await;
        Self { process }
    }

    /// `http://127.0.0.1:PORT`, no slash at the end.
    pub fn url(&self) -> &str {
        self.process.url()
    }

    /// What it printed, for a failed test.
    pub fn output(&self) -> String {
        self.process.output()
    }
}
