//! Tenants as the database has them.

use std::time::{Duration, Instant};

use seatpilot_testkit::TestDb;
use serde_json::Value;

use crate::running::{KEY, Running};

async fn until(what: &str, within: Duration, mut met: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !met().await {
        assert!(begun.elapsed() < within, "{what} within {within:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn add_tenant(db: &TestDb, tenant: &str) {
    let insert = "insert into ops.tenants (tenant_id, name) values ($1::text, $1::text)";
    db.owner().await.execute(insert, &[&tenant]).await.unwrap();
}

fn accepted(tenant: &str) -> String {
    format!("seatpilot_ingest_accepted_total{{tenant=\"{tenant}\"}}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tenants_of_the_database_have_series_of_their_own() {
    let db = TestDb::new().await;
    add_tenant(&db, "first").await;
    let url = db.url_as("seatpilot_metrics");
    // METRICS_TENANT is for a process without database.
    let app = Running::start_with(&[
        ("DATABASE_URL", &url),
        ("METRICS_INGEST_KEY", KEY),
        ("METRICS_TENANT", "elsewhere"),
    ]);
    until("ready", Duration::from_secs(10), async || app.get("/ready").await.0 == 200).await;
    let ready: Value = serde_json::from_str(&app.get("/ready").await.1).unwrap();
    assert_eq!(ready["store"], "postgres");
    until("the tenant", Duration::from_secs(2), async || app.value(&accepted("first")).await == Some(0.0))
        .await;
    assert_eq!(app.value(&accepted("elsewhere")).await, None);
    assert_eq!(app.value("seatpilot_store_info{kind=\"postgres\"}").await, Some(1.0));

    add_tenant(&db, "second").await;
    let told = r#"{"tenant":"first","outcome":"accepted","count":3}"#;
    assert_eq!(app.observe("ingest", told).await.0, 204);
    until("the new tenant", Duration::from_secs(12), async || app.value(&accepted("second")).await.is_some())
        .await;
    assert_eq!(app.value(&accepted("first")).await, Some(3.0));
}

#[tokio::test]
async fn a_database_that_does_not_answer_keeps_it_unready_but_alive() {
    let app = Running::start_with(&[
        // Nothing listens on port 1.
        ("DATABASE_URL", "postgres://seatpilot_metrics@127.0.0.1:1/none"),
        ("METRICS_INGEST_KEY", KEY),
    ]);
    assert_eq!(app.get("/health").await.0, 200);
    assert_eq!(app.get("/ready").await.0, 503);
    let told = r#"{"tenant":"acme","outcome":"accepted"}"#;
    assert_eq!(app.observe("ingest", told).await.0, 204);
    assert_eq!(app.value(&accepted("other")).await, Some(1.0));
}
