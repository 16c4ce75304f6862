//! How far an evening is, on standard error: a bar on a terminal, a line every few seconds in a pipe.

use std::{
    io::{self, IsTerminal, Write},
    time::Duration,
};

use indicatif::{ProgressBar, ProgressStyle};
use tokio::time::interval;

use super::{
    curve::{CURTAIN_S, EVENING_S},
    guest::House,
    plan::Plan,
};

/// How often the bar moves.
const BAR_EVERY: Duration = Duration::from_millis(200);
/// How often a pipe gets a line.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// Tells it for ever.
pub(super) async fn tell(house: &House, plan: &Plan) {
    let wanted = plan.guests.iter().filter(|guest| guest.fate.is_admitted()).count() as u64;
    let bar = io::stderr().is_terminal().then(|| {
        let bar = ProgressBar::new(wanted);
        // The template is ours: where it were wrong, the standard one would do.
        let style = ProgressStyle::with_template("{wide_bar} {msg}");
        bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
    });
    let mut every = interval(if bar.is_some() { BAR_EVERY } else { LINE_EVERY });
    loop {
        every.tick().await;
        let (admitted, seated, otherwise) = house.tally.so_far();
        let line = format!(
            "{}: {admitted} of {wanted} in, {seated} seated, {otherwise} answered otherwise",
            evening(house.pace.evening_s())
        );
        match &bar {
            Some(bar) => {
                bar.set_position(admitted);
                bar.set_message(line);
            }
            // Where standard error is closed nobody wants to know.
            None => drop(writeln!(io::stderr().lock(), "{line}")),
        }
    }
}

/// The evening's time as people at a door say it.
fn evening(at_s: f64) -> String {
    let minutes = ((at_s.clamp(0.0, EVENING_S) - CURTAIN_S) / 60.0).round() as i64;
    match minutes {
        ..0 => format!("{} min to the curtain", -minutes),
        0 => "curtain".to_owned(),
        1.. => format!("{minutes} min after the curtain"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_is_told_from_the_curtain() {
        assert_eq!(evening(0.0), "90 min to the curtain");
        assert_eq!(evening(CURTAIN_S), "curtain");
        assert_eq!(evening(CURTAIN_S + 600.0), "10 min after the curtain");
    }
}
