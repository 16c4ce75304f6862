//! The end: readiness first, then what is under way, then nothing.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use seatpilot_http::Server;
use tokio::{io::AsyncWriteExt as _, net::TcpStream, time::timeout};

use crate::server::{options, problem, read_all, start, start_with};

const SOON: Duration = Duration::from_secs(10);

#[tokio::test]
async fn a_draining_server_says_503_at_once_and_finishes_what_is_under_way() {
    let server = start_with(options(400));
    server.readiness.reached("013");
    let mut idle = TcpStream::connect(server.address).await.unwrap();
    idle.write_all(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    assert!(read_all(&mut idle, Duration::from_millis(300)).await.starts_with("HTTP/1.1 200 "));

    let slow = tokio::spawn(reqwest::get(format!("{}/slow", server.url)));
    tokio::time::sleep(Duration::from_millis(100)).await;
    let began = Instant::now();
    server.shutdown.begin();
    tokio::time::sleep(Duration::from_millis(50)).await;

    let answer = problem(server.get("/ready").await).await;
    assert_eq!((&answer["status"], &answer["state"]), (&503.into(), &"draining".into()));
    let still = server.get("/items/7").await;
    assert_eq!(still.status(), 200, "requests are served while balancers notice");
    assert_eq!(still.headers()["connection"], "close");

    let finished = slow.await.unwrap().unwrap();
    assert_eq!(finished.status(), 200);
    timeout(SOON, server.served).await.unwrap().unwrap().unwrap();
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    assert!(TcpStream::connect(server.address).await.is_err(), "nobody listens any more");
    let rest = read_all(&mut idle, Duration::from_secs(1)).await;
    assert_eq!(rest, "", "the idle connection is closed");
}

#[tokio::test]
async fn a_request_that_never_ends_does_not_hold_the_end_up() {
    let server = start_with(options(0));
    let mut half = TcpStream::connect(server.address).await.unwrap();
    half.write_all(b"POST /scan HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{").await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    server.shutdown.begin();
    timeout(SOON, server.served).await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn a_port_in_use_is_one_sentence() {
    let server = start();
    let mut second = options(0);
    second.config.port = server.address.port();
    let error = Server::bind(second, |_| {}).unwrap_err();
    let address = SocketAddr::from(([127, 0, 0, 1], server.address.port()));
    assert_eq!(
        error.to_string(),
        format!(
            "checkin cannot listen on {address}: the port is in use; stop what listens there, or set PORT to another"
        )
    );
}
