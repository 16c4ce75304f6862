//! Variables and macros, filled in as Grafana fills them in.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::{Timestamp, Unit};
use regex::{Captures, Regex};

/// What the variables stand for, and the time shown.
pub(super) struct Fill {
    values: BTreeMap<String, Vec<String>>,
    /// The time shown ends now and is so long.
    pub(super) last: Duration,
    /// Prometheus asks the services so often.
    scrape: Duration,
    /// From one point of a line to the next.
    pub(super) step: Duration,
}

impl Fill {
    /// For that time, before any variable is known.
    pub(super) fn of(last: Duration, scrape: Duration) -> Self {
        Self { values: BTreeMap::new(), last, scrape, step: scrape }
    }

    /// A variable stands for all of these: it shows "All".
    pub(super) fn set(&mut self, name: &str, values: Vec<String>) {
        self.values.insert(name.to_owned(), values);
    }

    /// A query for Prometheus: lists become patterns.
    pub(super) fn promql(&self, text: &str) -> String {
        let special = Regex::new(r"[\\^$*+?.()|{}\[\]]").expect("a pattern");
        let escaped = |value: &String| {
            special.replace_all(value, |found: &Captures<'_>| format!(r"\\{}", &found[0])).into_owned()
        };
        let mut text = text.to_owned();
        for (name, values) in &self.values {
            let values: Vec<String> = values.iter().map(escaped).collect();
            let pattern = match values.as_slice() {
                [one] => one.clone(),
                many => format!("({})", many.join("|")),
            };
            text = text.replace(&format!("${name}"), &pattern);
        }
        // Grafana's own rule: a step and a scrape, four scrapes at least, so that a rate has its two samples.
        let rate = (self.step + self.scrape).max(4 * self.scrape);
        text.replace("$__rate_interval", &format!("{}s", rate.as_secs()))
            .replace("$__range", &format!("{}s", self.last.as_secs()))
    }

    /// A query for Postgres: lists become literals.
    pub(super) fn sql(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (name, values) in &self.values {
            let literals: Vec<String> =
                values.iter().map(|value| format!("'{}'", value.replace('\'', "''"))).collect();
            text = text.replace(&format!("${name}"), &literals.join(","));
        }
        let end = seatpilot_runtime::Clock::system().now();
        let begin = end - jiff::SignedDuration::try_from(self.last).expect("a short time");
        let literal =
            |at: Timestamp| format!("'{}'", at.round(Unit::Second).expect("a time of this century"));
        let (begin, end) = (literal(begin), literal(end));
        let within = Regex::new(r"\$__timeFilter\((\w+)\)").expect("a pattern");
        within
            .replace_all(&text, format!("${{1}} BETWEEN {begin} AND {end}"))
            .replace("$__timeFrom()", &begin)
            .replace("$__timeTo()", &end)
    }
}

/// What still stands for something else in a query that was filled in.
pub(super) fn left(text: &str) -> Option<String> {
    let variable = Regex::new(r"\$\{?\w+|\[\[").expect("a pattern");
    variable.find(text).map(|found| found.as_str().to_owned())
}
