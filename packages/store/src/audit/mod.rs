//! The audit log's rows and the chain that they make (migration 016). Who may read and write them is the database's to
//! say; what a row hashes to is said twice, there and in [`chain`], so that neither can be wrong alone.

mod chain;

use jiff::Timestamp;
use serde_json::Value;
use tokio_postgres::{GenericClient, Row, types::ToSql};

use crate::Error;
pub use chain::{AuditFault, AuditHead, Chain};

/// Who acts.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Actor<'a> {
    /// Whoever runs the command.
    Operator(&'a str),
    /// The caller whose claims are in force: the database reads there who it is.
    Person,
}

/// One act, to be written down in the transaction that does it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Act<'a> {
    /// `noun.verb`.
    pub(crate) action: &'static str,
    /// What kind of thing it was done to.
    pub(crate) target_type: &'static str,
    /// Its id. Never a person's name, never a secret.
    pub(crate) target_id: &'a str,
    /// What was.
    pub(crate) before: Option<&'a Value>,
    /// What is.
    pub(crate) after: Option<&'a Value>,
}

/// Where a request came from; none for an operator's command.
#[derive(Debug, Clone, Copy, Default)]
pub struct Origin<'a> {
    /// The peer's address, a proxy's where there is one in front.
    pub ip: Option<&'a str>,
    /// The request's id.
    pub request_id: Option<&'a str>,
}

/// The statement that writes a row down; the claim is the transaction's.
pub(crate) const APPEND: &str = include_str!("../../sql/audit_append.sql");

/// The values of [`APPEND`].
pub(crate) struct AppendValues<'a> {
    actor_type: &'static str,
    actor_id: &'a str,
    act: Act<'a>,
    origin: Origin<'a>,
}

impl<'a> AppendValues<'a> {
    pub(crate) fn new(actor: Actor<'a>, act: Act<'a>, origin: Origin<'a>) -> Self {
        let (actor_type, actor_id) = match actor {
            Actor::Operator(name) => ("operator", name),
            Actor::Person => ("person", ""),
        };
        Self { actor_type, actor_id, act, origin }
    }

    pub(crate) fn parameters(&self) -> [&(dyn ToSql + Sync); 9] {
        [
            &self.actor_type,
            &self.actor_id,
            &self.act.action,
            &self.act.target_type,
            &self.act.target_id,
            &self.act.before,
            &self.act.after,
            &self.origin.ip,
            &self.origin.request_id,
        ]
    }
}

/// Writes an operator's act down, in the transaction that does it: last, for the chain is locked until it ends.
pub(crate) async fn record(
    transaction: &impl GenericClient,
    actor: &str,
    act: Act<'_>,
) -> Result<AuditHead, tokio_postgres::Error> {
    let values = AppendValues::new(Actor::Operator(actor), act, Origin::default());
    let row = transaction.query_one(APPEND, &values.parameters()).await?;
    AuditHead::of_row(&row)
}

/// A row of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEntry {
    /// Its number within the tenant, from 1.
    pub seq: i64,
    /// When.
    pub at: Timestamp,
    /// `operator`, `person` or `service`.
    pub actor_type: String,
    /// Who: the account that ran the command, or the token's `sub`.
    pub actor_id: String,
    /// A person's role.
    pub role: Option<String>,
    /// From where.
    pub ip: Option<String>,
    /// By which request.
    pub request_id: Option<String>,
    /// What.
    pub action: String,
    /// To what kind of thing.
    pub target_type: String,
    /// To which.
    pub target_id: String,
    /// What was, as JSON text.
    pub before: Option<String>,
    /// What is, as JSON text.
    pub after: Option<String>,
    /// `ok` or `refused`.
    pub result: String,
    /// The hash of the row before it.
    pub prev_hash: Vec<u8>,
    /// Its own.
    pub hash: Vec<u8>,
}

impl AuditEntry {
    pub(crate) fn of_row(row: &Row) -> Result<Self, Error> {
        Ok(Self {
            seq: row.try_get("seq")?,
            at: row.try_get("at")?,
            actor_type: row.try_get("actor_type")?,
            actor_id: row.try_get("actor_id")?,
            role: row.try_get("role")?,
            ip: row.try_get("ip")?,
            request_id: row.try_get("request_id")?,
            action: row.try_get("action")?,
            target_type: row.try_get("target_type")?,
            target_id: row.try_get("target_id")?,
            before: row.try_get("before")?,
            after: row.try_get("after")?,
            result: row.try_get("result")?,
            prev_hash: row.try_get("prev_hash")?,
            hash: row.try_get("hash")?,
        })
    }
}
