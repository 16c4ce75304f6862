//! The dashboards, as Grafana would use them: their shape, and each of their queries on a live night.

mod board;
mod fill;
mod judge;
pub(crate) mod night;
mod sheet;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use seatpilot_guarantees::monitoring;
use serde_json::Value;

use crate::dashboards::{
    board::{Board, array, text},
    judge::Judge,
    night::Night,
    sheet::Sheet,
};

#[test]
fn every_dashboard_has_the_shape_that_grafana_reads() {
    let faults: Vec<String> = Board::shipped().iter().flat_map(Board::faults).collect();
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn what_is_wrong_with_a_dashboard_is_seen() {
    let planted = [
        ("\"id\": 3,", "\"id\": 2,", "twice"),
        ("\"unit\": \"percentunit\"", "\"unit\": \"percentage\"", "unit"),
        ("\"uid\": \"${DS_PROMETHEUS}\"", "\"uid\": \"seatpilot-prometheus\"", "variable"),
        ("\"description\": \"People", "\"about\": \"People", "description"),
        ("\"schemaVersion\": 39", "\"schemaVersion\": 38", "schemaVersion"),
    ];
    for (right, wrong, said) in planted {
        let board = &Board::shipped()[0];
        assert!(board.text.contains(right), "{right} is not in {}", board.file);
        let faults = Board::read(board.file, board.uid, &board.text.replacen(right, wrong, 1)).faults();
        assert!(faults.iter().any(|fault| fault.contains(said)), "{wrong} gives {faults:?}");
    }
    let mut moved = Board::shipped().swap_remove(0);
    moved.json["panels"][2]["gridPos"]["x"] = 1.into();
    assert!(moved.faults().iter().any(|fault| fault.contains("overlaps")), "{:?}", moved.faults());
}

/// What Grafana is given besides the dashboards is of the kinds that they ask for.
#[test]
fn the_provisioned_sources_are_of_the_kinds_that_the_dashboards_ask_for() {
    let folder = seatpilot_guarantees::root().join("dashboards/provisioning");
    let read = |path: &str| -> Value {
        serde_saphyr::from_str(&std::fs::read_to_string(folder.join(path)).unwrap()).unwrap()
    };
    let sources = read("datasources/seatpilot.yml");
    let sources = array(&sources["datasources"]);
    let kinds: BTreeSet<&str> = sources.iter().map(|source| text(&source["type"])).collect();
    for board in Board::shipped() {
        assert_eq!(board.source_kinds(), kinds, "{}", board.file);
    }
    // $__rate_interval is made from it: with a shorter one a rate would have a single sample.
    let prometheus: Value =
        serde_saphyr::from_str(&seatpilot_guarantees::Shipped::read().prometheus).unwrap();
    let source = sources.iter().find(|source| source["type"] == "prometheus").unwrap();
    assert_eq!(source["jsonData"]["timeInterval"], prometheus["global"]["scrape_interval"]);
    assert_eq!(read("dashboards/seatpilot.yml")["providers"][0]["type"], "file");
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_live_night_every_query_answers_and_every_panel_is_drawn() {
    let Some(tools) = monitoring() else { return };
    let night = Night::begin(tools).await;
    let faults = lasting_faults(&night).await;
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));

    // And what is wrong is seen: a query that no longer fits what the services export.
    let planted = [
        ("channel=~\\\"$channel\\\"", "chanel=~\\\"$channel\\\"", "chanel"),
        ("sum by (le, stage)", "sum by (le, stag)", "stag"),
        ("seatpilot_mv_lag_seconds{", "seatpilot_view_lag_seconds{", "no number"),
        ("{{reason}}", "{{cause}}", "cause"),
        ("histogram_quantile(0.95, sum", "histogram_quantile(0.95 sum", "parse"),
        ("le=\\\"0.4\\\"", "le=\\\"0.45\\\"", "no number"),
        ("max(p95_seconds)", "max(p95_second)", "p95_second"),
        ("select venue_id from ops.venues", "select venue_id from ops.venues where false", "venue"),
        (
            "label_values(seatpilot_checkin_latency_seconds_count, channel)",
            "label_values(seatpilot_gone, channel)",
            "channel",
        ),
    ];
    let (board, judge) = (&Board::shipped()[0], Judge::of(&night).await);
    for (right, wrong, said) in planted {
        assert!(board.text.contains(right), "{right} is not in {}", board.file);
        let bad = Board::read(board.file, board.uid, &board.text.replace(right, wrong));
        let faults = judge.faults(&bad).await;
        assert!(faults.iter().any(|fault| fault.contains(said)), "{wrong} gives {faults:?}");
    }

    let Some(sheet) = Sheet::of(&night) else { return };
    sheet.draws_every_panel().await;
    sheet.says_what_is_wrong().await;
}

/// What no query has answered within the wait of a night: a rate has no line before a second scrape has seen its
/// counter move, and a range ends with its last whole step.
async fn lasting_faults(night: &Night) -> Vec<String> {
    let since = Instant::now();
    loop {
        // One of its own each time: a judge remembers which labels a series had.
        let judge = Judge::of(night).await;
        let mut faults = Vec::new();
        for board in Board::shipped() {
            faults.extend(judge.faults(&board).await);
        }
        if faults.is_empty() || since.elapsed() > night::WITHIN {
            return faults;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}
