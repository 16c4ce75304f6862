//! Thousands who send a byte now and then, beside gates that work.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use seatpilot_guarantees::{Gate, Load, Process, Service, Vitals};
use seatpilot_testkit::{Effort, Evening};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use super::{Tried, address, has_vitals, ms, p95_over, prove};

const HEADS: usize = 2_000;
const BODIES: usize = 500;
const SCANS_PER_SECOND: f64 = 50.0;
const ALONE: Duration = Duration::from_secs(3);
/// A byte every so often.
const TRICKLE: Duration = Duration::from_millis(500);
/// The crowd comes within so long: a storm of connections is another test.
const ARRIVING: Duration = Duration::from_millis(1_500);
const HEADS_CLOSED_WITHIN: Duration = Duration::from_secs(3);
const BODIES_CLOSED_WITHIN: Duration = Duration::from_secs(5);
/// Below this a difference is that of two cores that make the crowd as well as serve it; what a gate may take is 300 ms.
const NOISE: Duration = Duration::from_millis(50);
/// Connections of the gate itself, and of the pools.
const FILES_BESIDE: usize = 16;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn senders_that_trickle_are_cut_and_an_honest_gate_hardly_feels_them() {
    if !has_vitals("G29") {
        return;
    }
    let lasting = match Effort::of_run() {
        Effort::Quick => Duration::from_secs(6),
        Effort::Full => Duration::from_secs(300),
    };
    prove("G29", async || one(lasting).await).await;
}

async fn one(lasting: Duration) -> Tried {
    let guests = (SCANS_PER_SECOND * (ALONE + lasting).as_secs_f64()) as usize + 2;
    let evening = Evening::of(guests).await;
    let checkin = Process::start(Service::Checkin, &evening, &[]).await;
    let (at, vitals) = (address(checkin.url()), Vitals::of(checkin.binary().pid()));
    let gate = Gate::at(&evening, checkin.url(), Duration::from_secs(10));
    let head: Arc<[u8]> = b"POST /api/checkin/success HTTP/1.1\r\nHost: x\r\nX-Slow: ".as_slice().into();
    let body = format!(
        "POST /api/checkin/success HTTP/1.1\r\nHost: x\r\nAuthorization: {}\r\nContent-Type: application/json\r\n\
         Content-Length: 500\r\n\r\n{{",
        gate.authorization()
    );
    let body: Arc<[u8]> = body.into_bytes().into();

    let before = gate.clone();
    let alone = Load::open(SCANS_PER_SECOND, ALONE, move |n| before.scan(n)).await;
    let files_before = vitals.open_files();
    let first = alone.count();
    let until = Instant::now() + lasting;
    let heads = tokio::spawn(crowd(at, head, HEADS, until));
    let bodies = tokio::spawn(crowd(at, body, BODIES, until));
    let beside = Load::open(SCANS_PER_SECOND, lasting, move |n| gate.scan(first + n)).await;
    let files_meanwhile = vitals.open_files();
    let (heads, bodies) = (heads.await.unwrap(), bodies.await.unwrap());
    let over = Instant::now();
    while vitals.open_files() > files_before + FILES_BESIDE && over.elapsed() < Duration::from_secs(8) {
        sleep(Duration::from_millis(50)).await;
    }
    let files_after = vitals.open_files();

    hold!(heads.len() >= HEADS && bodies.len() >= BODIES, "only {} and {} came", heads.len(), bodies.len());
    hold!(files_meanwhile >= files_before + BODIES, "{files_meanwhile} files: nobody stood in the way");
    for (load, when) in [(&alone, "alone"), (&beside, "beside them")] {
        hold!(load.answered(201).count() == load.count(), "{when}: {:?}", load.statuses());
    }
    let (calm, busy) = (p95_over(&alone, NOISE), p95_over(&beside, NOISE));
    hold!(busy <= calm * 2, "p95 {busy:?} beside them, {calm:?} alone");
    let longest = |lives: &[Duration]| lives.iter().max().copied().unwrap_or_default();
    hold!(longest(&heads) <= HEADS_CLOSED_WITHIN, "a head lived for {:?}", longest(&heads));
    hold!(longest(&bodies) <= BODIES_CLOSED_WITHIN, "a body lived for {:?}", longest(&bodies));
    hold!(files_after <= files_before + FILES_BESIDE, "{files_after} files are open, {files_before} before");
    Ok(format!(
        "{} slow heads and {} slow bodies in {} s, closed within {} and {} ms; honest p95 {} ms, alone {} ms; \
         {files_before}, {files_meanwhile}, {files_after} files",
        heads.len(),
        bodies.len(),
        lasting.as_secs(),
        ms(longest(&heads)),
        ms(longest(&bodies)),
        ms(beside.took(0.95)),
        ms(alone.took(0.95)),
    ))
}

/// So many, each coming again when it was cut off. Answers how long each connection lived.
async fn crowd(at: SocketAddr, opening: Arc<[u8]>, size: usize, until: Instant) -> Vec<Duration> {
    let mut tasks = JoinSet::new();
    for n in 0..size {
        let opening = Arc::clone(&opening);
        let pause = ARRIVING * u32::try_from(n).unwrap() / u32::try_from(size).unwrap();
        tasks.spawn(async move {
            sleep(pause).await;
            let mut lives = Vec::new();
            while Instant::now() < until {
                lives.extend(trickle(at, &opening).await);
            }
            lives
        });
    }
    tasks.join_all().await.into_iter().flatten().collect()
}

/// One connection, until it is closed; none where there was no room for it on this machine.
async fn trickle(at: SocketAddr, opening: &[u8]) -> Option<Duration> {
    let mut stream = TcpStream::connect(at).await.ok()?;
    let began = Instant::now();
    stream.write_all(opening).await.ok()?;
    let mut answer = [0; 1_024];
    loop {
        match timeout(TRICKLE, stream.read(&mut answer)).await {
            // Closed, by an end or by a reset.
            Ok(Ok(0) | Err(_)) => return Some(began.elapsed()),
            // A refusal: the end follows.
            Ok(Ok(_)) => {}
            Err(_) => {
                if stream.write_all(b"a").await.is_err() {
                    return Some(began.elapsed());
                }
            }
        }
    }
}
