//! `seatpilot up`, with every service's real binary, on the venue of this run.

use std::{
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use seatpilot::state::State;
use seatpilot_testkit::{Binary, TestDb, connect};
use serde_json::Value;
use tempfile::TempDir;

use crate::command::{Run, seatpilot_in};

/// The folder that `SEATPILOT_VENUES` names, or none for the built-in venue. The run says which.
fn venue_of_this_run() -> Option<PathBuf> {
    let folder = PathBuf::from(std::env::var_os("SEATPILOT_VENUES").filter(|folder| !folder.is_empty())?);
    let stadium = folder.join("nissan-stadium");
    if stadium.is_dir() {
        return Some(stadium);
    }
    let with_ways = |path: &PathBuf| path.join("links.geojson").is_file();
    folder.read_dir().unwrap().map(|entry| entry.unwrap().path()).find(with_ways)
}

fn up(folder: &TempDir, envs: &[(&str, &str)], args: &[&str]) -> Run {
    let fixed = ["up", "--free-ports", "--data-dir", "data"];
    seatpilot_in(folder.path(), envs, &[&fixed, args].concat(), b"")
}

/// A running `up`, once its `state.json` is there.
pub(crate) async fn stays(folder: &TempDir) -> (Binary, State) {
    let data_dir = folder.path().join("data");
    let args = ["up", "--free-ports", "--data-dir", data_dir.to_str().unwrap()];
    let mut up = Binary::spawn_with(Path::new(env!("CARGO_BIN_EXE_seatpilot")), &args, &[]);
    let since = Instant::now();
    loop {
        if let Some(state) = State::read(&data_dir).unwrap() {
            return (up, state);
        }
        let ended = up.wait(Duration::from_millis(20)).await;
        assert!(ended.is_none() && since.elapsed() < Duration::from_secs(60), "{}", up.output());
    }
}

/// The processes that descend from one, by id and command.
pub(crate) fn descendants(pid: u32) -> Vec<(u32, String)> {
    let said = Command::new("ps").args(["-A", "-o", "pid=,ppid=,args="]).output().unwrap();
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    let all: Vec<(u32, u32, String)> = said
        .lines()
        .map(|line| {
            let mut words = line.split_whitespace();
            let mut number = || words.next().unwrap().parse().unwrap();
            let (pid, parent) = (number(), number());
            (pid, parent, words.collect::<Vec<_>>().join(" "))
        })
        .collect();
    let mut found: Vec<(u32, String)> = Vec::new();
    let mut parents = vec![pid];
    while let Some(parent) = parents.pop() {
        for (pid, _, args) in all.iter().filter(|(_, of, _)| *of == parent) {
            parents.push(*pid);
            found.push((*pid, args.clone()));
        }
    }
    found
}

pub(crate) fn is_gone(pid: u32) -> bool {
    let said = Command::new("ps").args(["-o", "stat=", "-p", &pid.to_string()]).output().unwrap();
    let stat = String::from_utf8_lossy(&said.stdout).trim().to_owned();
    stat.is_empty() || stat.starts_with('Z')
}

async fn until(what: &str, within: Duration, mut is: impl AsyncFnMut() -> bool) {
    let since = Instant::now();
    while !is().await {
        assert!(since.elapsed() < within, "{what} not within {within:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn is_ready(url: &str) -> bool {
    reqwest::get(format!("{url}/ready")).await.is_ok_and(|answer| answer.status() == 200)
}

#[tokio::test]
async fn guests_go_from_ticket_to_seat_and_a_second_run_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let venue = venue_of_this_run();
    println!(
        "venue of this run: {}",
        venue.as_ref().map_or("built-in".into(), |path| path.display().to_string())
    );
    let mut args = vec!["--once", "--json"];
    if let Some(venue) = &venue {
        args.extend(["--venue", venue.to_str().unwrap()]);
    }
    let mut check_ins = Vec::new();
    for nth in 0..2 {
        let run = up(&folder, &[], &args);
        assert_eq!(run.code, 0, "{}", run.stderr);
        let report: Value = serde_json::from_str(&run.stdout).unwrap();
        let journey = &report["journey"];
        let guests = journey["guests"].as_array().unwrap();
        assert_eq!(guests.len(), 4, "four doors");
        for guest in guests {
            assert_eq!(guest["admission"]["decision"], "admitted");
            assert!(guest["admission"]["way"]["distance_m"].as_f64().unwrap() > 0.0, "{guest}");
            assert_eq!(guest["arrival"]["outlier"], false);
        }
        assert_eq!(journey["telemetry"]["rejected"], 1);
        assert_eq!(journey["dead_letter"]["reason"], "schema_unknown_type");
        let rows = journey["kpi"]["checkin"].as_array().unwrap();
        check_ins.push(rows.iter().map(|row| row["checkins"].as_i64().unwrap()).sum::<i64>());
        assert_eq!(run.stderr.contains("loaded before"), nth == 1, "{}", run.stderr);
        assert!(!folder.path().join("data/state.json").exists());
        let keys = std::fs::metadata(folder.path().join("data/at-rest.keys")).unwrap();
        assert_eq!(keys.permissions().mode() & 0o777, 0o400);
        assert!(!is_ready(report["urls"]["checkin"].as_str().unwrap()).await);
    }
    assert_eq!(check_ins, [4, 8]);
}

#[tokio::test]
async fn a_service_that_dies_is_started_again_and_a_signal_takes_everything_down() {
    let folder = tempfile::tempdir().unwrap();
    let (mut up_process, state) = stays(&folder).await;
    let children = descendants(up_process.pid());
    assert!(children.len() > 5, "{children:?}");

    let owner = connect(&state.database_url).await.unwrap();
    let others = "select count(*) from pg_stat_activity where backend_type = 'client backend' \
                  and pid <> pg_backend_pid() and usename not like 'seatpilot\\_%'";
    let row = owner.query_one(others, &[]).await.unwrap();
    assert_eq!(row.get::<_, i64>(0), 0, "nobody else is connected as owner");

    let refused = up(&folder, &[], &[]);
    assert_eq!((refused.code, refused.stderr.lines().count()), (1, 1), "{refused:?}");
    assert!(refused.stderr.contains("another `seatpilot up`"), "{refused:?}");

    let (checkin, _) = children.iter().find(|(_, args)| args.ends_with("/checkin")).unwrap();
    Command::new("kill").args(["-9", &checkin.to_string()]).status().unwrap();
    until("checkin is back", Duration::from_secs(20), async || {
        is_gone(*checkin) && is_ready(&state.urls.checkin).await
    })
    .await;

    let children = descendants(up_process.pid());
    up_process.terminate();
    let ended = up_process.wait(Duration::from_secs(30)).await;
    assert_eq!(ended.and_then(|status| status.code()), Some(0), "{}", up_process.output());
    assert!(children.iter().all(|(pid, _)| is_gone(*pid)), "{children:?}");
    assert!(!folder.path().join("data/state.json").exists());
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn nothing_outlives_an_up_that_is_killed_and_the_next_one_starts() {
    let folder = tempfile::tempdir().unwrap();
    let (mut killed, _) = stays(&folder).await;
    let children = descendants(killed.pid());
    killed.kill9();
    until("its children are gone", Duration::from_secs(30), async || {
        children.iter().all(|(pid, _)| is_gone(*pid))
    })
    .await;
    assert!(folder.path().join("data/state.json").exists(), "a stale one, for nobody could remove it");
    let run = up(&folder, &[], &["--once"]);
    assert_eq!(run.code, 0, "{}", run.stderr);
}

#[tokio::test]
async fn a_database_that_was_given_gets_no_guest_of_ours_unless_asked() {
    let folder = tempfile::tempdir().unwrap();
    let db = TestDb::empty().await;
    let url = db.owner_url();
    let list = "ticket,event_id,name,party_size,section,table_id,seat_id,doors,valid_from,valid_until\n\
                T-1,derby,Ana,2,A,,,,,\n";
    std::fs::write(folder.path().join("list.csv"), list).unwrap();
    let envs = [("DATABASE_URL", url.as_str())];
    let run = up(&folder, &envs, &["--once", "--json", "--guests", "list.csv"]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    let report: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!((&report["event_id"], &report["journey"]), (&"derby".into(), &Value::Null));
    assert!(!folder.path().join("data/postgres").exists());
    let owner = db.owner().await;
    let sessions = async || owner.query("select from ops.checkin_sessions", &[]).await.unwrap().len();
    assert_eq!(sessions().await, 0);

    let run = up(&folder, &envs, &["--once", "--demo", "--guests", "list.csv"]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert_eq!(sessions().await, 4);
}

#[test]
fn what_is_wrong_is_said_in_one_sentence_before_anything_starts() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(folder.path().join("data/postgres")).unwrap();
    std::fs::write(folder.path().join("data/postgres/photo.jpg"), "x").unwrap();
    std::fs::write(folder.path().join("bad.csv"), "ticket,name\n1,Ana\n").unwrap();
    for (args, why) in [
        (&["--once"][..], "no Postgres data folder"),
        (&["--once", "--venue", "nowhere"], "nowhere"),
        (&["--once", "--guests", "bad.csv"], "bad.csv"),
    ] {
        let run = up(&folder, &[], args);
        assert_eq!((run.code, run.stderr.lines().count()), (1, 1), "{run:?}");
        assert!(run.stderr.contains(why), "{run:?}");
    }
}
