//! One thing of a signed request changed: refused, and nothing of it stored (G17).

use futures_util::{StreamExt as _, stream};
use jiff::Timestamp;
use reqwest::Method;
use seatpilot_domain_model::KeyScope;
use seatpilot_runtime::Clock;
use seatpilot_signing::{Key, sign_sp1, sign_standard_webhooks};
use seatpilot_testkit::{Effort, forgeries};
use serde_json::json;

use crate::service::{KEY_ID, PATH, Reply, SECRET, Service, Signed, event, nonce, reply};

const FOREIGN_KEY: &str = "rival_gate_01";
const FOREIGN_SECRET: [u8; 32] = [9; 32];

/// A good request by Standard Webhooks.
fn webhook(body: String, ts: i64) -> Signed {
    let key = Key::new(&SECRET).unwrap();
    let headers = sign_standard_webhooks(&key, KEY_ID, &nonce(), ts, body.as_bytes()).unwrap();
    Signed { headers: headers.map(|(name, value)| (name.to_owned(), value)).into(), body: body.into() }
}

/// SP1's headers for a request that is made elsewhere or otherwise, with another's secret or one's own.
fn signed_for(method: &str, path: &str, secret: &[u8], ts: i64, body: &[u8]) -> Signed {
    let key = Key::new(secret).unwrap();
    let headers = sign_sp1(&key, method, path, KEY_ID, ts, &nonce(), body).unwrap();
    Signed { headers: headers.map(|(name, value)| (name.to_owned(), value)).into(), body: body.into() }
}

async fn send_as(service: &Service, method: Method, path: &str, signed: &Signed) -> Reply {
    let mut request =
        service.client.request(method, format!("{}{path}", service.url)).body(signed.body.clone());
    for (name, value) in &signed.headers {
        request = request.header(name, value);
    }
    reply(request).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn whatever_is_changed_about_a_signed_request_it_is_refused_and_nothing_is_stored() {
    // The clock stands: every one of them is fresh to the end.
    let (clock, _hand) = Clock::manual(Timestamp::now());
    let now = clock.now().as_second();
    let service = Service::start_with(clock, &[]).await;
    service.add_key("rival", FOREIGN_KEY, &FOREIGN_SECRET, &[KeyScope::Ingest]).await;
    let body = || json!([event(), event()]).to_string();
    let good = [Signed::with(body(), KEY_ID, &SECRET, now, &nonce()), webhook(body(), now)];
    let mut sent = 0;
    for good in &good {
        let all = forgeries(&good.headers, &good.body, FOREIGN_KEY, Effort::of_run());
        sent += all.len();
        let service = &service;
        stream::iter(all)
            .map(|forgery| async move {
                let signed = Signed { headers: forgery.headers, body: forgery.body };
                let (status, code) = service.send(&signed).await.problem();
                assert!(forgery.refused.fits(status, &code), "{}: {status} {code}", forgery.what);
            })
            .buffer_unordered(16)
            .collect::<()>()
            .await;
    }

    // Signed for another method, another path or with another secret, sent here.
    let body = body();
    let mut elsewhere = Vec::new();
    for method in ["GET", "PUT", "PATCH", "DELETE", "post", "POST "] {
        elsewhere.push(signed_for(method, PATH, &SECRET, now, body.as_bytes()));
    }
    for path in ["/", "/v1/event", "/v1/events/", "/V1/events", "/v1//events", "/api/wayfinding/arrive-table"]
    {
        elsewhere.push(signed_for("POST", path, &SECRET, now, body.as_bytes()));
    }
    let mut reversed = SECRET;
    reversed.reverse();
    for secret in [&FOREIGN_SECRET[..], &reversed, &SECRET[..31], &SECRET[..16], &[0; 32], &[0; 64]] {
        elsewhere.push(signed_for("POST", PATH, secret, now, body.as_bytes()));
    }
    for signed in &elsewhere {
        assert_eq!(service.send(signed).await.problem(), (401, "unauthorized".to_owned()), "{signed:?}");
    }

    // Signed for here, sent elsewhere or otherwise: no such route.
    for (method, path, status) in [
        (Method::GET, PATH, 405),
        (Method::PUT, PATH, 405),
        (Method::DELETE, PATH, 405),
        (Method::POST, "/v1/events/", 404),
        (Method::POST, "/V1/events", 404),
        (Method::POST, "/v1//events", 404),
        (Method::POST, "/v1/events;a", 404),
        (Method::POST, "/v1/events%00", 404),
        (Method::POST, "/v1/events?", 400),
        (Method::POST, "/v1/events?x-key=acme_gate_01", 400),
    ] {
        let reply = send_as(&service, method.clone(), path, &good[0]).await;
        assert_eq!(reply.status, status, "{method} {path}: {reply:?}");
        sent += 1;
    }
    sent += elsewhere.len();
    assert_eq!(service.rows().await, (0, 0, 0), "events, dead letters and nonces");

    // All the while each of the two was good, and still is.
    for good in &good {
        let reply = service.send(good).await;
        assert_eq!((reply.status, reply.header("idempotent-replayed")), (202, None), "{reply:?}");
    }
    assert_eq!(service.rows().await, (4, 0, 2));
    println!(
        "guarantee: G17 | {sent} changed requests to /v1/events by both schemes: all refused, 0 rows, 0 dead letters"
    );
}
