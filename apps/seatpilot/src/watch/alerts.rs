//! What fires: asked of Prometheus, which alone knows the rules.

use reqwest::Client;
use serde::Deserialize;

use super::scrape::bytes;

/// Alerts that are kept at most.
const ALERTS_MAX: usize = 50;
/// Longest text that is shown, in characters.
const CHARS_MAX: usize = 100;

/// What Prometheus said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Alerts {
    /// Nobody asked yet.
    Unasked,
    /// There is no Prometheus there, or none that answers so.
    NoPrometheus,
    /// What fires; and how many are about to.
    Known {
        /// The worst first.
        firing: Vec<Alert>,
        /// Those whose `for` is not over yet.
        pending: usize,
    },
}

/// One alert that fires.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Alert {
    /// How bad, 0 the worst.
    rank: u8,
    /// critical, warning, info.
    pub severity: String,
    /// Its name.
    pub name: String,
    /// In one line.
    pub summary: String,
}

#[derive(Deserialize)]
struct Answer {
    data: Data,
}

#[derive(Deserialize)]
struct Data {
    alerts: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    state: String,
    #[serde(default)]
    labels: Labels,
    #[serde(default)]
    annotations: Annotations,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Labels {
    alertname: String,
    severity: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Annotations {
    summary: String,
}

/// Asks a Prometheus.
pub(super) async fn ask(client: &Client, prometheus: &str) -> Alerts {
    match bytes(client, &format!("{prometheus}/api/v1/alerts")).await {
        Some((200, body)) => read(&body),
        Some(_) | None => Alerts::NoPrometheus,
    }
}

/// Reads its answer.
pub fn read(body: &[u8]) -> Alerts {
    let Ok(Answer { data }) = serde_json::from_slice(body) else { return Alerts::NoPrometheus };
    let pending = data.alerts.iter().filter(|entry| entry.state == "pending").count();
    let mut firing: Vec<Alert> = data
        .alerts
        .into_iter()
        .filter(|entry| entry.state == "firing")
        .map(|entry| Alert {
            rank: match entry.labels.severity.as_str() {
                "critical" => 0,
                "warning" => 1,
                _ => 2,
            },
            severity: shown(&entry.labels.severity),
            name: shown(&entry.labels.alertname),
            summary: shown(&entry.annotations.summary),
        })
        .collect();
    firing.sort();
    firing.truncate(ALERTS_MAX);
    Alerts::Known { firing, pending }
}

/// Text from elsewhere moves no cursor.
fn shown(text: &str) -> String {
    text.chars().take(CHARS_MAX).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_comes_first_and_pending_ones_are_counted() {
        let body = br#"{"status":"success","data":{"alerts":[
            {"state":"firing","labels":{"alertname":"B","severity":"warning"},"annotations":{"summary":"b\u001b[2J"}},
            {"state":"firing","labels":{"alertname":"A","severity":"critical"}},
            {"state":"pending","labels":{"alertname":"C"}}]}}"#;
        let Alerts::Known { firing, pending } = read(body) else { panic!("not read") };
        assert_eq!(firing.iter().map(|alert| alert.name.as_str()).collect::<Vec<_>>(), ["A", "B"]);
        assert_eq!((pending, firing[1].summary.as_str()), (1, "b [2J"));
        assert_eq!(read(b"<html>"), Alerts::NoPrometheus);
    }
}
