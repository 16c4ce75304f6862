//! `seatpilot audit`: what administrators and operators did, and whether the log of it is the one that was written.

use clap::Subcommand;
use seatpilot_store::{
    admin::AuditVerdict,
    audit::{AuditEntry, AuditHead},
};
use serde_json::{Value, json};

use crate::{failure::Failure, global::Global, output::columns, running::Running};

/// What to do with the audit log.
#[derive(Debug, Clone, Subcommand)]
pub enum Command {
    /// List the tenant's acts, newest first.
    #[command(after_help = "Example:\n  seatpilot audit list --limit 20 --json")]
    List {
        /// How many at most.
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
        limit: u32,
    },
    /// Check the log: every row there, unchanged, in its place. Exit 1 where it is not.
    ///
    /// Without --tenant, every tenant's. Whoever may write the database as its owner can write a log anew from some row
    /// to its end; that is found only by a head that was noted elsewhere: note what this prints, or take one from the
    /// logs of telemetry-ingest (audit_head), and give it back by --head later.
    #[command(after_help = "Examples:\n  seatpilot audit verify\n  \
        seatpilot audit verify --tenant acme --head 41:5feceb66ffc86f38d952786c6d696c79c2dbc239dd4e91b46729d73a27fb57e9")]
    Verify {
        /// A head that was noted before, NUMBER:HASH; with --tenant.
        #[arg(long, value_name = "HEAD", requires = "tenant")]
        head: Option<AuditHead>,
    },
}

/// Does it.
///
/// # Errors
/// Where the database does not answer, or the log is not the one that was written.
pub async fn run(command: &Command, global: &Global) -> Result<(), Failure> {
    let (running, mut admin) = Running::connect(global).await?;
    let output = global.output();
    match command {
        Command::List { limit } => {
            let rows = admin.audit(&running.tenant, *limit).await?;
            let names = ["seq", "at", "actor_id", "role", "action", "target_type", "target_id", "after"];
            output.list(&names, &rows.iter().map(document).collect::<Vec<_>>(), columns(&names))
        }
        Command::Verify { head } => {
            let tenants = match &global.tenant {
                Some(tenant) => vec![tenant.clone()],
                None => admin.tenants().await?,
            };
            let (mut rows, mut broken) = (Vec::new(), 0);
            for tenant in &tenants {
                let verdict = admin.verify_audit(tenant, head.clone()).await?;
                broken += usize::from(!verdict.faults.is_empty());
                rows.push(finding(tenant.as_str(), &verdict));
            }
            let names = ["tenant_id", "rows", "head", "faults"];
            output.list(&names, &rows, columns(&names))?;
            if broken > 0 {
                return Err(Failure::new(format!(
                    "the audit log of {broken} of {} tenants is not the one that was written",
                    tenants.len()
                )));
            }
            Ok(())
        }
    }
}

fn finding(tenant: &str, verdict: &AuditVerdict) -> Value {
    let faults: Vec<String> = verdict.faults.iter().map(ToString::to_string).collect();
    json!({
        "tenant_id": tenant,
        "rows": verdict.rows,
        "head": verdict.head.to_string(),
        "faults": faults,
    })
}

fn document(entry: &AuditEntry) -> Value {
    let parsed = |text: &Option<String>| -> Option<Value> {
        text.as_ref().and_then(|text| serde_json::from_str(text).ok())
    };
    json!({
        "seq": entry.seq, "at": entry.at, "actor_type": entry.actor_type, "actor_id": entry.actor_id,
        "role": entry.role, "ip": entry.ip, "request_id": entry.request_id, "action": entry.action,
        "target_type": entry.target_type, "target_id": entry.target_id,
        "before": parsed(&entry.before), "after": parsed(&entry.after), "result": entry.result,
    })
}
