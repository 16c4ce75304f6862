//! Keys of browsers' sessions: good from one origin, for one session and scope, until their end, as long as their parent.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use jiff::{SignedDuration, Timestamp};
use seatpilot_domain_model::TenantId;
use seatpilot_runtime::{Clock, ManualClock};
use seatpilot_signing::{Key, SessionKeyId, SessionScopes, sign_sp1, sign_standard_webhooks};
use seatpilot_store::admin::{PreviousSecret, Rotation};
use seatpilot_testkit::Binary;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::service::{
    KEY_ID, Kind, PATH, Reply, SECRET, Service, Signed, bootstrap, event, nonce, on_every_store, reply,
};

const MINT: &str = "/v1/keys/session";
pub(crate) const ORIGIN: &str = "https://tickets.example";

/// A page's key.
pub(crate) struct Page {
    pub(crate) key_id: String,
    pub(crate) secret: Vec<u8>,
    pub(crate) session: Uuid,
}

/// A request for a key, signed at a time.
pub(crate) fn wish(key_id: &str, secret: &[u8], ts: i64, body: &Value) -> Signed {
    let body = body.to_string().into_bytes();
    let signature = sign_sp1(&Key::new(secret).unwrap(), "POST", MINT, key_id, ts, &nonce(), &body).unwrap();
    Signed { headers: signature.map(|(name, value)| (name.to_owned(), value)).into(), body }
}

pub(crate) async fn ask(service: &Service, signed: &Signed) -> Reply {
    let mut request = service.client.post(format!("{}{MINT}", service.url)).body(signed.body.clone());
    for (name, value) in &signed.headers {
        request = request.header(name, value);
    }
    reply(request).await
}

pub(crate) async fn mint_at(service: &Service, ts: i64, body: &Value) -> Reply {
    ask(service, &wish(KEY_ID, &SECRET, ts, body)).await
}

/// Mints a key for [`ORIGIN`] and a session of its own, by the key of [`Service::start`].
pub(crate) async fn page(service: &Service, ts: i64, seconds: i64) -> Page {
    let session = Uuid::now_v7();
    let body = json!({ "origin": ORIGIN, "session_id": session, "expires_in_seconds": seconds });
    Page::of(&mint_at(service, ts, &body).await)
}

impl Page {
    pub(crate) fn of(minted: &Reply) -> Self {
        assert_eq!(minted.status, 201, "{minted:?}");
        let key = minted.json();
        Self {
            key_id: key["key_id"].as_str().unwrap().to_owned(),
            secret: STANDARD.decode(key["secret"].as_str().unwrap()).unwrap(),
            session: key["session_id"].as_str().unwrap().parse().unwrap(),
        }
    }

    fn sign(&self, body: &Value, ts: i64) -> Signed {
        Signed::with(body.to_string(), &self.key_id, &self.secret, ts, &nonce())
    }

    /// What the page sends from an origin, or from none.
    pub(crate) async fn send(&self, service: &Service, body: &Value, ts: i64, origin: &[&str]) -> Reply {
        post(service, &self.sign(body, ts), origin).await
    }
}

async fn post(service: &Service, signed: &Signed, origin: &[&str]) -> Reply {
    let mut request = service.client.post(format!("{}{PATH}", service.url)).body(signed.body.clone());
    for (name, value) in &signed.headers {
        request = request.header(name, value);
    }
    for origin in origin {
        request = request.header("origin", *origin);
    }
    reply(request).await
}

/// An event of a session, or of none.
pub(crate) fn of_session(session: Option<Uuid>) -> Value {
    let mut event = event();
    if let Some(session) = session {
        event["session_id"] = json!(session);
    }
    event
}

pub(crate) fn now() -> i64 {
    Timestamp::now().as_second()
}

/// A service by a clock that stands.
pub(crate) async fn standing(kind: Kind) -> (Service, ManualClock, i64) {
    let start = Timestamp::now().round(jiff::Unit::Second).unwrap();
    let (clock, hand) = Clock::manual(start);
    (Service::start_on(kind, clock, &[]).await, hand, start.as_second())
}

on_every_store!(
    a_page_sends_events_of_its_session_from_its_origin_until_its_key_ends,
    whatever_is_changed_about_a_session_key_it_is_refused_like_any_other_and_nothing_is_stored,
    a_key_is_minted_for_what_its_parent_may_and_for_fifteen_minutes_at_most,
    an_event_that_waited_for_another_key_is_stored_once,
);

async fn a_page_sends_events_of_its_session_from_its_origin_until_its_key_ends(kind: Kind) {
    let (service, hand, start) = standing(kind).await;
    let page = page(&service, start, 900).await;
    let (own, none, other) =
        (of_session(Some(page.session)), of_session(None), of_session(Some(Uuid::now_v7())));
    let sent = page.send(&service, &json!([own, none, other]), start, &[ORIGIN]).await;
    assert_eq!(sent.verdicts(), ["accepted", "accepted", "schema_violation"], "{sent:?}");
    // Alone it is a problem, and by CloudEvents' names it is the same.
    let alone = page.send(&service, &other, start, &[ORIGIN]).await;
    assert_eq!(alone.problem(), (422, "schema_violation".to_owned()));
    let cloud = json!({
        "specversion": "1.0", "id": Uuid::now_v7(), "source": "/page", "type": "device.heartbeat",
        "time": other["occurred_at"], "venueid": "arena", "sessionid": Uuid::now_v7(), "data": {},
    });
    let sent = page.send(&service, &json!([cloud]), start, &[ORIGIN]).await;
    assert_eq!(sent.verdicts(), ["schema_violation"]);
    let letters = service.letters().await;
    let mut told: Vec<&str> = letters.iter().map(|letter| &*letter.detail).collect();
    told.sort_unstable();
    let [ours, cloud_events] =
        ["session_id", "sessionid"].map(|name| format!("/{name}: must be the session of the key, or absent"));
    assert_eq!(told, [&ours, &ours, &cloud_events]);
    assert!(letters.iter().all(|letter| letter.key_id == page.key_id));

    hand.set(Timestamp::from_second(start + 899).unwrap());
    let last = page.send(&service, &of_session(Some(page.session)), start + 899, &[ORIGIN]).await;
    assert_eq!(last.verdicts(), ["accepted"], "a second before its end");
    hand.set(Timestamp::from_second(start + 900).unwrap());
    let over = page.send(&service, &of_session(None), start + 900, &[ORIGIN]).await;
    assert_eq!(over.problem(), (401, "unauthorized".to_owned()));
    assert_eq!(service.rejected("other", "stale").await, 1.0);
    let (events, letters, _) = service.rows().await;
    assert_eq!((events, letters), (3, 3));
    println!(
        "guarantee: sessions | {kind:?}: 4 requests of a page taken until the second of its key's end, none after"
    );
}

async fn whatever_is_changed_about_a_session_key_it_is_refused_like_any_other_and_nothing_is_stored(
    kind: Kind,
) {
    let (service, _hand, start) = standing(kind).await;
    let page = page(&service, start, 900).await;
    let body = of_session(Some(page.session));
    let unknown = Signed::with(body.to_string(), "nobody_at_all", &SECRET, start, &nonce());
    let unknown = post(&service, &unknown, &[ORIGIN]).await;
    let words = |refused: &Reply| {
        let mut said = refused.json();
        said["instance"] = json!(null);
        (refused.status, said.to_string(), refused.header("www-authenticate").map(str::to_owned))
    };
    let mut refused = Vec::new();
    for origin in [
        &[][..],
        &[""],
        &["null"],
        &["https://other.example"],
        &["https://tickets.example:8443"],
        &["http://tickets.example"],
        &["https://TICKETS.example"],
        &["https://tickets.example/"],
        &["https://tickets.example, https://tickets.example"],
        &[ORIGIN, ORIGIN],
        &[ORIGIN, "https://other.example"],
    ] {
        refused.push((format!("{origin:?}"), page.send(&service, &body, start, origin).await));
    }
    // Every character of the id: scopes, end, session, parent.
    for at in 0..page.key_id.len() {
        let mut forged = page.key_id.clone();
        let letter = if &forged[at..=at] == "A" { "B" } else { "A" };
        forged.replace_range(at..=at, letter);
        let signed = Signed::with(body.to_string(), &forged, &page.secret, start, &nonce());
        refused.push((forged, post(&service, &signed, &[ORIGIN]).await));
    }
    // Made up: of another session, for more, for longer, of a parent that is not there, of a session key.
    let id = SessionKeyId::parse(&page.key_id).unwrap();
    let (end, session) = (id.expires_at(), id.session());
    for (parent, end, session, scopes) in [
        (KEY_ID, end, Uuid::now_v7().into_bytes(), SessionScopes::Ingest),
        (KEY_ID, end, session, SessionScopes::IngestAndArrive),
        (KEY_ID, end + 1, session, SessionScopes::Ingest),
        ("no_such_key_01", end, session, SessionScopes::Ingest),
    ] {
        let forged = SessionKeyId::new(parent, end, session, scopes).unwrap();
        for secret in [&page.secret[..], &SECRET] {
            let signed = Signed::with(body.to_string(), forged.as_str(), secret, start, &nonce());
            refused.push((forged.to_string(), post(&service, &signed, &[ORIGIN]).await));
        }
    }
    // By the parent's own secret, which nobody but its tenant has: of a time that is never minted.
    let far = SessionKeyId::new(KEY_ID, start + 1_201, session, SessionScopes::Ingest).unwrap();
    let ring = seatpilot_signing::KeyRing::new(Key::new(&SECRET).unwrap(), None);
    let secret = ring.session_secret(&far, ORIGIN.as_bytes()).unwrap();
    let signed = Signed::with(body.to_string(), far.as_str(), &secret, start, &nonce());
    refused.push(("too far ahead".to_owned(), post(&service, &signed, &[ORIGIN]).await));
    let stale = page.send(&service, &body, start - 301, &[ORIGIN]).await;
    refused.push(("stale".to_owned(), stale));
    for (what, answer) in &refused {
        assert_eq!(words(answer), words(&unknown), "{what}");
    }
    assert_eq!(service.rows().await, (0, 0, 0));
    let good = page.send(&service, &body, start, &[ORIGIN]).await;
    assert_eq!(good.verdicts(), ["accepted"], "the control: unchanged it is taken");
    println!(
        "guarantee: sessions | {kind:?}: {} changed keys and origins refused alike, nothing stored",
        refused.len()
    );
}

async fn a_key_is_minted_for_what_its_parent_may_and_for_fifteen_minutes_at_most(kind: Kind) {
    let (service, _hand, start) = standing(kind).await;
    let session = Uuid::now_v7();
    let whole =
        |seconds: i64| json!({ "origin": ORIGIN, "session_id": session, "expires_in_seconds": seconds });
    let signed = wish(KEY_ID, &SECRET, start, &json!({ "origin": ORIGIN, "session_id": session }));
    let minted = ask(&service, &signed).await;
    assert_eq!(minted.header("cache-control"), Some("no-store"));
    assert_eq!(minted.header("access-control-allow-origin"), None);
    let key = minted.json();
    let end = Timestamp::from_second(start + 900).unwrap();
    assert_eq!((&key["origin"], &key["session_id"]), (&json!(ORIGIN), &json!(session)));
    assert_eq!((&key["expires_at"], &key["expires_in_seconds"]), (&json!(end), &json!(900)));
    assert_eq!(key["scopes"], json!(["ingest"]));
    assert_eq!(STANDARD.decode(key["secret"].as_str().unwrap()).unwrap().len(), 32);
    assert_eq!(ask(&service, &signed).await.text, minted.text, "the same request has the same key");
    let page = Page::of(&minted);

    // Too long, or nothing at all, naming the member.
    let wrong = |member: &str, value: Value| {
        let mut body = whole(900);
        body[member] = value;
        body
    };
    for (pointer, body) in [
        ("/expires_in_seconds", whole(901)),
        ("/expires_in_seconds", whole(86_400)),
        ("/expires_in_seconds", whole(0)),
        ("/expires_in_seconds", whole(-1)),
        ("/expires_in_seconds", wrong("expires_in_seconds", Value::Null)),
        ("/origin", wrong("origin", json!("http://tickets.example"))),
        ("/origin", wrong("origin", json!("https://tickets.example/"))),
        ("/origin", wrong("origin", json!("null"))),
        ("/origin", wrong("origin", json!("*"))),
        ("/session_id", wrong("session_id", json!("table 12"))),
        ("/scopes", wrong("scopes", json!([]))),
        ("/scopes/0", wrong("scopes", json!(["admin"]))),
        ("/tenant_id", wrong("tenant_id", json!("rival"))),
        ("/session_id", json!({ "origin": ORIGIN })),
        ("/origin", json!({ "session_id": session })),
    ] {
        let refused = mint_at(&service, start, &body).await;
        assert_eq!(refused.problem(), (422, "schema_violation".to_owned()), "{body}");
        assert_eq!(refused.json()["errors"][0]["pointer"], pointer, "{body}: {}", refused.text);
    }
    let bad = Signed { body: b"{".to_vec(), ..wish(KEY_ID, &SECRET, start, &json!({})) };
    assert_eq!(ask(&service, &bad).await.problem(), (401, "unauthorized".to_owned()), "the tag first");

    // A session key mints none, a page mints none, and nobody without a key.
    let chained = wish(&page.key_id, &page.secret, start, &whole(900));
    let mut request = service.client.post(format!("{}{MINT}", service.url)).body(chained.body.clone());
    for (name, value) in &chained.headers {
        request = request.header(name, value);
    }
    let chained = reply(request.header("origin", ORIGIN)).await;
    assert_eq!(chained.problem(), (403, "forbidden".to_owned()));
    assert!(chained.text.contains("mints no other"), "{chained:?}");
    let mut by_page = wish(KEY_ID, &SECRET, start, &whole(900));
    by_page.headers.push(("origin".to_owned(), ORIGIN.to_owned()));
    assert_eq!(ask(&service, &by_page).await.problem(), (403, "forbidden".to_owned()));
    let stranger = wish("nobody_at_all", &SECRET, start, &whole(900));
    assert_eq!(ask(&service, &stranger).await.problem(), (401, "unauthorized".to_owned()));
    let body = whole(900).to_string();
    let webhook =
        sign_standard_webhooks(&Key::new(&SECRET).unwrap(), KEY_ID, "msg_00000001", start, body.as_bytes());
    let webhook = Signed {
        headers: webhook.unwrap().map(|(name, value)| (name.to_owned(), value)).into(),
        body: body.into_bytes(),
    };
    assert_eq!(ask(&service, &webhook).await.problem(), (400, "malformed_header".to_owned()));
    // What is signed for events mints nothing, and the other way round.
    let for_events = Signed::with(whole(900).to_string(), KEY_ID, &SECRET, start, &nonce());
    assert_eq!(ask(&service, &for_events).await.problem(), (401, "unauthorized".to_owned()));

    let pings = json!({ "origin": ORIGIN, "session_id": session, "scopes": ["arrive"] });
    let pings = mint_at(&service, start, &pings).await;
    if kind == Kind::Memory {
        // The bootstrap key may both, and a key for pings sends no events.
        let pings = Page::of(&pings);
        let refused = pings.send(&service, &event(), start, &[ORIGIN]).await;
        assert_eq!(refused.problem(), (403, "forbidden".to_owned()));
    } else {
        assert_eq!(pings.problem(), (403, "forbidden".to_owned()), "its parent may not either");
    }
    assert_eq!(service.rows().await, (0, 0, 0), "minting stores nothing");
    let minted = if kind == Kind::Memory { 3.0 } else { 2.0 };
    assert_eq!(service.series("seatpilot_session_keys_minted_total").await, minted);
}

async fn an_event_that_waited_for_another_key_is_stored_once(kind: Kind) {
    let service = Service::on(kind).await;
    let session = Uuid::now_v7();
    let body = json!({ "origin": ORIGIN, "session_id": session, "expires_in_seconds": 60 });
    let old = Page::of(&mint_at(&service, now(), &body).await);
    let body = json!({ "origin": ORIGIN, "session_id": session, "expires_in_seconds": 900 });
    let new = Page::of(&mint_at(&service, now(), &body).await);
    assert_ne!(old.key_id, new.key_id);
    let event = of_session(Some(session));
    let signed = old.sign(&event, now());
    assert_eq!(post(&service, &signed, &[ORIGIN]).await.verdicts(), ["accepted"]);
    let again = post(&service, &signed, &[ORIGIN]).await;
    assert_eq!((again.status, again.header("idempotent-replayed")), (202, Some("true")));
    assert_eq!(new.send(&service, &event, now(), &[ORIGIN]).await.verdicts(), ["duplicate"]);
    assert_eq!(service.rows().await, (1, 0, 2));
}

/// Asks until a page is refused, and says how long that took.
async fn refused_after(service: &Service, page: &Page) -> Duration {
    let began = Instant::now();
    loop {
        let answer = page.send(service, &of_session(None), now(), &[ORIGIN]).await;
        if answer.status == 401 {
            return began.elapsed();
        }
        assert!(began.elapsed() < Duration::from_secs(15), "{answer:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_session_key_dies_with_its_parent_within_5_seconds_also_where_no_notification_comes() {
    for kind in [Kind::Postgres, Kind::Rest] {
        let service = Service::on(kind).await;
        let page = page(&service, now(), 900).await;
        let sent = page.send(&service, &of_session(None), now(), &[ORIGIN]).await;
        assert_eq!(sent.verdicts(), ["accepted"]);
        let owner = service.db.owner().await;
        // Without the trigger that tells instances: what is left is that they remember for 4 s.
        owner.batch_execute("alter table ops.signing_keys disable trigger user").await.unwrap();
        let revoked = "update ops.signing_keys set revoked_at = now() where key_id = $1";
        owner.execute(revoked, &[&KEY_ID]).await.unwrap();
        let took = refused_after(&service, &page).await;
        // A noisy machine has a second more.
        assert!(took < Duration::from_secs(6), "{kind:?}: {took:?}");
        let mint = mint_at(&service, now(), &json!({ "origin": ORIGIN, "session_id": page.session })).await;
        assert_eq!(mint.problem(), (401, "unauthorized".to_owned()));
        println!("guarantee: sessions | {kind:?}: a parent revoked, its session key dead after {took:?}");
    }
}

#[tokio::test]
async fn a_session_key_lives_through_the_grace_of_its_parents_rotation_and_no_longer() {
    let (service, hand, start) = standing(Kind::Postgres).await;
    let acme: TenantId = "acme".parse().unwrap();
    let old = page(&service, start, 900).await;
    let mut admin = service.admin().await;
    let grace = SignedDuration::from_mins(5);
    let rotation = admin.rotate_key(&acme, KEY_ID, grace, PreviousSecret::Kept).await.unwrap();
    let Rotation::Done(rotated) = rotation else { panic!("{rotation:?}") };
    // Once this instance knows of it, the server that mints with the old secret gets a key of the new one.
    let by_new =
        async |body: &Value| ask(&service, &wish(KEY_ID, rotated.secret.expose_secret(), start, body)).await;
    let body = json!({ "origin": ORIGIN, "session_id": Uuid::now_v7() });
    let new = Page::of(&by_new(&body).await);
    let by_old = Page::of(&mint_at(&service, start, &body).await);
    assert_eq!((&by_old.key_id, &by_old.secret), (&new.key_id, &new.secret));
    for page in [&old, &new] {
        let sent = page.send(&service, &of_session(None), start, &[ORIGIN]).await;
        assert_eq!(sent.verdicts(), ["accepted"]);
    }
    let until = rotated.previous_until.unwrap();
    hand.set(until - SignedDuration::from_micros(1));
    let last = old.send(&service, &of_session(None), until.as_second(), &[ORIGIN]).await;
    assert_eq!(last.status, 202, "in the last moment of its parent's grace: {last:?}");
    hand.set(until);
    let over = old.send(&service, &of_session(None), until.as_second(), &[ORIGIN]).await;
    assert_eq!(over.problem(), (401, "unauthorized".to_owned()));
    let sent = new.send(&service, &of_session(None), until.as_second(), &[ORIGIN]).await;
    assert_eq!(sent.status, 202, "{sent:?}");
    // Rotated without a grace, as after a leak: all children are gone at once.
    admin.rotate_key(&acme, KEY_ID, SignedDuration::ZERO, PreviousSecret::Dropped).await.unwrap();
    let began = Instant::now();
    while new.send(&service, &of_session(None), until.as_second(), &[ORIGIN]).await.status != 401 {
        assert!(began.elapsed() < Duration::from_secs(6), "a key of a dropped secret still verifies");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_letter_of_another_session_is_refused_again_whoever_sends_it_once_more() {
    let service = Service::start().await;
    let page = page(&service, now(), 900).await;
    let (own, other) = (of_session(Some(page.session)), of_session(Some(Uuid::now_v7())));
    let sent = page.send(&service, &json!([own, other]), now(), &[ORIGIN]).await;
    assert_eq!(sent.verdicts(), ["accepted", "schema_violation"]);
    let letter: Uuid = service
        .db
        .owner()
        .await
        .query_one("select dlq_id from telemetry.events_dlq", &[])
        .await
        .unwrap()
        .get(0);
    let mut admin = service.admin().await;
    let tenant: TenantId = "acme".parse().unwrap();
    let mut desk = admin.dead_letter_desk(&tenant);
    let told = desk.dry_run(&[letter], |_| {}).await.unwrap();
    assert_eq!(told[0].outcome.reason(), Some("schema_violation"));
    let became = desk.redrive(&[letter], |_| {}).await.unwrap();
    assert_eq!(
        became[0].outcome.reason(),
        Some("schema_violation"),
        "an operator does not do it for the key"
    );
    assert_eq!(service.number("select count(*) from telemetry.events_raw").await, 1);
}

#[tokio::test]
async fn the_secret_of_a_session_key_stands_in_its_answer_and_nowhere_else() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    let bootstrap = bootstrap();
    let variables = [
        ("PORT", &*port),
        ("STORE", "memory"),
        ("HMAC_TENANT_SECRET", &*bootstrap),
        ("LOG_LEVEL", "trace"),
        ("SEATPILOT_DRAIN_MS", "0"),
    ];
    let binary = Path::new(env!("CARGO_BIN_EXE_telemetry-ingest"));
    let mut binary = Binary::spawn_with(binary, &[], &variables);
    binary.ready().await;
    let client = reqwest::Client::new();
    let post = async |path: &str, signed: &Signed, origin: Option<&str>| {
        let mut request = client.post(format!("{}{path}", binary.url())).body(signed.body.clone());
        for (name, value) in &signed.headers {
            request = request.header(name, value);
        }
        reply(match origin {
            Some(origin) => request.header("origin", origin),
            None => request,
        })
        .await
    };
    let body = json!({ "origin": ORIGIN, "session_id": Uuid::now_v7() });
    let minted = post(MINT, &wish(KEY_ID, &SECRET, now(), &body), None).await;
    let page = Page::of(&minted);
    let mut said = String::new();
    for (body, origin) in [
        (of_session(Some(page.session)), Some(ORIGIN)),
        (of_session(Some(Uuid::now_v7())), Some(ORIGIN)),
        (json!({ "secret": "none" }), Some(ORIGIN)),
        (of_session(None), Some("https://other.example")),
        (of_session(None), None),
    ] {
        said.push_str(&post(PATH, &page.sign(&body, now()), origin).await.text);
    }
    let chained = wish(&page.key_id, &page.secret, now(), &body);
    said.push_str(&post(MINT, &chained, Some(ORIGIN)).await.text);
    for path in ["/metrics", "/ready", "/openapi.json"] {
        said.push_str(&reply(client.get(format!("{}{path}", binary.url()))).await.text);
    }
    let log = binary.output();
    assert!(log.contains(&page.key_id) && log.contains("minted a session key"), "the control: {log}");
    assert!(said.contains("seatpilot_session_keys_minted_total 1"), "the control");
    let [base64, base64url] = [STANDARD.encode(&page.secret), URL_SAFE_NO_PAD.encode(&page.secret)];
    let hex: String = page.secret.iter().map(|byte| format!("{byte:02x}")).collect();
    for form in [base64.trim_end_matches('='), &*base64url, &hex] {
        assert!(!log.contains(form) && !said.contains(form), "a secret is to be read");
    }
    assert!(!said.contains(&page.key_id), "no series and no answer has an id for a label");
}
