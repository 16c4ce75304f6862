//! G2: the database killed, one of its processes killed, and stopped without a checkpoint.

use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use seatpilot_guarantees::Again;
use seatpilot_testkit::{Cluster, Dice, Doubts, Durability, TestDb, own_cluster_with};

use super::{House, by_effort, open_folder};

/// How the server ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// SIGKILL to the postmaster and all its processes.
    Killed,
    /// SIGKILL to one backend that writes: the server drops everybody and recovers.
    OneBackend,
    /// Immediate stop.
    Stopped,
}

const ENDS: [End; 3] = [End::Killed, End::OneBackend, End::Stopped];

/// A durable server of the test's own. Its log is written out when somebody commits, and nearly never besides: what a
/// commit did not wait for is lost for sure.
async fn durable(folder: &std::path::Path) -> Cluster {
    own_cluster_with(folder, |mut options| {
        options.durability = Durability::Full;
        options.setting("wal_writer_delay", "10s").setting("max_wal_size", "1GB")
    })
    .await
}

async fn end(cluster: &mut Cluster, house: &House, end: End) {
    match end {
        End::Killed => cluster.kill9().await,
        End::Stopped => cluster.stop_immediate().await,
        End::OneBackend => {
            let writers = "select pid from pg_stat_activity where usename = 'seatpilot_ingest'
                and backend_type = 'client backend' order by state <> 'active', random() limit 1";
            let owner = house.evening.db.owner().await;
            let pid = owner.query_one(writers, &[]).await.unwrap().get(0);
            let _ = kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL);
            // The server itself goes on: it drops everybody, us too, and recovers.
            while owner.query_one("select pg_sleep(1)", &[]).await.is_ok() {}
        }
    }
    cluster.start_again().await.unwrap();
    for _ in 0..1_000 {
        if is_served(house).await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the server or telemetry-ingest does not come back after {end:?}");
}

/// Whether the server answers, and telemetry-ingest is on it again: the next end is to meet requests.
async fn is_served(house: &House) -> bool {
    let Ok(owner) = seatpilot_testkit::connect(&house.evening.db.owner_url()).await else { return false };
    let served = "select exists (select from pg_stat_activity
        where usename = 'seatpilot_ingest' and backend_type = 'client backend')";
    owner.query_one(served, &[]).await.is_ok_and(|row| row.get(0))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_survives_every_sudden_end_of_the_server() {
    let folder = open_folder();
    let mut cluster = durable(folder.path()).await;
    let rounds = by_effort(3, 70);
    let house = House::on(TestDb::on(&cluster.url("")).await, by_effort(3_000, 40_000), 1, &[]).await;
    each_commit_is_synced(&house).await;
    let pid = house.ingest[0].binary().pid();
    let mut dice = Dice::new(2);
    let crowd = house.clients.crowd(8, 20, 3);
    for round in 0..rounds {
        for kind in ENDS {
            tokio::time::sleep(Duration::from_millis(200) + dice.pause(Duration::from_millis(300))).await;
            end(&mut cluster, &house, kind).await;
            if !house.looks_after(round) {
                continue;
            }
            let verdict = house.verdict().await;
            // The crowd may be writing again: what its logs do not tell yet is no fault.
            assert_eq!((verdict.lost, verdict.doubled), (0, 0), "round {round}, {kind:?}: {verdict:?}");
        }
    }
    crowd.finish().await;
    let verdict = house.settled().await;
    assert!(verdict.resent >= rounds, "no end met a request: {verdict:?}");
    assert_eq!(house.ingest[0].binary().pid(), pid, "the service is the one that was started");
    println!(
        "guarantee: G2 | {rounds} x 3 ends of the server (all killed, one backend killed, immediate stop), {} requests with \
         {} items, {} sent again: 0 lost, doubled or halved; its log synced for each commit",
        verdict.requests, verdict.items, verdict.resent
    );
}

/// A kill does not test what a power cut does: the system keeps what was written. So the settings are looked at, and that
/// each of some commits in a row waited for its sync.
async fn each_commit_is_synced(house: &House) {
    let owner = house.evening.db.owner().await;
    for setting in ["fsync", "full_page_writes", "synchronous_commit"] {
        let row = owner.query_one(&format!("show {setting}"), &[]).await.unwrap();
        assert_eq!(row.get::<_, &str>(0), "on", "{setting}");
    }
    let syncs = "select wal_sync from pg_stat_wal";
    let before: i64 = owner.query_one(syncs, &[]).await.unwrap().get(0);
    let mut client = house.clients.client(Again::Bytes);
    let mut commits = 0;
    // A backend tells what it did when it is idle again, and at most once a second.
    while commits < 100 {
        for _ in 0..20 {
            let request = client.batch(1, 0);
            client.push(request).await;
            commits += 1;
        }
        tokio::time::sleep(Duration::from_millis(1_100)).await;
        let now: i64 = owner.query_one(syncs, &[]).await.unwrap().get(0);
        if now - before >= 20 {
            return;
        }
    }
    panic!("{commits} commits, and not 20 syncs");
}

/// The control: with `synchronous_commit = off` the same kill loses what was acknowledged, and the verdict sees it.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_acknowledges_before_its_log_is_written_is_found_out() {
    let folder = open_folder();
    let mut cluster = durable(folder.path()).await;
    let house = House::on(TestDb::on(&cluster.url("")).await, 0, 1, &[]).await;
    let owner = house.evening.db.owner().await;
    owner.batch_execute("alter role seatpilot_ingest set synchronous_commit = off").await.unwrap();
    drop(owner);
    house.ingest[0].kill9();
    house.ingest[0].start_again().await;
    let mut client = house.clients.client(Again::Bytes);
    for _ in 0..200 {
        let request = client.batch(1, 0);
        client.push(request).await;
    }
    end(&mut cluster, &house, End::Killed).await;
    let verdict = house.verdict().await;
    assert!(verdict.lost > 0, "the verdict does not see what is lost: {verdict:?}");
    assert!(verdict.faults(Doubts::Settled).is_some());
    println!(
        "guarantee: G2 | control: synchronous_commit = off lost {} of 200, and was found out",
        verdict.lost
    );
}
