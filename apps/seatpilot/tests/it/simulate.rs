//! `seatpilot simulate` against a whole SeatPilot.

use std::{collections::BTreeMap, time::Instant};

use serde_json::Value;

use crate::{command::seatpilot_in, up::stays};

#[tokio::test]
async fn an_evening_of_three_hundred_adds_up_in_every_answer_and_every_row() {
    let folder = tempfile::tempdir().unwrap();
    let (_up, state) = stays(&folder).await;
    let before = crate::watch::admitted(&state).await;
    let begun = Instant::now();
    let args =
        ["simulate", "--guests", "300", "--minutes", "0.15", "--seed", "7", "--json", "--data-dir", "data"];
    let run = seatpilot_in(folder.path(), &[], &args, b"");
    assert_eq!(run.code, 0, "{run:?}");
    assert!(begun.elapsed().as_secs() < 60, "{:?}", begun.elapsed());
    let report: Value = serde_json::from_str(run.stdout.lines().last().unwrap()).unwrap();
    assert_eq!(report["adds_up"], true, "{report}");
    let figures: BTreeMap<String, u64> = report["figures"]
        .as_array()
        .unwrap()
        .iter()
        .map(|figure| (figure["what"].as_str().unwrap().to_owned(), figure["found"].as_u64().unwrap()))
        .collect();
    assert_eq!(figures["tickets on the list"], 300);
    assert_eq!(figures["admitted"], figures["sessions"]);
    assert!((280..300).contains(&figures["sessions"]), "{figures:?}");
    for what in
        ["refused: wrong door", "refused: already in", "seated after over 15 minutes", "events refused"]
    {
        assert!(figures[what] > 0, "{what}: {figures:?}");
    }
    // Every admission is counted once where the alerts read it.
    assert_eq!(crate::watch::admitted(&state).await - before, figures["admitted"] as f64);
    // What it knocked with is worth nothing any more; the running one's own device is.
    let devices = seatpilot_in(folder.path(), &[], &["device", "list", "--json", "--data-dir", "data"], b"");
    let devices: Value = serde_json::from_str(&devices.stdout).unwrap();
    for device in devices.as_array().unwrap() {
        let ours = device["name"].as_str().unwrap().starts_with("simulation-");
        assert_eq!(device["revoked_at"].is_null(), !ours, "{device}");
    }
}
