//! Tenancy as the catalogue has it: what 002 promises holds for every object, one that a later migration brings
//! included. Each rule is a query for what breaks it; each is seen to catch a hole that is planted for it.
//! How rows come out is in `claims`, who may do what in `grants`.

use seatpilot_testkit::TestDb;
use tokio_postgres::Client;

struct Rule {
    says: &'static str,
    /// Answers one line for each object that breaks the rule.
    broken_by: &'static str,
    /// Each breaks it.
    planted: &'static [&'static str],
}

/// `$tables` stands for every table of ours, partitions included, `$rule` for the one expression of 002.
const RULES: &[Rule] = &[
    Rule {
        says: "row level security is enabled and forced on every table",
        broken_by: "select t.name from ($tables) t where not (t.relrowsecurity and t.relforcerowsecurity)",
        planted: &[
            "alter table ops.tickets no force row level security",
            "alter table telemetry.events_raw_rest disable row level security",
            "create table ops.later (tenant_id text not null)",
        ],
    },
    Rule {
        says: "a table without a tenant is on the list",
        broken_by: "select t.name from ($tables) t where t.tenant is null and t.name not in (
            'telemetry.mv_metadata',    -- how fresh each KPI view is
            'telemetry.mv_refresh_log', -- how each refresh went
            'telemetry.mv_progress',    -- how far the roll-up is; only seatpilot_rollup reads it
            'telemetry.ingest_nonce_floors', -- how far back nonces are remembered
            'app.currencies', 'app.features', 'app.plans', 'app.entitlements', -- the price list
            'app.metering_progress',    -- how far counting is
            'app.job_runs'              -- which daily jobs ran
        )",
        planted: &["create table ops.later (name text)"],
    },
    Rule {
        says: "every other table shows its rows to who claims their tenant",
        // A partition needs no rule: without a policy it shows nothing, and is reached through its parent.
        broken_by: "select t.name from ($tables) t
            where t.tenant is not null and not t.relispartition and not exists (
                select from pg_policy p
                where p.polrelid = t.oid and p.polname = t.relname || '_tenant_isolation_select'
                    and p.polcmd = 'r' and p.polroles = '{0}' and p.polpermissive
                    and replace(pg_get_expr(p.polqual, p.polrelid), '(tenant_id)::text', 'tenant_id') = $rule)",
        planted: &[
            "drop policy events_raw_tenant_isolation_select on telemetry.events_raw",
            "alter policy seats_tenant_isolation_select on ops.seats using (tenant_id = telemetry.claim_tenant_id())",
        ],
    },
    Rule {
        says: "a policy with another rule is for a role that nobody logs in as, or on the list",
        broken_by: "select p.polrelid::regclass || ' ' || p.polname
            from pg_policy p
            where p.polrelid in (select t.oid from ($tables) t)
                and not p.polroles <@ array(select oid from pg_roles where rolname in (
                    'seatpilot_lookup', 'seatpilot_rollup', 'seatpilot_retention', 'seatpilot_billing'))
                -- They say nothing of any tenant.
                and p.polname not in ('mv_metadata_everybody_select', 'mv_refresh_log_everybody_select')
                and not p.polrelid::regclass::text in ('app.currencies', 'app.features', 'app.plans', 'app.entitlements',
                    'app.metering_progress', 'app.job_runs', 'telemetry.ingest_nonce_floors')
                -- It only takes away: bills are for who answers for them.
                and not (p.polname like '%_answerable' and not p.polpermissive
                    and p.polrelid::regclass::text like 'app.billing_%')
                -- So it does of letters, whose payloads are a sender's own text.
                and not (p.polname = 'events_dlq_answerable' and not p.polpermissive)
                -- It takes away: of a tenant's people only owners read the audit log.
                and not (p.polname = 'log_owners_only' and not p.polpermissive)
                and not (
                    coalesce(replace(pg_get_expr(p.polqual, p.polrelid), '(tenant_id)::text', 'tenant_id'),
                        case when p.polcmd = 'a' then $rule else '' end) = $rule
                    and coalesce(replace(pg_get_expr(p.polwithcheck, p.polrelid), '(tenant_id)::text', 'tenant_id'),
                        -- Without a check of its own an update is checked by what it may see.
                        case when p.polcmd = 'a' then '' else $rule end) = $rule)",
        planted: &[
            "create policy all_doors on ops.doors for select to seatpilot_checkin using (true)",
            "alter policy doors_tenant_isolation_insert on ops.doors with check (true)",
            "alter policy doors_tenant_isolation_select on ops.doors
             using (telemetry.claim_tenant_id() is null or telemetry.claim_tenant_id() = tenant_id)",
            "create policy all_parts on telemetry.events_raw_rest for select using (true)",
            "drop policy log_owners_only on audit.log;
             create policy log_owners_only on audit.log for select to authenticated using (telemetry.claim_role() = 'owner')",
        ],
    },
    Rule {
        says: "what is unique is unique within a tenant, or on the list",
        broken_by: "select i.indexrelid::regclass::text
            from pg_index i join ($tables) t on t.oid = i.indrelid
            where i.indisunique and not t.relispartition and t.tenant is not null
                and not t.tenant = any ((i.indkey::int2[])[0:i.indnkeyatts - 1])
                and i.indexrelid::regclass::text not in (
                    'ops.devices_pkey', 'ops.devices_token_hash', -- they are what says whose the caller is
                    'ops.signing_keys_pkey'                       -- so is a key's id
                )",
        planted: &["create unique index later on telemetry.events_dlq (dlq_id)"],
    },
    Rule {
        says: "a reference stays within its tenant",
        broken_by: "select k.conrelid::regclass || ' ' || k.conname
            from pg_constraint k join ($tables) t on t.oid = k.conrelid join ($tables) f on f.oid = k.confrelid
            where k.contype = 'f' and f.tenant is not null
                and (array_position(k.confkey, f.tenant) is null
                    or k.conkey[array_position(k.confkey, f.tenant)] is distinct from t.tenant)",
        planted: &["alter table ops.seats add foreign key (seat_id) references ops.tenants"],
    },
    Rule {
        says: "a view shows what its reader may see, and none is materialized",
        broken_by: "select c.oid::regclass::text from pg_class c
            where c.relnamespace::regnamespace::text in ('ops', 'telemetry', 'app', 'audit')
                and (c.relkind in ('m', 'f')
                    or c.relkind = 'v' and not coalesce(c.reloptions @> '{security_invoker=true}', false))",
        planted: &[
            "create view telemetry.v_later as select * from telemetry.events_raw",
            "alter view telemetry.v_event_counts_last_hour reset (security_invoker)",
            "create materialized view telemetry.later as select * from telemetry.events_raw",
        ],
    },
    Rule {
        says: "a function finds names in pg_catalog only, and a caller's own types last, or looks for none",
        broken_by: "select f.oid::regprocedure::text from pg_proc f
            where f.pronamespace::regnamespace::text in ('ops', 'telemetry', 'app', 'audit', 'seatpilot_rest')
                and not coalesce(f.proconfig @> array['search_path=pg_catalog, pg_temp'], false)
                and f.prosqlbody is null",
        planted: &[
            "create or replace function telemetry.claim_role() returns text language sql stable as 'select null::text'",
            "alter function telemetry.refresh_mv(text) set search_path = ''",
            "alter function ops.tenant_ids() reset search_path",
        ],
    },
    Rule {
        says: "a function is nobody's who was not given it, but for the claim's readers, which policies call",
        broken_by: "select f.oid::regprocedure::text
            from pg_proc f cross join lateral aclexplode(coalesce(f.proacl, acldefault('f', f.proowner))) a
            where f.pronamespace::regnamespace::text in ('ops', 'telemetry', 'app', 'audit', 'seatpilot_rest') and a.grantee = 0
                and f.oid not in ('telemetry.claim_tenant_id()'::regprocedure, 'telemetry.claim_role()'::regprocedure)",
        planted: &["create function telemetry.later() returns int language sql as 'select 1'"],
    },
    Rule {
        says: "a function that runs as its owner is on the list, with that owner",
        broken_by: "select f.oid::regprocedure || ' as ' || f.proowner::regrole
            from pg_proc f
            where f.pronamespace::regnamespace::text in ('ops', 'telemetry', 'app', 'audit', 'seatpilot_rest') and f.prosecdef
                and (f.oid::regprocedure::text, f.proowner::regrole::text) not in (
                    ('ops.device_by_token_hash(bytea)', 'seatpilot_lookup'),  -- before there is a claim
                    ('ops.signing_key_by_id(text)', 'seatpilot_lookup'),
                    ('ops.tenant_ids()', 'seatpilot_lookup'),
                    -- the log only grows: who acts cannot write it
                    ('audit.append(text,text,text,text,text,jsonb,jsonb,text,inet,text)', 'seatpilot_audit'),
                    ('telemetry.refresh_mv(text)', 'seatpilot_rollup'),       -- across tenants
                    ('app.metering_roll()', 'seatpilot_billing'),
                    ('app.metering_tick(text)', 'seatpilot_billing'),
                    ('app.ops_metering_seed_daily(text)', 'seatpilot_billing'),
                    ('app.billing_close_month(text,text,text)', 'seatpilot_billing'),
                    ('telemetry.rebuild_mv(text)', 'seatpilot_rollup'),
                    ('seatpilot_rest.ingest(text,jsonb)', 'seatpilot_rest'), -- the service key's one function
                    -- one tenant, by the claim; for admins, owners and operators
                    ('telemetry.dlq_claim(text,uuid[],uuid)', 'seatpilot_redrive'),
                    ('telemetry.dlq_settle(text,text,inet,text,uuid,uuid[],uuid[],text[],timestamp with time zone[],text[],uuid[],text[],text[],text[])', 'seatpilot_redrive'),
                    ('telemetry.dlq_standing(text,uuid[],uuid[],text[],timestamp with time zone[],text[],uuid[],text[])', 'seatpilot_redrive'),
                    ('telemetry.dlq_discard(text,text,inet,text,uuid[],text)', 'seatpilot_redrive'),
                    ('telemetry.retain(integer,integer)', 'seatpilot_retention'))",
        planted: &[
            "create function ops.later() returns int language sql security definer as 'select 1'",
            "alter function ops.tenant_ids() owner to current_user",
        ],
    },
    Rule {
        says: "services and people own nothing, are in no role but on the list, and are bound by row level security",
        broken_by: "with r as (
                select *, rolname in ('seatpilot_lookup', 'seatpilot_rollup', 'seatpilot_retention', 'seatpilot_audit',
                    'seatpilot_billing', 'seatpilot_redrive', 'seatpilot_rest') as owns
                from pg_roles where rolname like 'seatpilot\\_%' or rolname in ('anon', 'authenticated')
            )
            select r.rolname || ' may too much' from r
            where r.rolsuper or r.rolbypassrls or r.rolcreaterole or r.rolcreatedb or r.rolreplication or r.rolinherit
                or (r.owns and r.rolcanlogin)
            union all
            select r.rolname || ' is in ' || m.roleid::regrole from r join pg_auth_members m on m.member = r.oid
            -- It reads for people as Supabase would, by `set local role`; it inherits nothing.
            where not (r.rolname = 'seatpilot_ingest' and m.roleid::regrole::text = 'authenticated')
            union all
            select r.rolname || ' owns ' || c.oid::regclass from r join pg_class c on c.relowner = r.oid
            where not (r.rolname = 'seatpilot_retention' and c.relname like 'events\\_raw%')
                and not c.relnamespace = 'pg_toast'::regnamespace
            union all
            select r.rolname || ' owns ' || f.oid::regprocedure from r join pg_proc f on f.proowner = r.oid where not r.owns
            union all
            select r.rolname || ' owns ' || n.nspname from r join pg_namespace n on n.nspowner = r.oid",
        planted: &[
            "alter table ops.seats owner to seatpilot_checkin",
            "grant seatpilot_rollup to seatpilot_kpi",
            "alter role seatpilot_lookup login",
        ],
    },
];

async fn findings(client: &Client, rule: &Rule) -> Vec<String> {
    const TABLES: &str = "select c.*, c.oid::regclass::text as name,
            (select a.attnum from pg_attribute a
             where a.attrelid = c.oid and a.attname = 'tenant_id' and not a.attisdropped) as tenant
        from pg_class c
        where c.relnamespace::regnamespace::text in ('ops', 'telemetry', 'app', 'audit') and c.relkind in ('r', 'p')";
    const EXPRESSION: &str = "'(( SELECT telemetry.claim_tenant_id() AS claim_tenant_id) = tenant_id)'";
    let sql = rule.broken_by.replace("$tables", TABLES).replace("$rule", EXPRESSION);
    let rows = client.query(&sql, &[]).await.unwrap_or_else(|error| panic!("{}: {error:?}", rule.says));
    rows.iter().map(|row| row.get(0)).collect()
}

#[tokio::test]
async fn every_rule_of_tenancy_holds_in_the_catalogue() {
    let db = TestDb::new().await;
    let client = db.owner().await;
    for rule in RULES {
        assert_eq!(findings(&client, rule).await, Vec::<String>::new(), "{}", rule.says);
    }
}

#[tokio::test]
async fn every_rule_of_tenancy_catches_the_hole_it_is_there_for() {
    let db = TestDb::new().await;
    let client = db.owner().await;
    for rule in RULES {
        for hole in rule.planted {
            client.batch_execute("begin").await.unwrap();
            client.batch_execute(hole).await.unwrap_or_else(|error| panic!("{hole}: {error:?}"));
            assert!(!findings(&client, rule).await.is_empty(), "{}: not seen: {hole}", rule.says);
            client.batch_execute("rollback").await.unwrap();
        }
    }
}
