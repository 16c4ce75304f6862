//! Numbers as the view and the plain line say them.

/// A number or, where there is none, a dash.
pub(super) fn figure(value: Option<f64>, unit: &str) -> String {
    match value {
        Some(value) => format!("{}{unit}", short(value)),
        None => "-".to_owned(),
    }
}

/// Three digits or so: `0.42`, `4.2`, `42`, `4,200`.
pub(super) fn short(value: f64) -> String {
    let size = value.abs();
    if size == 0.0 {
        "0".to_owned()
    } else if size < 0.995 {
        format!("{value:.2}")
    } else if size < 9.95 {
        format!("{value:.1}")
    } else {
        thousands(value)
    }
}

/// A whole number in groups of three.
pub(super) fn thousands(value: f64) -> String {
    let digits = format!("{:.0}", value.abs());
    let mut text = String::from(if value <= -0.5 { "-" } else { "" });
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A share in percent.
pub(super) fn percent(share: Option<f64>) -> String {
    share.map_or_else(|| "-".to_owned(), |share| format!("{} %", short(share * 100.0)))
}

/// `45 s`, `3 min`, `5 h 12 min`.
pub(super) fn lasting(seconds: f64) -> String {
    let minutes = (seconds / 60.0).floor();
    if seconds < 120.0 {
        format!("{:.0} s", seconds.max(0.0))
    } else if minutes < 120.0 {
        format!("{minutes} min")
    } else {
        format!("{} h {} min", (minutes / 60.0).floor(), minutes % 60.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        assert_eq!(
            [0.0, 0.416, 4.16, 9.96, 41.6, 4160.0, 1_234_567.0].map(short),
            ["0", "0.42", "4.2", "10", "42", "4,160", "1,234,567"]
        );
        assert_eq!((percent(Some(0.0123)).as_str(), percent(None).as_str()), ("1.2 %", "-"));
        assert_eq!([59.0, 200.0, 18_720.0].map(lasting), ["59 s", "3 min", "5 h 12 min"]);
        assert_eq!(figure(Some(12.0), " ms"), "12 ms");
    }
}
