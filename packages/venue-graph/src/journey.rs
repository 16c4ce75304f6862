//! From links to what somebody has to do: links of one kind become one step, floor is cut where one turns,
//! landings disappear in their staircase.

use std::ops::Range;

use seatpilot_domain_model::{Lang, Profile};

use crate::{
    answer::{Step, StepKind, Way},
    graph::Graph,
    kind::{AmenityKind, LinkKind, Slope, Threshold},
    naming, plane,
    stretch::{Leg, Stretch},
    venue::{Place, Venue},
    wording::{self, Act, Anchor, Notes},
};

/// Floor between two flights of stairs up to this length belongs to the staircase, in metres.
const LANDING_M: f64 = 8.0;
/// A turn nearer than this to either end of a stretch is not told apart from the end, in metres.
const FUMBLE_M: f64 = 4.0;

/// Where a journey ends.
#[derive(Debug, Clone, Copy)]
pub(crate) enum End<'a> {
    Place(&'a Place),
    Amenity(AmenityKind),
    Point,
}

/// How a run of links is walked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Gait {
    /// Floor on one storey.
    Floor,
    /// Floor that leads to another storey, as an aisle of a stand.
    Aisle,
    Ramp,
    Stairs,
    Escalator,
    Lift,
    Unknown,
}

/// Links that are walked alike.
#[derive(Debug, Clone)]
struct Run {
    gait: Gait,
    legs: Range<usize>,
    from_level: f64,
    to_level: f64,
}

impl Run {
    fn rise(&self) -> f64 {
        self.to_level - self.from_level
    }

    /// Whether another run of the same gait continues this one: not down again after up.
    fn continues(&self, rise: f64) -> bool {
        self.rise() * rise >= 0.0
    }
}

/// The sums of a step before they are rounded, and the words before they are chosen.
struct Move {
    kind: StepKind,
    act: Act,
    anchor: Anchor,
    from_level: f64,
    to_level: f64,
    metres: f64,
    ms: f64,
    heading: Option<f64>,
    turn: Option<f64>,
    landmark: Option<u32>,
    notes: Notes,
}

/// A path through a graph.
pub(crate) struct Journey<'a> {
    graph: &'a Graph,
    from: u32,
    legs: &'a [Leg],
    profile: Profile,
}

impl<'a> Journey<'a> {
    pub(crate) fn new(graph: &'a Graph, from: u32, legs: &'a [Leg], profile: Profile) -> Self {
        Self { graph, from, legs, profile }
    }

    /// The way in words. Distances and times are rounded where steps meet, so the steps sum to the totals.
    pub(crate) fn tell(&self, end: End<'_>, lang: Lang) -> Way {
        let moves = self.moves();
        let mut steps = Vec::with_capacity(moves.len() + 1);
        let (mut metres, mut ms, mut last_landmark) = (0.0, 0.0, String::new());
        for part in &moves {
            let (metres_before, ms_before) = (metres, ms);
            metres += part.metres;
            ms += part.ms;
            let seen = part.landmark.map(|index| &self.graph.venue().landmarks()[index as usize]);
            let seen = seen.map(|landmark| naming::landmark(lang, landmark));
            // The same words twice in a row say nothing, be it two toilets side by side.
            let landmark = seen.filter(|landmark| *landmark != last_landmark);
            if let Some(landmark) = &landmark {
                last_landmark.clone_from(landmark);
            }
            steps.push(Step {
                kind: part.kind,
                distance_m: span(metres_before, metres),
                duration_s: span(ms_before / 1000.0, ms / 1000.0),
                from_level: part.from_level,
                to_level: part.to_level,
                heading: part.heading.map(|bearing| naming::compass(Lang::En, bearing).to_owned()),
                text: wording::sentence(lang, &part.instruction(landmark.as_deref())),
                landmark,
            });
        }
        let level = self.end_level();
        steps.push(Step {
            kind: StepKind::Arrive,
            distance_m: 0.0,
            duration_s: 0.0,
            from_level: level,
            to_level: level,
            heading: None,
            text: wording::arrival(lang, end),
            landmark: None,
        });
        let changes = steps.iter().filter(|step| step.from_level != step.to_level).count();
        Way {
            distance_m: span(0.0, metres),
            duration_s: span(0.0, ms / 1000.0),
            level_changes: u32::try_from(changes).unwrap_or(u32::MAX),
            step_free: self
                .legs
                .iter()
                .all(|leg| self.venue().links()[leg.link as usize].kind.is_step_free()),
            steps,
        }
    }

    fn venue(&self) -> &Venue {
        self.graph.venue()
    }

    /// The levels of a leg's ends, in the direction walked.
    fn levels(&self, leg: Leg) -> (f64, f64) {
        let link = &self.venue().links()[leg.link as usize];
        let level = |node: u32| self.venue().nodes()[node as usize].level;
        if leg.forward { (level(link.start), level(link.end)) } else { (level(link.end), level(link.start)) }
    }

    fn end_level(&self) -> f64 {
        let start = self.venue().nodes()[self.from as usize].level;
        self.legs.last().map_or(start, |leg| self.levels(*leg).1)
    }

    fn runs(&self) -> Vec<Run> {
        let mut runs: Vec<Run> = Vec::new();
        for (index, leg) in self.legs.iter().enumerate() {
            let (from_level, to_level) = self.levels(*leg);
            let gait = match self.venue().links()[leg.link as usize].kind {
                LinkKind::Plain | LinkKind::MovingWalkway | LinkKind::LevelCrossing
                    if from_level == to_level =>
                {
                    Gait::Floor
                }
                LinkKind::Plain | LinkKind::MovingWalkway | LinkKind::LevelCrossing => Gait::Aisle,
                LinkKind::Ramp => Gait::Ramp,
                LinkKind::Stairs => Gait::Stairs,
                LinkKind::Escalator => Gait::Escalator,
                LinkKind::Lift => Gait::Lift,
                LinkKind::Unknown => Gait::Unknown,
            };
            match runs.last_mut() {
                Some(run)
                    if run.gait == gait
                        && run.continues(to_level - from_level)
                        && !(gait == Gait::Lift && leg.boards) =>
                {
                    run.legs.end = index + 1;
                    run.to_level = to_level;
                }
                _ => runs.push(Run { gait, legs: index..index + 1, from_level, to_level }),
            }
        }
        self.absorb_landings(runs)
    }

    fn absorb_landings(&self, runs: Vec<Run>) -> Vec<Run> {
        let mut kept: Vec<Run> = Vec::with_capacity(runs.len());
        for run in runs {
            if run.gait == Gait::Stairs
                && let [.., flight, landing] = kept.as_slice()
                && flight.gait == Gait::Stairs
                && landing.gait == Gait::Floor
                && flight.continues(run.rise())
                && self.metres(landing.legs.clone()) <= LANDING_M
            {
                let begin = flight.legs.start;
                let from_level = flight.from_level;
                kept.truncate(kept.len() - 2);
                kept.push(Run { legs: begin..run.legs.end, from_level, ..run });
            } else {
                kept.push(run);
            }
        }
        kept
    }

    fn metres(&self, legs: Range<usize>) -> f64 {
        self.legs[legs].iter().map(|leg| self.venue().links()[leg.link as usize].distance_m).sum()
    }

    fn moves(&self) -> Vec<Move> {
        let mut moves = Vec::new();
        let mut before: Option<(Gait, f64, Option<f64>)> = None;
        for run in self.runs() {
            let stretch = Stretch::trace(self.graph, self.legs, run.legs.clone());
            let anchor = match before {
                None => Anchor::Start,
                Some((Gait::Lift, _, _)) => Anchor::OutOfLift,
                Some((Gait::Stairs | Gait::Escalator, rise, _)) if rise > 0.0 => Anchor::Top,
                Some((Gait::Stairs | Gait::Escalator, rise, _)) if rise < 0.0 => Anchor::Bottom,
                Some(_) => Anchor::Here,
            };
            let arrived = before.and_then(|(_, _, bearing)| bearing);
            if run.gait == Gait::Floor {
                self.cut_at_corners(&run, &stretch, anchor, arrived, &mut moves);
            } else {
                let turn = arrived.zip(stretch.bearing_from(0)).map(|(from, to)| plane::turn(from, to));
                moves.push(self.whole(&run, &stretch, anchor, turn));
            }
            let bearing = if run.gait == Gait::Lift { None } else { stretch.bearing_at_end() };
            before = Some((run.gait, run.rise(), bearing));
        }
        moves
    }

    /// A run that is one step.
    fn whole(&self, run: &Run, stretch: &Stretch, anchor: Anchor, turn: Option<f64>) -> Move {
        let (kind, act) = match run.gait {
            Gait::Floor | Gait::Aisle => (StepKind::Walk, Act::Walk),
            Gait::Ramp => (StepKind::Ramp, Act::Ramp),
            Gait::Stairs => (StepKind::Stairs, Act::Stairs),
            Gait::Escalator => (StepKind::Escalator, Act::Escalator),
            Gait::Lift => (StepKind::Lift, Act::Lift),
            Gait::Unknown => (StepKind::Walk, Act::Unknown),
        };
        let last = stretch.line.last();
        let in_lift = run.gait == Gait::Lift;
        Move {
            kind,
            act,
            // One does not turn into a lift: it is simply taken.
            anchor: if in_lift { Anchor::Here } else { anchor },
            from_level: run.from_level,
            to_level: run.to_level,
            metres: last.map_or(0.0, |vertex| vertex.metres),
            ms: last.map_or(0.0, |vertex| vertex.ms),
            heading: if in_lift { None } else { stretch.bearing_from(0) },
            turn: if in_lift { None } else { turn },
            landmark: None,
            notes: self.notes(run.legs.clone()),
        }
    }

    /// Floor, cut where one turns.
    fn cut_at_corners(
        &self,
        run: &Run,
        stretch: &Stretch,
        anchor: Anchor,
        arrived: Option<f64>,
        moves: &mut Vec<Move>,
    ) {
        let line = &stretch.line;
        let mut corners = stretch.corners();
        let length = stretch.length();
        // Of the corners right at the beginning the last gives the direction; those right at the end are left to
        // whatever comes next. Where both ends are near, the beginning has it.
        let early = corners.iter().take_while(|(index, _)| line[*index].along < FUMBLE_M).count();
        let set_off = corners.drain(..early).next_back().map_or(0, |(index, _)| index);
        corners.retain(|(index, _)| length - line[*index].along >= FUMBLE_M);
        let turn = arrived.zip(stretch.bearing_from(set_off)).map(|(from, to)| plane::turn(from, to));
        let mut cuts = vec![(0, turn)];
        cuts.extend(corners.into_iter().map(|(index, turn)| (index, Some(turn))));
        for (nth, (start, turn)) in cuts.iter().enumerate() {
            let end = cuts.get(nth + 1).map_or(line.len() - 1, |(index, _)| *index);
            let (a, b) = (line[*start], line[end]);
            let begun = (*start..end).filter(|index| line[*index].begins).map(|index| line[index].leg);
            let legs =
                begun.clone().min().map_or(0..0, |first| first..begun.max().map_or(first, |last| last + 1));
            let at_node = nth > 0 || !matches!(anchor, Anchor::Start | Anchor::OutOfLift);
            let landmark = if at_node && a.begins {
                self.graph.landmark_at(self.begin_of(self.legs[a.leg]))
            } else {
                None
            };
            moves.push(Move {
                kind: StepKind::Walk,
                act: Act::Walk,
                anchor: if nth == 0 { anchor } else { Anchor::Here },
                from_level: run.from_level,
                to_level: run.to_level,
                metres: b.metres - a.metres,
                ms: b.ms - a.ms,
                heading: stretch.bearing_from(if nth == 0 { set_off } else { *start }),
                turn: *turn,
                landmark,
                notes: self.notes(legs),
            });
        }
    }

    /// The node that a leg begins at.
    fn begin_of(&self, leg: Leg) -> u32 {
        let link = &self.venue().links()[leg.link as usize];
        if leg.forward { link.start } else { link.end }
    }

    /// What somebody on wheels has to know of these links; nothing for others.
    fn notes(&self, legs: Range<usize>) -> Notes {
        let mut notes = Notes::default();
        if self.profile == Profile::Walk {
            return notes;
        }
        for leg in &self.legs[legs] {
            let link = &self.venue().links()[leg.link as usize];
            notes.thresholds += u32::from(link.threshold == Threshold::Over2Cm);
            match if leg.forward { link.slope } else { link.slope.reversed() } {
                Slope::SteepUp => notes.steep_up = true,
                Slope::SteepDown => notes.steep_down = true,
                Slope::Gentle | Slope::Unknown => {}
            }
            notes.unfit_lift |= link.kind == LinkKind::Lift && !link.lift.takes_wheelchairs();
        }
        notes
    }
}

impl Move {
    fn instruction<'a>(&self, landmark: Option<&'a str>) -> wording::Instruction<'a> {
        wording::Instruction {
            act: self.act,
            anchor: self.anchor,
            turn: self.turn,
            metres: self.metres,
            from_level: self.from_level,
            to_level: self.to_level,
            heading: self.heading,
            landmark,
            notes: self.notes,
        }
    }
}

/// The difference of two sums, each rounded to a tenth first: the differences then add up to the rounded sum.
fn span(from: f64, to: f64) -> f64 {
    let tenths = (to * 10.0).round() - (from * 10.0).round();
    tenths.max(0.0) / 10.0
}
