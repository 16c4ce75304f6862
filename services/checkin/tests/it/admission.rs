//! A guest comes in.

use futures_util::future::join_all;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::door::Door;

#[tokio::test]
async fn an_admitted_guest_gets_a_session_a_seat_and_the_way_in_words() {
    let door = Door::open(1).await;
    let scan = door.scan(0);
    let reply = door.send(&scan).await;
    assert_eq!((reply.status, reply.replayed), (201, false), "{reply:?}");
    let body = reply.json();
    let mut members: Vec<&str> = body.as_object().unwrap().keys().map(String::as_str).collect();
    members.sort_unstable();
    assert_eq!(
        members,
        [
            "checked_in_at",
            "decision",
            "door_id",
            "party_size",
            "scan_id",
            "seat_id",
            "section",
            "session_id",
            "table_id",
            "ticket_id",
            "way"
        ]
    );
    assert_eq!(body["decision"], "admitted");
    assert_eq!(body["scan_id"], scan["scan_id"]);
    assert_eq!(body["party_size"], 2);
    assert_eq!(body["section"], door.evening.section);
    assert_eq!(body["table_id"], Value::Null);
    assert_eq!(body["door_id"], door.evening.door.as_str());
    let way = &body["way"];
    let steps = way["steps"].as_array().unwrap();
    assert_eq!(steps.last().unwrap()["kind"], "arrive");
    assert!(steps.iter().all(|step| !step["text"].as_str().unwrap().is_empty()));
    assert!(way["distance_m"].as_f64().unwrap() > 0.0 && way["duration_s"].as_f64().unwrap() > 0.0);
    // Session row and telemetry event are one fact.
    let told = door
        .evening
        .count(
            "select count(*) from ops.checkin_sessions s join telemetry.events_raw e using (session_id)
             where e.type = 'checkin.success' and e.source = 'service' and e.occurred_at = s.checked_in_at
               and (e.data ->> 'latency_ms')::numeric > 0",
        )
        .await;
    assert_eq!(told, 1);
}

#[tokio::test]
async fn the_way_speaks_spanish_when_asked_and_is_step_free_when_asked() {
    let door = Door::open(2).await;
    let mut spanish = door.scan(0);
    spanish["lang"] = json!("es");
    let english = door.send(&door.scan(1)).await.json();
    let spanish = door.send(&spanish).await.json();
    assert_ne!(english["way"]["steps"][0]["text"], spanish["way"]["steps"][0]["text"]);
    assert_eq!(english["way"]["distance_m"], spanish["way"]["distance_m"]);
}

#[tokio::test]
async fn fewer_than_the_ticket_says_are_admitted_once_and_more_are_refused_by_pointer() {
    let door = Door::open(1).await;
    let mut crowd = door.scan(0);
    crowd["party_size"] = json!(3);
    let reply = door.send(&crowd).await;
    assert_eq!(reply.problem(), (422, "schema_violation".into()));
    assert_eq!(reply.json()["errors"][0]["pointer"], "/party_size");
    let mut one = door.scan(0);
    one["party_size"] = json!(1);
    assert_eq!(door.send(&one).await.json()["party_size"], 1);
    assert_eq!(door.send(&door.scan(0)).await.refused(), (409, "already_checked_in".into()));
}

#[tokio::test]
async fn sixteen_gates_over_two_instances_admit_exactly_one() {
    let door = Door::open(12).await;
    let (second, _stop) = door.second_instance().await;
    for n in 0..12 {
        let scans: Vec<Value> = (0..16).map(|_| door.scan(n)).collect();
        let replies = join_all(scans.iter().enumerate().map(|(gate, scan)| {
            let url = if gate % 2 == 0 { &door.url } else { &second };
            door.post(url, &door.evening.device_token, scan.to_string(), &[])
        }))
        .await;
        let admitted: Vec<_> = replies.iter().filter(|reply| reply.status == 201).collect();
        assert_eq!(admitted.len(), 1, "{replies:?}");
        let first = admitted[0].json();
        for reply in replies.iter().filter(|reply| reply.status != 201) {
            assert_eq!(reply.refused(), (409, "already_checked_in".into()));
            assert_eq!(reply.json()["first_checked_in_at"], first["checked_in_at"]);
            assert_eq!(reply.json()["first_door_id"], first["door_id"]);
        }
    }
}

#[tokio::test]
async fn every_family_is_there_from_the_first_scrape_and_counts_what_happened() {
    let door = Door::open(3).await;
    let before = door.get("/metrics").await;
    for family in [
        r#"seatpilot_checkin_latency_ms{channel="kiosk",tenant="acme",quantile="0.95"}"#,
        r#"seatpilot_checkin_latency_seconds_count{channel="kiosk",tenant="acme"} 0"#,
        r#"seatpilot_checkin_stage_seconds_count{channel="kiosk",stage="persist",tenant="acme"} 0"#,
        r#"seatpilot_store_info{kind="postgres"} 1"#,
        r#"http_request_duration_seconds_count{method="POST",route="/api/checkin/success",status="201"} 0"#,
    ] {
        assert!(before.contains(family), "{family} is not in\n{before}");
    }
    for n in 0..3 {
        assert_eq!(door.send(&door.scan(n)).await.status, 201);
    }
    assert_eq!(door.send(&door.scan(0)).await.status, 409);
    let after = door.get("/metrics").await;
    for series in [
        r#"seatpilot_checkin_latency_seconds_count{channel="kiosk",tenant="acme"} 3"#,
        r#"seatpilot_checkin_latency_ms_count{channel="kiosk",tenant="acme"} 3"#,
        r#"seatpilot_checkin_stage_seconds_count{channel="kiosk",stage="total",tenant="acme"} 4"#,
        r#"http_request_duration_seconds_count{method="POST",route="/api/checkin/success",status="409"} 1"#,
    ] {
        assert!(after.contains(series), "{series} is not in\n{after}");
    }
}

#[tokio::test]
async fn a_scan_of_an_offline_gate_counts_from_when_it_was_made() {
    let door = Door::open(1).await;
    let mut scan = door.scan(0);
    let made = jiff_now_minus_hours(71);
    scan["scanned_at"] = json!(made);
    assert_eq!(door.send(&scan).await.json()["checked_in_at"], made);
    let mut late = door.scan(0);
    late["scan_id"] = json!(Uuid::now_v7());
    for out_of_range in [jiff_now_minus_hours(73), "9999-12-31T23:59:59Z".to_owned()] {
        late["scanned_at"] = json!(out_of_range);
        let answer = door.send(&late).await.problem();
        assert_eq!(answer, (422, "scanned_at_out_of_range".into()), "{out_of_range}");
    }
}

fn jiff_now_minus_hours(hours: i64) -> String {
    (seatpilot_runtime::Clock::system().now() - jiff::SignedDuration::from_hours(hours)).to_string()
}
