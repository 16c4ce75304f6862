//! Prometheus' text format, as our own services write it.
//!
//! Why not a library: those for Rust bring regular expressions and a second crate of time, and sort series into types
//! that would be taken apart again here. What is read is one encoder's output (`prometheus::TextEncoder`), held against
//! it by a test.

use std::borrow::Cow;

/// One line: a series and its value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Series<'a> {
    /// Its name, with `_bucket`, `_sum` and `_count` where it has them.
    pub name: &'a str,
    /// What stands between the braces.
    labels: &'a str,
    /// Its value.
    pub value: f64,
}

/// The series of a scrape; lines that are none are passed over.
pub fn series(text: &str) -> impl Iterator<Item = Series<'_>> {
    text.lines().filter_map(line)
}

fn line(line: &str) -> Option<Series<'_>> {
    if line.starts_with('#') {
        return None;
    }
    let (name, labels, rest) = match line.find('{') {
        Some(open) => {
            let close = open + 1 + end_of_labels(&line[open + 1..])?;
            (&line[..open], &line[open + 1..close], &line[close + 1..])
        }
        None => {
            let (name, rest) = line.split_once(' ')?;
            (name, "", rest)
        }
    };
    // A time may stand behind the value.
    let value = rest.split_ascii_whitespace().next()?.parse().ok()?;
    Some(Series { name, labels, value })
}

/// Where the closing brace is: not one inside a value.
fn end_of_labels(text: &str) -> Option<usize> {
    let (mut quoted, mut escaped) = (false, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'}' if !quoted => return Some(at),
            _ => {}
        }
    }
    None
}

impl<'a> Series<'a> {
    /// A label's value.
    pub fn label(&self, name: &str) -> Option<Cow<'a, str>> {
        let mut rest = self.labels;
        loop {
            let (label, after) = rest.trim_start_matches(',').split_once("=\"")?;
            let end = end_of_value(after)?;
            if label == name {
                let value = &after[..end];
                return Some(if value.contains('\\') { unescaped(value).into() } else { value.into() });
            }
            rest = &after[end + 1..];
        }
    }
}

fn end_of_value(text: &str) -> Option<usize> {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return Some(at),
            _ => {}
        }
    }
    None
}

fn unescaped(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    let mut characters = value.chars();
    while let Some(character) = characters.next() {
        match (character, character == '\\') {
            (_, true) => match characters.next() {
                Some('n') => text.push('\n'),
                Some(other) => text.push(other),
                None => text.push('\\'),
            },
            (character, false) => text.push(character),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_may_hold_what_ends_one() {
        let text =
            "# HELP x y\nx{a=\"} \\\"1\\\\\",le=\"+Inf\"} 3 1700000000\nplain 2.5\nbroken{a=\"1\n\nnone";
        let found: Vec<Series<'_>> = series(text).collect();
        assert_eq!(found.len(), 2, "{found:?}");
        assert_eq!(found[0].label("a").as_deref(), Some("} \"1\\"));
        assert_eq!(found[0].label("le").as_deref(), Some("+Inf"));
        assert_eq!((found[0].label("none"), found[0].value), (None, 3.0));
        assert_eq!((found[1].name, found[1].value), ("plain", 2.5));
    }

    #[test]
    fn what_our_own_encoder_writes_is_read() {
        let metrics = seatpilot_metrics_api::Metrics::new("checkin", "1");
        metrics.set_tenants(&["acme".parse().expect("a slug")]);
        let _ = (metrics.checkin(), metrics.ingest(), metrics.kpi());
        let text = metrics.render();
        let lines = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).count();
        assert!(lines > 50, "{lines}");
        assert_eq!(series(&text).count(), lines);
        assert!(series(&text).any(|series| series.label("tenant").as_deref() == Some("acme")));
    }
}
