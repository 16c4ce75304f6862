//! What production asks of a database, and of the role that a process logs in as: of every connection as it is opened,
//! and again while the process runs. A server that may forget what it was told, or a role that row level security does
//! not bind, would break promises in silence.

use std::time::Duration;

use seatpilot_runtime::{ConfigFaults, Readiness, variable};
use tokio_postgres::{Client, Row};

use crate::Error;

/// Longest wait for the answer, so that a process says what is wrong within 2 s of its contact.
const ASKED_MAX: Duration = Duration::from_millis(1_000);

/// Ends the process where production must not run on the database of this connection.
///
/// # Errors
/// [`Error::Unreachable`] once something is refused; what kept the server from answering.
pub(crate) async fn demand(client: &Client, readiness: &Readiness) -> Result<(), Error> {
    const SQL: &str = include_str!("../sql/server_standing.sql");
    let asked = tokio::time::timeout(ASKED_MAX, client.query_typed_one(SQL, &[])).await;
    let standing = Standing::of_row(&asked.map_err(|_| Error::Deadline(ASKED_MAX))??)?;
    let refusals = standing.refusals();
    if refusals.is_empty() {
        return Ok(());
    }
    let detail = format!("names a database that production refuses: {}", refusals.join("; "));
    tracing::error!(detail, "this database must not be used in production");
    readiness.refuse(ConfigFaults::of(&variable::DATABASE_URL, detail));
    Err(Error::Unreachable)
}

/// What a server says of itself and of the role that asks.
#[derive(Debug, Clone)]
struct Standing {
    is_superuser: bool,
    bypasses_rls: bool,
    /// A table of ours that the role owns.
    owned: Option<String>,
    fsync: String,
    full_page_writes: String,
    synchronous_commit: String,
    data_sync_retry: String,
    /// `server_version_num`.
    version: u32,
}

impl Standing {
    fn of_row(row: &Row) -> Result<Self, Error> {
        Ok(Self {
            is_superuser: row.try_get("is_superuser")?,
            bypasses_rls: row.try_get("bypasses_rls")?,
            owned: row.try_get("owned")?,
            fsync: row.try_get("fsync")?,
            full_page_writes: row.try_get("full_page_writes")?,
            synchronous_commit: row.try_get("synchronous_commit")?,
            data_sync_retry: row.try_get("data_sync_retry")?,
            version: row.try_get::<_, &str>("version")?.parse().unwrap_or(0),
        })
    }

    /// A clause for each thing that is refused, with the field's name.
    fn refusals(&self) -> Vec<String> {
        let mut found = Vec::new();
        if self.is_superuser {
            found.push(
                "the role is a superuser, whom row level security does not bind: use the service's own"
                    .to_owned(),
            );
        } else if self.bypasses_rls {
            found.push("the role has BYPASSRLS: use the service's own".to_owned());
        }
        // A superuser is a member of every role.
        if let (false, Some(owned)) = (self.is_superuser, &self.owned) {
            found.push(format!("the role is an owner of the schema ({owned} is its): use the service's own"));
        }
        for (field, value) in [("fsync", &self.fsync), ("full_page_writes", &self.full_page_writes)] {
            if value != "on" {
                found.push(format!("{field} is {value}: a power cut loses what was acknowledged"));
            }
        }
        if self.synchronous_commit == "off" {
            found.push("synchronous_commit is off: a crash loses what was acknowledged".to_owned());
        }
        if self.data_sync_retry != "off" {
            found.push("data_sync_retry is on: a failed write to disk is forgotten".to_owned());
        }
        if !is_patched(self.version) {
            found.push(format!(
                "server_version_num is {}: Postgres older than 15.14, 16.10 or 17.6 has known holes",
                self.version
            ));
        }
        found
    }
}

/// Whether a server, by its `server_version_num`, has the fixes of August 2025 (CVE-2025-8713 among them).
pub(crate) fn is_patched(server_version_num: u32) -> bool {
    match server_version_num / 10_000 {
        ..15 => false,
        15 => server_version_num >= 150_014,
        16 => server_version_num >= 160_010,
        17 => server_version_num >= 170_006,
        18.. => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_without_the_fixes_of_its_line_is_named() {
        for good in [150_014, 150_018, 160_010, 170_006, 170_010, 180_000] {
            assert!(is_patched(good), "{good}");
        }
        for bad in [0, 140_020, 150_013, 160_009, 170_005] {
            assert!(!is_patched(bad), "{bad}");
        }
    }

    /// What a real server never shows in one run: each of them refused by its name, and nothing else.
    #[test]
    fn each_thing_that_production_refuses_is_refused_by_its_name() {
        let good = Standing {
            is_superuser: false,
            bypasses_rls: false,
            owned: None,
            fsync: "on".into(),
            full_page_writes: "on".into(),
            synchronous_commit: "on".into(),
            data_sync_retry: "off".into(),
            version: 150_014,
        };
        assert_eq!(good.refusals(), Vec::<String>::new());
        for kept in ["local", "remote_write", "remote_apply"] {
            let other = Standing { synchronous_commit: kept.into(), ..good.clone() };
            assert_eq!(other.refusals(), Vec::<String>::new(), "{kept}");
        }
        for (bad, field) in [
            (Standing { is_superuser: true, owned: Some("ops.doors".into()), ..good.clone() }, "superuser"),
            (Standing { bypasses_rls: true, ..good.clone() }, "BYPASSRLS"),
            (Standing { owned: Some("ops.doors".into()), ..good.clone() }, "owner"),
            (Standing { fsync: "off".into(), ..good.clone() }, "fsync"),
            (Standing { full_page_writes: "off".into(), ..good.clone() }, "full_page_writes"),
            (Standing { synchronous_commit: "off".into(), ..good.clone() }, "synchronous_commit"),
            (Standing { data_sync_retry: "on".into(), ..good.clone() }, "data_sync_retry"),
            (Standing { version: 150_013, ..good.clone() }, "server_version_num"),
        ] {
            let refusals = bad.refusals();
            assert!(refusals.len() == 1 && refusals[0].contains(field), "{field}: {refusals:?}");
        }
    }
}
