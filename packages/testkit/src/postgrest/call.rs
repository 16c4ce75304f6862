//! One call of a function: one transaction.

use std::sync::atomic::Ordering;

use serde_json::{Map, Value};
use tokio_postgres::{Client, error::SqlState};

use super::{Shared, status::Refusal};

/// How often what two transactions did to each other is run again. The real one does not count.
const RETRIES_MAX: usize = 20;

/// A request that was read.
pub(super) struct Call {
    pub(super) schema: String,
    pub(super) function: String,
    pub(super) role: String,
    pub(super) claims: String,
    pub(super) arguments: Map<String, Value>,
    /// The body as it came: Postgres reads it, as `json`.
    pub(super) body: String,
}

/// A function as the schema cache has it.
struct Function {
    names: Vec<String>,
    types: Vec<String>,
    defaults: usize,
    volatile: bool,
    statement_timeout: Option<String>,
}

impl Call {
    /// Runs it and commits; the body of the answer.
    pub(super) async fn run(self, shared: &Shared) -> Result<String, Refusal> {
        let down = |_| Refusal::new(503, "PGRST000", "Database connection error. Retrying the connection.");
        let client = shared.client().await.map_err(down)?;
        let function = self.find(&client).await?;
        let mut retries = 0;
        loop {
            let error = match self.transact(&client, &function).await {
                Ok(body) => {
                    shared.give_back(client);
                    return Ok(body);
                }
                Err(error) => error,
            };
            let rolled_back = client.batch_execute("rollback").await;
            let met = [SqlState::T_R_SERIALIZATION_FAILURE, SqlState::T_R_DEADLOCK_DETECTED];
            if error.code().is_some_and(|code| met.contains(code)) && retries < RETRIES_MAX {
                retries += 1;
                shared.retried.fetch_add(1, Ordering::Relaxed);
                continue;
            }
            if rolled_back.is_ok() {
                shared.give_back(client);
            }
            return Err(Refusal::of(&error, &self.role));
        }
    }

    /// By name, and by the names of the arguments: all that are given are its own, all that it needs are given.
    async fn find(&self, client: &Client) -> Result<Function, Refusal> {
        let rows = client
            .query(
                "select coalesce(p.proargnames[1:p.pronargs], '{}') as names, p.pronargdefaults as defaults,
                    array(select format_type(t.oid, null) from unnest(p.proargtypes) with ordinality t (oid, n) order by n)
                        as types,
                    p.provolatile = 'v' as volatile,
                    (select substr(c, 19) from unnest(p.proconfig) c where c like 'statement\\_timeout=%') as timeout
                 from pg_proc p join pg_namespace n on n.oid = p.pronamespace
                 where n.nspname = $1 and p.proname = $2 and p.prokind = 'f' and not p.proretset",
                &[&self.schema, &self.function],
            )
            .await
            .map_err(|error| Refusal::of(&error, &self.role))?;
        let found = rows.iter().map(|row| Function {
            names: row.get("names"),
            types: row.get("types"),
            defaults: usize::try_from(row.get::<_, i16>("defaults")).unwrap_or(0),
            volatile: row.get("volatile"),
            statement_timeout: row.get("timeout"),
        });
        let fits = |function: &Function| {
            let needed = function.names.len() - function.defaults;
            let given = |name: &String| self.arguments.contains_key(name);
            self.arguments.keys().all(|name| function.names.contains(name))
                && function.names.iter().take(needed).all(given)
        };
        found.into_iter().find(fits).ok_or_else(|| {
            let names: Vec<&str> = self.arguments.keys().map(String::as_str).collect();
            let (schema, function) = (&self.schema, &self.function);
            Refusal::new(
                404,
                "PGRST202",
                format!(
                    "Could not find the function {schema}.{function}({}) in the schema cache",
                    names.join(", ")
                ),
            )
        })
    }

    async fn transact(&self, client: &Client, function: &Function) -> Result<String, tokio_postgres::Error> {
        client.batch_execute(if function.volatile { "begin read write" } else { "begin read only" }).await?;
        // The settings of the role that is acted as, of those that need no privilege.
        client
            .execute(
                "select set_config(split_part(s, '=', 1), substr(s, strpos(s, '=') + 1), true)
                 from pg_db_role_setting d cross join unnest(d.setconfig) s
                 where d.setdatabase = 0 and d.setrole = (select oid from pg_roles where rolname = $1)
                     and split_part(s, '=', 1) in (select name from pg_settings where context = 'user')",
                &[&self.role],
            )
            .await?;
        if let Some(timeout) = &function.statement_timeout {
            client.execute("select set_config('statement_timeout', $1, true)", &[timeout]).await?;
        }
        client
            .execute(
                "select set_config('search_path', $1, true), set_config('request.jwt.claims', $2, true),
                    set_config('request.method', 'POST', true), set_config('request.path', $3, true),
                    set_config('role', $4, true)",
                &[
                    &format!("{}, public", quoted(&self.schema)),
                    &self.claims,
                    &format!("/rpc/{}", self.function),
                    &self.role,
                ],
            )
            .await?;
        let given = function
            .names
            .iter()
            .zip(&function.types)
            .filter(|(name, _)| self.arguments.contains_key(name.as_str()));
        let (mut columns, mut arguments) = (Vec::new(), Vec::new());
        for (name, kind) in given {
            columns.push(format!("{} {kind}", quoted(name)));
            arguments.push(format!("{0} := pgrst_body.{0}", quoted(name)));
        }
        let body = if columns.is_empty() {
            "(select $1) pgrst_body".to_owned()
        } else {
            format!(
                "lateral (select * from json_to_record($1::text::json) as _ ({}) limit 1) pgrst_body",
                columns.join(", ")
            )
        };
        let sql = format!(
            "with pgrst_source as (
                select pgrst_call.pgrst_scalar
                from {body}, lateral (select {}.{}({}) as pgrst_scalar) pgrst_call)
             select coalesce(json_agg(pgrst_source.pgrst_scalar) -> 0, 'null')::text from pgrst_source",
            quoted(&self.schema),
            quoted(&self.function),
            arguments.join(", "),
        );
        let row = client.query_one(&sql, &[&self.body]).await?;
        let body = row.try_get(0)?;
        client.batch_execute("commit").await?;
        Ok(body)
    }
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
