//! G10: a dead letter becomes one event, however often and wherever its operators are killed, and two at a time.

use std::{collections::BTreeSet, path::Path, time::Duration};

use rand::{RngExt, SeedableRng, rngs::StdRng};
use seatpilot_runtime::Clock;
use seatpilot_testkit::{Binary, Effort, Evening, Wire};
use serde_json::json;
use uuid::Uuid;

/// What each message to the database takes longer: so a kill falls between two of them as often as within one.
const DELAY: Duration = Duration::from_millis(15);
/// Letters that come with each round: more than two operators send again before they die.
const LETTERS_PER_ROUND: usize = 30;
/// Rounds after which chance has no excuse any more for having killed nobody at work.
const ROUNDS_MAX: usize = 40;

/// Puts letters of a plan that was too small into the queue; the ids of their events.
async fn lay(evening: &Evening, count: usize) -> Vec<Uuid> {
    let now = Clock::system().now();
    let events: Vec<Uuid> = (0..count).map(|_| Uuid::now_v7()).collect();
    let payloads: Vec<Vec<u8>> = events
        .iter()
        .map(|id| {
            let event = json!({
                "id": id, "type": "device.heartbeat", "occurred_at": now, "venue_id": "hall", "data": {},
            });
            event.to_string().into_bytes()
        })
        .collect();
    let sql = "insert into telemetry.events_dlq (tenant_id, reason, reason_detail, received_at, source_key_id, request_id,
            payload, payload_len, payload_sha256, truncated, event_id)
        select 'acme', 'quota_exceeded', 'a test', now(), 'acme_gate_01', 'req-1', p, length(p), sha256(p), false, id
        from unnest($1::uuid[], $2::bytea[]) as l (id, p)";
    evening.db.owner().await.execute(sql, &[&events, &payloads]).await.unwrap();
    events
}

fn operator(url: &str) -> Binary {
    let args = ["dlq", "redrive", "--all", "--tenant", "acme", "--json"];
    Binary::spawn_with(Path::new(env!("CARGO_BIN_EXE_seatpilot")), &args, &[("DATABASE_URL", url)])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_becomes_one_event_whoever_is_killed_while_sending_it_again() {
    let kills_wanted = match Effort::of_run() {
        Effort::Quick => 20,
        Effort::Full => 200,
    };
    let evening = Evening::of(0).await;
    let url = evening.db.owner_url();
    let host = url.rsplit_once('@').unwrap().1.split_once('/').unwrap().0.to_owned();
    let wire = Wire::to(host.parse().unwrap()).await;
    wire.slow(DELAY);
    let slow = url.replace(&host, &wire.address().to_string());
    let seed: u64 = rand::random();
    let mut dice = StdRng::seed_from_u64(seed);
    println!("seed {seed}");

    let mut sent = Vec::new();
    let (mut kills, mut left_behind) = (0, 0);
    for round in 0.. {
        if kills >= kills_wanted && (left_behind > 0 || round >= ROUNDS_MAX) {
            break;
        }
        sent.extend(lay(&evening, LETTERS_PER_ROUND).await);
        let mut operators = [operator(&slow), operator(&slow)];
        // The first may still be connecting, the other be anywhere.
        for operator in &mut operators {
            tokio::time::sleep(Duration::from_millis(dice.random_range(100..700))).await;
            if operator.wait(Duration::ZERO).await.is_none() {
                operator.kill9();
                kills += 1;
            }
        }
        // What the killed ones had claimed is theirs for a minute; here it passes at once.
        tokio::time::sleep(Duration::from_millis(50)).await;
        let over = "update telemetry.events_dlq set lease_until = now() - interval '1 second' where state = 'redriving'";
        left_behind += evening.db.owner().await.execute(over, &[]).await.unwrap();
    }

    // Whoever comes after them, two at once, finds everything that is left.
    let mut last = [operator(&url), operator(&url)];
    for operator in &mut last {
        let ended = operator.wait(Duration::from_secs(120)).await;
        assert!(ended.is_some_and(|status| status.success()), "{ended:?}: {}", operator.output());
    }
    let owner = evening.db.owner().await;
    let ids = async |sql: &str| -> BTreeSet<Uuid> {
        owner.query(sql, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
    };
    let all: BTreeSet<Uuid> = sent.iter().copied().collect();
    let stored = ids("select id from telemetry.events_raw").await;
    let lost: Vec<_> = all.difference(&stored).collect();
    assert_eq!(lost, Vec::<&Uuid>::new(), "letters were marked and their events are not there (seed {seed})");
    assert_eq!(stored, all);
    let doubled = ids("select id from telemetry.events_raw group by id having count(*) <> 1").await;
    assert_eq!(doubled, BTreeSet::new(), "stored more than once (seed {seed})");
    let waiting = ids(
        "select dlq_id from telemetry.events_dlq where state <> 'redriven' or redriven_event_id <> event_id",
    )
    .await;
    assert_eq!(waiting, BTreeSet::new(), "seed {seed}");
    let unwritten = ids(
        "select d.dlq_id from telemetry.events_dlq d
         left join audit.log l on l.target_id = d.dlq_id::text and l.action = 'dlq.redrive' and l.result = 'ok'
         group by d.dlq_id having count(l.seq) <> 1",
    )
    .await;
    assert_eq!(unwritten, BTreeSet::new(), "each has one row in the audit log (seed {seed})");
    let verdict = evening.admin().await.verify_audit(&evening.tenant, None).await.unwrap();
    assert!(verdict.faults.is_empty(), "{verdict:?}");
    assert!(left_behind > 0, "nobody was killed between claiming and settling: this proved nothing");
    println!(
        "guarantee: G10 | {kills} operators killed, two at a time, over {} letters, {left_behind} of them claimed by one \
         that was killed",
        all.len()
    );
}
