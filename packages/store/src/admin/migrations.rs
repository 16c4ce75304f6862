//! Migrations: applied in order, each in a transaction of its own, recorded where the Supabase CLI records
//! them, so that the two agree on what is applied. One ledger, not two: see docs/adr/0001-migrations.md.

use super::{Admin, AdminError};

/// One file of `supabase/sql`.
#[derive(Debug, Clone, Copy)]
pub struct Migration {
    /// The number at the front of the name, three digits.
    pub version: &'static str,
    /// The rest of the name.
    pub name: &'static str,
    /// The file.
    pub sql: &'static str,
}

macro_rules! migrations {
    ($($version:literal $name:literal),+ $(,)?) => {
        &[$(Migration {
            version: $version,
            name: $name,
            sql: include_str!(concat!(
                env!("CARGO_MANIFEST_DIR"), "/../../supabase/sql/", $version, "_", $name, ".sql"
            )),
        }),+]
    };
}

/// Every migration, in order. A test compares the list with the folder.
pub const MIGRATIONS: &[Migration] = migrations! {
    "001" "schema_core",
    "002" "policies_rls",
    "003" "views_kpi",
    "010" "ops_session_check_in",
    "011" "ops_session_arrive",
    "012" "telemetry_event_ingest",
    "013" "telemetry_retain",
    "014" "ops_schema_version",
    "015" "telemetry_backlog",
    "016" "audit_log",
    "017" "ops_session_trace",
    "100" "entitlements_metering",
    "101" "metering_roll",
    "102" "billing_report",
    "103" "billing_close_month",
    "104" "billing_trace",
    "105" "entitlements_in_force",
    "106" "seed_metering_demo",
    "107" "cron_metering_seed",
    "108" "telemetry_routes_served",
    "109" "telemetry_dlq_redrive",
    "110" "ops_signing_key_rotate",
    "111" "rest_ingest",
    "113" "telemetry_nonce_floor",
    "114" "claims_read_in_place",
    "115" "telemetry_event_ingest_direct",
    "116" "telemetry_nonces_by_tenant",
    "117" "telemetry_event_body_given",
    "118" "telemetry_mv_by_index",
};

/// The ledger as the Supabase CLI makes it.
const LEDGER: &str = "
    create schema if not exists supabase_migrations;
    create table if not exists supabase_migrations.schema_migrations (version text not null primary key);
    alter table supabase_migrations.schema_migrations add column if not exists statements text[];
    alter table supabase_migrations.schema_migrations add column if not exists name text;
";

impl Admin {
    /// Applies what is missing and returns it. `progress` hears each migration before it runs. Two callers at
    /// once are one after the other.
    ///
    /// # Errors
    /// [`AdminError::Refused`] where an applied migration differs from its file: one that came to the main
    /// branch is never edited; [`AdminError::Store`] where a statement failed (that migration is rolled back).
    pub async fn migrate(
        &mut self,
        mut progress: impl FnMut(&Migration),
    ) -> Result<Vec<&'static Migration>, AdminError> {
        self.migrate_with(MIGRATIONS, &mut progress).await
    }

    /// As [`Admin::migrate`], with another list; for tests.
    ///
    /// # Errors
    /// As there.
    pub async fn migrate_with<'m>(
        &mut self,
        migrations: &'m [Migration],
        progress: &mut impl FnMut(&Migration),
    ) -> Result<Vec<&'m Migration>, AdminError> {
        let client = self.client();
        client
            .batch_execute(
                "set client_min_messages = warning; select pg_advisory_lock(hashtext('seatpilot.migrate'))",
            )
            .await?;
        let outcome = apply(client, migrations, progress).await;
        // The lock goes with the connection too; an error of the unlock does not hide the outcome.
        let _ = client.batch_execute("select pg_advisory_unlock(hashtext('seatpilot.migrate'))").await;
        outcome
    }

    /// The newest applied version, none on an empty database.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn schema_version(&mut self) -> Result<Option<String>, AdminError> {
        let there = self
            .client()
            .query_one("select to_regclass('supabase_migrations.schema_migrations') is not null", &[])
            .await?;
        if !there.try_get::<_, bool>(0)? {
            return Ok(None);
        }
        let row = self
            .client()
            .query_one("select max(version) from supabase_migrations.schema_migrations", &[])
            .await?;
        Ok(row.try_get(0)?)
    }
}

async fn apply<'m>(
    client: &mut tokio_postgres::Client,
    migrations: &'m [Migration],
    progress: &mut impl FnMut(&Migration),
) -> Result<Vec<&'m Migration>, AdminError> {
    client.batch_execute(LEDGER).await?;
    let mut known = std::collections::HashMap::new();
    for row in
        client.query("select version, statements from supabase_migrations.schema_migrations", &[]).await?
    {
        known.insert(row.try_get::<_, String>(0)?, row.try_get::<_, Option<Vec<String>>>(1)?);
    }
    let mut applied = Vec::new();
    for migration in migrations {
        match known.get(migration.version) {
            Some(Some(statements)) if !same(statements, migration.sql) => {
                return Err(AdminError::Refused(format!(
                    "migration {}_{} was changed after this database applied it; put the file back and write a new migration",
                    migration.version, migration.name
                )));
            }
            Some(_) => {}
            None => {
                progress(migration);
                let transaction = client.transaction().await?;
                transaction.batch_execute(migration.sql).await?;
                transaction
                    .execute(
                        "insert into supabase_migrations.schema_migrations (version, name, statements)
                         values ($1, $2, $3)",
                        &[&migration.version, &migration.name, &vec![migration.sql]],
                    )
                    .await?;
                transaction.commit().await?;
                applied.push(migration);
            }
        }
    }
    Ok(applied)
}

/// Whether what is recorded is the file. We record a file whole; the CLI (2 and 3) statement by statement, comments and
/// all, each without the semicolon and the white space around it. Nothing else may differ: a blank within a
/// statement can be one within a text. Line ends may, as a checkout makes them.
fn same(statements: &[String], sql: &str) -> bool {
    fn plain(text: &str) -> String {
        text.trim_start_matches('\u{feff}').replace("\r\n", "\n")
    }
    let between = |c: char| c.is_whitespace() || c == ';';
    let sql = plain(sql);
    let mut rest = sql.as_str();
    for (number, statement) in statements.iter().enumerate() {
        let statement = plain(statement);
        let next = rest.trim_start_matches(between);
        let is_apart = number == 0 || rest[..rest.len() - next.len()].contains(';');
        match next.strip_prefix(statement.trim_matches(between)) {
            Some(after) if is_apart => rest = after,
            _ => return false,
        }
    }
    rest.chars().all(between)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_the_folder() {
        let mut files: Vec<String> =
            std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../../supabase/sql"))
                .expect("the folder")
                .map(|entry| entry.expect("an entry").file_name().into_string().expect("a name"))
                .filter(|name| name.starts_with(|c: char| c.is_ascii_digit()))
                .collect();
        files.sort();
        let listed: Vec<String> =
            MIGRATIONS.iter().map(|one| format!("{}_{}.sql", one.version, one.name)).collect();
        assert_eq!(files, listed);
    }

    const FILE: &str =
        "-- head; one\ncreate table a (b text default 'x;  y'); -- after\n;;\n\n-- why\ncreate table c ();\n";

    /// As the CLI 3.1 recorded [`FILE`].
    fn by_statement() -> Vec<String> {
        ["-- head; one\ncreate table a (b text default 'x;  y')", "-- after", "-- why\ncreate table c ()"]
            .map(str::to_owned)
            .to_vec()
    }

    #[test]
    fn a_file_recorded_whole_or_by_statement_is_the_same_file() {
        assert!(same(&[FILE.to_owned()], FILE));
        assert!(same(&by_statement(), FILE));
        assert!(same(&by_statement(), &format!("\u{feff}{}", FILE.replace('\n', "\r\n"))));
        assert!(same(&[], " \n"));
    }

    #[test]
    fn an_edit_is_seen_in_whatever_form_the_file_was_recorded() {
        for (was, is) in [
            ("text", "int"),
            ("x;  y", "x; y"),
            ("x;  y", "x  y"),
            ("-- why", "-- because"),
            ("create table c ();\n", ""),
            ("create table c ();\n", "create table c (); drop table a;\n"),
            ("-- after\n;;", "-- after\n"),
            ("-- head; one\n", ""),
        ] {
            let edited = FILE.replace(was, is);
            assert_ne!(edited, FILE, "{was}");
            assert!(!same(&[FILE.to_owned()], &edited), "whole: {was} -> {is}");
            assert!(!same(&by_statement(), &edited), "by statement: {was} -> {is}");
        }
    }
}
