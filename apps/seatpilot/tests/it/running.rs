//! What `up` left in its data directory, as the other commands find it.

use serde_json::{Value, json};

use crate::{
    command::seatpilot_in,
    house::{House, write_arena},
};

const SECRET: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

/// A `state.json` in `run/`, as `up` writes it.
fn write_state(house: &House, database_url: &str) {
    let state: Value = json!({
        "urls": {
            "checkin": "http://127.0.0.1:3100",
            "wayfinding": "http://127.0.0.1:3200",
            "telemetry_ingest": "http://127.0.0.1:3300",
            "kpi_refresher": "http://127.0.0.1:3400",
            "metrics_api": "http://127.0.0.1:8080",
        },
        "database_url": database_url,
        "tenant_id": "acme",
        "venue_id": "arena",
        "event_id": "derby",
        "device_token": "canary-device",
        "ingest_key": { "key_id": "acme_gate_01", "secret": SECRET },
        "metrics_key": "canary-metrics",
        "admin_token": "canary-admin",
    });
    house.write("run/state.json", &state.to_string());
}

#[tokio::test]
async fn a_data_directory_names_database_tenant_and_venue() {
    let house = House::empty().await;
    write_state(&house, &house.db.owner_url());
    write_arena(&house);
    let run =
        |args: &[&str]| seatpilot_in(house.here.path(), &[], &[args, &["--data-dir", "run"]].concat(), b"");
    for id in ["arena", "hall"] {
        let imported = run(&["venue", "import", "arena", "--id", id]);
        assert_eq!(imported.code, 0, "{imported:?}");
    }
    let made =
        run(&["guests", "generate", "--event", "derby", "--count", "20", "--seed", "1", "--out", "l.csv"]);
    assert_eq!(made.code, 0, "{made:?}");
    let list = std::fs::read_to_string(house.here.path().join("l.csv")).unwrap();
    assert!(list.contains(",A-1-1,") && list.contains("west"), "of the running venue's map: {list}");
    let loaded = run(&["guests", "import", "l.csv"]);
    assert_eq!(loaded.code, 0, "{loaded:?}");
    let here = "select count(*) from ops.events where tenant_id = 'acme' and venue_id = 'arena'";
    assert_eq!(house.count(here).await, 1);
}

#[tokio::test]
async fn a_named_data_directory_comes_before_the_environment() {
    let house = House::empty().await;
    write_state(&house, &house.db.owner_url());
    let nobody = [("DATABASE_URL", "postgres://me@127.0.0.1:1/none")];
    let list = |args: &[&str]| seatpilot_in(house.here.path(), &nobody, args, b"");
    let named = list(&["device", "list", "--data-dir", "run"]);
    assert_eq!(named.code, 0, "{named:?}");
    let elsewhere = list(&["device", "list", "--data-dir", "elsewhere"]);
    assert!(elsewhere.stderr.contains("DATABASE_URL does not answer"), "{elsewhere:?}");
}

#[tokio::test]
async fn a_state_whose_database_is_gone_is_not_running() {
    let house = House::empty().await;
    write_state(&house, "postgres://me:canary@127.0.0.1:1/none");
    let run = seatpilot_in(house.here.path(), &[], &["dlq", "list", "--data-dir", "run"], b"");
    assert_eq!(run.code, 1, "{run:?}");
    assert_eq!(
        run.stderr,
        "seatpilot: not running: start it with `seatpilot up --data-dir run`, or set DATABASE_URL\n"
    );
}

#[tokio::test]
async fn the_running_key_signs_and_the_curl_line_finds_the_running_door() {
    let house = House::empty().await;
    write_state(&house, "postgres://me@127.0.0.1:1/none");
    let args = ["sign", "--data-dir", "run", "--curl"];
    let run = seatpilot_in(house.here.path(), &[], &args, b"{}");
    assert_eq!(run.code, 0, "{run:?}");
    assert!(run.stdout.contains("http://127.0.0.1:3300/v1/events"), "{run:?}");
    assert!(run.stdout.contains("x-key: acme_gate_01") && !run.stdout.contains(SECRET), "{run:?}");
}
