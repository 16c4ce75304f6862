//! What a link costs in time. The constants are the whole model; `docs/venues.md` repeats them with their
//! sources, and a test keeps the two together.
//!
//! Both profiles walk at the same pace: the profile says which links may be used, not how fast somebody is.
//! So a way without steps is never shorter in time than the way with them, and where the fastest way happens
//! to be step-free both profiles get the same one.

use crate::kind::{LinkKind, Slope};

/// Level floor, moving walkways and crossings, m/s: the mean of free walking in Weidmann, Transporttechnik der
/// Fussgänger (1993). A moving walkway counts as floor: who walks on it is faster, who stands is slower.
pub(crate) const WALK_M_PER_S: f64 = 1.34;
/// Up a ramp or a slope over 5 %, m/s: the Highway Capacity Manual 2000 (chapter 18) takes 0.1 m/s off walking
/// on steep upgrades. Down counts as level.
pub(crate) const CLIMB_M_PER_S: f64 = 1.24;
/// Up stairs, m/s of horizontal distance (a map's `distance` is horizontal): Weidmann 1993.
pub(crate) const STAIRS_UP_M_PER_S: f64 = 0.61;
/// Down stairs, m/s of horizontal distance: Weidmann 1993.
pub(crate) const STAIRS_DOWN_M_PER_S: f64 = 0.69;
/// Stairs of which the map does not say whether they go up or down (both ends on one storey), m/s: between
/// the two.
pub(crate) const STAIRS_M_PER_S: f64 = 0.65;
/// Standing on an escalator, m/s of horizontal distance: 0.5 m/s along a slope of 30° (EN 115-1) is 0.433.
pub(crate) const ESCALATOR_M_PER_S: f64 = 0.43;
/// A link of unknown kind, m/s: as slow as stairs up, so that it is taken only where it is clearly shorter.
pub(crate) const UNKNOWN_M_PER_S: f64 = STAIRS_UP_M_PER_S;
/// Waiting for a lift and its doors, once a ride, ms: 30 s is the upper end of a good average waiting time in
/// CIBSE Guide D.
pub(crate) const LIFT_WAIT_MS: u32 = 30_000;
/// Riding past one storey, ms: about 4 m of storey at 1 m/s, the rated speed of a common lift.
pub(crate) const LIFT_STOREY_MS: u32 = 4_000;
/// Stepping into or out of the car, ms, where the map gives no distance for it.
pub(crate) const LIFT_STEP_MS: u32 = 2_000;

/// The time that a link takes, in ms and at least 1: no link is free, or a circle could be.
///
/// `rise` is the change of storey in the direction walked (0 where both ends are on one storey); `length_m` is
/// the map's own distance, or the shape's length where the map says 0 for a link that leads somewhere.
pub(crate) fn link_ms(kind: LinkKind, slope: Slope, rise: f64, length_m: f64) -> u32 {
    let at = |speed: f64| whole_ms(length_m / speed * 1000.0);
    let ms = match kind {
        LinkKind::Plain | LinkKind::MovingWalkway | LinkKind::LevelCrossing => match slope {
            Slope::SteepUp => at(CLIMB_M_PER_S),
            Slope::Gentle | Slope::SteepDown | Slope::Unknown => at(WALK_M_PER_S),
        },
        LinkKind::Ramp => match slope {
            Slope::SteepDown => at(WALK_M_PER_S),
            Slope::Gentle | Slope::Unknown if rise < 0.0 => at(WALK_M_PER_S),
            Slope::SteepUp | Slope::Gentle | Slope::Unknown => at(CLIMB_M_PER_S),
        },
        LinkKind::Stairs if rise > 0.0 => at(STAIRS_UP_M_PER_S),
        LinkKind::Stairs if rise < 0.0 => at(STAIRS_DOWN_M_PER_S),
        LinkKind::Stairs => at(STAIRS_M_PER_S),
        LinkKind::Escalator => at(ESCALATOR_M_PER_S),
        LinkKind::Unknown => at(UNKNOWN_M_PER_S),
        LinkKind::Lift if rise == 0.0 => at(WALK_M_PER_S).max(LIFT_STEP_MS),
        LinkKind::Lift => whole_ms(rise.abs() * f64::from(LIFT_STOREY_MS)).max(LIFT_STEP_MS),
    };
    ms.max(1)
}

fn whole_ms(ms: f64) -> u32 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "`as` saturates, and a link is at most 10 km long"
    )]
    let whole = ms.round() as u32;
    whole
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stairs_cost_more_up_than_down_and_more_than_floor() {
        let cost = |kind, rise| link_ms(kind, Slope::Gentle, rise, 10.0);
        assert!(cost(LinkKind::Stairs, 1.0) > cost(LinkKind::Stairs, 0.0));
        assert!(cost(LinkKind::Stairs, 0.0) > cost(LinkKind::Stairs, -1.0));
        assert!(cost(LinkKind::Stairs, -1.0) > cost(LinkKind::Plain, 0.0));
        assert_eq!(cost(LinkKind::Plain, 0.0), 7_463);
    }

    #[test]
    fn nothing_is_free() {
        for code in [1, 2, 3, 4, 5, 6, 7, 99] {
            assert!(link_ms(LinkKind::from_code(code), Slope::Unknown, 0.0, 0.0) >= 1);
        }
    }

    #[test]
    fn the_document_states_every_constant() {
        let document = include_str!("../../../docs/venues.md");
        for speed in [
            WALK_M_PER_S,
            CLIMB_M_PER_S,
            STAIRS_UP_M_PER_S,
            STAIRS_DOWN_M_PER_S,
            STAIRS_M_PER_S,
            ESCALATOR_M_PER_S,
        ] {
            assert!(document.contains(&format!("| {speed} m/s")), "{speed}");
        }
        for ms in [LIFT_WAIT_MS, LIFT_STOREY_MS, LIFT_STEP_MS] {
            assert!(document.contains(&format!("| {} s", ms / 1000)), "{ms}");
        }
    }
}
