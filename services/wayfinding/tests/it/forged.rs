//! Signed arrivals: one thing changed (G17), signed at another time (G18), sent again and again (G7).

use futures_util::{StreamExt as _, stream};
use jiff::Timestamp;
use seatpilot_domain_model::KeyScope;
use seatpilot_runtime::{Clock, ManualClock};
use seatpilot_signing::{Key, sign_sp1, sign_standard_webhooks};
use seatpilot_testkit::{Effort, forgeries};
use uuid::Uuid;

use crate::sign::{ARRIVE, Sign};

type Headers = Vec<(String, String)>;

struct Sender {
    sign: Sign,
    hand: ManualClock,
    now: i64,
    secret: Vec<u8>,
}

impl Sender {
    /// With so many guests who came in a minute ago, on a clock that stands.
    async fn of(guests: usize) -> (Self, Vec<Uuid>) {
        let start = Timestamp::new(Clock::system().now().as_second(), 999_999_000).unwrap();
        let (clock, hand) = Clock::manual(start);
        let sign = Sign::by(clock, guests).await;
        let mut sessions = Vec::with_capacity(guests);
        for n in 0..guests {
            sessions.push(sign.let_in(n, 60).await);
        }
        let secret = sign.evening.key_secret.expose_secret().clone();
        (Self { sign, hand, now: start.as_second(), secret }, sessions)
    }

    fn sp1(&self, method: &str, path: &str, secret: &[u8], ts: i64, body: &str) -> Headers {
        let (key, nonce) = (Key::new(secret).unwrap(), Uuid::new_v4().simple().to_string());
        let key_id = &self.sign.evening.key_id;
        let signed = sign_sp1(&key, method, path, key_id, ts, &nonce, body.as_bytes()).unwrap();
        signed.map(|(name, value)| (name.to_owned(), value)).into()
    }

    fn webhook(&self, ts: i64, body: &str) -> Headers {
        let (key, id) = (Key::new(&self.secret).unwrap(), Uuid::new_v4().simple().to_string());
        let signed = sign_standard_webhooks(&key, &self.sign.evening.key_id, &id, ts, body.as_bytes());
        signed.unwrap().map(|(name, value)| (name.to_owned(), value)).into()
    }

    /// Arrivals, their events, and nonces used up.
    async fn rows(&self) -> (i64, i64, i64) {
        let count = |sql| self.sign.evening.count(sql);
        (
            count("select count(*) from ops.checkin_sessions where arrived_at is not null").await,
            count("select count(*) from telemetry.events_raw where type = 'wayfinding.arrive_table'").await,
            count("select count(*) from telemetry.ingest_nonces").await,
        )
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn whatever_is_changed_about_a_signed_ping_it_is_refused_and_seats_nobody() {
    let (sender, sessions) = Sender::of(2).await;
    let sign = &sender.sign;
    let rival = "rival".parse().unwrap();
    let mut admin = sign.evening.admin().await;
    admin.ensure_tenant(&rival, "Rival").await.unwrap();
    admin.add_key(&rival, Some("rival_gate_01"), &[KeyScope::Arrive]).await.unwrap();
    let bodies = [0, 1].map(|n| sign.ping(sessions[n]).to_string());
    let good = [
        sender.sp1("POST", ARRIVE, &sender.secret, sender.now, &bodies[0]),
        sender.webhook(sender.now, &bodies[1]),
    ];
    let mut sent = 0;
    for (headers, body) in good.iter().zip(&bodies) {
        let all = forgeries(headers, body.as_bytes(), "rival_gate_01", Effort::of_run());
        sent += all.len();
        stream::iter(all)
            .map(|forgery| async move {
                // Without any signed header a request is a device's, which this one has no token of.
                let (status, code) = sign.post(forgery.body, &forgery.headers).await.problem();
                assert!(forgery.refused.fits(status, &code), "{}: {status} {code}", forgery.what);
            })
            .buffer_unordered(16)
            .collect::<()>()
            .await;
    }
    for (method, path) in [("GET", ARRIVE), ("PUT", ARRIVE), ("POST", "/v1/events"), ("POST", "/")] {
        let headers = sender.sp1(method, path, &sender.secret, sender.now, &bodies[0]);
        assert_eq!(sign.post(bodies[0].clone(), &headers).await.problem(), (401, "unauthorized".into()));
        sent += 1;
    }
    assert_eq!(sender.rows().await, (0, 0, 0), "arrivals, events and nonces");
    for (headers, body) in good.iter().zip(&bodies) {
        let reply = sign.post(body.clone(), headers).await;
        assert_eq!((reply.status, reply.replayed), (201, false), "{reply:?}");
    }
    assert_eq!(sender.rows().await, (2, 2, 2));
    println!(
        "guarantee: G17 | {sent} changed pings to arrive-table by both schemes: all refused, nobody seated"
    );
}

#[tokio::test]
async fn a_ping_signed_300_s_off_is_taken_either_way_and_301_s_is_not() {
    let offs = [
        (0, 201),
        (300, 201),
        (-300, 201),
        (301, 401),
        (-301, 401),
        (600, 401),
        (-600, 401),
        (-1_795_000_000, 401),
    ];
    let (sender, sessions) = Sender::of(2 * offs.len()).await;
    let mut taken = 0;
    for (n, (off, status)) in offs.into_iter().enumerate() {
        let bodies = [2 * n, 2 * n + 1].map(|n| sender.sign.ping(sessions[n]).to_string());
        let ts = (sender.now + off).max(0);
        let sp1 = sender.sp1("POST", ARRIVE, &sender.secret, ts, &bodies[0]);
        let webhook = sender.webhook(ts, &bodies[1]);
        for (body, headers) in bodies.into_iter().zip([sp1, webhook]) {
            assert_eq!(sender.sign.post(body, &headers).await.status, status, "{off}");
            taken += i64::from(status == 201);
        }
    }
    assert_eq!(sender.rows().await, (taken, taken, taken));
    println!("guarantee: G18 | {} signed times of pings by 2 schemes: as the table says", offs.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_captured_ping_seats_once_and_a_clock_that_is_stepped_reopens_it_no_more() {
    const REPLAYS: usize = 300;
    let (sender, sessions) = Sender::of(1).await;
    let body = sender.sign.ping(sessions[0]).to_string();
    let signed = sender.sp1("POST", ARRIVE, &sender.secret, sender.now, &body);
    let first = sender.sign.post(body.clone(), &signed).await;
    assert_eq!((first.status, first.replayed), (201, false));
    stream::iter(0..REPLAYS)
        .map(|_| async {
            let reply = sender.sign.post(body.clone(), &signed).await;
            assert_eq!((reply.status, reply.replayed, &reply.text), (201, true, &first.text));
        })
        .buffer_unordered(50)
        .collect::<()>()
        .await;
    let start = Timestamp::from_second(sender.now).unwrap();
    for (step, status) in [(600, 401), (-600, 401), (0, 201), (301, 401), (300, 201), (-300, 201)] {
        sender.hand.set(start + jiff::SignedDuration::from_secs(step));
        let reply = sender.sign.post(body.clone(), &signed).await;
        assert_eq!((reply.status, reply.replayed), (status, status == 201), "{step}: {reply:?}");
    }
    assert_eq!(sender.rows().await, (1, 1, 1));
    println!(
        "guarantee: G7 | {REPLAYS} replays of a signed ping over 50 connections: 1 arrival, the first answer each time"
    );
}
