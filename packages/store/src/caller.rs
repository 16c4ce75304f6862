//! What a person sees and does: under the claims of their own token, never as a role that sees more.
//!
//! Reads run as `authenticated`, as they would through Supabase's own interface; row level security decides what is
//! there. An act runs as the service under the same claims, with its row in the audit log, in one transaction.

use seatpilot_domain_model::{Administrator, TenantId};

use crate::{
    Error, Store,
    audit::{APPEND, Act, Actor, AppendValues, AuditEntry, AuditHead, Origin},
    dead_letters::{By, DeadLetterDesk},
    quotas::Quotas,
    reader::Reader,
};

/// The unique index by which a login code is good once.
const LOGIN_CODES: &str = "log_login_codes";

/// The store as one person sees it.
pub struct Caller<'s> {
    pub(crate) people: &'s Reader,
    pub(crate) downloads: &'s Reader,
    quotas: Option<&'s Quotas>,
    pub(crate) tenant: String,
    /// As a policy reads them.
    pub(crate) claims: String,
}

/// A venue in a person's list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VenueRow {
    /// Its id.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// IANA name.
    pub time_zone: String,
    /// Publications of its map.
    pub map_revision: i64,
}

/// By what a session is opened.
#[derive(Debug, Clone, Copy)]
pub enum SessionBy<'a> {
    /// A token that was brought.
    Token,
    /// A login code, by its id.
    Code(&'a str),
}

/// What became of a session that was to be opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Opened {
    /// It is, and written down.
    Opened(AuditHead),
    /// The login code was used before.
    CodeUsed,
}

impl Store {
    /// The store as this person sees it.
    pub fn as_caller(&self, who: &Administrator) -> Caller<'_> {
        Caller {
            people: &self.inner.people,
            downloads: &self.inner.downloads,
            quotas: self.inner.quotas.as_ref(),
            tenant: who.tenant.as_str().to_owned(),
            claims: who.claims(),
        }
    }
}

impl<'s> Caller<'s> {
    /// Their tenant's dead letters, to be worked on by them. `tenant` is that of their token.
    pub fn dead_letter_desk(self, tenant: &TenantId, origin: Origin<'s>) -> DeadLetterDesk<'s> {
        let by = By::Person { people: self.people, claims: self.claims };
        DeadLetterDesk::new(by, tenant.clone(), origin, self.quotas)
    }
}

impl Caller<'_> {
    /// The venues that they may see, by id.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn venues(&self, limit: u32) -> Result<Vec<VenueRow>, Error> {
        let sql = include_str!("../sql/venue_names.sql");
        let rows = self.people.as_person(&self.claims, sql, &[&i64::from(limit)]).await?;
        rows.iter()
            .map(|row| {
                Ok(VenueRow {
                    id: row.try_get("venue_id")?,
                    name: row.try_get("name")?,
                    time_zone: row.try_get("time_zone")?,
                    map_revision: row.try_get("map_revision")?,
                })
            })
            .collect()
    }

    /// The acts that they may see, newest first, older than a number.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn audit(&self, before: i64, limit: u32) -> Result<Vec<AuditEntry>, Error> {
        let sql = include_str!("../sql/audit_list.sql");
        let rows =
            self.people.as_person(&self.claims, sql, &[&self.tenant, &before, &i64::from(limit)]).await?;
        rows.iter().map(AuditEntry::of_row).collect()
    }

    /// Writes down that they opened a session. A code's use is remembered by this row: it is good once, on every
    /// instance and for good.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn open_session(&self, by: SessionBy<'_>, origin: Origin<'_>) -> Result<Opened, Error> {
        let (target_type, target_id) = match by {
            SessionBy::Token => ("session", ""),
            SessionBy::Code(id) => ("login_code", id),
        };
        let act = Act { action: "session.open", target_type, target_id, before: None, after: None };
        match self.append(act, origin).await {
            Ok(head) => Ok(Opened::Opened(head)),
            Err(Error::BadValue(cause)) if cause.constraint() == Some(LOGIN_CODES) => Ok(Opened::CodeUsed),
            Err(error) => Err(error),
        }
    }

    /// Writes an act of theirs down that needs no statement of its own.
    pub(crate) async fn append(&self, act: Act<'_>, origin: Origin<'_>) -> Result<AuditHead, Error> {
        let values = AppendValues::new(Actor::Person, act, origin);
        let rows = self.people.for_person(&self.claims, APPEND, &values.parameters()).await?;
        let row = rows.first().ok_or_else(|| Error::Corrupt("an act left no row".into()))?;
        let head = AuditHead::of_row(row)?;
        // Outside the database: what a later check of the log is held to.
        tracing::info!(tenant = self.tenant, audit_head = %head, action = act.action, "act");
        Ok(head)
    }
}

#[cfg(test)]
mod tests {
    use seatpilot_domain_model::Role;
    use seatpilot_runtime::{Readiness, SecretString, StoreKind};
    use seatpilot_testkit::TestDb;

    use super::*;
    use crate::connection::Target;

    #[tokio::test]
    async fn role_and_claims_end_with_their_transaction() {
        let db = TestDb::new().await;
        let url = SecretString::new(db.url_as("seatpilot_ingest"));
        let target = Target::parse(&url, "test").expect("a URL");
        // One connection: who comes next gets the same.
        let reader = Reader::new(&target, 1, Readiness::starting(StoreKind::Postgres)).expect("a pool");
        let who = Administrator { tenant: "acme".parse().expect("a slug"), role: Role::Owner, subject: None };
        const SQL: &str = "select current_user::text, current_setting('request.jwt.claims', true)";
        let claims = who.claims();
        for _ in 0..3 {
            let rows = reader.as_person(&claims, SQL, &[]).await.expect("as a person");
            assert_eq!((rows[0].get::<_, &str>(0), rows[0].get::<_, &str>(1)), ("authenticated", &*claims));
            let rows = reader.for_person(&claims, SQL, &[]).await.expect("for a person");
            assert_eq!(
                (rows[0].get::<_, &str>(0), rows[0].get::<_, &str>(1)),
                ("seatpilot_ingest", &*claims)
            );
            let rows = reader.look_up(SQL, &[]).await.expect("as the service");
            assert_eq!(rows[0].get::<_, &str>(0), "seatpilot_ingest");
            assert_eq!(rows[0].get::<_, Option<&str>>(1).unwrap_or_default(), "", "no claim is left behind");
        }
        // What a person does is read only.
        let write =
            "insert into ops.venues (tenant_id, venue_id, name, time_zone) values ('acme', 'v', 'v', 'UTC')";
        assert!(reader.as_person(&claims, write, &[]).await.is_err());
    }
}
