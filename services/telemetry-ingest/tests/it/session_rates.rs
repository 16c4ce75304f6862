//! How much a page may send and a server may mint: each session for itself, and all of them within their parent's rate;
//! and which keys have none.

use std::time::Duration;

use jiff::Timestamp;
use seatpilot_domain_model::{KeyScope, TenantId};
use seatpilot_runtime::Clock;
use serde_json::json;
use uuid::Uuid;

use crate::{
    service::{KEY_ID, Kind, SECRET, Service, Signed, event, nonce},
    session_keys::{ORIGIN, Page, ask, mint_at, now, of_session, page, standing, wish},
};

#[tokio::test]
async fn a_session_that_sends_too_much_is_held_back_and_its_parent_is_not() {
    let (service, hand, start) = standing(Kind::Postgres).await;
    let greedy = page(&service, start, 900).await;
    // A second key of the same session has no second rate.
    let body = json!({ "origin": ORIGIN, "session_id": greedy.session, "expires_in_seconds": 600 });
    let second = Page::of(&mint_at(&service, start, &body).await);
    let other = page(&service, start, 900).await;
    for turn in 0..60 {
        let page = if turn % 2 == 0 { &greedy } else { &second };
        let sent = page.send(&service, &of_session(None), start, &[ORIGIN]).await;
        assert_eq!(sent.status, 202, "{turn}: {sent:?}");
    }
    for page in [&greedy, &second] {
        let refused = page.send(&service, &of_session(None), start, &[ORIGIN]).await;
        assert_eq!(refused.problem(), (429, "rate_limited".to_owned()));
        assert_eq!(refused.header("ratelimit-policy"), Some("\"session\";q=600;w=60"));
    }
    let sent = other.send(&service, &of_session(None), start, &[ORIGIN]).await;
    assert_eq!(sent.status, 202, "another session has its own");
    let by_parent = Signed::with(event().to_string(), KEY_ID, &SECRET, start, &nonce());
    assert_eq!(service.send(&by_parent).await.status, 202);
    hand.advance(Duration::from_secs(1));
    assert_eq!(greedy.send(&service, &of_session(None), start + 1, &[ORIGIN]).await.status, 202);
}

#[tokio::test]
async fn the_children_of_a_key_share_its_rate() {
    let start = Timestamp::now().round(jiff::Unit::Second).unwrap();
    let (clock, _hand) = Clock::manual(start);
    let variables = [("INGEST_RATE_PER_SECOND", "1"), ("INGEST_RATE_BURST", "3")];
    let service = Service::start_on(Kind::Postgres, clock, &variables).await;
    let start = start.as_second();
    let (one, two) = (page(&service, start, 900).await, page(&service, start, 900).await);
    for page in [&one, &two, &one] {
        assert_eq!(page.send(&service, &of_session(None), start, &[ORIGIN]).await.status, 202);
    }
    let refused = two.send(&service, &of_session(None), start, &[ORIGIN]).await;
    assert_eq!(refused.header("ratelimit-policy"), Some("\"ingest\";q=60;w=60"), "{refused:?}");
    let by_parent = Signed::with(event().to_string(), KEY_ID, &SECRET, start, &nonce());
    assert_eq!(service.send(&by_parent).await.status, 429);
}

#[tokio::test]
async fn who_mints_without_end_is_told_to_wait() {
    let (service, _hand, start) = standing(Kind::Memory).await;
    let body = json!({ "origin": ORIGIN, "session_id": Uuid::now_v7() });
    let mut statuses = Vec::new();
    for _ in 0..1_001 {
        statuses.push(mint_at(&service, start, &body).await.status);
    }
    assert!(statuses[..1_000].iter().all(|status| *status == 201));
    assert_eq!(statuses[1_000], 429);
    assert_eq!(service.rejected("acme", "rate_limited").await, 1.0);
}

#[tokio::test]
async fn no_key_may_be_called_like_one_of_a_session() {
    let service = Service::start().await;
    let acme: TenantId = "acme".parse().unwrap();
    let made = service.admin().await.add_key(&acme, Some("ses1_acme_gate"), &[KeyScope::Ingest]).await;
    assert!(made.is_err_and(|error| error.to_string().contains("choose another id")));
    // One whose id is too long for a child's to hold it says so.
    let long = "k".repeat(32);
    service.add_key("acme", &long, &SECRET, &[KeyScope::Ingest]).await;
    let body = json!({ "origin": ORIGIN, "session_id": Uuid::now_v7() });
    let refused = ask(&service, &wish(&long, &SECRET, now(), &body)).await;
    assert_eq!(refused.problem(), (403, "forbidden".to_owned()));
    assert!(refused.text.contains("31"), "{refused:?}");
}
