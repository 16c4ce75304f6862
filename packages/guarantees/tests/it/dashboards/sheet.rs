//! `scripts/contact-sheet.sh`, run on the night.

use std::path::PathBuf;

use super::board::Board;
use super::night::Night;

/// How often the sheets are drawn before an empty panel is one.
const DRAWN_AT_MOST: usize = 3;

/// The script, with where it asks.
pub(super) struct Sheet {
    script: PathBuf,
    prometheus: String,
    database: String,
    node: bool,
}

impl Sheet {
    /// Of that night; none where Python's libraries could not be had, which is then said.
    pub(super) fn of(night: &Night) -> Option<Self> {
        let tools = seatpilot_testkit::tools_folder();
        if let Ok(reason) = std::fs::read_to_string(tools.join("plots.missing")) {
            println!("SKIPPED: the contact sheets: {}", reason.trim());
            return None;
        }
        assert!(tools.join("plots/packages").exists(), "scripts/test.sh fetches what draws the sheets");
        Some(Self {
            script: seatpilot_guarantees::root().join("scripts/contact-sheet.sh"),
            prometheus: night.stack.prometheus.url().to_owned(),
            database: night.stack.evening.db.url_as(&night.reader),
            node: night.stack.node.is_some(),
        })
    }

    /// A picture of each dashboard, no panel of which is empty.
    pub(super) async fn draws_every_panel(&self) {
        let folder = tempfile::tempdir().unwrap();
        // Where no disk may be mounted one panel has nothing to show: the run says so instead of failing.
        let strict: &[&str] = if self.node { &["--strict"] } else { &[] };
        let (mut code, mut said) = self.run(folder.path(), strict).await;
        // An alert can rest for a moment where scrapes come late: a panel is empty only if it stays so.
        for _ in 1..DRAWN_AT_MOST {
            if code == Some(0) || !said.contains("no data") {
                break;
            }
            (code, said) = self.run(folder.path(), strict).await;
        }
        assert_eq!(code, Some(0), "{said}");
        for board in Board::shipped() {
            let name = board.file.replace(".json", ".png");
            let picture = std::fs::read(folder.path().join(&name)).unwrap();
            assert!(picture.starts_with(b"\x89PNG\r\n"), "{name}");
            assert!(picture.len() > 50_000, "{name} has {} bytes only", picture.len());
            assert!(said.contains(&format!("{name}: {} panels", board.panels().count())), "{said}");
        }
        assert_eq!(said.matches("no data").count(), usize::from(!self.node), "{said}");
    }

    /// A panel whose family is gone fails a strict run, by name; a query that is refused fails any run; and so does
    /// a Prometheus that is not there.
    pub(super) async fn says_what_is_wrong(&self) {
        let folder = tempfile::tempdir().unwrap();
        let board = &Board::shipped()[0];
        let path = folder.path().join("bad.json");
        let bad = path.to_str().unwrap();
        for (right, wrong, options, said) in [
            ("seatpilot_mv_lag_seconds", "seatpilot_gone", &["--strict", bad][..], "KPI lag: no data"),
            ("max by (view)", "max bye (view)", &[bad][..], "KPI lag: Prometheus answers 400"),
        ] {
            std::fs::write(&path, board.text.replace(right, wrong)).unwrap();
            let (code, output) = self.run(folder.path(), options).await;
            assert_eq!(code, Some(1), "{output}");
            assert!(output.contains(said), "{output}");
        }
        let nowhere = Self {
            prometheus: "http://127.0.0.1:1".to_owned(),
            script: self.script.clone(),
            database: String::new(),
            node: true,
        };
        let (code, output) = nowhere.run(folder.path(), &[]).await;
        assert_eq!(code, Some(1), "{output}");
        assert!(output.contains("error: no Prometheus at http://127.0.0.1:1"), "{output}");
    }

    async fn run(&self, out: &std::path::Path, options: &[&str]) -> (Option<i32>, String) {
        let mut command = tokio::process::Command::new(&self.script);
        command.arg("--out").arg(out).args(["--minutes", "20"]).args(options);
        command
            .env("PROMETHEUS_URL", &self.prometheus)
            .env("DATABASE_URL", &self.database)
            .kill_on_drop(true);
        let output = command.output().await.unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8_lossy(&said).into_owned())
    }
}
