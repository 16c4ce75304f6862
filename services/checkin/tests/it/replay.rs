//! The same scan again.

use futures_util::future::join_all;
use serde_json::json;

use crate::door::Door;

#[tokio::test]
async fn the_same_scan_again_gets_the_same_bytes_however_its_json_is_written() {
    let door = Door::open(1).await;
    let scan = door.scan(0);
    let first = door.send(&scan).await;
    assert_eq!(first.status, 201);
    let spaced = serde_json::to_string_pretty(&scan).unwrap();
    let again = door.post(&door.url, &door.evening.device_token, spaced, &[]).await;
    assert_eq!((again.status, again.replayed), (201, true));
    assert_eq!(again.text, first.text);
}

#[tokio::test]
async fn the_same_scan_sent_while_the_first_is_under_way_is_admitted_once() {
    let door = Door::open(1).await;
    let (second, _stop) = door.second_instance().await;
    let scan = door.scan(0).to_string();
    let replies = join_all((0..20).map(|turn| {
        let url = if turn % 2 == 0 { &door.url } else { &second };
        door.post(url, &door.evening.device_token, scan.clone(), &[])
    }))
    .await;
    assert!(replies.iter().all(|reply| reply.status == 201 && reply.text == replies[0].text), "{replies:?}");
    assert_eq!(replies.iter().filter(|reply| !reply.replayed).count(), 1);
}

#[tokio::test]
async fn another_body_under_the_same_scan_id_is_refused() {
    let door = Door::open(2).await;
    let scan = door.scan(0);
    assert_eq!(door.send(&scan).await.status, 201);
    for (member, value) in [
        ("ticket", json!("ticket-1")),
        ("party_size", json!(1)),
        ("lang", json!("es")),
        ("channel", json!("desk")),
    ] {
        let mut other = scan.clone();
        other[member] = value;
        assert_eq!(door.send(&other).await.problem(), (422, "scan_id_reused".into()), "{member}");
    }
}

#[tokio::test]
async fn a_refused_scan_is_decided_anew() {
    let door = Door::open(0).await;
    let scan = door.scan(0);
    assert_eq!(door.send(&scan).await.status, 404);
    let evening = &door.evening;
    evening.admin().await.import_guests(&evening.tenant, &evening.venue, &[evening.guest(0)]).await.unwrap();
    assert_eq!(door.send(&scan).await.status, 201);
}

#[tokio::test]
async fn an_idempotency_key_equals_the_scan_id_bare_or_quoted() {
    let door = Door::open(2).await;
    let scan = door.scan(0);
    let id = scan["scan_id"].as_str().unwrap();
    let token = &door.evening.device_token;
    let quoted = format!("\"{id}\"");
    assert_eq!(door.post(&door.url, token, scan.to_string(), &[("idempotency-key", id)]).await.status, 201);
    assert_eq!(
        door.post(&door.url, token, scan.to_string(), &[("idempotency-key", &quoted)]).await.status,
        201
    );
    let upper = id.to_uppercase();
    assert_eq!(
        door.post(&door.url, token, scan.to_string().replace(id, &upper), &[("idempotency-key", &upper)])
            .await
            .status,
        201
    );
    let other = door.post(&door.url, token, door.scan(1).to_string(), &[("idempotency-key", id)]).await;
    assert_eq!(other.problem(), (422, "idempotency_key_mismatch".into()));
}
