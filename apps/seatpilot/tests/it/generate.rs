//! `seatpilot guests generate`, with nothing running.

use crate::command::{seatpilot, seatpilot_in};

const PLAN: &[&str] = &["guests", "generate", "--event", "derby", "--count", "300"];

fn generated(seed: &str) -> String {
    let run = seatpilot(&[PLAN, &["--seed", seed]].concat());
    assert_eq!(run.code, 0, "{run:?}");
    run.stdout
}

#[test]
fn a_seed_makes_the_same_list_each_time() {
    let list = generated("7");
    assert_eq!(list.lines().count(), 301);
    assert_eq!(list, generated("7"));
    assert_ne!(list, generated("8"));
    assert!(list.starts_with("ticket,event_id,name,party_size,section,table_id,seat_id,doors,"));
}

#[test]
fn every_guest_of_the_built_in_venue_has_a_place() {
    let list = generated("1");
    let mut reader = csv::Reader::from_reader(list.as_bytes());
    for record in reader.records() {
        let record = record.unwrap();
        assert_eq!(&record[1], "derby");
        assert!(record[0].starts_with("SP-"));
        assert!(!record[2].is_empty());
        assert!((1..=8).contains(&record[3].parse::<u8>().unwrap()));
        assert!(!record[4].is_empty() || !record[5].is_empty(), "a section or a table: {record:?}");
    }
}

#[test]
fn a_list_goes_into_a_file_and_the_rest_is_said() {
    let here = tempfile::tempdir().unwrap();
    let run = seatpilot_in(here.path(), &[], &[PLAN, &["--out", "list.csv", "--json"]].concat(), b"");
    assert_eq!(run.code, 0, "{run:?}");
    let said: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(said["tickets"], 300);
    let seed = said["seed"].to_string();
    assert_eq!(std::fs::read_to_string(here.path().join("list.csv")).unwrap(), generated(&seed));
}

#[test]
fn as_json_it_is_the_same_list() {
    let run =
        seatpilot(&[PLAN, &["--seed", "7", "--valid-until", "2026-12-01T02:00:00+01:00", "--json"]].concat());
    assert_eq!(run.code, 0, "{run:?}");
    let tickets: Vec<serde_json::Value> = serde_json::from_str(&run.stdout).unwrap();
    let list = generated("7");
    let mut reader = csv::Reader::from_reader(list.as_bytes());
    let records: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    assert_eq!(tickets.len(), records.len());
    for (ticket, record) in tickets.iter().zip(&records) {
        for (n, member) in
            [(0, "ticket"), (1, "event_id"), (2, "name"), (4, "section"), (5, "table_id"), (6, "seat_id")]
        {
            assert_eq!(ticket[member].as_str().unwrap_or_default(), &record[n], "{member}");
        }
        assert_eq!(ticket["party_size"].to_string(), &record[3]);
        let doors = ticket["doors"].as_array().unwrap().iter().map(|door| door.as_str().unwrap());
        assert_eq!(doors.collect::<Vec<_>>().join(" "), &record[7]);
        assert_eq!(ticket["valid_until"], "2026-12-01T01:00:00Z");
    }
}

#[test]
fn a_reader_that_stops_early_is_no_failure() {
    let exe = env!("CARGO_BIN_EXE_seatpilot");
    let many = "guests generate --event derby --count 20000 --seed 1";
    let script = format!("({exe} {many}; echo $? >&2) | head -n 1");
    let run = std::process::Command::new("sh").args(["-c", &script]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&run.stderr), "0\n");
}
