//! The live view: drawn from made-up readings, and in a terminal before a SeatPilot that runs.

use std::{path::Path, time::Duration};

use jiff::{Timestamp, tz::TimeZone};
use ratatui::{Terminal as Drawn, backend::TestBackend};
use seatpilot::{
    state::State,
    watch::{
        alerts,
        histogram::Histogram,
        night::Night,
        plain,
        sample::{Counts, Gauges, Sample},
        scrape::{Reading, ServiceReading, ServiceState},
        screen::Screen,
        view::{Around, Help, draw},
    },
};
use serde_json::Value;
use tokio::time::Instant;

use crate::{
    command::seatpilot_in,
    terminal::Terminal,
    up::{descendants, is_gone, stays},
};

const SEATPILOT: &str = env!("CARGO_BIN_EXE_seatpilot");

/// Guests that the running check-in has counted.
pub(crate) async fn admitted(state: &State) -> f64 {
    let scrape = reqwest::get(format!("{}/metrics", state.urls.checkin)).await.unwrap();
    Sample::read(&scrape.text().await.unwrap()).counts.admitted()
}

fn histogram(counts: &[(f64, f64)]) -> Histogram {
    let mut histogram = Histogram::default();
    counts.iter().for_each(|(edge, count)| histogram.add(*edge, *count));
    histogram
}

/// A night in its second `at`: one check-in more each second than the second before.
fn reading(at: u32) -> Reading {
    let n = f64::from(at * (at + 1) / 2);
    let counts = Counts {
        checkin: histogram(&[(0.01, n * 0.5), (0.1, n * 0.9), (0.3, n * 0.96), (f64::INFINITY, n)]),
        walk: histogram(&[(30.0, n * 0.4), (60.0, n * 0.8), (900.0, n * 0.9), (f64::INFINITY, n * 0.9)]),
        outliers: n * 0.1,
        accepted: n * 2.0,
        duplicate: n * 0.1,
        rejected: n * 0.01,
        requests: n * 3.0,
        errors: 0.0,
    };
    let gauges = Gauges {
        lag_s: [("mv_kpi_checkin".to_owned(), 240.0)].into(),
        queue: 12.0,
        queue_capacity: 4096.0,
        waiting: 0.0,
        begun_s: Some(1_795_370_000.0),
    };
    let quiet = Sample { counts: Counts::default(), gauges: Gauges::default() };
    let service = |state, sample| ServiceReading { state, sample };
    let firing = br#"{"data":{"alerts":[
        {"state":"firing","labels":{"alertname":"SeatPilotMvLagHigh","severity":"warning"}},
        {"state":"firing","labels":{"alertname":"SeatPilotServiceDown","severity":"critical"}}]}}"#;
    Reading {
        services: vec![
            service(ServiceState::Ready, Some(Sample { counts, gauges })),
            service(ServiceState::Ready, Some(quiet.clone())),
            service(ServiceState::Degraded, Some(quiet.clone())),
            service(ServiceState::Gone, None),
            service(ServiceState::Ready, Some(quiet)),
        ],
        alerts: Some(alerts::read(firing)),
    }
}

fn night() -> Night {
    let names = ["checkin", "wayfinding", "telemetry-ingest", "kpi-refresher", "metrics-api"];
    let mut night = Night::new(names);
    let begun = Instant::now();
    for at in 0..100 {
        night.take(begun + Duration::from_secs(u64::from(at)), reading(at));
    }
    night.notice("checkin ended (signal: 9): started again in 200 ms".to_owned());
    night
}

fn drawn(night: &Night, (columns, rows): (u16, u16), help: Help) -> String {
    let mut terminal = Drawn::new(TestBackend::new(columns, rows)).unwrap();
    let around = Around {
        title: "venue demo, tenant demo".to_owned(),
        prometheus: "http://127.0.0.1:9090".to_owned(),
        keys: " q, Ctrl-C: leave   ?: what is shown",
    };
    let now = Timestamp::from_second(1_795_370_600).unwrap().to_zoned(TimeZone::UTC);
    terminal.draw(|frame| draw(frame, night, &around, &now, help)).unwrap();
    let buffer = terminal.backend().buffer();
    let rows = buffer.content().chunks(usize::from(columns));
    rows.map(|row| {
        row.iter().map(ratatui::buffer::Cell::symbol).collect::<String>().trim_end().to_owned() + "\n"
    })
    .collect()
}

#[tokio::test]
async fn the_view_at_80_by_24_is_the_one_on_file() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/watch-80x24.txt");
    let now = drawn(&night(), (80, 24), Help::Hidden);
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &now).unwrap();
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap(), now, "UPDATE=1 renews it");
}

#[tokio::test]
async fn everything_fits_into_any_terminal() {
    let night = night();
    for size in [(80, 24), (140, 40), (300, 90), (80, 22)] {
        let text = drawn(&night, size, Help::Hidden);
        for said in [
            " 97/s",
            "4,950 let in",
            "p95",
            "!! KPIs 240 s behind",
            "!! telemetry-ingest degraded",
            "!! kpi-refresher    gone",
            "SeatPilotServiceDown critical",
            "200 ms",
            "Ctrl-C",
            "15 min",
        ] {
            assert!(text.contains(said), "{said} at {size:?}:\n{text}");
        }
    }
    let help = drawn(&night, (80, 24), Help::Shown);
    assert!(help.contains("-- no number") && help.contains("? closes this"), "{help}");
    // Smaller ones get the plain line; none is too small.
    assert!(drawn(&night, (60, 12), Help::Hidden).contains("(4,950 in)"));
    for size in [(1, 1), (20, 3), (79, 50), (200, 5)] {
        drawn(&night, size, Help::Shown);
    }
}

#[tokio::test]
async fn the_plain_line_says_the_same_and_what_is_missed() {
    let night = night();
    let now = Timestamp::from_second(1_795_370_600).unwrap().to_zoned(TimeZone::UTC);
    let line = plain::line(&night, &now);
    assert!(line.contains("check-ins 97/s (4,950 in)"), "{line}");
    assert!(line.contains("KPIs 240 s behind !!") && line.contains("kpi-refresher gone !!"), "{line}");
    assert!(line.contains("firing !!: SeatPilotServiceDown, SeatPilotMvLagHigh"), "{line}");
    let document = plain::document(&night, &now);
    assert_eq!(
        (&document["checkin"]["total"], &document["services"]["checkin"]),
        (&4950.0.into(), &"ready".into())
    );
}

#[tokio::test]
async fn an_up_in_a_terminal_shows_a_simulated_evening_and_ctrl_c_ends_it_all() {
    let folder = tempfile::tempdir().unwrap();
    let args = ["up", "--free-ports", "--data-dir", "data"];
    let mut terminal = Terminal::run(Path::new(SEATPILOT), &args, folder.path(), (100, 30));
    terminal.until("the view", Duration::from_secs(90), |text| text.contains("Door to seat")).await;
    // One guest of `up`'s own is in.
    terminal
        .until("all services", Duration::from_secs(20), |text| text.matches(" ready ").count() == 5)
        .await;
    terminal.until("its own guest", Duration::from_secs(20), |text| text.contains(" 1 let in")).await;
    let here = folder.path().to_owned();
    let simulation = tokio::task::spawn_blocking(move || {
        let args =
            ["simulate", "--guests", "60", "--minutes", "0.1", "--seed", "3", "--json", "--data-dir", "data"];
        seatpilot_in(&here, &[], &args, b"")
    });
    let let_in = |text: &str| {
        let before = text.split(" let in").next()?;
        before.rsplit(' ').next()?.parse::<u64>().ok()
    };
    let mut seen = Vec::new();
    let within = Duration::from_secs(60);
    terminal
        .until("some more guests, bit by bit", within, |text| {
            let now = let_in(text).unwrap_or_default();
            if seen.last() != Some(&now) {
                seen.push(now);
            }
            seen.len() > 3
        })
        .await;
    assert!(seen.is_sorted(), "{seen:?}");
    let run = simulation.await.unwrap();
    assert_eq!(run.code, 0, "{run:?}");
    let report: Value = serde_json::from_str(run.stdout.lines().last().unwrap()).unwrap();
    let figures = report["figures"].as_array().unwrap();
    let sessions =
        figures.iter().find(|figure| figure["what"] == "sessions").unwrap()["found"].as_u64().unwrap();
    terminal.until("everybody", within, |text| let_in(text) == Some(sessions + 1)).await;

    terminal.types("?");
    terminal.until("the explanation", within, |text| text.contains("What is shown ")).await;
    terminal.types("?");
    terminal.until("no explanation", within, |text| !text.contains("closes this")).await;
    assert!(terminal.is_taken() && !terminal.is_given_back());
    let children = descendants(terminal.pid());
    terminal.types("\u{3}");
    assert_eq!(terminal.ended(Duration::from_secs(30)).await.code(), Some(0), "{}", terminal.text());
    assert!(terminal.is_given_back(), "{}", terminal.text());
    assert!(children.iter().all(|(pid, _)| is_gone(*pid)), "{children:?}");
}

#[tokio::test]
async fn a_second_terminal_watches_what_runs_and_leaves_it_running() {
    let folder = tempfile::tempdir().unwrap();
    let (_up, state) = stays(&folder).await;
    let args = ["watch", "--data-dir", "data", "--prometheus", "http://127.0.0.1:1"];
    let mut terminal = Terminal::run(Path::new(SEATPILOT), &args, folder.path(), (80, 24));
    let within = Duration::from_secs(20);
    terminal.until("services", within, |text| text.matches(" ready ").count() == 5).await;
    terminal
        .until("no Prometheus", within, |text| {
            text.contains("no Prometheus at") && text.contains("http://127.0.0.1:1 ")
        })
        .await;
    terminal.types("q");
    assert_eq!(terminal.ended(within).await.code(), Some(0));
    assert!(terminal.is_given_back(), "{}", terminal.text());
    assert!(admitted(&state).await >= 1.0, "it runs still");
}

/// Not a test: the next one runs it in a terminal.
#[test]
#[ignore = "run by the test below"]
fn panics_with_the_terminal_taken() {
    let mut screen = Screen::take().unwrap();
    screen.terminal().unwrap().draw(|frame| frame.render_widget("the view", frame.area())).unwrap();
    std::thread::sleep(Duration::from_millis(300));
    panic!("planted");
}

#[tokio::test]
async fn a_panic_gives_the_terminal_back_before_it_is_printed() {
    let own = std::env::current_exe().unwrap();
    let args = ["--exact", "watch::panics_with_the_terminal_taken", "--ignored", "--nocapture"];
    let mut terminal = Terminal::run(&own, &args, Path::new("."), (80, 24));
    terminal.until("the view", Duration::from_secs(20), |text| text.contains("the view")).await;
    assert!(terminal.is_taken());
    assert_ne!(terminal.ended(Duration::from_secs(20)).await.code(), Some(0));
    assert!(terminal.is_given_back());
    assert!(terminal.text().contains("planted"), "{}", terminal.text());
}
