//! One fault, and the alerts that must tell of it: waited for where a person would be woken, with their labels.

use std::time::{Duration, Instant};

use seatpilot_guarantees::{LiveStack, Notified, Pace};

/// An alert as whoever is woken must get it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Alert {
    pub(super) name: &'static str,
    pub(super) severity: &'static str,
    pub(super) priority: &'static str,
    /// Further labels that it must have.
    pub(super) labels: &'static [(&'static str, &'static str)],
}

/// Shorthand for the table of alerts.
pub(super) const fn alert(
    name: &'static str,
    severity: &'static str,
    priority: &'static str,
    labels: &'static [(&'static str, &'static str)],
) -> Alert {
    Alert { name, severity, priority, labels }
}

/// What was measured of one alert.
#[derive(Debug, Clone)]
pub(super) struct Record {
    pub(super) alert: &'static str,
    pub(super) fault: &'static str,
    /// From the fault to the notification.
    pub(super) fired_after: Duration,
    /// From the end of the fault to the notification that it is over; none at the shipped pace, where nobody waits.
    pub(super) resolved_after: Option<Duration>,
}

/// A fault that was injected.
pub(super) struct Drill<'h> {
    house: &'h LiveStack,
    fault: &'static str,
    alerts: &'static [Alert],
    injected: Instant,
}

/// The same after its alerts fired.
pub(super) struct Fired<'h> {
    drill: Drill<'h>,
    came: Vec<(Alert, Notified)>,
    /// What did not.
    faults: Vec<String>,
}

/// What is left of a drill: what was measured, and what was not as it must be.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub(super) records: Vec<Record>,
    pub(super) faults: Vec<String>,
}

impl Outcome {
    pub(super) fn add(&mut self, mut other: Self) {
        self.records.append(&mut other.records);
        self.faults.append(&mut other.faults);
    }
}

/// What G36 allows until somebody is told.
fn fires_within(pace: Pace, alert: &Alert) -> Duration {
    match pace {
        Pace::Fast => Duration::from_secs(20),
        // `for` 5 minutes, and Alertmanager gathers what can wait for the next day for 5 minutes more.
        Pace::Shipped if alert.severity == "info" => Duration::from_secs(11 * 60),
        Pace::Shipped => Duration::from_secs(7 * 60),
    }
}

/// What G36 allows until somebody is told that it is over, at the fast pace.
const RESOLVES_WITHIN: Duration = Duration::from_secs(60);

impl<'h> Drill<'h> {
    /// The fault is injected now.
    pub(super) fn begin(house: &'h LiveStack, fault: &'static str, alerts: &'static [Alert]) -> Self {
        Self { house, fault, alerts, injected: Instant::now() }
    }

    /// Waits until each alert was notified.
    pub(super) async fn fired(self) -> Fired<'h> {
        let mut fired = Fired { came: Vec::new(), faults: Vec::new(), drill: self };
        for alert in fired.drill.alerts {
            let drill = &fired.drill;
            let within = fires_within(drill.house.pace, alert);
            let left = (drill.injected + within).saturating_duration_since(Instant::now());
            let found =
                drill.house.receiver.wait_for(|came| is(alert, came, "firing", drill.injected), left).await;
            match found {
                Some(came) => {
                    let mut wrong = unlike(alert, &came);
                    fired.faults.append(&mut wrong);
                    fired.came.push((*alert, came));
                }
                None => {
                    let known = drill.house.prometheus.alerts().await;
                    let known: Vec<_> =
                        known.iter().filter(|known| known.labels["alertname"] == alert.name).collect();
                    let got: Vec<_> = drill.house.receiver.notified();
                    let got: Vec<_> = got.iter().filter(|got| got.name() == alert.name).collect();
                    fired.faults.push(format!(
                        "{} was not notified within {within:?} of: {}. Prometheus has {known:?}; notified were {got:?}",
                        alert.name, drill.fault
                    ));
                }
            }
        }
        fired
    }
}

impl Fired<'_> {
    /// The fault ends now: waits until each alert that fired is told to be over.
    pub(super) async fn resolved(mut self) -> Outcome {
        let lifted = Instant::now();
        let drill = &self.drill;
        let mut records = Vec::new();
        for (alert, fired) in &self.came {
            let record = Record {
                alert: alert.name,
                fault: drill.fault,
                fired_after: fired.at.saturating_duration_since(drill.injected),
                resolved_after: None,
            };
            if drill.house.pace == Pace::Shipped {
                records.push(record);
                continue;
            }
            let left = (lifted + RESOLVES_WITHIN).saturating_duration_since(Instant::now());
            let same = |came: &Notified| {
                came.status == "resolved"
                    && came.at > fired.at
                    && came.labels == fired.labels
                    && came.path == fired.path
            };
            match drill.house.receiver.wait_for(same, left).await {
                Some(over) => records.push(Record {
                    resolved_after: Some(over.at.saturating_duration_since(lifted)),
                    ..record
                }),
                None => self.faults.push(format!(
                    "{} was not told to be over within {RESOLVES_WITHIN:?} of the end of: {}",
                    alert.name, drill.fault
                )),
            }
        }
        Outcome { records, faults: self.faults }
    }
}

fn is(alert: &Alert, came: &Notified, status: &str, since: Instant) -> bool {
    came.name() == alert.name
        && came.status == status
        && came.at >= since
        && alert.labels.iter().all(|(name, value)| came.labels.get(*name).is_some_and(|found| found == value))
}

/// What is wrong with a notification: its labels of rank, its texts, who got it.
fn unlike(alert: &Alert, came: &Notified) -> Vec<String> {
    let mut faults = Vec::new();
    for (name, wanted) in [("severity", alert.severity), ("priority", alert.priority)] {
        let found = came.labels.get(name).map_or("", String::as_str);
        if found != wanted {
            faults.push(format!("{}: {name} is {found:?}, not {wanted:?}", alert.name));
        }
    }
    let receiver = match alert.severity {
        "critical" => "pager",
        "warning" => "crew",
        _ => "daily",
    };
    if came.path != receiver {
        faults.push(format!("{}: it was told to {}, not to {receiver}", alert.name, came.path));
    }
    for name in ["summary", "description", "runbook_url", "dashboard_url"] {
        let text = came.annotations.get(name).map_or("", String::as_str);
        // What a template could not fill in looks like this.
        if text.is_empty() || text.contains("<no value>") || text.contains("<error") {
            faults.push(format!("{}: {name} is {text:?}", alert.name));
        }
    }
    let anchor = format!("#{}", alert.name.to_lowercase());
    if !came.annotations.get("runbook_url").is_some_and(|url| url.ends_with(&anchor)) {
        faults.push(format!("{}: its runbook_url does not end with {anchor}", alert.name));
    }
    faults
}
