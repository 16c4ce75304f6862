//! How fast alerts are drilled: as shipped, or with every duration shortened so that a drill takes seconds.
//!
//! What [`Pace::Fast`] changes, and nothing else: scrape and evaluation every second, `for` and `keep_firing_for`
//! of 2 s, `group_wait` 1 s, `group_interval` 2 s, the windows of the expressions by [`window`], and a refresh of the
//! KPIs every 2 s. Thresholds, minimum counts, labels, annotations, routes, inhibitions and receivers are those that
//! are shipped.

use regex::{Captures, Regex};

/// How fast.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// Seconds for minutes.
    Fast,
    /// Every duration as shipped.
    Shipped,
}

impl Pace {
    /// The rules at this pace.
    pub fn rules(self, shipped: &str) -> String {
        match self {
            Self::Shipped => shipped.to_owned(),
            Self::Fast => {
                let rules = members(shipped, &[("for", "2s"), ("keep_firing_for", "2s"), ("interval", "1s")]);
                let range = Regex::new(r"\[((?:[0-9]+(?:ms|[smhdw]))+)(:(?:[0-9]+(?:ms|[smhdw]))*)?\]");
                range
                    .expect("a pattern")
                    .replace_all(&rules, |found: &Captures<'_>| {
                        let step = if found.get(2).is_some() { ":1s" } else { "" };
                        format!("[{}s{step}]", window(seconds(&found[1])))
                    })
                    .into_owned()
            }
        }
    }

    /// Prometheus' own configuration at this pace.
    pub fn prometheus(self, shipped: &str) -> String {
        match self {
            Self::Shipped => shipped.to_owned(),
            Self::Fast => members(
                shipped,
                &[("scrape_interval", "1s"), ("evaluation_interval", "1s"), ("scrape_timeout", "1s")],
            ),
        }
    }

    /// Alertmanager's configuration at this pace.
    pub fn alertmanager(self, shipped: &str) -> String {
        match self {
            Self::Shipped => shipped.to_owned(),
            Self::Fast => members(shipped, &[("group_wait", "1s"), ("group_interval", "2s")]),
        }
    }
}

/// Seconds of the fast window for a shipped one: short enough for a drill, longer ones still longer, and none
/// shorter than what `rate` needs of a scrape a second.
fn window(shipped_seconds: u64) -> u64 {
    match shipped_seconds {
        ..=60 => 5,
        61..=300 => 10,
        301..=1_800 => 15,
        1_801..=3_600 => 20,
        3_601..=21_600 => 30,
        _ => 60,
    }
}

/// The seconds of a duration as Prometheus writes it.
fn seconds(duration: &str) -> u64 {
    let part = Regex::new(r"([0-9]+)(ms|[smhdw])").expect("a pattern");
    part.captures_iter(duration)
        .map(|found| {
            let count: u64 = found[1].parse().expect("digits");
            match &found[2] {
                "ms" => count / 1_000,
                "s" => count,
                "m" => count * 60,
                "h" => count * 3_600,
                "d" => count * 86_400,
                _ => count * 604_800,
            }
        })
        .sum()
}

/// Each line `<name>: <duration>` of these names with another duration, where that is shorter.
fn members(text: &str, durations: &[(&str, &str)]) -> String {
    durations.iter().fold(text.to_owned(), |text, (name, duration)| {
        let line = Regex::new(&format!(r"(?m)^([ \t-]*{name}:)[ \t]*([^\s#]+)")).expect("a pattern");
        line.replace_all(&text, |found: &Captures<'_>| {
            if seconds(&found[2]) > seconds(duration) {
                format!("{} {duration}", &found[1])
            } else {
                found[0].to_owned()
            }
        })
        .into_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fast_pace_changes_durations_and_nothing_else() {
        let shipped = "groups:\n  - name: a\n    interval: 15s\n    rules:\n      - record: seatpilot:assign_p95_5m\n        \
                       expr: rate(x{route=~\"[0-9]+\"}[5m]) > 0.3 and y[1h:1m] and z[1h30m]\n        for: 5m\n        \
                       keep_firing_for: 10m # why\n        labels: { severity: critical }\n";
        let fast = "groups:\n  - name: a\n    interval: 1s\n    rules:\n      - record: seatpilot:assign_p95_5m\n        \
                    expr: rate(x{route=~\"[0-9]+\"}[10s]) > 0.3 and y[20s:1s] and z[30s]\n        for: 2s\n        \
                    keep_firing_for: 2s # why\n        labels: { severity: critical }\n";
        assert_eq!(Pace::Fast.rules(shipped), fast);
        assert_eq!(Pace::Shipped.rules(shipped), shipped);
        let told = "group_wait: 0s\n  group_wait: 30s\n  repeat_interval: 4h\n  group_interval: 12h\n";
        let soon = "group_wait: 0s\n  group_wait: 1s\n  repeat_interval: 4h\n  group_interval: 2s\n";
        assert_eq!(Pace::Fast.alertmanager(told), soon);
    }

    #[test]
    fn a_longer_window_is_never_shorter_at_the_fast_pace() {
        let windows = [60, 300, 600, 1_800, 3_600, 21_600, 259_200].map(window);
        assert!(windows.is_sorted(), "{windows:?}");
        assert_eq!(seconds("1h30m"), 5_400);
    }
}
