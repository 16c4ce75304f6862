//! A guest's own page that pings: by a key of its session, from its origin, and for no other guest.

use seatpilot_runtime::Clock;
use seatpilot_signing::{Key, KeyRing, SessionKeyId, SessionScopes, sign_sp1};
use serde_json::json;
use uuid::Uuid;

use crate::sign::{ARRIVE, Reply, Sign};

const ORIGIN: &str = "https://tickets.example";

/// A page with a key that a telemetry-ingest would have minted by the evening's own.
struct Page<'s> {
    sign: &'s Sign,
    id: SessionKeyId,
    secret: Vec<u8>,
}

impl<'s> Page<'s> {
    fn of(sign: &'s Sign, session: Uuid, scopes: SessionScopes, seconds: i64) -> Self {
        let end = Clock::system().now().as_second() + seconds;
        let id = SessionKeyId::new(&sign.evening.key_id, end, session.into_bytes(), scopes).unwrap();
        let parent = Key::new(sign.evening.key_secret.expose_secret()).unwrap();
        let secret = KeyRing::new(parent, None).session_secret(&id, ORIGIN.as_bytes()).unwrap();
        Self { sign, id, secret }
    }

    async fn post(&self, body: &str, nonce: &str, origin: Option<&str>) -> Reply {
        let (key, ts) = (Key::new(&self.secret).unwrap(), Clock::system().now().as_second());
        let nonce = format!("{nonce:_<22}");
        let signed = sign_sp1(&key, "POST", ARRIVE, self.id.as_str(), ts, &nonce, body.as_bytes()).unwrap();
        let mut headers: Vec<_> = signed.map(|(name, value)| (name.to_owned(), value)).into();
        headers.extend(origin.map(|origin| ("origin".to_owned(), origin.to_owned())));
        self.sign.post(body.to_owned(), &headers).await
    }
}

#[tokio::test]
async fn a_page_pings_for_its_own_guest_from_its_origin_and_for_nobody_else() {
    let sign = Sign::of(2).await;
    let (own, other) = (sign.let_in(0, 60).await, sign.let_in(1, 60).await);
    let page = Page::of(&sign, own, SessionScopes::Arrive, 900);
    let foreign = page.post(&sign.ping(other).to_string(), "foreign", Some(ORIGIN)).await;
    assert_eq!(foreign.problem(), (403, "forbidden".into()));
    for origin in [None, Some("https://other.example")] {
        let refused = page.post(&sign.ping(own).to_string(), "elsewhere", origin).await;
        assert_eq!(refused.problem(), (401, "unauthorized".into()));
    }
    let over = Page::of(&sign, own, SessionScopes::Arrive, 0);
    let refused = over.post(&sign.ping(own).to_string(), "over", Some(ORIGIN)).await;
    assert_eq!(refused.problem(), (401, "unauthorized".into()));
    let events = Page::of(&sign, own, SessionScopes::Ingest, 900);
    let refused = events.post(&sign.ping(own).to_string(), "scope", Some(ORIGIN)).await;
    assert_eq!(refused.problem(), (403, "forbidden".into()));
    let arrived = "select count(*) from ops.checkin_sessions where arrived_at is not null";
    assert_eq!(sign.evening.count(arrived).await, 0);

    let body = sign.ping(own).to_string();
    let seated = page.post(&body, "home", Some(ORIGIN)).await;
    assert_eq!(seated.status, 201, "{seated:?}");
    assert_eq!(page.post(&sign.ping(own).to_string(), "again", Some(ORIGIN)).await.status, 200);
    let bare = json!({ "ping_id": Uuid::now_v7() }).to_string();
    assert_eq!(page.post(&bare, "bare", Some(ORIGIN)).await.problem(), (422, "schema_violation".into()));
    assert_eq!(sign.evening.count(arrived).await, 1);
    println!(
        "guarantee: sessions | a page's pings: its own guest seated, another's, from elsewhere and late refused"
    );
}

#[tokio::test]
async fn a_page_that_pings_without_end_is_told_to_wait_and_may_read_it() {
    let sign = Sign::of(1).await;
    let session = sign.let_in(0, 60).await;
    let page = Page::of(&sign, session, SessionScopes::IngestAndArrive, 900);
    let mut statuses = Vec::new();
    for n in 0..24 {
        let ping = sign.ping(session).to_string();
        statuses.push(page.post(&ping, &format!("n{n}"), Some(ORIGIN)).await.status);
    }
    assert_eq!(statuses[0], 201);
    assert!(statuses[1..20].iter().all(|status| *status == 200), "{statuses:?}");
    assert!(statuses.contains(&429), "{statuses:?}");

    let preflight = sign.client.request(reqwest::Method::OPTIONS, format!("{}{ARRIVE}", sign.url));
    let preflight = preflight.header("origin", ORIGIN).header("access-control-request-method", "POST");
    let answer = preflight.send().await.unwrap();
    assert_eq!(answer.status(), 204);
    assert_eq!(answer.headers()["access-control-allow-origin"], ORIGIN);
    let allowed = answer.headers()["access-control-allow-headers"].to_str().unwrap();
    assert!(allowed.contains("x-sig") && !allowed.contains("authorization"), "{allowed}");
    let route = format!("{}/api/wayfinding/route", sign.url);
    let route = sign.client.request(reqwest::Method::OPTIONS, route).header("origin", ORIGIN);
    assert!(!route.send().await.unwrap().headers().contains_key("access-control-allow-origin"));
}
