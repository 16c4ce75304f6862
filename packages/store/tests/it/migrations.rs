//! Migrations: applied once, recorded, and never edited afterwards.

use seatpilot_runtime::SecretString;
use seatpilot_store::admin::{Admin, AdminError, MIGRATIONS, Migration};
use seatpilot_testkit::TestDb;

async fn admin(db: &TestDb) -> Admin {
    Admin::connect(&SecretString::from(db.owner_url().as_str())).await.unwrap()
}

#[tokio::test]
async fn a_migrated_database_has_nothing_left_to_apply() {
    let db = TestDb::new().await;
    let mut admin = admin(&db).await;
    assert!(admin.migrate(|_| {}).await.unwrap().is_empty());
    assert_eq!(admin.schema_version().await.unwrap().as_deref(), MIGRATIONS.last().map(|last| last.version));
}

#[tokio::test]
async fn a_migration_that_was_changed_after_it_was_applied_is_refused() {
    let db = TestDb::new().await;
    let mut admin = admin(&db).await;
    let mut edited: Vec<Migration> = MIGRATIONS.to_vec();
    edited[1].sql = "select 1;";
    match admin.migrate_with(&edited, &mut |_| {}).await {
        Err(AdminError::Refused(reason)) => assert!(reason.contains(edited[1].name), "{reason}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_failed_migration_leaves_nothing_behind() {
    let db = TestDb::new().await;
    let mut admin = admin(&db).await;
    let mut more: Vec<Migration> = MIGRATIONS.to_vec();
    more.push(Migration { version: "998", name: "half", sql: "create table ops.half (); select 1 / 0;" });
    assert!(admin.migrate_with(&more, &mut |_| {}).await.is_err());
    let row = db.owner().await.query_one("select to_regclass('ops.half') is null", &[]).await.unwrap();
    assert!(row.get::<_, bool>(0));
    assert_ne!(admin.schema_version().await.unwrap().as_deref(), Some("998"));
}

#[tokio::test]
async fn no_claim_sees_no_row_and_neither_does_an_empty_one() {
    let db = TestDb::new().await;
    admin(&db).await.ensure_tenant(&"acme".parse().unwrap(), "Acme").await.unwrap();
    let client = db.client_as("seatpilot_checkin").await;
    for claims in ["", "{}", "null", r#"{"tenant_id":""}"#, r#"{"user_metadata":{"tenant_id":"acme"}}"#] {
        client.execute("select set_config('request.jwt.claims', $1, false)", &[&claims]).await.unwrap();
        let row = client.query_one("select telemetry.claim_tenant_id()", &[]).await.unwrap();
        assert_eq!(row.get::<_, Option<String>>(0), None, "{claims}");
    }
}
