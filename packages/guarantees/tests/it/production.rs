//! What production refuses (G49): every binary, every field that must not be as a laptop has it. A fault of the
//! configuration ends the process before it listens; what only the database can tell ends it at its first contact, and
//! again at the contact after the database changed. Exit code 64 each time, and the field's name.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use seatpilot_testkit::{Binary, Cluster, TestDb, own_cluster_with};
use tempfile::TempDir;

/// Every binary that reads a database, with the role that it logs in as.
const BINARIES: &[(&str, &str)] = &[
    ("checkin", "seatpilot_checkin"),
    ("wayfinding", "seatpilot_wayfinding"),
    ("telemetry-ingest", "seatpilot_ingest"),
    ("kpi-refresher", "seatpilot_kpi"),
    ("metrics-api", "seatpilot_metrics"),
];
/// What is promised is 2 s. What a busy machine is given before the test fails: the promise is of the process' own doing.
const ENDS_WITHIN: Duration = Duration::from_secs(10);

/// Variables with which each of them starts in production.
struct Production {
    folder: TempDir,
    keys: PathBuf,
}

impl Production {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        // The server's account must be able to pass.
        fs::set_permissions(folder.path(), Permissions::from_mode(0o711)).unwrap();
        let keys = folder.path().join("at-rest");
        fs::write(&keys, "q83vEjRWeJCrze8SNFZ4kKvN7xI0VniQq83vEjRWeJA=\n").unwrap();
        fs::set_permissions(&keys, Permissions::from_mode(0o400)).unwrap();
        Self { folder, keys }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn start(&self, name: &str, url: &str, more: &[(&str, &str)]) -> Binary {
        let mut envs = vec![
            ("SEATPILOT_ENV", "production"),
            ("PORT", "0"),
            ("SEATPILOT_DRAIN_MS", "0"),
            ("SEATPILOT_SECRETS_KEY_FILE", self.keys.to_str().unwrap()),
        ];
        if !more.iter().any(|(name, _)| ["STORE", "SUPABASE_URL"].contains(name)) {
            envs.push(("DATABASE_URL", url));
        }
        envs.extend_from_slice(more);
        Binary::spawn(name, &envs)
    }
}

/// That it ends with 64 and says each of the words; how long it took.
async fn assert_refused(mut binary: Binary, words: &[&str], what: &str) -> Duration {
    let since = Instant::now();
    let status = binary.wait(ENDS_WITHIN).await;
    let took = since.elapsed();
    // Its last words are read by a thread of their own.
    let is_said = |said: &str| words.iter().all(|word| said.contains(word));
    while !is_said(&binary.output()) && since.elapsed() < took + Duration::from_secs(2) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let said = binary.output();
    let code = status.and_then(|status| status.code());
    assert_eq!(code, Some(64), "{what}: it must end with 64 and did not; it said:\n{said}");
    for word in words {
        assert!(said.contains(word), "{what}: {word} is not in\n{said}");
    }
    took
}

/// Binary, what is set, the variable that is named and a word of why.
type Fault = (&'static str, &'static [(&'static str, &'static str)], &'static str, &'static str);
const FAULTS: &[Fault] = &[
    ("telemetry-ingest", &[("STORE", "memory"), ("HMAC_TENANT_SECRET", GOOD_KEY)], "STORE", "memory"),
    ("checkin", &[("STORE", "memory")], "STORE", "memory"),
    ("wayfinding", &[("STORE", "memory")], "STORE", "memory"),
    ("kpi-refresher", &[("STORE", "memory")], "STORE", "memory"),
    ("metrics-api", &[("METRICS_INGEST_KEY", "short")], "METRICS_INGEST_KEY", "16"),
    (
        "metrics-api",
        &[("METRICS_INGEST_KEY", "change-me-to-32-random-characters")],
        "METRICS_INGEST_KEY",
        "example",
    ),
    (
        "metrics-api",
        &[("METRICS_INGEST_KEY", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")],
        "METRICS_INGEST_KEY",
        "over",
    ),
    ("telemetry-ingest", &[("SUPABASE_JWT_SECRET", "short")], "SUPABASE_JWT_SECRET", "32"),
    (
        "telemetry-ingest",
        &[("SUPABASE_JWT_SECRET", "super-secret-jwt-token-with-at-least-32-characters-long")],
        "SUPABASE_JWT_SECRET",
        "manual",
    ),
    ("telemetry-ingest", &[("HMAC_TENANT_SECRET", "demo:key_demo-1:c2hvcnQ=")], "HMAC_TENANT_SECRET", "16"),
    (
        "telemetry-ingest",
        &[("HMAC_TENANT_SECRET", "demo:key_demo-1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=")],
        "HMAC_TENANT_SECRET",
        "over",
    ),
    (
        "wayfinding",
        &[("HMAC_TENANT_SECRET", "demo:key_demo-1:Y2hhbmdlLW1lLWNoYW5nZS1tZS1jaGFuZ2UtbWU=")],
        "HMAC_TENANT_SECRET",
        "example",
    ),
    ("telemetry-ingest", &[("SEATPILOT_SECRETS_KEY_FILE", "")], "SEATPILOT_SECRETS_KEY_FILE", "required"),
    (
        "telemetry-ingest",
        &[
            ("SUPABASE_URL", "https://project.supabase.co"),
            (
                "SUPABASE_SERVICE_ROLE_KEY",
                "eyJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJzdXBhYmFzZS1kZW1vIiwicm9sZSI6InNlcnZpY2Vfcm9sZSJ9.x",
            ),
        ],
        "SUPABASE_SERVICE_ROLE_KEY",
        "manual",
    ),
    ("checkin", &[("FAULT_POINTS", "on")], "FAULT_POINTS", "production"),
];
const GOOD_KEY: &str = "demo:key_demo-1:q83vEjRWeJCrze8SNFZ4kA==";

#[tokio::test]
async fn production_refuses_each_setting_that_is_only_fit_for_a_laptop_and_names_it() {
    let production = Production::new();
    // Nobody listens there: what is refused is refused before any contact.
    let nowhere = "postgres://seatpilot:gH7dK2mQ9xLw@127.0.0.1:9/evening";
    let mut longest = Duration::ZERO;
    for (name, variables, variable, why) in FAULTS {
        let binary = production.start(name, nowhere, variables);
        let words = [format!("configuration: {variable}"), (*why).to_owned()];
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        longest = longest.max(assert_refused(binary, &words, &format!("{name} {variables:?}")).await);
    }
    let mut cases = FAULTS.len();
    for (name, role) in BINARIES {
        for password in ["change-me", "postgres", "short", *role] {
            let url = format!("postgres://{role}:{password}@127.0.0.1:9/evening");
            let binary = production.start(name, &url, &[]);
            let took = assert_refused(binary, &["configuration: DATABASE_URL", "password"], name).await;
            longest = longest.max(took);
            cases += 1;
        }
    }
    println!("guarantee: G49 | {cases} configurations refused with 64 by name, the slowest in {longest:.1?}");
}

/// A server that flushes, as production asks, and lets roles in without a password: their passwords are not the matter here.
async fn durable(folder: &Path) -> Cluster {
    own_cluster_with(folder, |options| {
        options.setting("fsync", "on").setting("full_page_writes", "on").setting("shared_buffers", "16MB")
    })
    .await
}

/// Whether the process, which listens on a free port, took contact with its database.
async fn reached(binary: &Binary) {
    let since = Instant::now();
    while !binary.output().contains("reached the database") {
        assert!(since.elapsed() < Duration::from_secs(20), "never reached:\n{}", binary.output());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn production_serves_on_no_database_that_forgets_and_under_no_role_that_no_policy_binds() {
    let production = Production::new();
    let cluster = durable(production.path()).await;
    let db = TestDb::on(cluster.url("").trim_end_matches('/')).await;
    let owner = db.owner().await;
    owner
        .batch_execute(
            "create role careless login bypassrls;
             create role landlord login; alter table ops.seats owner to landlord;
             create role heir login in role landlord;
             create role boss login superuser",
        )
        .await
        .unwrap();
    let mut longest = Duration::ZERO;
    let mut cases = 0;
    for (name, role) in BINARIES {
        // The control: what is right is served.
        let good = production.start(name, &db.url_as(role), &[]);
        reached(&good).await;
        drop(good);
        for (bad, field) in
            [("boss", "superuser"), ("careless", "BYPASSRLS"), ("landlord", "owner"), ("heir", "owner")]
        {
            let binary = production.start(name, &db.url_as(bad), &[]);
            let words = ["configuration: DATABASE_URL", field];
            longest = longest.max(assert_refused(binary, &words, &format!("{name} as {bad}")).await);
            cases += 1;
        }
    }
    // A role's own setting, and one that comes while the process serves: its next connection tells.
    for (name, role) in [("checkin", "seatpilot_checkin"), ("telemetry-ingest", "seatpilot_ingest")] {
        let serving = production.start(name, &db.url_as(role), &[]);
        reached(&serving).await;
        owner.batch_execute(&format!("alter role {role} set synchronous_commit = off")).await.unwrap();
        let binary = production.start(name, &db.url_as(role), &[]);
        let words = ["configuration: DATABASE_URL", "synchronous_commit"];
        longest = longest.max(assert_refused(binary, &words, name).await);
        owner
            .execute("select pg_terminate_backend(pid) from pg_stat_activity where usename = $1", &[&role])
            .await
            .unwrap();
        assert_refused(serving, &words, &format!("{name}, serving")).await;
        owner.batch_execute(&format!("alter role {role} reset synchronous_commit")).await.unwrap();
        cases += 2;
    }
    // The server of the tests flushes nothing.
    let forgetful = TestDb::new().await;
    for (name, role) in BINARIES {
        let binary = production.start(name, &forgetful.url_as(role), &[]);
        let words = ["configuration: DATABASE_URL", "fsync is off", "full_page_writes is off"];
        longest = longest.max(assert_refused(binary, &words, name).await);
        cases += 1;
    }
    println!(
        "guarantee: G49 | {cases} databases and roles refused with 64 by name, the slowest in {longest:.1?}"
    );
}

#[tokio::test]
async fn an_older_schema_is_waited_for_and_a_laptop_refuses_nothing_of_it() {
    let production = Production::new();
    let cluster = durable(production.path()).await;
    let db = TestDb::on(cluster.url("").trim_end_matches('/')).await;
    let owner = db.owner().await;
    let newest = owner
        .query(
            "delete from supabase_migrations.schema_migrations where version > '100' returning version, name, statements",
            &[],
        )
        .await
        .unwrap();
    let mut waiting = production.start("checkin", &db.url_as("seatpilot_checkin"), &[]);
    let since = Instant::now();
    while !waiting.output().contains("run `seatpilot migrate`") {
        assert!(since.elapsed() < Duration::from_secs(20), "{}", waiting.output());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(waiting.wait(Duration::from_secs(1)).await.is_none(), "it keeps trying:\n{}", waiting.output());
    for row in newest {
        let (version, name, statements): (String, Option<String>, Option<Vec<String>>) =
            (row.get(0), row.get(1), row.get(2));
        owner
            .execute(
                "insert into supabase_migrations.schema_migrations (version, name, statements) values ($1, $2, $3)",
                &[&version, &name, &statements],
            )
            .await
            .unwrap();
    }
    reached(&waiting).await;
    // The same server and role that production refuses: a laptop is told nothing.
    let forgetful = TestDb::new().await;
    let mut laptop = Binary::spawn("checkin", &[("DATABASE_URL", &*forgetful.owner_url()), ("PORT", "0")]);
    reached(&laptop).await;
    assert!(laptop.wait(Duration::from_millis(500)).await.is_none(), "{}", laptop.output());
}
