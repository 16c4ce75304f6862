//! Bodies: their size, their time, their encoding, their JSON.

use std::time::{Duration, Instant};

use serde_json::json;
use tokio::{io::AsyncWriteExt as _, net::TcpStream};

use crate::server::{BODY_MAX, problem, read_all, start};

const PATIENCE: Duration = Duration::from_secs(8);

#[tokio::test]
async fn a_good_body_is_answered() {
    let server = start();
    let response = server.post("/scan", r#"{"door":"north-1","party":2}"#).await;
    assert_eq!(response.status(), 201);
    assert_eq!(response.headers()["content-type"], "application/json");
    assert_eq!(response.headers()["cache-control"], "no-store");
    assert_eq!(response.headers()["idempotent-replayed"], "true");
    let id = response.headers()["x-request-id"].to_str().unwrap().to_owned();
    let body: serde_json::Value = response.json().await.unwrap();
    assert_eq!(body, json!({ "door": "north-1", "party": 2, "id": id }));
}

#[tokio::test]
async fn json_that_is_none_is_400_and_json_that_does_not_fit_is_422() {
    let server = start();
    for body in ["", "{", "{\"door\":\"n\",\"party\":2}x", "\u{feff}{\"door\":\"n\",\"party\":2}", "nope"] {
        let answer = problem(server.post("/scan", body).await).await;
        assert_eq!((&answer["code"], &answer["status"]), (&json!("bad_json"), &json!(400)), "{body}");
        assert!(answer.get("errors").is_none());
    }
    assert_eq!(problem(server.post("/scan", &b"{\"door\":\"\xff\"}"[..]).await).await["code"], "bad_json");
    for (body, pointer) in [
        ("[\"north-1\",2]", ""),
        ("null", ""),
        ("{\"door\":\"n\"}", "/party"),
        ("{\"door\":\"n\",\"party\":-1}", "/party"),
        ("{\"door\":\"n\",\"party\":2.5}", "/party"),
        ("{\"door\":\"n\",\"party\":2,\"more\":1}", "/more"),
        ("{\"door\":\"n\",\"party\":2,\"party\":2}", "/party"),
    ] {
        let answer = problem(server.post("/scan", body).await).await;
        assert_eq!((&answer["code"], &answer["status"]), (&json!("schema_violation"), &json!(422)), "{body}");
        assert_eq!(answer["errors"][0]["pointer"], pointer, "{body}");
    }
}

#[tokio::test]
async fn a_body_over_the_limit_is_413_by_its_length_or_by_its_bytes() {
    let server = start();
    let padded = |length: usize| {
        let good = r#"{"door":"n","party":2}"#;
        format!("{good}{}", " ".repeat(length - good.len()))
    };
    assert_eq!(server.post("/scan", padded(BODY_MAX)).await.status(), 201);
    let announced = problem(server.post("/scan", padded(BODY_MAX + 1)).await).await;
    assert_eq!((&announced["code"], &announced["status"]), (&json!("body_too_large"), &json!(413)));

    let mut chunked = b"POST /scan HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    for _ in 0..20 {
        chunked.extend_from_slice(b"400\r\n");
        chunked.extend_from_slice(&[b' '; 0x400]);
        chunked.extend_from_slice(b"\r\n");
    }
    chunked.extend_from_slice(b"0\r\n\r\n");
    let answer = server.raw(&chunked, PATIENCE).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
}

#[tokio::test]
async fn a_length_over_the_limit_is_refused_before_a_byte_of_it_is_sent() {
    let server = start();
    let began = Instant::now();
    let head = b"POST /scan HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n";
    let answer = server.raw(head, PATIENCE).await;
    assert!(answer.starts_with("HTTP/1.1 413 ") && answer.contains("body_too_large"), "{answer}");
    assert!(began.elapsed() < Duration::from_secs(3), "the connection was held for {:?}", began.elapsed());
}

#[tokio::test]
async fn any_content_encoding_is_415_before_the_body() {
    let server = start();
    for encoding in ["gzip", "br", "zstd", "deflate", "identity", ""] {
        let head = format!(
            "POST /scan HTTP/1.1\r\nHost: x\r\nContent-Encoding: {encoding}\r\nContent-Length: 1000\r\n\r\n"
        );
        let answer = server.raw(head.as_bytes(), PATIENCE).await;
        assert!(
            answer.starts_with("HTTP/1.1 415 ")
                && answer.contains("unsupported_encoding")
                && answer.contains("as it is"),
            "{answer}"
        );
    }
}

#[tokio::test]
async fn a_body_that_trickles_is_408_after_three_seconds_and_the_connection_closes() {
    let server = start();
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let (mut reader, mut writer) = stream.split();
    let began = Instant::now();
    writer.write_all(b"POST /scan HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n").await.unwrap();
    let trickle = async {
        while writer.write_all(b" ").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    let mut answer = Vec::new();
    let read = tokio::io::AsyncReadExt::read_to_end(&mut reader, &mut answer);
    tokio::select! {
        _ = read => {}
        () = trickle => {}
        () = tokio::time::sleep(PATIENCE) => {}
    }
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains("request_timeout"), "{answer}");
    assert!((2..6).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_head_that_trickles_is_cut_after_two_seconds() {
    let server = start();
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let began = Instant::now();
    stream.write_all(b"POST /scan HTTP/1.1\r\nHost: x\r\nX-A").await.unwrap();
    let answer = read_all(&mut stream, PATIENCE).await;
    assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains("\"request_timeout\""), "{answer}");
    assert!((1..5).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
}

#[tokio::test]
async fn over_the_bound_a_request_is_shed_before_its_body_is_read() {
    let server = start();
    let mut holder = TcpStream::connect(server.address).await.unwrap();
    holder.write_all(b"POST /shed HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{").await.unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    let began = Instant::now();
    let head = b"POST /shed HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 2\r\n\r\n";
    let answer = server.raw(head, Duration::from_secs(2)).await.to_ascii_lowercase();
    assert!(answer.starts_with("http/1.1 503 ") && answer.contains("retry-after: 1\r\n"), "{answer}");
    assert!(answer.contains("\"code\":\"overloaded\""), "{answer}");
    assert!(began.elapsed() < Duration::from_secs(3));
    assert_eq!(server.get("/health").await.status(), 200, "health is never shed");
    holder.write_all(b"}").await.unwrap();
    assert!(read_all(&mut holder, Duration::from_millis(500)).await.starts_with("HTTP/1.1 204 "));
    assert_eq!(server.post("/shed", "{}").await.status(), 204);
    let metrics = server.get("/metrics").await.text().await.unwrap();
    assert!(metrics.contains("\nseatpilot_overloaded_total 1\n"), "{metrics}");
}

#[tokio::test]
async fn a_refused_sender_that_goes_on_sending_is_cut() {
    let server = start();
    for (path, status) in [("/nothing", "404"), ("/items/7", "405"), ("/who", "405"), ("/scan", "413")] {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        let head = format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        let (mut reader, mut writer) = stream.split();
        let began = Instant::now();
        let mut answer = Vec::new();
        let page = [b' '; 1024];
        let flood = async {
            let mut sent = 0;
            while writer.write_all(&page).await.is_ok() {
                sent += page.len();
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            sent
        };
        let read = tokio::io::AsyncReadExt::read_to_end(&mut reader, &mut answer);
        let cut = tokio::time::timeout(PATIENCE, async { tokio::join!(flood, read) }).await;
        assert!(cut.is_ok(), "{path}: still reading after {:?}", began.elapsed());
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.is_empty() || answer.starts_with(&format!("HTTP/1.1 {status} ")), "{path}: {answer}");
    }
}

#[tokio::test]
async fn a_second_head_that_trickles_is_cut_too() {
    let server = start();
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(b"GET /items/1 HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    assert!(read_all(&mut stream, Duration::from_millis(300)).await.starts_with("HTTP/1.1 200 "));
    let began = Instant::now();
    stream.write_all(b"GET /items/2 HT").await.unwrap();
    read_all(&mut stream, PATIENCE).await;
    assert!(began.elapsed() < Duration::from_secs(6), "{:?}", began.elapsed());
}
