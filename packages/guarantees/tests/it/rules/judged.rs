//! What the programs say that will read these files: each Prometheus and Alertmanager that could be had.

use std::path::{Path, PathBuf};
use std::process::Command;

use seatpilot_guarantees::{monitoring, root};

use super::book;

/// The programs of one version.
struct Version {
    folder: PathBuf,
}

impl Version {
    /// All there are: this machine's, and a newer one where Debian's archive could be reached.
    fn all() -> Vec<Self> {
        if monitoring().is_none() {
            return Vec::new();
        }
        let tools = seatpilot_testkit::tools_folder();
        let folders = ["prometheus/bin", "prometheus-2.53/bin"].map(|folder| tools.join(folder));
        let there: Vec<Self> = folders
            .into_iter()
            .filter(|folder| folder.join("promtool").exists())
            .map(|folder| Self { folder })
            .collect();
        if there.len() == 1 {
            println!("SKIPPED: no second version of Prometheus: judged by one only");
        }
        there
    }

    /// What a program prints; its fault where it fails.
    fn run(&self, program: &str, args: &[&str]) -> Result<String, String> {
        let ran = Command::new(self.folder.join(program))
            .args(args)
            .current_dir(root().join("prometheus"))
            .output()
            .unwrap();
        let said =
            format!("{}{}", String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
        if ran.status.success() { Ok(said) } else { Err(format!("{}: {said}", self.folder.display())) }
    }
}

#[test]
fn the_configuration_and_the_rules_are_read() {
    for version in Version::all() {
        version.run("promtool", &["check", "config", "prometheus.yml"]).unwrap();
        let said = version.run("promtool", &["check", "rules", "seatpilot.rules.yml"]).unwrap();
        let rules = book::shipped().len();
        assert!(said.contains(&format!("{rules} rules found")), "{said}");
    }
}

#[test]
fn every_rule_test_holds() {
    let folder = root().join("prometheus/tests");
    let files = std::fs::read_dir(&folder).unwrap().map(|file| file.unwrap().path());
    let files: Vec<String> = files.map(|path| path.to_string_lossy().into_owned()).collect();
    assert!(files.len() >= 5, "{files:?}");
    for version in Version::all() {
        let run = |file: &String| version.run("promtool", &["test", "rules", file]);
        // Each file takes one core for some seconds.
        let faults: Vec<String> = std::thread::scope(|scope| {
            let running: Vec<_> = files.iter().map(|file| scope.spawn(move || run(file))).collect();
            running.into_iter().filter_map(|one| one.join().unwrap().err()).collect()
        });
        assert!(faults.is_empty(), "{}", faults.join("\n"));
    }
}

#[test]
fn alertmanager_reads_its_configuration_and_every_alert_reaches_who_must_look() {
    for version in Version::all() {
        version.run("amtool", &["check-config", "alertmanager.yml"]).unwrap();
        for alert in book::alerts() {
            let told = match alert.labels["severity"].as_str() {
                "critical" => "pager",
                "warning" => "crew",
                "info" => "daily",
                other => panic!("{other} is no severity"),
            };
            let severity = format!("severity={}", alert.labels["severity"]);
            let (name, verify) = (format!("alertname={}", alert.name), format!("--verify.receivers={told}"));
            let args =
                ["config", "routes", "test", "--config.file=alertmanager.yml", &verify, &severity, &name];
            version.run("amtool", &args).unwrap();
        }
        // What has no severity is not lost.
        let args =
            ["config", "routes", "test", "--config.file=alertmanager.yml", "--verify.receivers=crew", "a=b"];
        version.run("amtool", &args).unwrap();
    }
}

#[test]
fn no_secret_stands_in_what_is_shipped() {
    let text = std::fs::read_to_string(root().join("prometheus/alertmanager.yml")).unwrap();
    let slack = text.matches("slack_configs:").count();
    assert_eq!(text.matches("api_url_file: /run/secrets/alert_slack_webhook\n").count(), slack);
    for secret in ["api_url:", "hooks.slack.com", "credentials:", "password", "bearer_token"] {
        assert!(!text.contains(secret), "{secret}");
    }
}

#[test]
fn the_secret_of_slack_is_written_for_alertmanager_alone_and_never_said() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secrets/alert_slack_webhook");
    let webhook = "https://hooks.example.com/services/T0/B0/not-a-real-one";
    let script = root().join("prometheus/alert-secret.sh");
    let run = |webhook: Option<&str>, path: &Path| {
        let mut command = Command::new("bash");
        command.arg(&script).arg(path).env_remove("ALERT_SLACK_WEBHOOK");
        command.envs(webhook.map(|webhook| ("ALERT_SLACK_WEBHOOK", webhook)));
        let ran = command.output().unwrap();
        let said = [ran.stdout, ran.stderr].map(|text| String::from_utf8(text).unwrap()).concat();
        (ran.status.code(), said)
    };
    for _ in 0..2 {
        let (code, said) = run(Some(webhook), &path);
        assert_eq!(code, Some(0), "{said}");
        assert!(!said.contains("not-a-real-one"), "{said}");
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap(), webhook);
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&path).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o400);
    for bad in [None, Some(""), Some("not an address"), Some("http://hooks.example.com/in-clear")] {
        let (code, said) = run(bad, &folder.path().join("none"));
        assert_eq!(code, Some(1), "{bad:?}");
        assert!(said.contains("ALERT_SLACK_WEBHOOK") && !said.contains("in-clear"), "{said}");
    }
    assert!(!folder.path().join("none").exists());
}
