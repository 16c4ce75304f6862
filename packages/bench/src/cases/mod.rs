//! The cases, a file each.

mod arrive;
mod check_in;
mod ingest;

use futures_util::future::LocalBoxFuture;

use crate::{
    drive::Reading,
    progress::Progress,
    report::Figure,
    rounds::{Plan, Spread},
};

/// What a case is given.
pub(crate) struct Bench {
    /// How much is measured.
    pub(crate) plan: Plan,
    /// Whether the run is the short one.
    pub(crate) quick: bool,
    /// What is going on.
    pub(crate) progress: Progress,
    /// Where folders may be made.
    pub(crate) target: std::path::PathBuf,
}

/// A case by its name.
pub(crate) struct Case {
    /// As `--only` takes it.
    pub(crate) name: &'static str,
    /// What it measures.
    pub(crate) about: &'static str,
    /// Measures it.
    pub(crate) run: for<'a> fn(&'a Bench) -> LocalBoxFuture<'a, anyhow::Result<Vec<Figure>>>,
}

/// All of them, in the order that they are run.
pub(crate) const CASES: &[Case] = &[
    Case {
        name: "check-in",
        about: "a durable check-in with 64 connections and with one, beside pgbench; 1,000 at 70 % of the peak",
        run: |bench| Box::pin(check_in::measure(bench)),
    },
    Case {
        name: "arrival",
        about: "an arrival with 64 connections, beside pgbench",
        run: |bench| Box::pin(arrive::measure(bench)),
    },
    Case {
        name: "ingest",
        about: "signed events, one and a hundred a request, beside a binary COPY of the same rows",
        run: |bench| Box::pin(ingest::measure(bench)),
    },
];

/// Where the processors' time went, for each that was done: the medians of some readings.
fn costs<'a>(readings: impl IntoIterator<Item = &'a Reading>) -> String {
    let readings: Vec<&Reading> = readings.into_iter().collect();
    let of = |who: &'static str| Spread::of(readings.iter().map(|one| one.cost_us(who))).median;
    let share = Spread::of(readings.iter().map(|one| one.share("driver"))).median;
    format!(
        "µs of a processor for each: service {:.0}, database {:.0}, driver {:.0} ({:.0} % of all)",
        of("service"),
        of("database"),
        of("driver"),
        share * 100.0
    )
}
