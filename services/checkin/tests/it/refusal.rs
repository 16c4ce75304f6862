//! A guest, a device or a body is refused, each for the reason that the contract names.

use std::time::{Duration, Instant};

use seatpilot_domain_model::{Channel, DeviceScope, TicketCode};
use seatpilot_testkit::Evening;
use serde_json::json;
use uuid::Uuid;

use crate::door::Door;

#[tokio::test]
async fn a_ticket_is_refused_for_the_first_reason_that_applies() {
    let door = Door::open(1).await;
    let evening = &door.evening;
    let now = seatpilot_runtime::Clock::system().now();
    let hour = jiff::SignedDuration::from_hours(1);
    let mut rows: Vec<_> = (10..16).map(|n| evening.guest(n)).collect();
    rows[0].valid_from = Some(now + hour);
    rows[1].valid_until = Some(now - hour);
    rows[2].doors = vec!["stage-door".parse().unwrap()];
    rows[3].event = "matinee".parse().unwrap();
    let mut admin = evening.admin().await;
    admin.import_guests(&evening.tenant, &evening.venue, &rows).await.unwrap();
    let revoked = TicketCode::new(Evening::ticket(14)).unwrap().hash();
    admin.revoke_tickets(&evening.tenant, None, &[revoked]).await.unwrap();
    for (n, status, code) in [
        (99, 404, "ticket_unknown"),
        (14, 403, "ticket_revoked"),
        (13, 403, "wrong_event"),
        (10, 403, "not_yet_valid"),
        (11, 403, "no_longer_valid"),
        (12, 403, "wrong_door"),
    ] {
        assert_eq!(door.send(&door.scan(n)).await.refused(), (status, code.to_owned()), "ticket {n}");
    }
}

#[tokio::test]
async fn unknown_malformed_and_foreign_tickets_look_the_same() {
    let door = Door::open(1).await;
    let mut texts = Vec::new();
    for ticket in ["no such ticket", "\u{0}", "席\u{202e}", "' or 1=1 --"] {
        let mut scan = door.scan(0);
        scan["ticket"] = json!(ticket);
        let headers = [("x-request-id", "same")];
        let reply = door.post(&door.url, &door.evening.device_token, scan.to_string(), &headers).await;
        assert_eq!(reply.refused(), (404, "ticket_unknown".into()));
        texts.push(reply.text);
    }
    assert!(texts.iter().all(|text| *text == texts[0]), "{texts:?}");
}

#[tokio::test]
async fn a_body_outside_its_grammar_is_told_what_and_where() {
    let door = Door::open(1).await;
    let token = &door.evening.device_token;
    for body in ["", "{", "{\"scan_id\":", "not json", "{\"ticket\":\"\\ud800\"}"] {
        assert_eq!(
            door.post(&door.url, token, body, &[]).await.problem(),
            (400, "bad_json".into()),
            "{body}"
        );
    }
    let broken: &[(&str, serde_json::Value)] = &[
        ("/scan_id", json!("not-a-uuid")),
        ("/scan_id", json!("01900000000070008000000000000001")),
        ("/venue_id", json!("-bad")),
        ("/event_id", json!("")),
        ("/door_id", json!("a".repeat(65))),
        ("/ticket", json!("")),
        ("/ticket", json!("x".repeat(513))),
        ("/channel", json!("fax")),
        ("/party_size", json!(0)),
        ("/party_size", json!(51)),
        ("/party_size", json!(1.5)),
        ("/party_size", json!(null)),
        ("/scanned_at", json!("2026-11-22")),
        ("/scanned_at", json!("2026-11-22T19:30:00")),
        ("/scanned_at", json!("2026-11-22T19:30:00.1234567Z")),
        ("/profile", json!("fly")),
        ("/lang", json!("xx")),
        ("/nonsense", json!(1)),
    ];
    for (pointer, value) in broken {
        let mut scan = door.scan(0);
        scan[&pointer[1..]] = value.clone();
        let reply = door.send(&scan).await;
        assert_eq!(reply.problem(), (422, "schema_violation".into()), "{pointer} {value}");
        assert_eq!(reply.json()["errors"][0]["pointer"], *pointer, "{value}");
    }
    for member in ["scan_id", "venue_id", "event_id", "door_id", "ticket", "channel"] {
        let mut scan = door.scan(0);
        scan.as_object_mut().unwrap().remove(member);
        let reply = door.send(&scan).await;
        assert_eq!(reply.json()["errors"][0]["pointer"], format!("/{member}"));
    }
    let large = door.post(&door.url, token, " ".repeat(16 * 1024 + 1), &[]).await;
    assert_eq!(large.problem(), (413, "body_too_large".into()));
    let coded = door.post(&door.url, token, "{}", &[("content-encoding", "gzip")]).await;
    assert_eq!(coded.status, 415);
    assert_eq!(door.evening.count("select count(*) from ops.checkin_sessions").await, 0);
}

#[tokio::test]
async fn a_device_is_known_by_its_token_and_kept_to_its_limits() {
    let door = Door::open(1).await;
    let scan = door.scan(0).to_string();
    for token in ["", "spd_unknown"] {
        assert_eq!(
            door.post(&door.url, token, scan.clone(), &[]).await.problem(),
            (401, "unauthorized".into())
        );
    }
    let mut admin = door.evening.admin().await;
    let limits = [
        DeviceScope { venues: Some(["elsewhere".parse().unwrap()].into()), ..DeviceScope::default() },
        DeviceScope { events: Some(["matinee".parse().unwrap()].into()), ..DeviceScope::default() },
        DeviceScope { doors: Some(["stage-door".parse().unwrap()].into()), ..DeviceScope::default() },
        DeviceScope { channels: Some([Channel::Desk].into()), ..DeviceScope::default() },
    ];
    for limit in limits {
        let device = admin.add_device(&door.evening.tenant, "limited", &limit).await.unwrap();
        let reply = door.post(&door.url, device.token.expose_secret(), scan.clone(), &[]).await;
        assert_eq!(reply.problem(), (403, "forbidden".into()), "{limit:?}");
        assert!(reply.json().get("decision").is_none());
    }
    for member in ["venue_id", "event_id", "door_id"] {
        let mut nowhere = door.scan(0);
        nowhere[member] = json!("nowhere");
        assert_eq!(door.send(&nowhere).await.problem(), (403, "forbidden".into()), "{member}");
    }
}

#[tokio::test]
async fn a_revoked_device_is_out_within_five_seconds() {
    let door = Door::open(1).await;
    let mut admin = door.evening.admin().await;
    let device = admin.add_device(&door.evening.tenant, "lost", &DeviceScope::default()).await.unwrap();
    let token = device.token.expose_secret().clone();
    let unknown = || {
        let mut scan = door.scan(77);
        scan["scan_id"] = json!(Uuid::now_v7());
        scan.to_string()
    };
    assert_eq!(door.post(&door.url, &token, unknown(), &[]).await.status, 404);
    admin.revoke_device(&door.evening.tenant, device.id).await.unwrap();
    let revoked = Instant::now();
    while door.post(&door.url, &token, unknown(), &[]).await.status != 401 {
        assert!(revoked.elapsed() < Duration::from_secs(5));
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test]
async fn a_device_that_guesses_is_stopped_after_sixty_unknown_tickets_and_other_refusals_never_count() {
    let door = Door::open(1).await;
    assert_eq!(door.send(&door.scan(0)).await.status, 201);
    for _ in 0..70 {
        assert_eq!(door.send(&door.scan(0)).await.status, 409);
    }
    for n in 0..60 {
        assert_eq!(door.send(&door.scan(1_000 + n)).await.status, 404);
    }
    let reply = door.send(&door.scan(2_000)).await;
    assert_eq!(reply.problem(), (429, "rate_limited".into()));
    // Until the minute is over nothing of this device goes through, and another device's does.
    assert_eq!(door.send(&door.scan(0)).await.status, 429);
    let mut admin = door.evening.admin().await;
    let other = admin.add_device(&door.evening.tenant, "other", &DeviceScope::default()).await.unwrap();
    let reply = door.post(&door.url, other.token.expose_secret(), door.scan(0).to_string(), &[]).await;
    assert_eq!(reply.status, 409);
}
