//! A guest is seated.

use futures_util::future::join_all;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::sign::Sign;

#[tokio::test]
async fn the_first_ping_is_201_and_every_later_one_200_with_the_same_answer() {
    let sign = Sign::of(1).await;
    let session = sign.let_in(0, 20).await;
    let first = sign.send(&sign.ping(session)).await;
    assert_eq!(first.status, 201, "{first:?}");
    let body = first.json();
    let mut members: Vec<&str> = body.as_object().unwrap().keys().map(String::as_str).collect();
    members.sort_unstable();
    assert_eq!(
        members,
        [
            "arrived_at",
            "checked_in_at",
            "door_to_seat_seconds",
            "outlier",
            "seat_id",
            "section",
            "session_id",
            "table_id"
        ]
    );
    assert_eq!(body["session_id"], json!(session));
    assert_eq!(body["outlier"], false);
    assert_eq!(body["table_id"], Value::Null);
    let seconds = body["door_to_seat_seconds"].as_f64().unwrap();
    assert!((20.0..40.0).contains(&seconds), "{seconds}");
    let later = sign.send(&sign.ping(session)).await;
    assert_eq!((later.status, &later.text), (200, &first.text));
    let metrics = sign.metrics().await;
    assert!(
        metrics.contains(r#"seatpilot_door_to_seat_seconds_count{channel="kiosk",tenant="acme"} 1"#),
        "{metrics}"
    );
}

#[tokio::test]
async fn many_pings_at_once_are_one_arrival() {
    let sign = Sign::of(1).await;
    let session = sign.let_in(0, 5).await;
    let pings: Vec<Value> = (0..20).map(|_| sign.ping(session)).collect();
    let replies = join_all(pings.iter().map(|ping| sign.send(ping))).await;
    assert_eq!(replies.iter().filter(|reply| reply.status == 201).count(), 1, "{replies:?}");
    assert!(replies.iter().all(|reply| reply.text == replies[0].text));
}

#[tokio::test]
async fn over_fifteen_minutes_is_an_outlier_counted_and_kept_out_of_the_histogram() {
    let sign = Sign::of(1).await;
    let session = sign.let_in(0, 901).await;
    let reply = sign.send(&sign.ping(session)).await;
    assert_eq!((reply.status, &reply.json()["outlier"]), (201, &json!(true)));
    let metrics = sign.metrics().await;
    for series in [
        r#"seatpilot_door_to_seat_seconds_count{channel="kiosk",tenant="acme"} 0"#,
        r#"seatpilot_door_to_seat_outliers_total{tenant="acme"} 1"#,
    ] {
        assert!(metrics.contains(series), "{series} is not in\n{metrics}");
    }
}

#[tokio::test]
async fn unknown_sessions_other_places_and_impossible_times_are_refused() {
    let sign = Sign::of(1).await;
    let session = sign.let_in(0, 60).await;
    assert_eq!(sign.send(&sign.ping(Uuid::now_v7())).await.problem(), (404, "session_unknown".into()));
    let mut elsewhere = sign.ping(session);
    elsewhere["section"] = json!("nowhere");
    assert_eq!(sign.send(&elsewhere).await.problem(), (409, "table_mismatch".into()));
    let mut table = sign.ping(session);
    table["table_id"] = json!("T1");
    assert_eq!(sign.send(&table).await.problem(), (409, "table_mismatch".into()));
    for seconds in [-61, 10] {
        let mut impossible = sign.ping(session);
        let time = seatpilot_runtime::Clock::system().now() + jiff::SignedDuration::from_secs(seconds);
        impossible["arrived_at"] = json!(time.to_string());
        assert_eq!(sign.send(&impossible).await.problem(), (422, "arrived_at_out_of_range".into()));
    }
    let mut nowhere = sign.ping(session);
    nowhere.as_object_mut().unwrap().remove("section");
    assert_eq!(sign.send(&nowhere).await.problem(), (422, "schema_violation".into()));
    assert_eq!(sign.post("{}", &[]).await.problem(), (401, "unauthorized".into()));
}
