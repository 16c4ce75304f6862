//! G4: the disk under the tables full, and the disk under the log.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use seatpilot_guarantees::{Again, Client};
use seatpilot_testkit::{Cluster, TestDb, Volume, own_cluster_with};
use tempfile::TempDir;

use super::{House, by_effort, open_folder};

const MIB: u64 = 1 << 20;
/// A refusal is promised within a second. This is the middle of many, on a machine that does other things too.
const REFUSED_WITHIN: Duration = Duration::from_secs(1);
/// Served again after the space came back and the server runs.
const SERVED_WITHIN: Duration = Duration::from_secs(10);
/// Until a small disk is full of a crowd's events.
const FULL_WITHIN: Duration = Duration::from_secs(60);

/// A server with one of its folders on a small disk, and a house on it. Dropped in this order.
struct Cramped {
    house: House,
    cluster: Cluster,
    volume: Volume,
    _folder: TempDir,
}

impl Cramped {
    /// With so much room to spare in `part` of the data folder; none where nothing may be mounted, which is said.
    async fn start(part: &str, spare: u64) -> Option<Self> {
        let folder = open_folder();
        let volume = match Volume::mount(&folder.path().join("volume"), 1_024 * MIB) {
            Ok(volume) => volume,
            Err(reason) => {
                println!("SKIPPED: no small disk can be mounted: {reason}");
                return None;
            }
        };
        let mut cluster = own_cluster_with(folder.path(), |options| {
            // Nothing is written that the test does not make: no checkpoint by time, no log kept for later.
            options
                .setting("checkpoint_timeout", "1h")
                .setting("min_wal_size", "32MB")
                .setting("max_wal_size", "2GB")
                .setting("wal_recycle", "off")
                .setting("wal_init_zero", "on")
        })
        .await;
        let db = TestDb::on(&cluster.url("")).await;
        cluster.stop().await;
        let (from, to) = (cluster.data_dir().join(part), volume.path().join(part));
        run("cp", &[Path::new("-a"), &from, &to]);
        run("rm", &[Path::new("-rf"), &from]);
        std::os::unix::fs::symlink(&to, &from).unwrap();
        cluster.start_again().await.unwrap();
        let house = House::on(db, by_effort(4_000, 40_000), 1, &[]).await;
        volume.resize(volume.used_bytes() + spare);
        Some(Self { house, cluster, volume, _folder: folder })
    }

    fn pids(&self) -> [u32; 2] {
        [&self.house.ingest[0], &self.house.checkin].map(|process| process.binary().pid())
    }
}

fn run(program: &str, args: &[&Path]) {
    assert!(Command::new(program).args(args).status().unwrap().success(), "{program} {args:?}");
}

/// One fresh batch to a house that cannot store: the status, whether it says when to come again, and how long it took.
/// What it was about is settled later.
struct Probe {
    status: u16,
    says_when: bool,
    took: Duration,
}

async fn probe(house: &House, client: &mut Client) -> Probe {
    let request = client.batch(20, 0);
    let since = Instant::now();
    let (status, headers) = client.send_for_head(&request).await;
    let probe = Probe { status, says_when: headers.contains_key("retry-after"), took: since.elapsed() };
    house.later(request).await;
    probe
}

/// Asks until it is refused; then so often more. Every refusal is 503, says when to come again, and comes soon.
async fn is_refused(house: &House, client: &mut Client) -> (usize, Duration) {
    let since = Instant::now();
    while probe(house, client).await.status == 202 {
        assert!(since.elapsed() < FULL_WITHIN, "the disk does not get full");
    }
    let mut took = Vec::new();
    for _ in 0..25 {
        let probe = probe(house, client).await;
        // A full disk may still have room in a page that is there.
        if probe.status == 202 {
            continue;
        }
        assert!(probe.status == 503 && probe.says_when, "{} retry-after: {}", probe.status, probe.says_when);
        took.push(probe.took);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    took.sort();
    assert!(took.len() >= 10, "only {} of 25 were refused", took.len());
    let middle = took[took.len() / 2];
    assert!(middle <= REFUSED_WITHIN, "refused after {took:?}");
    (took.len(), middle)
}

/// How long until a batch is stored.
async fn is_served(house: &House, client: &mut Client, since: Instant) -> Duration {
    while probe(house, client).await.status != 202 {
        assert!(since.elapsed() <= SERVED_WITHIN, "not served {:?} after there is space", since.elapsed());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    since.elapsed()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_under_the_tables_loses_nothing_and_is_over_when_there_is_space() {
    let Some(cramped) = Cramped::start("base", 6 * MIB).await else { return };
    let Cramped { house, volume, .. } = &cramped;
    let rounds = by_effort(1, 10);
    let pids = cramped.pids();
    let crowd = house.clients.crowd(6, 50, 2);
    let mut client = house.clients.client(Again::Ids);
    let (mut refused, mut slowest, mut latest) = (0, Duration::ZERO, Duration::ZERO);
    for _ in 0..rounds {
        let (count, middle) = is_refused(house, &mut client).await;
        (refused, slowest) = (refused + count, slowest.max(middle));
        assert!(house.checkin_is_ready().await, "a full disk takes nobody out of the balancer");
        volume.resize(volume.used_bytes() + 8 * MIB);
        latest = latest.max(is_served(house, &mut client, Instant::now()).await);
    }
    volume.resize(1_024 * MIB);
    crowd.finish().await;
    house.settle_later(&mut client).await;
    let verdict = house.settled().await;
    assert_eq!(cramped.pids(), pids, "the services are those that were started");
    println!(
        "guarantee: G4 | {rounds} x the disk of the tables full: {refused} refusals (503 with Retry-After, middle {} ms), \
         served {} ms after there was space, {} items: 0 lost or doubled",
        slowest.as_millis(),
        latest.as_millis(),
        verdict.items
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_under_the_log_ends_the_server_and_loses_nothing() {
    let Some(mut cramped) = Cramped::start("pg_wal", 24 * MIB).await else { return };
    let rounds = by_effort(1, 10);
    let pids = cramped.pids();
    let crowd = cramped.house.clients.crowd(6, 50, 2);
    let mut client = cramped.house.clients.client(Again::Ids);
    let (mut refused, mut slowest, mut latest) = (0, Duration::ZERO, Duration::ZERO);
    for _ in 0..rounds {
        fill_the_log(&cramped.house).await;
        let ended = tokio::time::timeout(FULL_WITHIN, cramped.cluster.ended()).await;
        assert!(ended.is_ok(), "the server goes on without a log");
        let (count, middle) = is_refused(&cramped.house, &mut client).await;
        (refused, slowest) = (refused + count, slowest.max(middle));
        cramped.volume.resize(cramped.volume.used_bytes() + 96 * MIB);
        cramped.cluster.start_again().await.unwrap();
        latest = latest.max(is_served(&cramped.house, &mut client, Instant::now()).await);
        // What was written for nothing is let go, and the disk is small again.
        let owner = cramped.house.evening.db.owner().await;
        owner.batch_execute("checkpoint").await.unwrap();
        cramped.volume.resize(cramped.volume.used_bytes() + 24 * MIB);
    }
    cramped.volume.resize(1_024 * MIB);
    crowd.finish().await;
    cramped.house.settle_later(&mut client).await;
    let verdict = cramped.house.settled().await;
    assert_eq!(cramped.pids(), pids, "the services are those that were started");
    println!(
        "guarantee: G4 | {rounds} x the disk of the log full, the server panics: {refused} refusals (503 with Retry-After, \
         middle {} ms), served {} ms after the server ran again, {} items: 0 lost or doubled",
        slowest.as_millis(),
        latest.as_millis(),
        verdict.items
    );
}

/// Writes into the log until nobody can, beside what the crowd writes.
async fn fill_the_log(house: &House) {
    let owner = house.evening.db.owner().await;
    let message = "select pg_logical_emit_message(false, 'fill', repeat(md5(random()::text), 8192))";
    let since = Instant::now();
    while owner.batch_execute(message).await.is_ok() {
        assert!(since.elapsed() < FULL_WITHIN, "the log's disk does not get full");
    }
}
