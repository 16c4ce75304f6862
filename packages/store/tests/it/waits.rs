//! What a login may take of the server is compared with what is waited for here.

use std::time::Duration;

use futures_util::future::join_all;
use seatpilot_domain_model::{Fault, FaultCode, TokenHash};
use seatpilot_runtime::{Clock, Deployment, Readiness, ReadinessState, SecretString, StoreKind};
use seatpilot_store::{Maps, Store, StoreSettings, Writes};
use seatpilot_testkit::TestDb;

const ROLES: [(&str, Writes); 4] = [
    ("seatpilot_checkin", Writes::CheckIns),
    ("seatpilot_wayfinding", Writes::Arrivals),
    ("seatpilot_ingest", Writes::Events),
    ("seatpilot_kpi", Writes::Nothing),
];

fn open(db: &TestDb, role: &str, writes: Writes) -> (Store, Readiness) {
    let readiness = Readiness::starting(StoreKind::Postgres);
    let store = Store::open(StoreSettings {
        database: SecretString::from(db.url_as(role).as_str()).into(),
        application_name: "test".into(),
        writes,
        maps: Maps::NotKept,
        pool_size: 1,
        deployment: Deployment::Development,
        readiness: readiness.clone(),
        clock: Clock::system(),
    });
    (store.unwrap(), readiness)
}

async fn comes_to(readiness: &Readiness, within: Duration, wanted: fn(&ReadinessState) -> bool) -> bool {
    let mut state = readiness.subscribe();
    tokio::time::timeout(within, state.wait_for(wanted)).await.is_ok()
}

fn is_ready(state: &ReadinessState) -> bool {
    matches!(state, ReadinessState::Ready { .. })
}

#[tokio::test]
async fn a_login_whose_statements_may_outlast_us_is_not_served_at_the_start() {
    let changes = [
        "statement_timeout = 0",
        "statement_timeout = '90s'",
        "lock_timeout = 0",
        "lock_timeout = '5s'",
        "idle_in_transaction_session_timeout = 0",
    ];
    join_all(changes.map(not_served_with)).await;
}

async fn not_served_with(change: &str) {
    let db = TestDb::new().await;
    let owner = db.owner().await;
    // In this database only: roles belong to the whole server.
    let alter = async |what: &str| {
        for (role, _) in ROLES {
            let alter = format!("alter role {role} in database {} {what}", db.name());
            owner.batch_execute(&alter).await.unwrap();
        }
    };
    alter(&format!("set {change}")).await;
    let opened = ROLES.map(|(role, writes)| open(&db, role, writes));
    tokio::time::sleep(Duration::from_millis(1_000)).await;
    for ((role, _), (_, readiness)) in ROLES.iter().zip(&opened) {
        assert_eq!(readiness.state(), ReadinessState::Starting, "{role} with {change}");
    }
    alter("reset all").await;
    for ((role, _), (_, readiness)) in ROLES.iter().zip(&opened) {
        assert!(
            comes_to(readiness, Duration::from_secs(10), is_ready).await,
            "{role}, mended after {change}"
        );
    }
}

#[tokio::test]
async fn a_login_that_is_changed_at_work_is_served_on() {
    let db = TestDb::new().await;
    let (_store, readiness) = open(&db, "seatpilot_checkin", Writes::CheckIns);
    assert!(comes_to(&readiness, Duration::from_secs(10), is_ready).await);
    let owner = db.owner().await;
    let alter = format!("alter role seatpilot_checkin in database {} set statement_timeout = 0", db.name());
    owner.batch_execute(&alter).await.unwrap();
    let end = "select pg_terminate_backend(pid) from pg_stat_activity
               where datname = current_database() and usename = 'seatpilot_checkin'";
    owner.execute(end, &[]).await.unwrap();
    let is_degraded = |state: &ReadinessState| matches!(state, ReadinessState::Degraded { .. });
    assert!(comes_to(&readiness, Duration::from_secs(5), is_degraded).await);
    assert!(comes_to(&readiness, Duration::from_secs(10), is_ready).await);
}

#[tokio::test]
async fn who_is_not_let_in_is_told_that_the_database_is_away() {
    let db = TestDb::new().await;
    let (store, readiness) = open(&db, "seatpilot_checkin", Writes::Nothing);
    assert!(comes_to(&readiness, Duration::from_secs(10), is_ready).await);
    let owner = db.owner().await;
    let barred = format!("revoke connect on database {} from public, seatpilot_checkin", db.name());
    owner.batch_execute(&barred).await.unwrap();
    // The pool's connections are ended, the first one is not, which listens: nobody knows of an outage.
    let end = "select pg_terminate_backend(pid) from pg_stat_activity
               where datname = current_database() and usename = 'seatpilot_checkin' and backend_start > (
                   select min(backend_start) from pg_stat_activity
                   where datname = current_database() and usename = 'seatpilot_checkin')";
    owner.execute(end, &[]).await.unwrap();
    let mut codes = Vec::new();
    for n in 0..4_u8 {
        let asked = store.device(TokenHash::of(&[n])).await;
        codes.push(Fault::from(asked.expect_err("nobody is let in")).code());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(codes, [FaultCode::DatabaseUnavailable; 4]);
    assert!(is_ready(&readiness.state()), "found out by the pool, not by who listens");
}
