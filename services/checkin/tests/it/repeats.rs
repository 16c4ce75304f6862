//! The same scan again, whatever became of it the first time (G13).

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use futures_util::{StreamExt as _, stream};
use seatpilot_testkit::{Effort, Evening};
use serde_json::{Value, json};
use tokio::{io::AsyncWriteExt as _, net::TcpStream};

use crate::{door::Reply, instances::Instances};

/// Answers that are waited for, each of a retry.
const RETRIES: usize = 3;
/// Scans under way at once.
const AT_ONCE: usize = 8;
/// How long a client goes on asking.
const PATIENCE: Duration = Duration::from_secs(30);

/// Sends a whole request and goes away without an answer.
async fn send_and_leave(house: &Instances, instance: usize, token: &str, scan: &Value) {
    let address = house.url(instance).trim_start_matches("http://");
    let body = scan.to_string();
    let request = format!(
        "POST /api/checkin/success HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {token}\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    );
    // An instance that is dead just now takes nothing: that is a first time too.
    if let Ok(mut socket) = TcpStream::connect(address).await {
        let _ = socket.write_all(request.as_bytes()).await;
    }
}

/// Asks until somebody answers 201, each time the other instance and the other device.
async fn retried(house: &Instances, devices: &[String], turn: usize, scan: &Value) -> Reply {
    let began = Instant::now();
    for turn in turn.. {
        match house.post(turn, &devices[turn % devices.len()], scan).await {
            Ok(reply) if reply.status == 201 => return reply,
            // A drained or killed instance: nothing is known, the same is sent again.
            Ok(reply) if reply.status == 503 => {}
            Ok(reply) => panic!("{reply:?}"),
            Err(_) => {}
        }
        assert!(began.elapsed() < PATIENCE, "{scan}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    unreachable!("turns do not end")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_scan_that_was_cut_killed_or_lost_is_answered_with_the_first_bytes_for_ever() {
    let scans = match Effort::of_run() {
        Effort::Quick => 170,
        Effort::Full => 3_400,
    };
    let house = Arc::new(Instances::on(Evening::of(scans + 1).await).await);
    let devices = Arc::new(house.devices(3).await);
    let (over, kills) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let killer = tokio::spawn({
        let (house, over, kills) = (Arc::clone(&house), Arc::clone(&over), Arc::clone(&kills));
        async move {
            while !over.load(Ordering::Relaxed) {
                tokio::time::sleep(Duration::from_millis(60)).await;
                let turn = kills.fetch_add(1, Ordering::Relaxed);
                house.kill_and_restart(turn % 2).await;
            }
        }
    });
    let unflagged = Arc::new(AtomicUsize::new(0));
    let sent: Vec<Value> = stream::iter(0..scans)
        .map(|n| {
            let (house, devices, unflagged) =
                (Arc::clone(&house), Arc::clone(&devices), Arc::clone(&unflagged));
            async move {
                let scan = house.scan(n);
                // Every other scan is cut off after it was sent; a third is answered and cut too.
                if n % 2 == 0 {
                    send_and_leave(&house, n / 2, &devices[0], &scan).await;
                }
                let mut replies = Vec::with_capacity(RETRIES);
                for turn in 0..RETRIES {
                    replies.push(retried(&house, &devices, n + turn, &scan).await);
                }
                let bodies: HashSet<&str> = replies.iter().map(|reply| reply.text.as_str()).collect();
                assert_eq!(bodies.len(), 1, "{bodies:?}");
                // Only the first answer of all is none of a repeat, and it may be one that nobody heard.
                assert!(replies.iter().skip(1).all(|reply| reply.replayed), "{replies:?}");
                unflagged.fetch_add(usize::from(!replies[0].replayed), Ordering::Relaxed);
                scan
            }
        })
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    over.store(true, Ordering::Relaxed);
    killer.await.unwrap();
    let kills = kills.load(Ordering::Relaxed);
    assert!(kills > 1, "nobody was killed");
    for (what, sql) in [
        ("sessions", "select count(*) from ops.checkin_sessions"),
        ("scans", "select count(distinct scan_id) from ops.checkin_sessions"),
        ("events", "select count(*) from telemetry.events_raw where type = 'checkin.success'"),
    ] {
        assert_eq!(house.evening.count(sql).await, scans as i64, "{what}");
    }
    // Another body under the same id is no repeat, at neither instance and from no device.
    for (n, scan) in sent.iter().enumerate() {
        let mut other = scan.clone();
        match n % 3 {
            0 => other["ticket"] = json!(Evening::ticket(scans)),
            1 => other["party_size"] = json!(1),
            _ => other["channel"] = json!("desk"),
        }
        let reply = house.post(n, &devices[n % 3], &other).await.unwrap();
        assert_eq!(reply.problem(), (422, "scan_id_reused".into()), "{other}");
    }
    println!(
        "guarantee: G13 | {scans} scans, {} repeats over 2 instances and 3 devices, {} cut after they were sent, \
         {kills} kills: the first bytes each time; {} first answers were lost; {scans} other bodies refused",
        scans * RETRIES,
        scans / 2,
        scans - unflagged.load(Ordering::Relaxed)
    );
}
