//! What a sender does with the answers that it gets, and with those that it does not get.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use jiff::{SignedDuration, Timestamp};
use seatpilot_sdk_server::{
    BadKey, Builder, Event, Outbox, Pace, SendError, Sender, SigningKey, Status, Trouble, TroubleKind,
    WhenFull, blocking, event_data::DeviceHeartbeat,
};
use serde_json::json;

use crate::server::{Say, Server, problem};

/// Fast, so that a test is.
fn pace() -> Pace {
    Pace {
        base: Duration::from_millis(1),
        rest: Duration::from_secs(30),
        answer: Duration::from_secs(2),
        ..Pace::default()
    }
}

pub(crate) fn key() -> SigningKey {
    SigningKey::new("acme_gate_01", &[7; 32]).unwrap()
}

fn to(server: &Server) -> Builder {
    Sender::builder(&server.url, key()).pace(pace()).linger(Duration::ZERO)
}

pub(crate) fn heartbeat(n: u32) -> Event {
    let more = json!({ "n": n }).as_object().unwrap().clone();
    Event::new("arena", DeviceHeartbeat { more })
}

type Told = Arc<Mutex<Vec<Trouble>>>;

fn telling(builder: Builder) -> (Builder, Told) {
    let told = Told::default();
    let note = Arc::clone(&told);
    (builder.on_trouble(move |trouble| note.lock().unwrap().push(trouble)), told)
}

#[tokio::test]
async fn events_go_out_in_one_request_in_order_and_each_has_its_outcome() {
    let server = Server::start(|asked, _| {
        let ids: Vec<_> = asked.events().iter().map(|event| event["id"].clone()).collect();
        let items = json!([
            { "id": ids[0], "status": "accepted" }, { "id": ids[1], "status": "duplicate" },
            { "id": ids[2], "status": "rejected", "reason": "schema_violation" },
        ]);
        Say::With(202, Vec::new(), json!({ "items": items }).to_string())
    })
    .await;
    let sender = to(&server).linger(Duration::from_millis(200)).start().unwrap();
    let mut sent = Vec::new();
    for n in 0..3 {
        sent.push(sender.send(heartbeat(n).channel("kiosk")).await.unwrap());
    }
    let mut statuses = Vec::new();
    for one in sent {
        statuses.push(one.outcome().await.status);
    }
    assert_eq!(
        statuses,
        [Status::Accepted, Status::Duplicate, Status::Rejected("schema_violation".to_owned())]
    );
    let asked = server.asked();
    assert_eq!(asked.len(), 1);
    assert_eq!(
        asked[0].events().iter().map(|event| event["data"]["n"].clone()).collect::<Vec<_>>(),
        [0, 1, 2]
    );
    assert_eq!(sender.close(Duration::from_secs(5)).await.unwrap(), 0);
    assert!(matches!(sender.send(heartbeat(3)).await, Err(SendError::Closed)));
}

#[tokio::test]
async fn what_is_not_answered_is_sent_again_with_the_same_bytes_and_no_earlier_than_the_server_asks() {
    let server = Server::start(|_, n| match n {
        1 => Say::Cut,
        2 => problem(503, "overloaded", &[("retry-after", "1")]),
        3 => problem(429, "rate_limited", &[]),
        _ => Say::Accepted,
    })
    .await;
    let begun = Instant::now();
    let sender = to(&server).start().unwrap();
    assert_eq!(sender.send(heartbeat(0)).await.unwrap().outcome().await.status, Status::Accepted);
    assert!(begun.elapsed() >= Duration::from_secs(1));
    let asked = server.asked();
    assert_eq!(asked.len(), 4);
    for one in &asked {
        assert_eq!(one.body, asked[0].body);
        for header in ["x-key", "x-ts", "x-nonce", "x-sig"] {
            assert_eq!(one.header(header), asked[0].header(header));
        }
    }
}

#[tokio::test]
async fn after_its_tries_events_wait_and_a_flush_sends_them() {
    let up = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&up);
    let server = Server::start(move |_, _| {
        if seen.load(Ordering::Relaxed) { Say::Accepted } else { problem(503, "overloaded", &[]) }
    })
    .await;
    let (builder, told) = telling(to(&server));
    let sender = builder.start().unwrap();
    let sent = sender.send(heartbeat(0)).await.unwrap();
    sender.flush().await;
    assert!(server.asked().len() >= 8);
    let trouble = told.lock().unwrap()[0].clone();
    assert_eq!((trouble.kind, trouble.status), (TroubleKind::Unreachable, Some(503)));
    assert_eq!(trouble.to_string(), "the server answered 503; again in 30.0 s");
    assert_eq!(sender.waiting().await.unwrap(), 1);
    up.store(true, Ordering::Relaxed);
    sender.flush().await;
    assert_eq!(sent.outcome().await.status, Status::Accepted);
}

#[tokio::test]
async fn a_clock_that_is_wrong_is_set_by_the_servers_once() {
    // A server that is an hour ahead is the same as a sender that is an hour behind.
    let ahead = |hours: i64| Timestamp::now() + SignedDuration::from_hours(hours);
    let date = |at: Timestamp| {
        at.to_zoned(jiff::tz::TimeZone::UTC).strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
    };
    let server = Server::start(move |asked, _| {
        let ts: i64 = asked.header("x-ts").parse().unwrap();
        if (ts - ahead(1).as_second()).abs() < 300 {
            Say::Accepted
        } else {
            problem(401, "unauthorized", &[("date", &date(ahead(1)))])
        }
    })
    .await;
    let sender = to(&server).start().unwrap();
    assert_eq!(sender.send(heartbeat(0)).await.unwrap().outcome().await.status, Status::Accepted);
    assert_eq!(server.asked().len(), 2);
    // What happens from now on has the right time too.
    assert_eq!(sender.send(heartbeat(1)).await.unwrap().outcome().await.status, Status::Accepted);
    let event = server.asked()[2].events()[0].clone();
    let at: Timestamp = event["occurred_at"].as_str().unwrap().parse().unwrap();
    assert!(at.duration_since(ahead(1)).abs() < SignedDuration::from_mins(1));

    let liar = Server::start(move |_, n| {
        problem(401, "unauthorized", &[("date", &date(ahead(i64::try_from(n).unwrap() * 2)))])
    })
    .await;
    let (builder, told) = telling(to(&liar));
    let sender = builder.start().unwrap();
    sender.send(heartbeat(0)).await.unwrap();
    sender.flush().await;
    assert_eq!(told.lock().unwrap()[0].kind, TroubleKind::Unauthorized);
    assert_eq!(sender.waiting().await.unwrap(), 1, "a refused key loses nothing");
}

#[tokio::test]
async fn one_event_that_no_request_may_carry_is_found_among_its_neighbours() {
    let server = Server::start(|asked, _| {
        let poisoned = asked.events().iter().any(|event| event["data"]["n"] == 11);
        if poisoned { problem(413, "body_too_large", &[]) } else { Say::Accepted }
    })
    .await;
    let sender = to(&server).linger(Duration::from_millis(200)).start().unwrap();
    let mut sent = Vec::new();
    for n in 0..16 {
        sent.push(sender.send(heartbeat(n)).await.unwrap());
    }
    for (n, one) in sent.into_iter().enumerate() {
        let expected = if n == 11 { Status::Refused("body_too_large".to_owned()) } else { Status::Accepted };
        assert_eq!(one.outcome().await.status, expected, "{n}");
    }
}

#[tokio::test]
async fn what_is_no_answer_of_ours_settles_nothing() {
    let pages = [(200, "<html>please log in"), (404, "<html>"), (202, "{}"), (202, r#"{"items":[]}"#)];
    for (status, page) in pages {
        let server = Server::start(move |_, _| Say::With(status, Vec::new(), page.to_owned())).await;
        let sender = to(&server).start().unwrap();
        sender.send(heartbeat(0)).await.unwrap();
        sender.flush().await;
        assert_eq!(sender.waiting().await.unwrap(), 1, "{status} {page}");
    }
    let server = Server::start(|_, _| problem(404, "not_found", &[])).await;
    let (builder, told) = telling(to(&server));
    let sender = builder.start().unwrap();
    sender.send(heartbeat(0)).await.unwrap();
    sender.flush().await;
    assert_eq!(told.lock().unwrap()[0].kind, TroubleKind::Address);
    assert_eq!(sender.waiting().await.unwrap(), 1);
}

#[tokio::test]
async fn a_full_outbox_refuses_drops_the_oldest_or_waits() {
    let up = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&up);
    let server =
        Server::start(move |_, _| if seen.load(Ordering::Relaxed) { Say::Accepted } else { Say::Cut }).await;
    let full = async |when_full| {
        let sender = to(&server).linger(Duration::from_secs(600)).when_full(when_full);
        let sender = sender.outbox(Outbox::memory(2)).start().unwrap();
        let first = sender.send(heartbeat(0)).await.unwrap();
        sender.send(heartbeat(1)).await.unwrap();
        (sender, first)
    };
    let (refusing, _) = full(WhenFull::Refuse).await;
    assert!(matches!(refusing.send(heartbeat(2)).await, Err(SendError::Full)));
    assert_eq!(refusing.close(Duration::ZERO).await.unwrap(), 2);

    let (dropping, first) = full(WhenFull::DropOldest).await;
    dropping.send(heartbeat(2)).await.unwrap();
    assert_eq!(first.outcome().await.status, Status::Dropped);
    up.store(true, Ordering::Relaxed);
    dropping.flush().await;
    let last = server.asked().pop().unwrap();
    assert_eq!(last.events().iter().map(|event| event["data"]["n"].clone()).collect::<Vec<_>>(), [1, 2]);

    up.store(false, Ordering::Relaxed);
    let (waiting, _) = full(WhenFull::Wait).await;
    let third = tokio::spawn({
        let waiting = waiting.clone();
        async move { waiting.send(heartbeat(2)).await.map(|sent| sent.id()) }
    });
    tokio::time::sleep(Duration::from_millis(150)).await;
    assert!(!third.is_finished());
    up.store(true, Ordering::Relaxed);
    waiting.flush().await;
    third.await.unwrap().unwrap();
    assert_eq!(waiting.close(Duration::from_secs(5)).await.unwrap(), 0);
}

#[tokio::test]
async fn closing_sends_what_waits_and_says_what_it_could_not_send() {
    let server = Server::start(|_, _| Say::Accepted).await;
    let sender = to(&server).linger(Duration::from_secs(600)).start().unwrap();
    for n in 0..250 {
        sender.send(heartbeat(n)).await.unwrap();
    }
    assert_eq!(sender.close(Duration::from_secs(10)).await.unwrap(), 0);
    assert_eq!(server.asked().iter().map(|asked| asked.events().len()).sum::<usize>(), 250);
    assert!(server.asked().iter().all(|asked| asked.events().len() <= 100));

    let silent = Server::start(|_, _| Say::Nothing).await;
    let sender = to(&silent).start().unwrap();
    let sent = sender.send(heartbeat(0)).await.unwrap();
    let begun = Instant::now();
    assert_eq!(sender.close(Duration::from_millis(300)).await.unwrap(), 1);
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    assert_eq!(sent.outcome().await.status, Status::Unsent);
}

#[test]
fn a_program_without_async_sends_too() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let server = runtime.block_on(Server::start(|_, _| Say::Accepted));
    let sender = blocking::Sender::start(to(&server)).unwrap();
    let kept = sender.send(heartbeat(0)).unwrap();
    assert_eq!(kept.outcome().status, Status::Accepted);
    assert_eq!(sender.close(Duration::from_secs(5)).unwrap(), 0);
}

#[tokio::test]
async fn what_is_wrong_with_an_event_a_key_or_an_option_is_named_at_once() {
    let server = Server::start(|_, _| Say::Accepted).await;
    let sender = to(&server).start().unwrap();
    let more = json!({ "text": "x".repeat(33_000) }).as_object().unwrap().clone();
    let large = sender.send(Event::new("arena", DeviceHeartbeat { more })).await;
    assert!(matches!(large, Err(SendError::TooLarge { bytes }) if bytes > 33_000));
    let option = |builder: Builder| builder.start().unwrap_err().to_string();
    assert_eq!(option(to(&server).batch_events(501)), "batch_events: must be from 1 to 500");
    assert_eq!(option(to(&server).batch_bytes(1)), "batch_bytes: must be from 32770 to 262144");
    assert!(option(Sender::builder("https://ingest.example/v1/events", key())).starts_with("url: "));
    assert!(option(Sender::builder("ftp://ingest.example", key())).starts_with("url: "));
    assert_eq!(SigningKey::new("short", &[7; 32]).unwrap_err(), BadKey::Id);
    assert_eq!(SigningKey::new("acme_gate_01", &[7; 3]).unwrap_err(), BadKey::Secret);
    let shown = SigningKey::from_base64("acme_gate_01", "hush!").unwrap_err();
    assert_eq!(shown, BadKey::Base64);
    assert!(!format!("{:?}", key()).contains("7, 7"));
}
