//! The cases, a file each.

mod arrive;
mod bus;
mod check_in;
mod growth;
mod hit;
mod ingest;
mod itself;
mod memory;
mod refresh;
mod route;
mod scrape;
mod start;
mod verify;

use std::time::Duration;

use futures_util::future::LocalBoxFuture;

use crate::{
    drive::Reading,
    progress::Progress,
    report::Figure,
    rounds::{Plan, Spread},
};

/// Longer than a case takes for a number of requests that it has set itself.
const LONGEST: Duration = Duration::from_secs(600);

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

/// Which runs measure a case that nobody asked for by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    /// All of them.
    Always,
    /// Not the quick ones: what it needs takes minutes to make.
    Whole,
}

/// A case by its name.
pub(crate) struct Case {
    /// As `--only` takes it.
    pub(crate) name: &'static str,
    /// What it measures.
    pub(crate) about: &'static str,
    /// When it is measured.
    pub(crate) when: When,
    /// Measures it.
    pub(crate) run: for<'a> fn(&'a Bench) -> LocalBoxFuture<'a, anyhow::Result<Vec<Figure>>>,
}

/// All of them, in the order that they are run.
pub(crate) const CASES: &[Case] = &[
    Case {
        name: "check-in",
        about: "a durable check-in with 64 connections and with one, beside pgbench; 1,000 at 70 % of the peak",
        when: When::Always,
        run: |bench| Box::pin(check_in::measure(bench)),
    },
    Case {
        name: "arrival",
        about: "an arrival with 64 connections, beside pgbench",
        when: When::Always,
        run: |bench| Box::pin(arrive::measure(bench)),
    },
    Case {
        name: "ingest",
        about: "signed events, one and a hundred a request, beside a binary COPY of the same rows",
        when: When::Always,
        run: |bench| Box::pin(ingest::measure(bench)),
    },
    Case {
        name: "verify",
        about: "what a server's processors need to verify an event: the full path less a bare POST",
        when: When::Always,
        run: |bench| Box::pin(verify::measure(bench)),
    },
    Case {
        name: "hit",
        about: "cache hits and all metrics of a check-in, in nanoseconds",
        when: When::Always,
        run: |bench| Box::pin(hit::measure(bench)),
    },
    Case {
        name: "route",
        about: "the whole path to every known place of the stadium, beside contraction hierarchies",
        when: When::Always,
        run: |bench| Box::pin(route::measure(bench)),
    },
    Case {
        name: "refresh",
        about: "a refresh of the KPIs, beside a materialized view over the raw rows",
        when: When::Always,
        run: |bench| Box::pin(refresh::measure(bench)),
    },
    Case {
        name: "scrape",
        about: "/metrics with 5,000 series, beside the library's encoder, and as a scraper sees it",
        when: When::Always,
        run: |bench| Box::pin(scrape::measure(bench)),
    },
    Case {
        name: "memory",
        about: "resident memory of each service: idle, with 1,000 connections; of check-in after 1,000,000 guests",
        when: When::Always,
        run: |bench| Box::pin(memory::measure(bench)),
    },
    Case {
        name: "start",
        about: "from a cold start to /ready, of each service; with 72,000 tickets and the stadium's map",
        when: When::Always,
        run: |bench| Box::pin(start::measure(bench)),
    },
    Case {
        name: "growth",
        about: "a check-in beside 10,000,000 sessions, a refresh beside 10,000,000 events",
        when: When::Whole,
        run: |bench| Box::pin(growth::measure(bench)),
    },
    Case {
        name: "bus",
        about: "signed events straight to the database, beside the same over NATS JetStream",
        when: When::Whole,
        run: |bench| Box::pin(bus::measure(bench)),
    },
    Case {
        name: "itself",
        about: "a check-in with and without row level security, traces, a way in the answer",
        when: When::Whole,
        run: |bench| Box::pin(itself::measure(bench)),
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
