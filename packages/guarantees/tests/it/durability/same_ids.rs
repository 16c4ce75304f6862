//! G6: the same ids again, at another instance, across midnight, after restarts and days.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use seatpilot_guarantees::{Again, Client};
use seatpilot_runtime::Clock;
use seatpilot_testkit::{FakeClock, Heard, TestDb, own_cluster_with};

use super::{House, by_effort, open_folder};

/// Events of one request.
const BATCH: usize = 100;

/// How long before midnight the ids are first sent: long enough for all of them.
fn before_midnight() -> SignedDuration {
    SignedDuration::from_secs(by_effort(20, 900))
}

/// When they are sent again, after that.
fn later() -> [(&'static str, SignedDuration); 4] {
    let (hour, minute) = (SignedDuration::from_hours(1), SignedDuration::from_mins(1));
    [
        ("just after midnight", before_midnight() + SignedDuration::from_secs(5)),
        ("after 1 h", hour),
        ("after 23 h 59 min", 24 * hour - minute),
        ("after 6 d", 6 * 24 * hour),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_is_stored_once_at_any_instance_across_midnight_restarts_and_days() {
    let folder = open_folder();
    let clock = match FakeClock::in_folder(folder.path()) {
        Ok(clock) => clock,
        Err(reason) => {
            println!("SKIPPED: no libfaketime on this machine: {}", reason.trim());
            return;
        }
    };
    let batches = by_effort(10, 500);
    let cluster = own_cluster_with(folder.path(), |mut options| {
        options.binaries = clock.postgres();
        options.setting("timezone", "UTC")
    })
    .await;
    let house = House::on(TestDb::on(&cluster.url("")).await, 0, 2, &clock.variables()).await;
    let kpi = house.evening.db.client_as("seatpilot_kpi").await;

    let to_midnight = until_midnight(Clock::system().now()) - before_midnight();
    let shift = async |by: SignedDuration| {
        clock.shift(by);
        house.clients.shift(by);
        today(&house).await
    };
    let first_day = shift(to_midnight).await;
    kpi.execute("select from telemetry.retain()", &[]).await.unwrap();
    let mut client = house.clients.client(Again::Ids);
    let requests: Vec<_> = (0..batches).map(|_| client.batch(BATCH, 0)).collect();
    // At once, at both instances: a client takes them in turn.
    for request in &requests {
        send_twice(&mut client, request).await;
    }
    assert_eq!(today(&house).await, first_day, "too slow: it was to be before midnight");
    let mut days = vec![first_day];
    for (when, after) in later() {
        let day = shift(to_midnight + after).await;
        if *days.last().unwrap() != day {
            days.push(day);
        }
        // What a night's keeper does: partitions are made, old ids let go.
        kpi.execute("select from telemetry.retain()", &[]).await.unwrap();
        for instance in &house.ingest {
            instance.kill9();
            instance.start_again().await;
        }
        for request in &requests {
            send_twice(&mut client, request).await;
        }
        // Those of this time are stored where this time's rows are.
        let fresh = client.batch(BATCH, 0);
        send_twice(&mut client, &fresh).await;
        assert_eq!(house.verdict().await.doubled, 0, "{when}");
    }
    assert!(days.len() >= 3, "midnight passed: {days:?}");
    let partitions = "select count(distinct tableoid) from telemetry.events_raw";
    assert!(house.evening.count(partitions).await >= 3, "rows of several days are in several partitions");
    let rest = "select count(*) from telemetry.events_raw_rest";
    assert_eq!(house.evening.count(rest).await, 0, "each day had its partition");
    house.settled().await;
    println!(
        "guarantee: G6 | {} ids, each sent {} times to two instances, across midnight, 4 restarts and 6 days ({}): once each",
        batches * BATCH,
        2 * (1 + later().len()),
        days.join(", ")
    );
}

/// Signed anew each time, to one instance and to the other.
async fn send_twice(client: &mut Client, request: &seatpilot_guarantees::Request) {
    for _ in 0..2 {
        let request = client.signed_anew(request);
        for _ in 0..100 {
            if client.send(&request).await == Heard::Stored {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

async fn today(house: &House) -> String {
    let row = house.evening.db.owner().await.query_one("select current_date::text", &[]).await.unwrap();
    row.get(0)
}

fn until_midnight(now: Timestamp) -> SignedDuration {
    let now = now.to_zoned(TimeZone::UTC);
    let midnight = now.tomorrow().unwrap().start_of_day().unwrap();
    now.duration_until(&midnight)
}
