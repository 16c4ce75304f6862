//! Who can do what with every relation and every function there is, tried out: each role under its own claim, another
//! tenant's, none and an empty one. `allowed.txt` is all that may come of it; a table, view, sequence or function that it does
//! not name fails, and so does one that nobody has any more.
//!
//! Reading, writing and COPY are tried as the role and taken back (`attempts.sql`). Only REFERENCES, TRIGGER, sequences and
//! functions are asked of the catalogue: trying them would need a table of the role's own, or run what the function does.

mod observed;

use std::collections::{BTreeMap, BTreeSet};

use seatpilot_testkit::TestDb;
use serde_json::{Value, json};
use tokio_postgres::Client;

use crate::claims::two_evenings;
use observed::{Access, CLAIMS, Tries};

const ALLOWED: &str = include_str!("allowed.txt");
const ATTEMPTS: &str = include_str!("attempts.sql");

/// Roles of people, who are all `authenticated` and differ by their claims.
const PEOPLE: &[&str] = &["viewer", "editor", "admin", "owner"];

/// Whoever may come: each role of the migrations, and people by the role that their token says.
async fn everybody(client: &Client) -> Value {
    let roles = client
        .query(
            "select rolname::text from pg_roles
             where rolname in ('anon', 'service_role') or rolname like 'seatpilot\\_%' order by 1",
            &[],
        )
        .await
        .unwrap();
    let mut all = serde_json::Map::new();
    for row in roles {
        let name: String = row.get(0);
        let of = |tenant: &str| json!({ "tenant_id": tenant }).to_string();
        let claims = json!({ "own": of("acme"), "other": of("rival"), "empty": "" });
        all.insert(name.clone(), json!({ "role": name, "claims": claims }));
    }
    for name in PEOPLE {
        let of = |tenant: &str| {
            json!({ "app_metadata": { "tenant_id": tenant, "seatpilot_role": name } }).to_string()
        };
        let claims = json!({ "own": of("acme"), "other": of("rival"), "empty": "" });
        all.insert((*name).to_owned(), json!({ "role": "authenticated", "claims": claims }));
    }
    all.into()
}

/// Tries everything, or what concerns some relations only; one session a claim, for a claim that was once set leaves its mark.
async fn try_everything(db: &TestDb, only: &[&str]) -> Access {
    let people = everybody(&db.owner().await).await;
    let mut tries = Tries::default();
    // One after the other: what is truncated, if only to be taken back, is locked.
    for claim in CLAIMS {
        let client = db.owner().await;
        client.batch_execute(ATTEMPTS).await.unwrap();
        if !only.is_empty() {
            let others = "delete from pg_temp.relations where not name = any ($1)";
            client.execute(others, &[&only]).await.unwrap();
        }
        client.batch_execute("select pg_temp.look()").await.unwrap();
        let sql = "select relation, parent, who, op, outcome from pg_temp.attempts($1::text::jsonb, $2)";
        for row in client.query(sql, &[&people.to_string(), &claim]).await.unwrap() {
            tries.add(row.get(0), row.get(1), row.get(2), row.get(3), claim, row.get(4));
        }
        for ((relation, who, op), outcome) in copies(&client, &people, claim).await {
            tries.add_copy(relation, who, op, claim, outcome);
        }
    }
    let client = db.owner().await;
    client.batch_execute(ATTEMPTS).await.unwrap();
    client.batch_execute("select pg_temp.look()").await.unwrap();
    tries.held = client
        .query("select h.relation, h.tenant, h.n from pg_temp.holdings h", &[])
        .await
        .unwrap()
        .iter()
        .map(|row| ((row.get(0), row.get(1)), row.get(2)))
        .collect();
    tries.access()
}

/// COPY is a way of its own into a table, which no function can try: whose rows come out of each relation, and whether
/// any can be put in.
async fn copies(
    client: &Client,
    people: &Value,
    claim: &str,
) -> BTreeMap<(String, String, &'static str), String> {
    use futures_util::TryStreamExt as _;
    let mut all = BTreeMap::new();
    let sql = "select r.name, r.oid::regclass::text, r.relkind::text,
            array(select a.attname::text from pg_attribute a
                where a.attrelid = r.oid and a.attnum > 0 and not a.attisdropped
                    and has_column_privilege($1::text, r.oid, a.attnum, 'select')
                order by a.attname = 'tenant_id' desc, a.attnum)
        from pg_temp.relations r where r.relkind <> 'S'";
    for (who, person) in people.as_object().unwrap() {
        let role = person["role"].as_str().unwrap();
        let relations = client.query(sql, &[&role]).await.unwrap();
        if let Some(claims) = person["claims"][claim].as_str() {
            client.execute("select set_config('request.jwt.claims', $1, false)", &[&claims]).await.unwrap();
        }
        client.batch_execute(&format!("set role {role}")).await.unwrap();
        for row in &relations {
            let (name, relation, columns): (String, String, Vec<String>) =
                (row.get(0), row.get(1), row.get(3));
            let column = columns.first().map(|column| format!(" ({column})")).unwrap_or_default();
            let is_tenant = columns.first().is_some_and(|column| column == "tenant_id");
            let out = match client.copy_out(&format!("copy {relation}{column} to stdout")).await {
                Ok(stream) => {
                    let bytes: Vec<_> = stream.try_collect().await.unwrap();
                    let lines: Vec<String> =
                        bytes.iter().map(|line| String::from_utf8_lossy(line).trim().to_owned()).collect();
                    let tenants: BTreeSet<&str> = lines.iter().map(String::as_str).collect();
                    if is_tenant {
                        format!("{{{}}}", tenants.into_iter().collect::<Vec<_>>().join(","))
                    } else {
                        format!("{} rows", lines.len())
                    }
                }
                Err(error) => failed(&error, &format!("{who} copies {relation} out")),
            };
            all.insert((name.clone(), who.clone(), "copy out"), out);
            let into = match client.batch_execute(&format!("copy {relation} from stdin")).await {
                Ok(()) => "done".to_owned(),
                Err(error) => {
                    failed(&error, &format!("{who} copies into {relation}: the server waits for rows"))
                }
            };
            all.insert((name, who.clone(), "copy in"), into);
        }
        client.batch_execute("reset role").await.unwrap();
    }
    all
}

/// As `attempts.sql` names it.
fn failed(error: &tokio_postgres::Error, what: &str) -> String {
    match error.code().map(|code| code.code()) {
        Some("42501") => "denied".to_owned(),
        // Not from a view, not into a table with row level security.
        Some("42809" | "0A000") => "no".to_owned(),
        _ => panic!("{what}: {error:?}"),
    }
}

/// Who may call each function, by its grants.
async fn functions(client: &Client) -> BTreeMap<String, BTreeSet<String>> {
    let rows = client
        .query(
            "select 'function ' || f.oid::regprocedure || case when f.prosecdef then ' as ' || f.proowner::regrole else '' end,
                array(select r.rolname::text from pg_roles r
                    where (r.rolname in ('anon', 'authenticated', 'service_role') or r.rolname like 'seatpilot\\_%')
                        and has_function_privilege(r.oid, f.oid, 'execute') and has_schema_privilege(r.oid, n.oid, 'usage')
                        and r.oid <> f.proowner),
                coalesce(f.proacl, acldefault('f', f.proowner))::text like '%{=X/%' or f.proacl is null
                    or exists (select from aclexplode(f.proacl) a where a.grantee = 0)
             from pg_proc f join pg_namespace n on n.oid = f.pronamespace
             where n.nspname !~ '^pg_' and n.nspname <> 'information_schema'",
            &[],
        )
        .await
        .unwrap();
    rows.iter()
        .map(|row| {
            let callers = if row.get::<_, bool>(2) {
                BTreeSet::from(["everybody".to_owned()])
            } else {
                row.get::<_, Vec<String>>(1).into_iter().collect()
            };
            (row.get(0), callers)
        })
        .collect()
}

/// Right and holder of everything, beyond what is tried: who could refer to a table, or hang code on it.
async fn handles(client: &Client) -> Vec<String> {
    client
        .query(
            "select r.rolname || ' ' || p || ' ' || c.oid::regclass
             from pg_class c join pg_namespace n on n.oid = c.relnamespace
             cross join pg_roles r cross join unnest(array['references', 'trigger']) p
             where n.nspname !~ '^pg_' and n.nspname <> 'information_schema' and c.relkind in ('r', 'p', 'v', 'm', 'f')
                and (r.rolname in ('anon', 'authenticated', 'service_role') or r.rolname like 'seatpilot\\_%')
                and c.relowner <> r.oid
                and case p when 'references' then has_any_column_privilege(r.oid, c.oid, p) else has_table_privilege(r.oid, c.oid, p) end",
            &[],
        )
        .await
        .unwrap()
        .iter()
        .map(|row| row.get(0))
        .collect()
}

#[tokio::test]
async fn nobody_can_do_anything_with_any_relation_that_is_not_on_the_list() {
    let evening = two_evenings().await;
    let client = evening.db.owner().await;
    // What is of no tenant needs a row too.
    client
        .batch_execute(
            "insert into app.entitlements (plan_id, feature, limit_quantity, limit_kind) values ('house', 'events', 10, 'soft');
             insert into app.job_runs (job, day, driver) values ('tick', current_date, 'operator');
             insert into telemetry.ingest_nonce_floors (slot, ts) values (1, 300);
             -- Where a role may not read whose they are, their number must tell.
             insert into telemetry.event_ids (id, tenant_id, body_sha256) values (gen_random_uuid(), 'rival', '')",
        )
        .await
        .unwrap();
    let access = try_everything(&evening.db, &[]).await;
    let functions = functions(&client).await;
    assert_eq!(access.untold(), Vec::<String>::new(), "a row of each tenant is needed to tell whose is seen");
    assert_eq!(handles(&client).await, Vec::<String>::new(), "nobody refers to a table or hangs code on it");
    assert_eq!(
        access.copied_otherwise(),
        Vec::<String>::new(),
        "COPY shows and takes what SELECT and INSERT do"
    );
    let found = access.text(&functions);
    let allowed: String =
        ALLOWED.lines().filter(|line| !line.starts_with('#')).map(|line| format!("{line}\n")).collect();
    assert_eq!(observed::difference(&allowed, &found), "", "allowed.txt (-) and what came of it (+)");
    println!(
        "guarantee: G22 | {} tries: {} relations, {} roles, 4 claims, 7 ways; {} functions; 0 beyond the list",
        access.tries(),
        access.relations(),
        access.roles(),
        functions.len()
    );
}

/// Tries some relations of every kind on another database, and holds them to the same list; how many tries it took.
pub(crate) async fn spot_check(db: &TestDb) -> usize {
    let only = [
        "ops.tickets",
        "ops.checkin_sessions",
        "telemetry.events_raw",
        "telemetry.events_dlq",
        "telemetry.v_event_counts_last_hour",
        "telemetry.mv_kpi_checkin",
        "app.billing_lines",
        "app.v_tenant_billing_report",
        "audit.log",
    ];
    let access = try_everything(db, &only).await;
    let found = access.text(&functions(&db.owner().await).await);
    let difference = observed::difference(ALLOWED, &found);
    let beyond: Vec<&str> = difference.lines().filter(|line| line.starts_with('+')).collect();
    let missing: Vec<&str> = difference
        .lines()
        .filter(|line| only.iter().any(|relation| line.starts_with(&format!("-{relation}: "))))
        .collect();
    assert!(beyond.is_empty() && missing.is_empty(), "{beyond:?} {missing:?}");
    access.tries()
}

/// The control: each hole is one that somebody once made, and each is seen as a line that is not allowed.
#[tokio::test]
async fn every_hole_is_seen_as_a_line_that_is_not_allowed() {
    let evening = two_evenings().await;
    let client = evening.db.owner().await;
    let mut expected = BTreeMap::new();
    for (relation, hole, seen) in [
        // Without its policy a table shows nothing; what then mends it in a hurry shows everything.
        ("ops.doors", "drop policy doors_tenant_isolation_select on ops.doors", "select nothing"),
        (
            "ops.tickets",
            "alter policy tickets_tenant_isolation_select on ops.tickets
             using (telemetry.claim_tenant_id() is null or telemetry.claim_tenant_id() = tenant_id)",
            "select odd(own {acme}, other {rival}, none {acme,rival}, empty {acme,rival})",
        ),
        (
            "telemetry.events_dlq",
            "drop policy events_dlq_tenant_isolation_insert on telemetry.events_dlq;
             create policy later on telemetry.events_dlq for insert with check (true)",
            "insert all",
        ),
        (
            "telemetry.event_ids",
            "grant truncate on telemetry.event_ids to seatpilot_ingest",
            "truncate everything",
        ),
        (
            "telemetry.later",
            "create view telemetry.later as select * from telemetry.events_raw;
             grant select on telemetry.later to authenticated",
            "select all",
        ),
        (
            "telemetry.latest",
            "create materialized view telemetry.latest as select * from telemetry.events_raw;
             grant select on telemetry.latest to authenticated",
            "select all",
        ),
        ("ops.seats", "alter table ops.seats disable row level security", "select all"),
    ] {
        client.batch_execute(hole).await.unwrap_or_else(|error| panic!("{hole}: {error:?}"));
        expected.insert(relation, seen);
    }
    let only: Vec<&str> = expected.keys().copied().collect();
    let found = try_everything(&evening.db, &only).await.text(&BTreeMap::new());
    let difference = observed::difference(ALLOWED, &found);
    for (relation, seen) in expected {
        let line = format!("+{relation}: {seen}: ");
        assert!(difference.lines().any(|found| found.starts_with(&line)), "{line} is not in\n{difference}");
    }
}

/// FORCE ROW LEVEL SECURITY, tried: whoever owns a table is bound by its policies too.
#[tokio::test]
async fn the_owner_of_a_table_sees_nothing_without_a_claim() {
    let evening = two_evenings().await;
    let client = evening.db.owner().await;
    let tables = client
        .query(
            "select c.oid::regclass::text from pg_class c join pg_namespace n on n.oid = c.relnamespace
             where n.nspname in ('ops', 'telemetry', 'app', 'audit') and c.relkind in ('r', 'p') and not c.relispartition
                and exists (select from pg_attribute a where a.attrelid = c.oid and a.attname = 'tenant_id')",
            &[],
        )
        .await
        .unwrap();
    assert!(tables.len() > 20);
    client
        .batch_execute("begin; create role a_tables_owner; grant usage, create on schema ops, telemetry, app, audit to a_tables_owner; grant usage on schema public to a_tables_owner")
        .await
        .unwrap();
    for row in tables {
        let table: &str = row.get(0);
        client.batch_execute(&format!("alter table {table} owner to a_tables_owner")).await.unwrap();
        let count = format!("select count(*) from {table}");
        let all: i64 = client.query_one(&count, &[]).await.unwrap().get(0);
        client.batch_execute("set local role a_tables_owner").await.unwrap();
        let seen: i64 = client.query_one(&count, &[]).await.unwrap().get(0);
        client.batch_execute("set local role none").await.unwrap();
        assert!(all > 0 && seen == 0, "its owner sees {seen} of {all} rows of {table}");
    }
    client.batch_execute("rollback").await.unwrap();
}
