//! Clients that vanish in the middle of a request: it is stored whole or not at all, and the service stays well.

use std::time::Duration;

use seatpilot_guarantees::{Again, Process, Request};
use seatpilot_testkit::{Dice, Doubts, Heard, TestDb};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{House, by_effort};

/// When the client is gone.
#[derive(Debug, Clone, Copy)]
enum Gone {
    /// Somewhere in the head or the body.
    InTheMiddle,
    /// After the last byte, at once.
    BeforeTheAnswer,
    /// A few milliseconds later.
    SoonAfter,
    /// With the first byte of the answer.
    InTheAnswer,
}

const GONE: [Gone; 4] = [Gone::InTheMiddle, Gone::BeforeTheAnswer, Gone::SoonAfter, Gone::InTheAnswer];

fn bytes_of(request: &Request) -> Vec<u8> {
    let (path, headers) = request.head();
    let mut head =
        format!("POST {path} HTTP/1.1\r\nhost: seatpilot\r\ncontent-length: {}\r\n", request.body().len());
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    [head.as_bytes(), b"\r\n", request.body()].concat()
}

async fn vanish(process: &Process, request: &Request, gone: Gone, dice: &mut Dice) {
    let mut stream = TcpStream::connect(process.url().trim_start_matches("http://")).await.unwrap();
    let bytes = bytes_of(request);
    let sent = match gone {
        Gone::InTheMiddle => 1 + dice.below(bytes.len() - 1),
        Gone::BeforeTheAnswer | Gone::SoonAfter | Gone::InTheAnswer => bytes.len(),
    };
    // Who vanishes by a crash sends a reset, who hangs up does not.
    if dice.below(2) == 0 {
        stream.set_zero_linger().unwrap();
    }
    stream.write_all(&bytes[..sent]).await.unwrap();
    match gone {
        Gone::InTheMiddle | Gone::BeforeTheAnswer => {}
        Gone::SoonAfter => tokio::time::sleep(dice.pause(Duration::from_millis(8))).await,
        Gone::InTheAnswer => {
            let _ = stream.read_u8().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_vanishes_leaves_its_request_stored_whole_or_not_at_all() {
    // More than there is room for at once: a place that is not given back is missed in the end.
    let turns = by_effort(270, 2_000);
    let house = House::on(TestDb::new().await, 2 * turns, 1, &[]).await;
    let mut dice = Dice::new(3);
    // Bytes are sent again as they are, so that a bad item is one dead letter however often it is sent.
    let mut client = house.clients.client(Again::Bytes);
    let mut vanished = Vec::new();
    for turn in 0..turns {
        for gone in GONE {
            let request = client.batch(12, 2);
            client.notes(&request);
            vanish(&house.ingest[0], &request, gone, &mut dice).await;
            vanished.push(request);
        }
        let request = client.scan().unwrap();
        client.notes(&request);
        vanish(&house.checkin, &request, GONE[turn % GONE.len()], &mut dice).await;
        vanished.push(request);
    }
    house.quiet().await;
    let verdict = house.verdict().await;
    assert_eq!(verdict.faults(Doubts::Allowed), None);
    assert_eq!(verdict.in_doubt, vanished.len());
    // Both were met: requests that were stored although nobody was there any more, and ones that were not.
    let stored = "select count(distinct id) / 12 from telemetry.events_raw where source <> 'service'";
    let stored = usize::try_from(house.evening.count(stored).await).unwrap();
    let batches = turns * GONE.len();
    assert!(stored > batches / 10 && stored < batches, "{stored} of {batches} batches were stored");
    for process in [&house.ingest[0], &house.checkin] {
        let ready = reqwest::get(format!("{}/ready", process.url())).await.unwrap();
        assert_eq!(ready.status(), 200);
    }
    for request in [client.batch(1, 0), client.scan().unwrap()] {
        assert_eq!(client.send(&request).await, Heard::Stored, "whoever comes next is served");
    }
    for request in vanished {
        client.push(request).await;
    }
    let verdict = house.settled().await;
    println!(
        "guarantee: vanish | {} requests whose client was gone, in the head, in the body, before and in the answer: {stored} of \
         {batches} batches stored whole, the others not at all, each once when sent again",
        verdict.requests
    );
}
