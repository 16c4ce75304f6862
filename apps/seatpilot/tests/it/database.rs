//! The commands that work on a database, against a real one.

use seatpilot_runtime::{Environment, variable};
use serde_json::json;

use crate::house::{House, write_arena};

const HEADER: &str =
    "ticket,event_id,name,party_size,section,table_id,seat_id,doors,valid_from,valid_until\n";

fn lines(count: usize) -> String {
    (0..count).map(|n| format!("T-{n},derby,Guest {n},2,A,,A-1-{n},west east,,\n")).collect()
}

#[tokio::test]
async fn a_venue_is_published_without_its_broken_link_and_says_which() {
    let house = House::empty().await;
    write_arena(&house);
    let run = house.run(&["venue", "import", "arena", "--tz", "Europe/Madrid", "--json"]);
    assert_eq!(run.code, 0, "{run:?}");
    let last: serde_json::Value = serde_json::from_str(run.stdout.lines().last().unwrap()).unwrap();
    assert_eq!(last, json!({ "venue_id": "arena", "nodes": 4, "links": 3, "places": 4, "refused": 1 }));
    assert!(run.stdout.lines().next().unwrap().contains("l4"), "{}", run.stdout);
    let zone = "select count(*) from ops.venues where venue_id = 'arena' and time_zone = 'Europe/Madrid'";
    assert_eq!(house.count(zone).await, 1);

    let run = house.run(&["venue", "import", "arena", "--id", "hall"]);
    assert_eq!(run.code, 0, "{run:?}");
    assert!(run.stdout.contains("l4") && run.stdout.contains("Step-free reach"), "{}", run.stdout);
}

#[tokio::test]
async fn strict_publishes_nothing_of_a_broken_venue_and_neither_does_a_path_that_is_none() {
    let house = House::empty().await;
    write_arena(&house);
    for args in
        [&["venue", "import", "arena", "--strict"][..], &["venue", "import", "."], &["venue", "import", "x"]]
    {
        let run = house.run(args);
        assert_eq!((run.code, run.stderr.lines().count()), (1, 1), "{run:?}");
    }
    assert_eq!(house.count("select count(*) from ops.venues").await, 0);
}

#[tokio::test]
async fn the_same_list_again_changes_nothing_and_a_changed_line_updates() {
    let house = House::with_arena().await;
    house.write("list.csv", &format!("{HEADER}{}", lines(50)));
    let first = house.json(&["guests", "import", "list.csv"]);
    assert_eq!((&first["new"], &first["events_made"]), (&json!(50), &json!(1)));
    let again = house.json(&["guests", "import", "list.csv"]);
    assert_eq!((&again["new"], &again["updated"], &again["unchanged"]), (&json!(0), &json!(0), &json!(50)));

    let changed = format!("{HEADER}{}", lines(50)).replace("Guest 7,2", "Guest 7,3");
    let run = house.run_with(&["guests", "import", "-", "--json"], changed.as_bytes());
    let third: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!((&third["updated"], &third["unchanged"]), (&json!(1), &json!(49)), "{run:?}");
    assert_eq!(house.count("select count(*) from ops.tickets where party_size = 3").await, 1);
}

#[tokio::test]
async fn a_bad_line_keeps_the_whole_list_out_unless_partial_is_asked_for() {
    let house = House::with_arena().await;
    house.write("list.csv", &format!("{HEADER}T-1,derby,Ana,2,A,,,,,\nT-2,derby,CANARY,0,A,,,,,\n"));
    let run = house.run(&["guests", "import", "list.csv"]);
    assert_eq!((run.code, run.stderr.lines().count()), (1, 1), "{run:?}");
    assert!(run.stdout.contains("line 3: party_size must be 1 to 50"), "{run:?}");
    assert!(!format!("{run:?}").contains("CANARY"), "{run:?}");
    assert_eq!(house.count("select count(*) from ops.tickets").await, 0);

    let partial = house.json(&["guests", "import", "list.csv", "--partial"]);
    assert_eq!(partial["new"], 1);
    assert_eq!(partial["refused"], json!([{ "line": 3, "reason": "party_size must be 1 to 50" }]));
}

#[tokio::test]
async fn a_list_needs_a_venue_and_knows_which_of_several() {
    let house = House::empty().await;
    house.write("list.csv", &format!("{HEADER}{}", lines(1)));
    let run = house.run(&["guests", "import", "list.csv"]);
    assert_eq!(run.code, 1);
    assert!(run.stderr.contains("seatpilot venue import"), "{run:?}");

    write_arena(&house);
    for id in ["arena", "hall"] {
        assert_eq!(house.run(&["venue", "import", "arena", "--id", id]).code, 0);
    }
    let run = house.run(&["guests", "import", "list.csv"]);
    assert_eq!(run.code, 1);
    assert!(run.stderr.contains("arena, hall"), "{run:?}");
    assert_eq!(house.json(&["guests", "import", "list.csv", "--venue", "hall"])["venue_id"], "hall");
    let at_hall = "select count(*) from ops.events where event_id = 'derby' and venue_id = 'hall'";
    assert_eq!(house.count(at_hall).await, 1);
}

#[tokio::test]
async fn a_door_that_the_venue_does_not_have_is_a_warning() {
    let house = House::with_arena().await;
    house.write("list.csv", &format!("{HEADER}T-1,derby,Ana,2,A,,,west north-9,,\n"));
    let run = house.run(&["guests", "import", "list.csv", "--json"]);
    assert_eq!(run.code, 0, "{run:?}");
    assert!(run.stderr.contains("no door north-9") && !run.stderr.contains("west"), "{run:?}");
}

#[tokio::test]
async fn a_ticket_is_revoked_once_for_all_events_and_an_unknown_one_is_named_as_such() {
    let house = House::with_arena().await;
    let both = "T-1,derby,Ana,2,,,,,,\nT-1,final,Ana,2,,,,,,\nT-2,derby,Bo,2,,,,,,\n";
    house.write("list.csv", &format!("{HEADER}{both}"));
    house.json(&["guests", "import", "list.csv"]);
    assert_eq!(house.json(&["guests", "revoke", "T-2", "--event", "derby"])["revoked"], 1);
    assert_eq!(house.json(&["guests", "revoke", "T-1"])["revoked"], 2);
    let again = house.json(&["guests", "revoke", "T-1"]);
    assert_eq!((&again["revoked"], &again["already"]), (&json!(0), &json!(2)));
    let run = house.run_with(&["guests", "revoke", "-"], b"T-1\nCANARY\n");
    assert_eq!(run.code, 1, "{run:?}");
    assert!(run.stderr.contains("1 of the tickets") && !format!("{run:?}").contains("CANARY"), "{run:?}");
}

#[tokio::test]
async fn a_device_is_made_listed_and_revoked() {
    let house = House::empty().await;
    let made = house.json(&["device", "add", "Lane 3", "--door", "west,east", "--channel", "kiosk"]);
    assert!(made["token"].as_str().unwrap().len() >= 43, "256 bits");
    let id = made["device_id"].as_str().unwrap();
    let listed = house.json(&["device", "list"]);
    assert_eq!(listed[0]["device_id"], id);
    assert_eq!(listed[0]["doors"], json!(["east", "west"]));
    assert_eq!((&listed[0]["events"], &listed[0]["revoked_at"]), (&json!(null), &json!(null)));
    assert!(!listed.to_string().contains(made["token"].as_str().unwrap()));
    for _ in 0..2 {
        assert_eq!(house.json(&["device", "revoke", id])["revoked"], true);
    }
    assert!(house.json(&["device", "list"])[0]["revoked_at"].is_string());
    assert_eq!(house.run(&["device", "revoke", "019aa0c4-7a00-7000-8000-000000000001"]).code, 1);
}

#[tokio::test]
async fn a_key_is_made_signs_and_is_revoked() {
    let house = House::empty().await;
    let made = house.json(&["key", "add", "acme_gate_01", "--scope", "arrive,ingest"]);
    assert_eq!((&made["key_id"], &made["scopes"]), (&json!("acme_gate_01"), &json!(["ingest", "arrive"])));
    let secret = made["secret"].as_str().unwrap();
    house.write("secret.txt", secret);
    let signed = house.run_with(&["sign", "--key-id", "acme_gate_01", "--secret-file", "secret.txt"], b"{}");
    assert_eq!(signed.code, 0, "{signed:?}");
    let run = house.run(&["key", "add", "acme_gate_01"]);
    assert_eq!(run.code, 1, "{run:?}");
    assert!(run.stderr.contains("already"), "{run:?}");
    let listed = house.json(&["key", "list"]);
    assert_eq!(listed[0]["key_id"], "acme_gate_01");
    assert!(!listed.to_string().contains(secret));
    for _ in 0..2 {
        assert_eq!(house.json(&["key", "revoke", "acme_gate_01"])["revoked"], true);
    }
    assert_eq!(house.run(&["key", "revoke", "nobodys_key"]).code, 1);
}

#[tokio::test]
async fn what_belongs_to_one_tenant_is_not_seen_by_another() {
    let house = House::empty().await;
    house.json(&["device", "add", "--tenant", "acme"]);
    assert_eq!(house.json(&["device", "list", "--tenant", "other"]), json!([]));
    assert_eq!(house.json(&["device", "list", "--tenant", "acme"]).as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn dead_letters_are_listed_without_their_payloads() {
    let house = House::empty().await;
    assert_eq!(house.json(&["dlq", "list"]), json!([]));
    let run = house.run(&["dlq", "list"]);
    assert_eq!(run.code, 0, "{run:?}");
    assert!(run.stdout.starts_with("dlq_id\treceived_at\treason"), "{run:?}");
}

#[tokio::test]
async fn a_migrated_database_is_up_to_date_and_an_empty_one_says_what_to_run() {
    let house = House::empty().await;
    assert_eq!(house.json(&["migrate"])["applied"], json!([]));
    house.db.owner().await.batch_execute("drop schema supabase_migrations cascade").await.unwrap();
    let run = house.run(&["device", "list"]);
    assert_eq!(run.code, 1);
    assert!(run.stderr.contains("seatpilot migrate"), "{run:?}");
}

#[tokio::test]
async fn a_database_that_does_not_answer_is_said_in_one_line_without_its_password() {
    let here = tempfile::tempdir().unwrap();
    let nobody = [("DATABASE_URL", "postgres://me:canary@127.0.0.1:1/none")];
    let run = crate::command::seatpilot_in(here.path(), &nobody, &["device", "list"], b"");
    assert_eq!((run.code, run.stderr.lines().count()), (1, 1), "{run:?}");
    assert!(run.stderr.contains("does not answer") && !run.stderr.contains("canary"), "{run:?}");
}

#[tokio::test]
async fn a_guest_list_of_72000_lines_is_loaded_whole() {
    let house = House::with_arena().await;
    let plan =
        ["guests", "generate", "--event", "derby", "--count", "72000", "--seed", "7", "--out", "list.csv"];
    assert_eq!(house.json(&plan)["tickets"], 72_000);
    let loaded = house.json(&["guests", "import", "list.csv"]);
    assert_eq!(loaded["new"], 72_000);
    assert_eq!(house.count("select count(*) from ops.tickets where doors <@ '{west,east}'").await, 72_000);
}

#[tokio::test]
async fn the_real_stadium_is_published_and_its_guests_know_their_gates() {
    let mut environment = Environment::process();
    let Some(venues) = environment.text(&variable::SEATPILOT_VENUES) else {
        eprintln!("SEATPILOT_VENUES is not set: the stadium was not looked at");
        return;
    };
    // The tests run in the crate's folder, and the variable may be relative to the workspace's.
    let workspace = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let stadium = workspace.join(venues).join("nissan-stadium");
    let stadium = stadium.to_str().unwrap();
    let house = House::empty().await;
    let published = house.json(&["venue", "import", stadium, "--tz", "Asia/Tokyo"]);
    assert_eq!((&published["venue_id"], &published["nodes"]), (&json!("nissan-stadium"), &json!(2277)));
    assert_eq!((&published["links"], &published["places"]), (&json!(2734), &json!(96)));
    let plan =
        ["guests", "generate", "--event", "derby", "--count", "2000", "--seed", "7", "--out", "list.csv"];
    house.json(&plan);
    let loaded = house.run(&["guests", "import", "list.csv", "--json"]);
    assert_eq!((loaded.code, loaded.stderr.as_str()), (0, ""), "no door is unknown: {loaded:?}");
    assert!(house.count("select count(distinct section) from ops.tickets").await == 80);
    let with_doors = "select count(*) from ops.tickets where cardinality(doors) between 1 and 4";
    assert!(house.count(with_doors).await > 1_900);
}

#[tokio::test]
async fn migrate_gives_a_role_the_password_of_its_own_url_and_says_which_file_is_none() {
    let house = House::empty().await;
    house.write("kpi.url", "postgres://seatpilot_kpi:0123456789abcdefKPI@db/seatpilot\n");
    let set = house.json(&["migrate", "--login", "kpi.url"]);
    assert_eq!(set["logins"], json!(["seatpilot_kpi"]));
    let hashed = "select count(*) from pg_authid where rolname = 'seatpilot_kpi' and rolpassword like 'SCRAM-SHA-256$%'";
    assert_eq!(house.count(hashed).await, 1);

    for (content, why) in [
        ("postgres://postgres:0123456789abcdef@db/x", "no service role"),
        ("postgres://seatpilot_kpi@db/x", "no password"),
        ("postgres://seatpilot_kpi:short@db/x", "fewer than 16"),
        ("0123456789abcdef", "must be postgres://"),
        ("", "is empty"),
    ] {
        house.write("kpi.url", content);
        let run = house.run(&["migrate", "--login", "kpi.url"]);
        assert_eq!(run.code, 64, "{run:?}");
        assert!(run.stderr.contains("--login kpi.url") && run.stderr.contains(why), "{run:?}");
        assert!(!run.stderr.contains("0123456789abcdef"), "{run:?}");
    }
}

#[tokio::test]
async fn what_was_done_is_listed_and_a_log_that_was_touched_is_found() {
    let house = House::with_arena().await;
    assert_eq!(house.run(&["key", "add", "derby_gate_01"]).code, 0);
    let listed = house.json(&["audit", "list"]);
    assert_eq!(listed[0]["action"], "key.make");
    assert!(listed.as_array().unwrap().iter().any(|act| act["action"] == "venue.publish"), "{listed}");
    assert!(listed[0]["actor_id"].as_str().is_some_and(|actor| !actor.is_empty() && actor != "seatpilot"));
    let checked = house.json(&["audit", "verify"]);
    assert_eq!(checked[0]["faults"], json!([]));
    let tenant = checked[0]["tenant_id"].as_str().unwrap();
    let head = checked[0]["head"].as_str().unwrap();
    let noted = ["audit", "verify", "--tenant", tenant, "--head", head];
    assert_eq!(house.run(&noted).code, 0);
    let other = format!("1:{}", "0".repeat(64));
    let run = house.run(&["audit", "verify", "--tenant", tenant, "--head", &other]);
    assert!(run.code == 1 && run.stdout.contains("written anew"), "{run:?}");
    for usage in
        [&["audit", "verify", "--head", head][..], &["audit", "verify", "--tenant", tenant, "--head", "x"]]
    {
        assert_eq!(house.run(usage).code, 2);
    }
    let change =
        "set session_replication_role = replica; update audit.log set actor_id = 'mallory' where seq = 1";
    house.db.owner().await.batch_execute(change).await.unwrap();
    let run = house.run(&["audit", "verify"]);
    assert_eq!((run.code, run.stderr.lines().count()), (1, 1), "{run:?}");
    assert!(run.stdout.contains("row 1 was changed after it was written"), "{run:?}");
}
