//! The faults, each injected into a running house, lifted again, and watched from both sides.

use std::time::Duration;

use rustix::process::Signal;
use seatpilot_guarantees::{LiveStack, Pace, Sender, Service, Traffic};
use uuid::Uuid;

use super::drill::{Alert, Drill, Outcome, alert};

/// A walk well over the objective of 60 s, and well below what is an outlier.
const SLOW_WALK: Duration = Duration::from_secs(150);
/// What a slow database adds: over the objective of 0.3 s, under the statement's timeout of 0.75 s.
const SLOWER: Duration = Duration::from_millis(400);
/// A walk that the objective allows.
const WALK: Duration = Duration::from_secs(20);

pub(super) const SLOW_CHECK_INS: &[Alert] = &[
    alert("SeatPilotCheckinP95Fast", "critical", "P1", &[("tenant", "acme"), ("service", "checkin")]),
    alert(
        "SeatPilotCheckinStageP95High",
        "warning",
        "P3",
        &[("tenant", "acme"), ("channel", "kiosk"), ("stage", "persist")],
    ),
];

/// Every statement of check-in takes 0.4 s longer than the database needs.
pub(super) async fn slow_check_ins(house: &LiveStack) -> Outcome {
    let line = &house.service(Service::Checkin).wire;
    line.slow(SLOWER);
    // The same guests go on: those who are let in at once empty the windows, as in any evening.
    let _guests = house.guests.entering(pause(house));
    let fired = Drill::begin(house, "each check-in 0.4 s slower", SLOW_CHECK_INS).fired().await;
    line.mend();
    fired.resolved().await
}

pub(super) const UNEVEN_CHECK_INS: &[Alert] = &[
    alert("SeatPilotCheckinP95High", "warning", "P2", &[("tenant", "acme"), ("channel", "kiosk")]),
    alert("SeatPilotCheckinP95Slow", "warning", "P2", &[("tenant", "acme"), ("service", "checkin")]),
];

/// One check-in in six takes 0.4 s longer: over a tenth, and under the third of the fast burn, which would keep these
/// two back.
pub(super) async fn uneven_check_ins(house: &LiveStack) -> Outcome {
    let line = &house.service(Service::Checkin).wire;
    let _guests = house.guests.entering(pause(house));
    let drill = Drill::begin(house, "one check-in in six 0.4 s slower", UNEVEN_CHECK_INS);
    let uneven = async {
        loop {
            line.slow(SLOWER);
            tokio::time::sleep(Duration::from_millis(800)).await;
            line.mend();
            tokio::time::sleep(Duration::from_millis(4_200)).await;
        }
    };
    let fired = tokio::select! {
        fired = drill.fired() => fired,
        () = uneven => unreachable!("it goes on"),
    };
    line.mend();
    fired.resolved().await
}

pub(super) const SLOW_WALKS: &[Alert] = &[
    alert("SeatPilotDoorToSeatP95", "warning", "P3", &[("tenant", "acme")]),
    alert("SeatPilotDoorToSeatP50", "warning", "P3", &[("tenant", "acme")]),
];

/// Guests need two and a half minutes to their seats.
pub(super) async fn slow_walks(house: &LiveStack) -> Outcome {
    let slow = house.guests.every(pause(house), SLOW_WALK);
    let fired = Drill::begin(house, "guests walk 150 s", SLOW_WALKS).fired().await;
    drop(slow);
    let _quick = house.guests.every(pause(house), WALK);
    fired.resolved().await
}

pub(super) const REJECTED_BURST: &[Alert] = &[
    alert("SeatPilotIngestBudgetBurnFast", "critical", "P1", &[("tenant", "bursty")]),
    alert("SeatPilotDlqGrowing", "warning", "P3", &[("tenant", "bursty")]),
];

/// One batch, the first that a tenant ever sent, half of it of a type that no schema knows: between two scrapes, so
/// that only a counter that was there at 0 before tells of it.
pub(super) async fn rejected_burst(house: &LiveStack) -> Outcome {
    let sender = tenant(house, "bursty").await;
    for series in ["seatpilot_ingest_rejected_total", "seatpilot_dlq_rows"] {
        let known = format!("sum({series}{{tenant=\"bursty\"}})");
        house.prometheus.wait_for(&known, |_| true, Duration::from_secs(90)).await;
    }
    let drill = Drill::begin(house, "half of a tenant's first 500 events rejected", REJECTED_BURST);
    assert_eq!(sender.send(250, 250).await, 202);
    drill.fired().await.resolved().await
}

pub(super) const SOME_REJECTED: &[Alert] = &[
    alert("SeatPilotIngestRejectRateHigh", "warning", "P2", &[("tenant", "acme")]),
    alert("SeatPilotIngestBudgetBurnSlow", "warning", "P3", &[("tenant", "acme")]),
];

/// One in eleven: too few for the fast burn, which would keep these two back.
pub(super) async fn some_rejected(house: &LiveStack) -> Outcome {
    let bad = house.sender.every(Duration::from_millis(100), 20, 2);
    let fired =
        Drill::begin(house, "one in eleven of a sender's events rejected", SOME_REJECTED).fired().await;
    drop(bad);
    let _good = house.sender.every(Duration::from_millis(100), 20, 0);
    fired.resolved().await
}

pub(super) const OLD_LETTERS: &[Alert] = &[alert("SeatPilotDlqOld", "info", "P4", &[("tenant", "olden")])];

/// Dead letters of another tenant came three weeks ago.
pub(super) async fn old_letters(house: &LiveStack) -> Outcome {
    let (sender, owner) = (tenant(house, "olden").await, house.evening.db.owner().await);
    assert_eq!(sender.send(0, 3).await, 202);
    let age = "update telemetry.events_dlq set received_at = received_at - interval '21 days' where tenant_id = 'olden'";
    assert_eq!(owner.execute(age, &[]).await.unwrap(), 3);
    let fired = Drill::begin(house, "dead letters of three weeks", OLD_LETTERS).fired().await;
    owner.execute("delete from telemetry.events_dlq where tenant_id = 'olden'", &[]).await.unwrap();
    fired.resolved().await
}

pub(super) const OLD_KEY: &[Alert] = &[alert("SeatPilotKeyOld", "info", "P4", &[("tenant", "keyold")])];

/// A key was made 100 days ago and never rotated.
pub(super) async fn old_key(house: &LiveStack) -> Outcome {
    let (_, owner) = (tenant(house, "keyold").await, house.evening.db.owner().await);
    let moved = |back: &str| {
        format!(
            "update ops.signing_keys set created_at = created_at {back} interval '100 days' where tenant_id = 'keyold'"
        )
    };
    // Each round of a full run makes one more, and takes them all there and back.
    assert!(owner.execute(&moved("-"), &[]).await.unwrap() > 0);
    let fired = Drill::begin(house, "a key of 100 days", OLD_KEY).fired().await;
    owner.execute(&moved("+"), &[]).await.unwrap();
    fired.resolved().await
}

pub(super) const LAGGING_VIEW: &[Alert] =
    &[alert("SeatPilotMvLagHigh", "warning", "P3", &[("view", "mv_kpi_checkin")])];

/// A refresh hangs since ten minutes: it holds the lock that lets one refresh at a time.
pub(super) async fn lagging_view(house: &LiveStack) -> Outcome {
    let (mut hung, owner) = (house.evening.db.owner().await, house.evening.db.owner().await);
    let hold = hung.transaction().await.unwrap();
    hold.execute(
        "select pg_advisory_xact_lock(hashtext('seatpilot.refresh'), hashtext('mv_kpi_checkin'))",
        &[],
    )
    .await
    .unwrap();
    let since = "update telemetry.mv_metadata set complete_until = complete_until - interval '10 minutes' \
                 where view = 'mv_kpi_checkin'";
    owner.execute(since, &[]).await.unwrap();
    let fired = Drill::begin(house, "a refresh that hangs since 10 min", LAGGING_VIEW).fired().await;
    hold.rollback().await.unwrap();
    fired.resolved().await
}

pub(super) const KILLED_SERVICE: &[Alert] =
    &[alert("SeatPilotServiceDown", "critical", "P1", &[("service", "metrics-api")])];

/// A service is killed.
pub(super) async fn killed_service(house: &LiveStack) -> Outcome {
    let service = house.service(Service::MetricsApi);
    service.kill9();
    let fired = Drill::begin(house, "metrics-api killed", KILLED_SERVICE).fired().await;
    service.start_again().await;
    fired.resolved().await
}

pub(super) const FULL_DISK: &[Alert] =
    &[alert("SeatPilotDiskFilling", "warning", "P2", &[("service", "node")])];

/// A file system is filled to 93 %.
pub(super) async fn full_disk(house: &LiveStack) -> Outcome {
    let Some(node) = &house.node else {
        println!("SKIPPED: nothing may be mounted on this machine: the disk is not filled");
        return Outcome::default();
    };
    node.fill(93);
    let fired = Drill::begin(house, "a disk filled to 93 %", FULL_DISK).fired().await;
    node.empty();
    fired.resolved().await
}

pub(super) const NO_DATABASE: &[Alert] =
    &[alert("SeatPilotHttpErrorRateHigh", "critical", "P1", &[("service", "wayfinding")])];

/// The line between wayfinding and its database is cut.
pub(super) async fn no_database(house: &LiveStack) -> Outcome {
    let line = &house.service(Service::Wayfinding).wire;
    line.cut();
    let _guests = house.guests.every(Duration::from_millis(100), WALK);
    let fired = Drill::begin(house, "wayfinding's line to the database cut", NO_DATABASE).fired().await;
    line.mend();
    fired.resolved().await
}

pub(super) const HELD_POOL: &[Alert] =
    &[alert("SeatPilotDbPoolSaturated", "warning", "P2", &[("service", "wayfinding")])];

/// Somebody holds a lock on the devices, and signs with tokens that are not cached ask for them.
pub(super) async fn held_pool(house: &LiveStack) -> Outcome {
    let mut owner = house.evening.db.owner().await;
    let lock = owner.transaction().await.unwrap();
    lock.batch_execute("lock table ops.devices in access exclusive mode").await.unwrap();
    let strangers = strangers(house.url(Service::Wayfinding), 40);
    let fired = Drill::begin(house, "the devices locked", HELD_POOL).fired().await;
    lock.rollback().await.unwrap();
    drop(strangers);
    fired.resolved().await
}

pub(super) const FULL_QUEUE: &[Alert] = &[alert("SeatPilotWriterQueueFull", "critical", "P1", &[])];

/// More events come than a database that answers slowly commits: of a tenant of its own, for who is shed is refused,
/// and that burns his budget. Slower than this the database would count as away (a ping takes a second at most), and
/// requests would be refused for that.
pub(super) async fn full_queue(house: &LiveStack) -> Outcome {
    let sender = tenant(house, "flooding").await;
    let line = &house.service(Service::TelemetryIngest).wire;
    line.slow(Duration::from_millis(600));
    let flood = flood(&sender, 1_400);
    let fired = Drill::begin(house, "more events than a slow database commits", FULL_QUEUE).fired().await;
    drop(flood);
    line.mend();
    let _good = sender.every(Duration::from_millis(100), 5, 0);
    fired.resolved().await
}

pub(super) const STOPPED_REFRESHER: &[Alert] = &[alert("SeatPilotKpiRefresherSilent", "warning", "P2", &[])];

/// The refresher's process is stopped: it neither works nor answers.
pub(super) async fn stopped_refresher(house: &LiveStack) -> Outcome {
    let service = house.service(Service::KpiRefresher);
    service.signal(Signal::STOP);
    let fired = Drill::begin(house, "kpi-refresher stopped", STOPPED_REFRESHER).fired().await;
    service.signal(Signal::CONT);
    fired.resolved().await
}

/// From one guest to the next: as many as a door sees at the fast pace, fewer where it takes minutes.
fn pause(house: &LiveStack) -> Duration {
    match house.pace {
        Pace::Fast => Duration::from_millis(50),
        Pace::Shipped => Duration::from_millis(400),
    }
}

/// A tenant of its own, with a key, whose series disturb nobody's.
async fn tenant(house: &LiveStack, name: &str) -> Sender {
    let mut admin = house.evening.admin().await;
    let tenant = name.parse().unwrap();
    admin.ensure_tenant(&tenant, name).await.unwrap();
    // A round more has a key more.
    let key_id = format!("{name}_{}", Uuid::now_v7().simple());
    let scopes = [seatpilot_domain_model::KeyScope::Ingest];
    let key = admin.add_key(&tenant, Some(&key_id), &scopes).await.unwrap();
    Sender::new(house.url(Service::TelemetryIngest), &key.key_id, &key.secret, house.evening.venue.as_str())
}

/// So many at once who ask with tokens that nobody knows, again and again.
fn strangers(url: &str, count: usize) -> Vec<Traffic> {
    let client = reqwest::Client::new();
    let url = format!("{url}/api/wayfinding/arrive-table");
    (0..count)
        .map(|_| {
            let (client, url) = (client.clone(), url.clone());
            Traffic::of(async move {
                loop {
                    let token = Uuid::now_v7().simple().to_string();
                    let sent = client.post(&url).bearer_auth(token).body("{}").send().await;
                    if sent.is_err() {
                        tokio::time::sleep(Duration::from_millis(50)).await;
                    }
                }
            })
        })
        .collect()
}

/// So many senders at once, each with its next event as soon as the last was answered; who is shed waits as he is told.
fn flood(sender: &Sender, count: usize) -> Vec<Traffic> {
    (0..count)
        .map(|_| {
            let sender = sender.clone();
            Traffic::of(async move {
                loop {
                    if sender.send(1, 0).await != 202 {
                        tokio::time::sleep(Duration::from_secs(1)).await;
                    }
                }
            })
        })
        .collect()
}
