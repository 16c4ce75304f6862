//! `supabase/tests`: what any user of Supabase runs with `supabase test db`, run here by psql, and by pg_prove where it is
//! installed. The TAP that they print is judged here too: a plan that is kept, each line `ok`. Each file is seen to fail.

use std::{fs, path::PathBuf, process::Stdio};

use seatpilot_private_postgres::Binaries;
use seatpilot_testkit::TestDb;

const TESTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../supabase/tests");

/// File, a hole, and a part of what the lines say that must not be ok then.
const HOLES: &[(&str, &str, &str)] = &[
    ("tenancy_test", "drop policy doors_tenant_isolation_select on ops.doors", "sees its own in ops.doors"),
    (
        "tenancy_test",
        "alter policy events_raw_tenant_isolation_select on telemetry.events_raw using (true)",
        "sees no other tenant in telemetry.events_raw",
    ),
    (
        "tenancy_test",
        "alter table ops.seats no force row level security",
        "ops.seats has row level security, forced",
    ),
    ("people_test", "drop policy log_owners_only on audit.log", "does not read the own tenant's audit.log"),
    ("people_test", "grant delete on app.billing_periods to authenticated", "an owner opens no closed month"),
    (
        "functions_test",
        "grant execute on function ops.tenant_ids() to anon",
        "ops.tenant_ids() runs as no owner for people",
    ),
];

/// What a file's TAP comes to.
struct Tap {
    planned: usize,
    passed: usize,
    /// The lines that are not ok.
    failed: Vec<String>,
    /// Whether psql went through to the end.
    ended_well: bool,
    said: String,
}

impl Tap {
    fn of(output: &std::process::Output) -> Self {
        let said =
            format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        let plan = said.lines().find_map(|line| line.strip_prefix("1..")).and_then(|n| n.trim().parse().ok());
        Self {
            planned: plan.unwrap_or(0),
            passed: said.lines().filter(|line| line.starts_with("ok ")).count(),
            failed: said.lines().filter(|line| line.starts_with("not ok ")).map(str::to_owned).collect(),
            ended_well: output.status.success(),
            said,
        }
    }

    fn is_good(&self) -> bool {
        self.ended_well && self.planned > 0 && self.passed == self.planned && self.failed.is_empty()
    }
}

async fn psql(program: &PathBuf, file: &str, db: &TestDb) -> Tap {
    let output = tokio::process::Command::new(program)
        .args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", &db.owner_url(), "-f", file])
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .unwrap();
    Tap::of(&output)
}

fn files() -> Vec<String> {
    let mut files: Vec<String> = fs::read_dir(TESTS)
        .unwrap()
        .map(|entry| entry.unwrap().path().to_str().unwrap().to_owned())
        .filter(|path| path.ends_with(".sql"))
        .collect();
    files.sort();
    files
}

/// psql of this server, else any.
fn psql_program() -> PathBuf {
    let given = std::env::var_os("SEATPILOT_PG_BIN").filter(|dir| !dir.is_empty()).map(PathBuf::from);
    Binaries::find(given.as_deref(), Some(&seatpilot_testkit::tools_folder()))
        .ok()
        .map(|binaries| binaries.bin_dir().join("psql"))
        .filter(|psql| psql.is_file())
        .unwrap_or_else(|| "psql".into())
}

#[tokio::test]
async fn the_pgtap_files_pass_and_each_sees_its_hole() {
    let db = TestDb::new().await;
    let client = db.owner().await;
    let known = "select exists (select from pg_available_extensions where name = 'pgtap')";
    if !client.query_one(known, &[]).await.unwrap().get::<_, bool>(0) {
        println!("SKIPPED: the server of the tests has no pgtap (apt-get install postgresql-<major>-pgtap)");
        return;
    }
    let program = psql_program();
    let files = files();
    assert!(files.len() >= 3, "{files:?}");
    let mut passed = 0;
    for file in &files {
        let tap = psql(&program, file, &db).await;
        assert!(tap.is_good(), "{file}: {} of {} passed\n{}", tap.passed, tap.planned, tap.said);
        passed += tap.passed;
    }
    // They leave nothing behind.
    let left = "select (select count(*) from ops.tenants) + (select count(*) from pg_extension where extname = 'pgtap')
        + (select count(*) from pg_namespace where nspname = 'extensions')";
    assert_eq!(client.query_one(left, &[]).await.unwrap().get::<_, i64>(0), 0);
    let prove = tokio::process::Command::new("pg_prove")
        .args(["-d", &db.owner_url()])
        .args(&files)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await;
    let proved = match prove {
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            assert!(output.status.success() && said.contains("Result: PASS"), "{said}");
            "psql and pg_prove"
        }
        Err(_) => "psql",
    };
    drop(client);

    for (file, hole, seen) in HOLES {
        let db = TestDb::new().await;
        db.owner().await.batch_execute(hole).await.unwrap_or_else(|error| panic!("{hole}: {error:?}"));
        let tap = psql(&program, &format!("{TESTS}/{file}.sql"), &db).await;
        assert!(!tap.is_good(), "{file} does not see: {hole}");
        assert!(
            tap.failed.iter().any(|line| line.contains(seen)),
            "{hole}: {seen} is not among {:?}",
            tap.failed
        );
    }
    println!(
        "guarantee: G24 | pgTAP by {proved}: {} files, {passed} of {passed} ok; {} holes seen",
        files.len(),
        HOLES.len()
    );
}
