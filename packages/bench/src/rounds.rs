//! Interleaved rounds: A B A B, so that what a noisy machine does to one it does to the other.

use std::time::Duration;

use futures_util::future::LocalBoxFuture;
use serde::Serialize;

use crate::{machine::Ticks, progress::Progress};

/// Over this share of stolen time a round counts for nothing.
const STOLEN_MAX: f64 = 0.01;
/// So many rounds are repeated for it, at most.
const REPEATS_MAX: usize = 3;

/// How much is measured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    /// Rounds that count.
    pub(crate) rounds: usize,
    /// How long each arm of a round takes.
    pub(crate) lasting: Duration,
}

/// One side of a comparison: makes a reading of about so long.
pub(crate) type Arm<'a, R> = Box<dyn FnMut(Duration) -> LocalBoxFuture<'a, anyhow::Result<R>> + 'a>;

/// A median with what it lies between.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Spread {
    /// The middle one.
    pub(crate) median: f64,
    /// The least.
    pub(crate) min: f64,
    /// The most.
    pub(crate) max: f64,
}

impl Spread {
    /// Of some values; NaN of none.
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let middle = match values.len() {
            0 => f64::NAN,
            count if count % 2 == 1 => values[count / 2],
            count => f64::midpoint(values[count / 2 - 1], values[count / 2]),
        };
        let nan = f64::NAN;
        Self {
            median: middle,
            min: values.first().copied().unwrap_or(nan),
            max: values.last().copied().unwrap_or(nan),
        }
    }
}

/// Runs every arm once to warm up, then all of them in turn, round by round. Answers the rounds, each with a reading an
/// arm, and how many were thrown away because time was stolen.
///
/// # Errors
/// The first of an arm.
pub(crate) async fn interleaved<R>(
    plan: Plan,
    progress: &Progress,
    arms: &mut [(&'static str, Arm<'_, R>)],
) -> anyhow::Result<(Vec<Vec<R>>, usize)> {
    for (name, arm) in arms.iter_mut() {
        progress.say(&format!("warm-up: {name}"));
        arm(plan.lasting.mul_f64(0.5)).await?;
    }
    let (mut rounds, mut repeats) = (Vec::new(), 0);
    while rounds.len() < plan.rounds {
        let ticks = Ticks::now();
        let mut round = Vec::new();
        for (name, arm) in arms.iter_mut() {
            progress.say(&format!("round {} of {}: {name}", rounds.len() + 1, plan.rounds));
            round.push(arm(plan.lasting).await?);
        }
        if ticks.stolen_since() > STOLEN_MAX && repeats < REPEATS_MAX {
            repeats += 1;
            continue;
        }
        rounds.push(round);
    }
    Ok((rounds, repeats))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_is_the_middle_and_both_ends() {
        let odd = Spread::of([3.0, 1.0, 2.0]);
        assert_eq!((odd.median, odd.min, odd.max), (2.0, 1.0, 3.0));
        let even = Spread::of([4.0, 1.0, 2.0, 3.0]);
        assert_eq!((even.median, even.min, even.max), (2.5, 1.0, 4.0));
    }
}
