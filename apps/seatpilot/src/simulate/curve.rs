//! When people come: an evening from the opening of the doors to the last of those who are late, in seconds.
//!
//! Most come shortly before the curtain; some make an evening of it and come early; some step out of the same train.
//! The shares are a sketch of what gates of arenas report, not a measurement of one: they are here in one place to be
//! argued with.

use crate::guests::Dice;

/// The curtain, in seconds after the doors open.
pub const CURTAIN_S: f64 = 90.0 * 60.0;
/// Nobody comes to a door after this.
pub const LAST_AT_THE_DOOR_S: f64 = 110.0 * 60.0;
/// By then the last one sits, however slowly they walk.
pub const EVENING_S: f64 = 140.0 * 60.0;

/// Most come around then …
const RUSH_S: f64 = CURTAIN_S - 25.0 * 60.0;
/// … give or take.
const RUSH_SPREAD_S: f64 = 10.0 * 60.0;
/// Those who come early come around then …
const EARLY_S: f64 = CURTAIN_S - 60.0 * 60.0;
/// … give or take.
const EARLY_SPREAD_S: f64 = 15.0 * 60.0;
/// How many in a thousand come early.
const EARLY_IN_THOUSAND: usize = 220;
/// How many in a thousand come by train.
const BY_TRAIN_IN_THOUSAND: usize = 250;
/// A train comes so often …
const TRAIN_EVERY_S: f64 = 10.0 * 60.0;
/// … and its people are at the doors within about this.
const TRAIN_SPREAD_S: f64 = 45.0;
/// Those who are late are late by about this.
const LATE_S: f64 = 6.0 * 60.0;

/// A time at the door before the curtain.
pub(super) fn in_time(dice: &mut Dice) -> f64 {
    let (around, spread) =
        if dice.happens(EARLY_IN_THOUSAND) { (EARLY_S, EARLY_SPREAD_S) } else { (RUSH_S, RUSH_SPREAD_S) };
    let mut at = around + spread * bell(dice);
    if dice.happens(BY_TRAIN_IN_THOUSAND) {
        at = (at / TRAIN_EVERY_S).floor() * TRAIN_EVERY_S + TRAIN_SPREAD_S * waiting(dice);
    }
    at.clamp(0.0, CURTAIN_S)
}

/// A time at the door after the curtain.
pub(super) fn late(dice: &mut Dice) -> f64 {
    (CURTAIN_S + LATE_S * waiting(dice)).min(LAST_AT_THE_DOOR_S)
}

/// Around 0, by about 1: twelve throws less six (Irwin and Hall), good to 6, which no evening needs.
fn bell(dice: &mut Dice) -> f64 {
    (0..12).map(|_| dice.fraction()).sum::<f64>() - 6.0
}

/// From 0 on, 1 on average, as one waits for what comes by chance.
fn waiting(dice: &mut Dice) -> f64 {
    -(1.0 - dice.fraction()).ln()
}

/// Between `from` and `to`.
pub(super) fn between(dice: &mut Dice, from: f64, to: f64) -> f64 {
    from + (to - from) * dice.fraction()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rush_is_in_the_half_hour_before_the_curtain() {
        let mut dice = Dice::new(7, 1);
        let times: Vec<f64> = (0..20_000).map(|_| in_time(&mut dice)).collect();
        let in_half_hour = |from: f64| times.iter().filter(|at| (from..from + 1800.0).contains(*at)).count();
        let rush = in_half_hour(CURTAIN_S - 40.0 * 60.0);
        assert!(rush > 10_000, "{rush}");
        assert!((500..5_000).contains(&in_half_hour(0.0)), "{}", in_half_hour(0.0));
        assert!(times.iter().all(|at| (0.0..=CURTAIN_S).contains(at)));
        assert!(
            (0..10_000).map(|_| late(&mut dice)).all(|at| (CURTAIN_S..=LAST_AT_THE_DOOR_S).contains(&at))
        );
    }
}
