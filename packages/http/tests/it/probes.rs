//! Health, readiness, metrics.

use serde_json::{Value, json};

use crate::server::{problem, start};

#[tokio::test]
async fn health_says_who_serves() {
    let server = start();
    let response = server.get("/health").await;
    assert_eq!(response.status(), 200);
    let body: Value = response.json().await.unwrap();
    assert_eq!(body, json!({ "status": "ok", "service": "checkin", "version": "1.2.3" }));
}

#[tokio::test]
async fn readiness_follows_the_store() {
    let server = start();
    let starting = problem(server.get("/ready").await).await;
    assert_eq!(starting["status"], 503);
    assert_eq!(
        (&starting["code"], &starting["state"], &starting["schema_version"], &starting["store"]),
        (&json!("not_ready"), &json!("starting"), &Value::Null, &json!("postgres"))
    );

    server.readiness.reached("013");
    let ready: Value = server.get("/ready").await.json().await.unwrap();
    assert_eq!(
        ready,
        json!({ "status": "ready", "service": "checkin", "schema_version": "013", "store": "postgres" })
    );

    server.readiness.lost();
    let response = server.get("/ready").await;
    assert_eq!(response.status(), 200);
    let degraded: Value = response.json().await.unwrap();
    assert_eq!((&degraded["status"], &degraded["schema_version"]), (&json!("degraded"), &json!("013")));
}

#[tokio::test]
async fn the_document_is_served_as_it_was_given() {
    let server = start();
    let response = server.get("/openapi.json").await;
    assert_eq!(response.headers()["content-type"], "application/json");
    let document: Value = response.json().await.unwrap();
    assert_eq!(document["info"]["title"], "SeatPilot checkin");
}
