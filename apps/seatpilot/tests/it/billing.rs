//! `seatpilot billing` on the tenant that metering_seed.sql makes.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::house::House;

const SEED: &str = include_str!("../../../../supabase/sql/metering_seed.sql");

async fn house() -> (House, String) {
    let house = House::empty().await;
    let owner = house.db.owner().await;
    // As psql does: a statement a transaction.
    for statement in SEED.lines().filter(|line| !line.starts_with("--") && !line.is_empty()) {
        owner.batch_execute(statement).await.unwrap();
    }
    let month = "select to_char(now() at time zone 'UTC' - interval '1 month', 'YYYY-MM')";
    let month = house.db.owner().await.query_one(month, &[]).await.unwrap().get(0);
    (house, month)
}

fn billing<'a>(args: &[&'a str]) -> Vec<&'a str> {
    [&["billing"][..], args, &["--tenant", "metering-demo"]].concat()
}

#[tokio::test]
async fn a_month_is_reported_closed_exported_traced_and_verified() {
    let (house, month) = house().await;
    let report = house.json(&billing(&["report", &month]));
    assert_eq!(report[0]["state"], "open");
    let checkins = report.as_array().unwrap().iter().find(|line| line["feature"] == "checkins").unwrap();
    assert_eq!(
        (&checkins["quantity"], &checkins["billable"], &checkins["amount"]),
        (&json!(160), &json!(60), &json!("5.40"))
    );

    // In the first days of a month the last one is still open: events of it may come in time.
    let early = house
        .db
        .owner()
        .await
        .query_one("select extract(day from now() at time zone 'UTC') < 5", &[])
        .await
        .unwrap();
    let run = house.run(&billing(&["close", &month, "--json"]));
    if early.get(0) {
        assert_eq!(run.code, 1, "{run:?}");
        return;
    }
    // Another test's open transaction holds a close up: they share the cluster.
    let mut run = run;
    for _ in 0..100 {
        if run.code == 0 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        run = house.run(&billing(&["close", &month, "--json"]));
    }
    assert_eq!(run.code, 0, "{run:?}");
    let closed: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(closed[0]["total_minor"], 25_599);

    let export = house.run(&billing(&["export", &month]));
    let hash: String =
        Sha256::digest(export.stdout.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(closed[0]["sha256"], json!(hash));

    let line = checkins["line"].to_string();
    let events = house.json(&billing(&["trace", &month, &line, "--limit", "1000"]));
    assert_eq!(events.as_array().unwrap().len(), 160);
    assert!(events.as_array().unwrap().iter().all(|event| event["type"] == "checkin.success"));

    let verified = house.json(&billing(&["verify", &month]));
    assert_eq!((&verified["miscounts"], &verified["altered"]), (&json!(0), &json!([])));

    let given = house.json(&billing(&["credit", &month, "1250", "two gates were down"]));
    assert_eq!(given["for_period"], json!(month));
    let table = house.run(&billing(&["report", given["period"].as_str().unwrap()]));
    assert!(table.stdout.contains("credit") && table.stdout.contains("-12.50"), "{table:?}");
}

#[tokio::test]
async fn what_cannot_be_done_is_said_in_one_line() {
    let (house, month) = house().await;
    let this_month = "select to_char(now() at time zone 'UTC', 'YYYY-MM')";
    let this_month: String = house.db.owner().await.query_one(this_month, &[]).await.unwrap().get(0);
    for (args, says) in [
        (&["report", "1999-01"][..], "has nothing in 1999-01"),
        (&["close", &this_month], "could not be closed yet"),
        (&["trace", &month, "99"], "has no line 99"),
        (&["credit", &this_month, "5", "x"], "is not closed"),
        (&["assign", "palace", "--from", &this_month], "there is no plan palace"),
    ] {
        let run = house.run(&billing(args));
        assert_eq!((run.code, run.stderr.lines().count()), (1, 1), "{run:?}");
        assert!(run.stderr.contains(says), "{run:?}");
    }
    for args in [
        &["report", "2026-13"][..],
        &["report", "2026"],
        &["credit", &month, "-5", "x"],
        &["trace", &month, "0"],
    ] {
        assert_eq!(house.run(&billing(args)).code, 2, "{args:?}");
    }
}
