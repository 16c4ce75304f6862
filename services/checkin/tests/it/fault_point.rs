//! A stage made slow on purpose.

use std::time::{Duration, Instant};

use reqwest::Method;
use seatpilot_checkin::Config;
use seatpilot_runtime::{Clock, Environment};
use seatpilot_signing::{AdminSubject, sign_admin_token};
use seatpilot_testkit::Evening;
use serde_json::{Value, json};

use crate::door::Door;

const SECRET: &str = "a secret of thirty-two bytes or so";
/// Longer than a busy machine takes for a scan.
const DELAY: Duration = Duration::from_millis(1_000);

fn token(tenant: &str, role: &str) -> String {
    let who = AdminSubject { tenant, role, subject: "somebody" };
    sign_admin_token(SECRET.as_bytes(), who, Clock::system().now().as_second(), 60)
}

async fn slow_door(guests: usize) -> Door {
    let variables = [("FAULT_POINTS", "on"), ("SUPABASE_JWT_SECRET", SECRET)];
    Door::told(Evening::of(guests).await, &variables).await
}

/// Status and body of a request to the fault point.
async fn fault(door: &Door, method: Method, token: &str, body: &Value) -> (u16, Value) {
    let url = format!("{}/admin/faults/stage-delay", door.url);
    let mut request = door.client.request(method, url).body(body.to_string());
    if !token.is_empty() {
        request = request.bearer_auth(token);
    }
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap_or_default())
}

fn delay(stage: &str, for_seconds: u32) -> Value {
    json!({ "stage": stage, "delay_ms": DELAY.as_millis() as u32, "for_seconds": for_seconds })
}

/// How long guest `n` takes to get in.
async fn admitted_in(door: &Door, n: usize) -> Duration {
    let began = Instant::now();
    assert_eq!(door.send(&door.scan(n)).await.status, 201);
    began.elapsed()
}

/// Seconds that a stage has taken so far.
async fn seconds(door: &Door, stage: &str) -> f64 {
    let text = door.get("/metrics").await;
    let labels = [format!("stage=\"{stage}\""), "tenant=\"acme\"".to_owned(), "channel=\"kiosk\"".to_owned()];
    let mut sums = text.lines().filter(|line| line.starts_with("seatpilot_checkin_stage_seconds_sum{"));
    let line = sums.find(|line| labels.iter().all(|label| line.contains(label))).unwrap();
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_delayed_stage_is_slow_is_counted_as_slow_and_lapses_by_itself() {
    let door = slow_door(5).await;
    let admin = token("acme", "admin");
    for (n, stage) in ["parse", "lookup", "persist"].into_iter().enumerate() {
        let before = (seconds(&door, stage).await, seconds(&door, "total").await);
        let (status, answer) = fault(&door, Method::PUT, &admin, &delay(stage, 600)).await;
        assert_eq!((status, &answer["tenant_id"], &answer["stage"]), (200, &"acme".into(), &stage.into()));
        assert!(admitted_in(&door, n).await >= DELAY, "{stage}");
        let after = (seconds(&door, stage).await, seconds(&door, "total").await);
        let grown = (after.0 - before.0).min(after.1 - before.1);
        assert!(grown >= DELAY.as_secs_f64(), "{stage}: {before:?} to {after:?}");
    }
    // The last one stands in for those before.
    assert_eq!(fault(&door, Method::PUT, &admin, &delay("persist", 1)).await.0, 200);
    tokio::time::sleep(Duration::from_millis(1_050)).await;
    assert!(admitted_in(&door, 3).await < DELAY, "nobody lifted it");
    assert_eq!(fault(&door, Method::PUT, &admin, &delay("lookup", 600)).await.0, 200);
    for _ in 0..2 {
        assert_eq!(fault(&door, Method::DELETE, &admin, &Value::Null).await.0, 204);
    }
    assert!(admitted_in(&door, 4).await < DELAY, "it was lifted");
}

#[tokio::test]
async fn an_administrator_slows_the_scans_of_his_own_tenant_only() {
    let door = slow_door(1).await;
    assert_eq!(fault(&door, Method::PUT, &token("rival", "owner"), &delay("persist", 600)).await.0, 200);
    assert!(admitted_in(&door, 0).await < DELAY);
    // Nor does he lift another's.
    assert_eq!(fault(&door, Method::PUT, &token("acme", "admin"), &delay("persist", 600)).await.0, 200);
    assert_eq!(fault(&door, Method::DELETE, &token("rival", "owner"), &Value::Null).await.0, 204);
    let began = Instant::now();
    assert_eq!(door.send(&door.scan(0)).await.problem().1, "already_checked_in");
    assert!(began.elapsed() >= DELAY);
}

#[tokio::test]
async fn nobody_but_an_administrator_reaches_it() {
    let door = slow_door(1).await;
    let device = door.evening.device_token.clone();
    for (who, status, code) in [
        (String::new(), 401, "unauthorized"),
        (device, 401, "unauthorized"),
        (format!("{}x", token("acme", "admin")), 401, "unauthorized"),
        (token("acme", "viewer"), 403, "forbidden"),
        (token("acme", "editor"), 403, "forbidden"),
    ] {
        for method in [Method::PUT, Method::DELETE] {
            let (answered, problem) = fault(&door, method, &who, &delay("persist", 600)).await;
            assert_eq!((answered, &problem["code"]), (status, &code.into()), "{who}");
        }
    }
    assert!(admitted_in(&door, 0).await < DELAY, "no delay was set");
}

#[tokio::test]
async fn a_delay_without_bounds_is_refused_by_the_name_of_its_member() {
    let door = slow_door(0).await;
    let admin = token("acme", "admin");
    for (member, value) in [
        ("stage", json!("total")),
        ("stage", json!("dance")),
        ("delay_ms", json!(5_001)),
        ("delay_ms", json!(-1)),
        ("for_seconds", json!(0)),
        ("for_seconds", json!(601)),
        ("extra", json!(1)),
    ] {
        let mut body = delay("persist", 600);
        body[member] = value;
        let (status, problem) = fault(&door, Method::PUT, &admin, &body).await;
        assert_eq!((status, &problem["code"]), (422, &"schema_violation".into()), "{problem}");
        assert_eq!(problem["errors"][0]["pointer"], format!("/{member}"), "{problem}");
    }
    for body in [
        r#"{"stage":"persist","delay_ms":0,"for_seconds":1}"#,
        r#"{"stage":"parse","delay_ms":5000,"for_seconds":600}"#,
    ] {
        assert_eq!(fault(&door, Method::PUT, &admin, &serde_json::from_str(body).unwrap()).await.0, 200);
    }
}

#[tokio::test]
async fn without_the_switch_there_is_no_such_route_and_production_refuses_the_switch() {
    let door = Door::told(Evening::of(0).await, &[("SUPABASE_JWT_SECRET", SECRET)]).await;
    for method in [Method::PUT, Method::DELETE] {
        let (status, problem) = fault(&door, method, &token("acme", "owner"), &delay("persist", 1)).await;
        assert_eq!((status, &problem["code"]), (404, &"not_found".into()));
    }
    let production = [
        ("DATABASE_URL", "postgres://somebody@127.0.0.1/somewhere"),
        ("SUPABASE_JWT_SECRET", SECRET),
        ("SEATPILOT_ENV", "production"),
        ("FAULT_POINTS", "on"),
    ];
    let refused = Environment::of(production).read(Config::read).unwrap_err().to_string();
    assert!(refused.contains("FAULT_POINTS") && refused.contains("SEATPILOT_ENV"), "{refused}");
    assert!(!refused.contains(SECRET), "{refused}");
    assert!(Environment::of(production[..3].iter().copied()).read(Config::read).is_ok());
}
