//! The databases of the tests, tested; and the house, held.

#![expect(clippy::unwrap_used, reason = "a test that fails, fails")]

mod documents;
mod floors;
mod postgrest;

use seatpilot_testkit::TestDb;

#[tokio::test]
async fn each_test_has_a_migrated_database_of_its_own() {
    let (one, two) = tokio::join!(TestDb::new(), TestDb::new());
    assert_ne!(one.name(), two.name());
    let in_one = one.owner().await;
    in_one.batch_execute("create table public.only_here (n int)").await.unwrap();
    let in_two = two.owner().await;
    let seen =
        "select to_regclass('public.only_here') is not null, to_regclass('telemetry.events_raw') is not null";
    let row = in_two.query_one(seen, &[]).await.unwrap();
    assert_eq!((row.get::<_, bool>(0), row.get::<_, bool>(1)), (false, true));
}

#[tokio::test]
async fn a_database_is_gone_with_its_test_even_while_somebody_is_connected() {
    let other = TestDb::new().await;
    let db = TestDb::new().await;
    let name = db.name().to_owned();
    let _connected = db.owner().await;
    drop(db);
    let row = other.owner().await;
    let found = row.query_opt("select 1 from pg_database where datname = $1", &[&name]).await.unwrap();
    assert!(found.is_none());
}

#[tokio::test]
async fn a_service_logs_in_as_its_own_role_and_owns_nothing() {
    let db = TestDb::new().await;
    for role in [
        "seatpilot_checkin",
        "seatpilot_wayfinding",
        "seatpilot_ingest",
        "seatpilot_kpi",
        "seatpilot_metrics",
    ] {
        let client = db.client_as(role).await;
        let row = client
            .query_one("select current_user::text, rolsuper or rolbypassrls from pg_roles where rolname = current_user", &[])
            .await
            .unwrap();
        assert_eq!((row.get::<_, &str>(0), row.get::<_, bool>(1)), (role, false));
    }
}
