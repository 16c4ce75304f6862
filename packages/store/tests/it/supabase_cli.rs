//! The real Supabase CLI and ours on one ledger: either may apply a migration, both see it as applied.
//!
//! Runs where the CLI is: `SEATPILOT_SUPABASE_CLI` names it, else it is looked for where this puts it:
//! `npm install --prefix target/tools/supabase --no-save supabase@3`. It says so where it is not.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use seatpilot_runtime::SecretString;
use seatpilot_store::admin::{Admin, AdminError, MIGRATIONS, Migration};
use seatpilot_testkit::TestDb;
use serde_json::Value;
use tempfile::TempDir;

const SUPABASE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../supabase");
/// One command takes about 1.5 s.
const COMMAND_MAX: Duration = Duration::from_secs(60);

struct Cli {
    program: PathBuf,
    project: TempDir,
}

impl Cli {
    /// The CLI on a copy of our project: it writes into the folder that it is run on.
    fn find() -> Option<Self> {
        let named =
            std::env::var_os("SEATPILOT_SUPABASE_CLI").filter(|path| !path.is_empty()).map(PathBuf::from);
        let program = named
            .unwrap_or_else(|| seatpilot_testkit::tools_folder().join("supabase/node_modules/.bin/supabase"));
        if !program.is_file() {
            skipped(&program);
            return None;
        }
        let project = tempfile::tempdir().unwrap();
        let (from, to) = (Path::new(SUPABASE), project.path().join("supabase"));
        fs::create_dir_all(to.join("sql")).unwrap();
        fs::copy(from.join("config.toml"), to.join("config.toml")).unwrap();
        for one in MIGRATIONS {
            fs::write(to.join(format!("sql/{}_{}.sql", one.version, one.name)), one.sql).unwrap();
        }
        // Seeds lie beside the migrations and are none.
        fs::write(to.join("sql/metering_seed.sql"), "create table public.seeded ();").unwrap();
        std::os::unix::fs::symlink(fs::read_link(from.join("migrations")).unwrap(), to.join("migrations"))
            .unwrap();
        Some(Self { program, project })
    }

    async fn run(&self, arguments: &[&str], url: &str) -> String {
        let run = tokio::process::Command::new(&self.program)
            .args(arguments)
            .args(["--output-format", "json", &format!("--remote={url}")])
            .current_dir(self.project.path())
            .env("HOME", self.project.path())
            .env("DO_NOT_TRACK", "1")
            .env("SUPABASE_TELEMETRY_DISABLED", "1")
            .env_remove("SUPABASE_ACCESS_TOKEN")
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output();
        let output = tokio::time::timeout(COMMAND_MAX, run).await.expect("the CLI answers").unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {}\n{said}\n{complaint}", output.status);
        said
    }

    /// `migration list`: each version as the folder and the database have it.
    async fn list(&self, url: &str) -> Vec<(String, String)> {
        let said: Value = serde_json::from_str(&self.run(&["migration", "list"], url).await).unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let migrations = said["migrations"].as_array().unwrap();
        migrations.iter().map(|one| (text(&one["local"]), text(&one["remote"]))).collect()
    }
}

#[expect(clippy::print_stderr, reason = "a test that did not run says so")]
fn skipped(program: &Path) {
    eprintln!("skipped: no Supabase CLI at {}", program.display());
}

fn all_applied() -> Vec<(String, String)> {
    MIGRATIONS.iter().map(|one| (one.version.to_owned(), one.version.to_owned())).collect()
}

/// A database as it was before any migration.
async fn empty() -> TestDb {
    let db = TestDb::new().await;
    let client = db.owner().await;
    client
        .batch_execute(
            "do $$
             declare name text;
             begin
                 for name in
                     select nspname from pg_namespace where nspname !~ '^(pg_|information_schema$|public$)'
                 loop
                     execute format('drop schema %I cascade', name);
                 end loop;
             end $$",
        )
        .await
        .unwrap();
    db
}

async fn admin(db: &TestDb) -> Admin {
    Admin::connect(&SecretString::from(db.owner_url().as_str())).await.unwrap()
}

async fn assert_nothing_seeded(db: &TestDb) {
    let row = db.owner().await.query_one("select to_regclass('public.seeded') is null", &[]).await.unwrap();
    assert!(row.get::<_, bool>(0));
}

#[tokio::test]
async fn what_we_migrated_the_cli_lists_as_applied() {
    let Some(cli) = Cli::find() else { return };
    let db = TestDb::new().await;
    assert_eq!(cli.list(&db.owner_url()).await, all_applied());
}

#[tokio::test]
async fn what_the_cli_applied_leaves_us_nothing_to_do_and_an_edit_is_refused() {
    let Some(cli) = Cli::find() else { return };
    let db = empty().await;
    cli.run(&["migration", "up", "--yes"], &db.owner_url()).await;
    assert_nothing_seeded(&db).await;
    let mut admin = admin(&db).await;
    assert!(admin.migrate(|_| {}).await.unwrap().is_empty());
    for number in 0..MIGRATIONS.len() {
        let mut edited: Vec<Migration> = MIGRATIONS.to_vec();
        let word =
            ["create", "alter"].into_iter().find(|word| MIGRATIONS[number].sql.contains(word)).unwrap();
        let sql = MIGRATIONS[number].sql.replacen(word, &format!("{word} "), 1);
        assert_ne!(sql, MIGRATIONS[number].sql);
        edited[number].sql = sql.leak();
        match admin.migrate_with(&edited, &mut |_| {}).await {
            Err(AdminError::Refused(reason)) => assert!(reason.contains(edited[number].name), "{reason}"),
            other => panic!("{}: {other:?}", edited[number].name),
        }
    }
}

#[tokio::test]
async fn each_goes_on_where_the_other_stopped() {
    let Some(cli) = Cli::find() else { return };
    let db = empty().await;
    admin(&db).await.migrate_with(&MIGRATIONS[..3], &mut |_| {}).await.unwrap();
    let sql = cli.project.path().join("supabase/sql");
    let last = MIGRATIONS.last().unwrap();
    let kept_back = sql.join(format!("{}_{}.sql", last.version, last.name));
    fs::rename(&kept_back, kept_back.with_extension("later")).unwrap();
    cli.run(&["migration", "up", "--yes"], &db.owner_url()).await;
    fs::rename(kept_back.with_extension("later"), &kept_back).unwrap();
    let applied = admin(&db).await.migrate(|_| {}).await.unwrap();
    assert_eq!(applied.iter().map(|one| one.version).collect::<Vec<_>>(), [last.version]);
    assert_eq!(cli.list(&db.owner_url()).await, all_applied());
    assert_nothing_seeded(&db).await;
}
