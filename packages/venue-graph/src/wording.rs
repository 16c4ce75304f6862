//! Directions as a steward says them, in English and Spanish.
//!
//! A sentence is made of an anchor ("At the top"), a turn ("turn left") and an act ("walk 25 m"), and of notes for
//! somebody on wheels. What things are called is `naming`'s.

use seatpilot_domain_model::Lang;

use crate::{
    journey::End,
    naming::{amenity, compass, level, metres, place},
    stretch::STRAIGHT_DEG,
};

/// A turn under this is a bend, in degrees.
const BEND_DEG: f64 = 60.0;
/// A turn over this is a turn round, in degrees.
const ROUND_DEG: f64 = 150.0;

/// Where somebody stands before a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Anchor {
    /// At the very start: there is no direction yet.
    Start,
    /// Within a lift.
    OutOfLift,
    /// At the top of stairs or an escalator.
    Top,
    /// At their bottom.
    Bottom,
    /// Anywhere else.
    Here,
}

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Act {
    Walk,
    Ramp,
    Stairs,
    Escalator,
    Lift,
    Unknown,
}

/// What somebody on wheels has to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Notes {
    pub(crate) thresholds: u32,
    pub(crate) steep_up: bool,
    pub(crate) steep_down: bool,
    pub(crate) unfit_lift: bool,
}

/// A step before it is put into words.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Instruction<'a> {
    pub(crate) act: Act,
    pub(crate) anchor: Anchor,
    /// Degrees, positive to the right; none where there is no direction to turn from.
    pub(crate) turn: Option<f64>,
    pub(crate) metres: f64,
    pub(crate) from_level: f64,
    pub(crate) to_level: f64,
    /// Degrees clockwise from north.
    pub(crate) heading: Option<f64>,
    pub(crate) landmark: Option<&'a str>,
    pub(crate) notes: Notes,
}

/// The sentence of a step.
pub(crate) fn sentence(lang: Lang, step: &Instruction<'_>) -> String {
    let (anchor, turn, act, and) = match lang {
        Lang::En => (anchor_en(step), turn_en(step.turn), act_en(step), "and"),
        Lang::Es => (anchor_es(step), turn_es(step.turn), act_es(step), "y"),
    };
    let mut text = anchor.unwrap_or_default();
    if let Some(turn) = turn {
        text.push_str(turn);
        text.push(' ');
        text.push_str(and);
        text.push(' ');
    }
    text.push_str(&act);
    let mut text = capitalised(&text);
    text.push('.');
    notes(lang, step.notes, &mut text);
    text
}

fn anchor_en(step: &Instruction<'_>) -> Option<String> {
    match (step.anchor, step.landmark) {
        (Anchor::OutOfLift, _) => Some("leave the lift and ".to_owned()),
        (Anchor::Top, None) => Some("at the top, ".to_owned()),
        (Anchor::Bottom, None) => Some("at the bottom, ".to_owned()),
        (Anchor::Start | Anchor::Here, None) => None,
        (_, Some(landmark)) => Some(format!("at {landmark}, ")),
    }
}

fn anchor_es(step: &Instruction<'_>) -> Option<String> {
    match (step.anchor, step.landmark) {
        (Anchor::OutOfLift, _) => Some("salga del ascensor y ".to_owned()),
        (Anchor::Top, None) => Some("arriba, ".to_owned()),
        (Anchor::Bottom, None) => Some("abajo, ".to_owned()),
        (Anchor::Start | Anchor::Here, None) => None,
        (_, Some(landmark)) => Some(format!("junto a {landmark}, ").replace(" a el ", " al ")),
    }
}

fn turn_en(turn: Option<f64>) -> Option<&'static str> {
    turn_of(turn, ["turn round", "turn left", "turn right", "bear left", "bear right"])
}

fn turn_es(turn: Option<f64>) -> Option<&'static str> {
    turn_of(
        turn,
        [
            "dé la vuelta",
            "gire a la izquierda",
            "gire a la derecha",
            "siga por la izquierda",
            "siga por la derecha",
        ],
    )
}

fn turn_of(turn: Option<f64>, words: [&'static str; 5]) -> Option<&'static str> {
    let degrees = turn?;
    let sharp = degrees.abs();
    if sharp < STRAIGHT_DEG {
        None
    } else if sharp > ROUND_DEG {
        Some(words[0])
    } else {
        Some(words[1 + usize::from(degrees > 0.0) + if sharp < BEND_DEG { 2 } else { 0 }])
    }
}

fn act_en(step: &Instruction<'_>) -> String {
    let rise = step.to_level - step.from_level;
    let (way, length) = (if rise > 0.0 { "up" } else { "down" }, metres(Lang::En, step.metres));
    // Said only where it is another one.
    let level = if rise == 0.0 { String::new() } else { level(Lang::En, step.to_level) };
    match step.act {
        Act::Walk if rise != 0.0 => format!("walk {length} {way} to {level}"),
        Act::Walk => match (step.anchor, step.heading) {
            (Anchor::Start, Some(heading)) => {
                format!("walk {length} towards the {}", compass(Lang::En, heading))
            }
            (Anchor::Start | Anchor::OutOfLift, _) => format!("walk {length}"),
            _ if turn_en(step.turn).is_some() => format!("walk {length}"),
            _ => format!("go straight on for {length}"),
        },
        Act::Ramp if rise != 0.0 => format!("go {way} the ramp to {level}, {length}"),
        Act::Ramp => format!("follow the ramp for {length}"),
        Act::Stairs if rise != 0.0 => format!("take the stairs {way} to {level}"),
        Act::Stairs => format!("take the stairs, {length}"),
        Act::Escalator if rise != 0.0 => format!("take the escalator {way} to {level}"),
        Act::Escalator => format!("take the escalator, {length}"),
        Act::Lift if rise != 0.0 => format!("take the lift to {level}"),
        Act::Lift => "go through the lift".to_owned(),
        Act::Unknown if rise != 0.0 => format!("follow the way {way} to {level}, {length}"),
        Act::Unknown => format!("follow the way for {length}"),
    }
}

fn act_es(step: &Instruction<'_>) -> String {
    let rise = step.to_level - step.from_level;
    let (way, length) = (if rise > 0.0 { "suba" } else { "baje" }, metres(Lang::Es, step.metres));
    // Said only where it is another one.
    let level = if rise == 0.0 { String::new() } else { level(Lang::Es, step.to_level) };
    match step.act {
        Act::Walk if rise != 0.0 => format!("{way} {length} hasta {level}"),
        Act::Walk => match (step.anchor, step.heading) {
            (Anchor::Start, Some(heading)) => {
                format!("camine {length} hacia el {}", compass(Lang::Es, heading))
            }
            (Anchor::Start | Anchor::OutOfLift, _) => format!("camine {length}"),
            _ if turn_es(step.turn).is_some() => format!("camine {length}"),
            _ => format!("siga recto {length}"),
        },
        Act::Ramp if rise != 0.0 => format!("{way} por la rampa hasta {level}, {length}"),
        Act::Ramp => format!("siga la rampa {length}"),
        Act::Stairs if rise != 0.0 => format!("{way} por las escaleras hasta {level}"),
        Act::Stairs => format!("tome las escaleras, {length}"),
        Act::Escalator if rise != 0.0 => format!("{way} por la escalera mecánica hasta {level}"),
        Act::Escalator => format!("tome la escalera mecánica, {length}"),
        Act::Lift if rise != 0.0 => format!("tome el ascensor hasta {level}"),
        Act::Lift => "pase por el ascensor".to_owned(),
        Act::Unknown if rise != 0.0 => format!("{way} por el camino hasta {level}, {length}"),
        Act::Unknown => format!("siga el camino {length}"),
    }
}

fn notes(lang: Lang, notes: Notes, text: &mut String) {
    let mut add = |en: &str, es: &str| {
        text.push(' ');
        text.push_str(match lang {
            Lang::En => en,
            Lang::Es => es,
        });
    };
    match notes.thresholds {
        0 => {}
        1 => add("There is a step of more than 2 cm.", "Hay un escalón de más de 2 cm."),
        many => add(
            &format!("There are {many} steps of more than 2 cm."),
            &format!("Hay {many} escalones de más de 2 cm."),
        ),
    }
    if notes.steep_up {
        add("It slopes up by more than 5 %.", "Hay una cuesta arriba de más del 5 %.");
    }
    if notes.steep_down {
        add("It slopes down by more than 5 %.", "Hay una cuesta abajo de más del 5 %.");
    }
    if notes.unfit_lift {
        add(
            "This lift is not marked as made for wheelchairs.",
            "Este ascensor no figura como apto para sillas de ruedas.",
        );
    }
}

/// The sentence of the last step.
pub(crate) fn arrival(lang: Lang, end: End<'_>) -> String {
    let what = match end {
        End::Place(known) => place(lang, known),
        End::Amenity(kind) => amenity(lang, kind).to_owned(),
        End::Point => {
            return match lang {
                Lang::En => "You are there.".to_owned(),
                Lang::Es => "Ha llegado.".to_owned(),
            };
        }
    };
    match lang {
        Lang::En => format!("You are at {what}."),
        Lang::Es => format!("Ha llegado a {what}.").replace(" a el ", " al "),
    }
}

fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    // Room for the full stop, and for a first letter that is longer when it is large.
    let mut capitalised = String::with_capacity(text.len() + 8);
    capitalised.extend(letters.next().into_iter().flat_map(char::to_uppercase));
    capitalised.push_str(letters.as_str());
    capitalised
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(act: Act, to_level: f64) -> Instruction<'static> {
        Instruction {
            act,
            anchor: Anchor::Here,
            turn: None,
            metres: 41.3,
            from_level: 1.0,
            to_level,
            heading: None,
            landmark: None,
            notes: Notes::default(),
        }
    }

    #[test]
    fn a_steward_says_where_to_turn_and_how_far_to_walk() {
        let straight = step(Act::Walk, 1.0);
        assert_eq!(sentence(Lang::En, &straight), "Go straight on for 40 m.");
        assert_eq!(sentence(Lang::Es, &straight), "Siga recto 40 m.");
        let left = Instruction { turn: Some(-90.0), metres: 24.0, ..straight };
        assert_eq!(sentence(Lang::En, &left), "Turn left and walk 25 m.");
        assert_eq!(sentence(Lang::Es, &left), "Gire a la izquierda y camine 25 m.");
        let seen = Instruction { landmark: Some("the toilets"), ..left };
        assert_eq!(sentence(Lang::En, &seen), "At the toilets, turn left and walk 25 m.");
        let lift = Instruction { landmark: Some("el ascensor"), turn: Some(45.0), ..left };
        assert_eq!(sentence(Lang::Es, &lift), "Junto al ascensor, siga por la derecha y camine 25 m.");
    }

    #[test]
    fn storeys_are_written_as_in_a_building() {
        assert_eq!(sentence(Lang::En, &step(Act::Stairs, 4.0)), "Take the stairs up to level 4.");
        assert_eq!(
            sentence(Lang::Es, &step(Act::Stairs, 0.0)),
            "Baje por las escaleras hasta la planta baja."
        );
        assert_eq!(sentence(Lang::En, &step(Act::Stairs, 0.0)), "Take the stairs down to ground level.");
        assert_eq!(sentence(Lang::En, &step(Act::Lift, 7.0)), "Take the lift to level 7.");
        assert_eq!(sentence(Lang::En, &step(Act::Escalator, -1.0)), "Take the escalator down to level B1.");
        assert_eq!(sentence(Lang::En, &step(Act::Ramp, 1.5)), "Go up the ramp to level 1.5, 40 m.");
    }

    #[test]
    fn what_is_in_the_way_of_wheels_is_named() {
        let notes = Notes { thresholds: 2, steep_up: true, steep_down: false, unfit_lift: false };
        let text = sentence(Lang::En, &Instruction { notes, ..step(Act::Walk, 1.0) });
        assert_eq!(
            text,
            "Go straight on for 40 m. There are 2 steps of more than 2 cm. It slopes up by more than 5 %."
        );
    }
}
