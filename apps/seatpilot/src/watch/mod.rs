//! `seatpilot watch`, and what `up` shows on a terminal: the night as the services themselves tell it.
//!
//! ```text
//! /metrics and /ready of each service ─▶ sample ─▶ night ─▶ view on a terminal, a line in a pipe
//! /api/v1/alerts of a Prometheus ──────▶ alerts ──┘
//! ```
//!
//! It asks over HTTP alone and opens no database. It judges no alert: the rules are Prometheus'.

pub mod alerts;
pub mod exposition;
pub mod histogram;
pub mod night;
pub mod plain;
pub mod sample;
pub mod scrape;
pub mod screen;
pub mod view;
mod words;

use std::{
    io::{self, IsTerminal},
    time::Duration,
};

use jiff::{Zoned, tz::TimeZone};
use seatpilot_runtime::{Clock, Shutdown};
use tokio::{
    sync::mpsc,
    time::{Instant, interval},
};

use self::{
    night::Night,
    scrape::Asked,
    screen::{Key, Screen},
    view::{Around, Help},
};
use crate::{
    failure::Failure,
    global::Global,
    output::{Output, Style},
    running::not_running,
    state::{State, Urls},
};

/// A pipe gets a line so often.
const LINE_EVERY: Duration = Duration::from_secs(10);
/// The time of day moves even where nothing answers.
const DRAWN_EVERY: Duration = Duration::from_secs(1);
/// Prometheus' port in the contract's table.
pub const PROMETHEUS: &str = "http://127.0.0.1:9090";

/// Whom to ask beside the services.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// The Prometheus that judges the alerts.
    #[arg(long, value_name = "URL", default_value = PROMETHEUS, value_parser = base_url)]
    pub prometheus: String,
}

/// An address to ask, without a slash at its end. The command speaks no TLS: what it asks, and puts load on, is near.
///
/// # Errors
/// Where it is none.
pub fn base_url(text: &str) -> Result<String, String> {
    let url: reqwest::Url = text.parse().map_err(|error| format!("{error}"))?;
    if url.scheme() != "http" || url.query().is_some() || url.fragment().is_some() {
        return Err("must be an http:// URL without a query".to_owned());
    }
    Ok(text.trim_end_matches('/').to_owned())
}

/// How the view ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Somebody left it.
    Left,
    /// Somebody wants everything to end.
    Stopped,
}

/// What is watched, and how it is shown.
#[derive(Debug, Clone)]
pub struct Watch {
    asked: Asked,
    around: Around,
    output: Output,
}

impl Watch {
    /// The services of a running `up`.
    pub fn new(state: &State, prometheus: &str, keys: &'static str, output: Output) -> Self {
        let Urls { checkin, wayfinding, telemetry_ingest, kpi_refresher, metrics_api } = state.urls.clone();
        Self {
            asked: Asked {
                services: vec![
                    ("checkin", checkin),
                    ("wayfinding", wayfinding),
                    ("telemetry-ingest", telemetry_ingest),
                    ("kpi-refresher", kpi_refresher),
                    ("metrics-api", metrics_api),
                ],
                prometheus: prometheus.to_owned(),
            },
            around: Around {
                title: format!("venue {}, tenant {}", state.venue_id, state.tenant_id),
                prometheus: prometheus.to_owned(),
                keys,
            },
            output,
        }
    }

    /// Whether somebody sits before a terminal that can be drawn on.
    pub fn is_live(&self) -> bool {
        self.output.style() == Style::Terminal && io::stdin().is_terminal()
    }

    /// Shows it until somebody wants no more: on a terminal the view, in a pipe a line every ten seconds. What comes
    /// through `notices` is shown beside it.
    ///
    /// # Errors
    /// Where the terminal cannot be drawn on, or standard output be written.
    pub async fn show(&self, notices: &mut mpsc::Receiver<String>) -> Result<End, Failure> {
        if self.is_live() { self.draw(notices).await } else { self.tell(notices).await }
    }

    async fn draw(&self, notices: &mut mpsc::Receiver<String>) -> Result<End, Failure> {
        let clock = Clock::system();
        let mut night = self.night();
        let mut readings = scrape::begin(self.asked.clone())?;
        let mut screen = Screen::take()?;
        let mut keys = screen::keys()?;
        let mut every = interval(DRAWN_EVERY);
        let mut help = Help::Hidden;
        loop {
            let Some(terminal) = screen.terminal() else {
                return Err(Failure::new("the view is closed"));
            };
            terminal.draw(|frame| view::draw(frame, &night, &self.around, &now(&clock), help))?;
            tokio::select! {
                Some(reading) = readings.recv() => night.take(Instant::now(), reading),
                Some(notice) = notices.recv() => night.notice(notice),
                key = keys.recv() => match key {
                    Some(Key::Leave) if help == Help::Shown => help = Help::Hidden,
                    Some(Key::Leave) => return Ok(End::Left),
                    Some(Key::Stop) => return Ok(End::Stopped),
                    Some(Key::Help) => {
                        help = if help == Help::Shown { Help::Hidden } else { Help::Shown };
                    }
                    Some(Key::Resized) => {}
                    // The terminal is gone.
                    None => return Ok(End::Left),
                },
                _ = every.tick() => {}
            }
        }
    }

    async fn tell(&self, notices: &mut mpsc::Receiver<String>) -> Result<End, Failure> {
        let clock = Clock::system();
        let mut night = self.night();
        let mut readings = scrape::begin(self.asked.clone())?;
        let mut told: Option<Instant> = None;
        loop {
            tokio::select! {
                Some(reading) = readings.recv() => night.take(Instant::now(), reading),
                Some(notice) = notices.recv() => {
                    self.output.note(notice)?;
                    continue;
                }
            }
            // Rates need two readings.
            let due = told.is_none_or(|told| told.elapsed() >= LINE_EVERY);
            if due && night.within(night::RATE_OVER).is_some() {
                told = Some(Instant::now());
                self.output
                    .result(&plain::line(&night, &now(&clock)), &plain::document(&night, &now(&clock)))?;
            }
        }
    }

    fn night(&self) -> Night {
        Night::new(self.asked.services.iter().map(|(name, _)| *name))
    }
}

fn now(clock: &Clock) -> Zoned {
    clock.now().to_zoned(TimeZone::system())
}

/// Watches until q or Ctrl-C.
///
/// # Errors
/// Where nothing runs, or the terminal cannot be drawn on.
pub async fn run(args: &Args, global: &Global) -> Result<(), Failure> {
    let shutdown = Shutdown::for_command()?;
    let Some(state) = State::read(&global.data_dir())? else {
        return Err(not_running(global, "name another --data-dir: there is nothing to watch"));
    };
    let watch = Watch::new(&state, &args.prometheus, " q, Ctrl-C: leave   ?: what is shown", global.output());
    // Nobody tells us anything beside the services.
    let (_silent, mut notices) = mpsc::channel(1);
    tokio::select! {
        ended = watch.show(&mut notices) => ended.map(drop),
        () = shutdown.begun() => Ok(()),
    }
}
