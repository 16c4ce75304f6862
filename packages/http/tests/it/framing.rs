//! Requests whose framing is ambiguous: one answer, then a closed connection, and never a second request
//! made of what was a body.

use std::time::Duration;

use crate::server::start;

const PATIENCE: Duration = Duration::from_millis(1_500);
/// A request that must never be seen: its answer would be a 200 with `"id":666`.
const SMUGGLED: &str = "GET /items/666 HTTP/1.1\r\nHost: x\r\n\r\n";

#[tokio::test]
async fn ambiguous_framing_is_refused_and_smuggles_nothing() {
    let server = start();
    let cl = format!("Content-Length: {}\r\n", SMUGGLED.len());
    for headers in [
        format!("{cl}Transfer-Encoding: chunked\r\n"),
        format!("Transfer-Encoding: chunked\r\n{cl}"),
        format!("{cl}Content-Length: 0\r\n"),
        format!("{cl}{cl}"),
        "Content-Length: +5\r\n".to_owned(),
        "Content-Length: 0x5\r\n".to_owned(),
        "Content-Length: -1\r\n".to_owned(),
        "Content-Length: 5, 5\r\n".to_owned(),
        "Content-Length : 5\r\n".to_owned(),
        "Transfer-Encoding: chunked, identity\r\n".to_owned(),
        "Transfer-Encoding: gzip, chunked\r\n".to_owned(),
        "Transfer-Encoding: xchunked\r\n".to_owned(),
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n".to_owned(),
        "Transfer-Encoding : chunked\r\n".to_owned(),
        "X-Folded: a\r\n b\r\n".to_owned(),
        "Host: y\r\n".to_owned(),
        "X-Nul: a\0b\r\n".to_owned(),
    ] {
        let request = format!("POST /scan HTTP/1.1\r\nHost: x\r\n{headers}\r\n0\r\n\r\n{SMUGGLED}");
        let answer = server.raw(request.as_bytes(), PATIENCE).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{headers:?}: {answer}");
        assert!(
            answer.contains("application/problem+json") && answer.contains("\"bad_request\""),
            "{answer}"
        );
        assert!(!answer.contains("666"), "{headers:?}: {answer}");
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{headers:?}: {answer}");
    }
}

#[tokio::test]
async fn broken_chunks_and_missing_hosts_smuggle_nothing() {
    let server = start();
    for request in [
        format!("POST /scan HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{SMUGGLED}"),
        format!("POST /scan HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n{SMUGGLED}"),
        format!(
            "POST /scan HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n{SMUGGLED}"
        ),
        format!("GET /items/1 HTTP/1.1\r\n\r\n{SMUGGLED}"),
        format!("GET /items/1 HTTP/9.9\r\nHost: x\r\n\r\n{SMUGGLED}"),
        format!("GET  /items/1 HTTP/1.1\r\nHost: x\r\n\r\n{SMUGGLED}"),
        format!("POST /scan HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{SMUGGLED}"),
    ] {
        let answer = server.raw(request.as_bytes(), PATIENCE).await;
        assert!(
            answer.starts_with("HTTP/1.1 400 ") || answer.starts_with("HTTP/1.0 400 "),
            "{request:?}: {answer}"
        );
        assert!(!answer.contains("666"), "{request:?}: {answer}");
    }
}

#[tokio::test]
async fn the_body_of_a_refused_request_is_not_read_as_the_next_request() {
    let server = start();
    for (path, status) in [("/nothing", "404"), ("/items/1", "405"), ("/scan", "422")] {
        let body = if path == "/scan" { "{}".to_owned() } else { SMUGGLED.to_owned() };
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{body}GET /items/7 HTTP/1.1\r\nHost: x\r\n\r\n",
            body.len()
        );
        let answer = server.raw(request.as_bytes(), PATIENCE).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{path}: {answer}");
        assert!(!answer.contains("666"), "{path}: {answer}");
    }
}

#[tokio::test]
async fn too_many_headers_are_400_with_a_problem() {
    let server = start();
    let many: String = (0..70).map(|index| format!("x-{index}: 1\r\n")).collect();
    let answer =
        server.raw(format!("GET /health HTTP/1.1\r\nHost: x\r\n{many}\r\n").as_bytes(), PATIENCE).await;
    assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("bad_request"), "{answer}");
    let long = format!("GET /health HTTP/1.1\r\nHost: x\r\nx-long: {}\r\n\r\n", "x".repeat(20_000));
    let answer = server.raw(long.as_bytes(), PATIENCE).await;
    assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("bad_request"), "{answer}");
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let server = start();
    let request = "GET /items/1 HTTP/1.1\r\nHost: x\r\n\r\nGET /items/2 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let answer = server.raw(request.as_bytes(), PATIENCE).await;
    assert!(answer.find("{\"id\":1}") < answer.find("{\"id\":2}"), "{answer}");
    assert_eq!(answer.matches("HTTP/1.1 200 ").count(), 2, "{answer}");
}

#[tokio::test]
async fn odd_targets_are_answered_and_never_reach_a_handler() {
    let server = start();
    for (target, status) in [
        ("GET /../items/7", "404"),
        ("GET /items/../scan", "404"),
        ("GET //items/7", "404"),
        ("GET /items/7;a=b", "404"),
        ("GET /ITEMS/7", "404"),
        ("OPTIONS *", "404"),
        ("GET http://elsewhere/items/7", "200"),
        ("CONNECT x:80", "404"),
    ] {
        let request = format!("{target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        let answer = server.raw(request.as_bytes(), PATIENCE).await;
        let refused = answer.starts_with("HTTP/1.1 400 ") && status == "404";
        assert!(refused || answer.starts_with(&format!("HTTP/1.1 {status} ")), "{target}: {answer}");
    }
}
