//! What came out: a row a figure, as a table for people, as Markdown for the page, as JSON for programs.

use std::fmt::Write as _;

use comfy_table::{Cell, Color, ContentArrangement, Table, presets};
use serde::Serialize;

use crate::{machine::Machine, rounds::Spread};

/// What a ratio or a figure should be.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Aim {
    /// This or more.
    AtLeast(f64),
    /// This or less.
    AtMost(f64),
    /// None: it is only told.
    Told,
}

impl Aim {
    fn is_met(self, value: f64) -> Option<bool> {
        match self {
            Self::AtLeast(least) => Some(value >= least),
            Self::AtMost(most) => Some(value <= most),
            Self::Told => None,
        }
    }

    fn text(self) -> String {
        match self {
            Self::AtLeast(least) => format!("≥ {least}"),
            Self::AtMost(most) => format!("≤ {most}"),
            Self::Told => String::new(),
        }
    }
}

/// One figure.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Figure {
    /// What is done.
    pub(crate) case: String,
    /// What is measured of it, with its unit.
    pub(crate) measure: &'static str,
    /// Ours: the median of the rounds.
    pub(crate) ours: f64,
    /// What stands beside it, and its median.
    pub(crate) beside: Option<(String, f64)>,
    /// Ours by the other, round by round; or ours itself, where nothing stands beside it.
    pub(crate) ratio: Spread,
    /// What that should be.
    pub(crate) aim: Aim,
    /// Whether it is.
    pub(crate) met: Option<bool>,
    /// What belongs to it.
    pub(crate) note: String,
}

impl Figure {
    /// Ours against another, by pairs of one round.
    pub(crate) fn compared(
        case: &str,
        measure: &'static str,
        beside: &str,
        pairs: &[(f64, f64)],
        aim: Aim,
        note: String,
    ) -> Self {
        let ratio = Spread::of(pairs.iter().map(|(ours, other)| ours / other));
        Self {
            case: case.to_owned(),
            measure,
            ours: Spread::of(pairs.iter().map(|(ours, _)| *ours)).median,
            beside: Some((beside.to_owned(), Spread::of(pairs.iter().map(|(_, other)| *other)).median)),
            ratio,
            aim,
            met: aim.is_met(ratio.median),
            note,
        }
    }

    /// A figure by itself.
    pub(crate) fn alone(case: &str, measure: &'static str, values: &[f64], aim: Aim, note: String) -> Self {
        let spread = Spread::of(values.iter().copied());
        Self {
            case: case.to_owned(),
            measure,
            ours: spread.median,
            beside: None,
            ratio: spread,
            aim,
            met: aim.is_met(spread.median),
            note,
        }
    }
}

/// All of a run.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// Where it was measured.
    pub(crate) machine: Machine,
    /// By which command.
    pub(crate) command: String,
    /// How many rounds, and of how long.
    pub(crate) rounds: String,
    /// What was measured.
    pub(crate) figures: Vec<Figure>,
}

const HEAD: [&str; 7] = ["case", "measure", "ours", "beside it", "ratio (min–max)", "aim", "note"];

impl Report {
    /// For a terminal; without colours where they are not wanted.
    pub(crate) fn table(&self, coloured: bool) -> String {
        let mut table = Table::new();
        table.load_preset(presets::UTF8_HORIZONTAL_ONLY).set_content_arrangement(ContentArrangement::Dynamic);
        table.set_header(HEAD);
        for figure in &self.figures {
            let mut cells: Vec<Cell> = row(figure).into_iter().map(Cell::new).collect();
            let colour = figure.met.map(|met| if met { Color::Green } else { Color::Red });
            if let (true, Some(colour), Some(cell)) = (coloured, colour, cells.get(4).cloned()) {
                cells[4] = cell.fg(colour);
            }
            table.add_row(cells);
        }
        format!("{table}\n{}\n", self.footer())
    }

    /// For docs/performance.md.
    pub(crate) fn markdown(&self) -> String {
        let mut out =
            format!("{}\n\n| {} |\n|{}\n", self.footer(), HEAD.join(" | "), "---|".repeat(HEAD.len()));
        for figure in &self.figures {
            let _ = writeln!(out, "| {} |", row(figure).join(" | "));
        }
        out
    }

    fn footer(&self) -> String {
        let Machine { processor, cores, kernel, commit, postgres, at } = &self.machine;
        format!(
            "{at}, commit {commit}: {cores} cores of {processor}, Linux {kernel}, PostgreSQL {postgres}; {}; by `{}`.",
            self.rounds, self.command
        )
    }
}

fn row(figure: &Figure) -> [String; 7] {
    let spread = figure.ratio;
    let mark = match figure.met {
        Some(true) => " ✓",
        Some(false) => " ✗",
        None => "",
    };
    [
        figure.case.clone(),
        figure.measure.to_owned(),
        short(figure.ours),
        figure.beside.as_ref().map_or_else(String::new, |(name, value)| format!("{name}: {}", short(*value))),
        format!("{}{mark} ({}–{})", short(spread.median), short(spread.min), short(spread.max)),
        figure.aim.text(),
        figure.note.clone(),
    ]
}

/// Three digits that count.
fn short(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}
