-- What is wrong with this database's tenancy, a line each: rule, object, why. No line: nothing was found.
--
--     psql "$DATABASE_URL" -X -f supabase/lint/tenancy.sql
--
-- It only reads the catalogue, and needs no more than a login. The rules with a number are those of Supabase's own linter
-- (splinter), written anew for our roles: people are `anon` and `authenticated`, services are `seatpilot_*` that log in,
-- and row level security asks the claim, by telemetry.claim_tenant_id(). What is excepted stands here with its reason.

with
-- Every schema but Postgres' own and what Supabase and extensions bring.
schemas as (
    select n.oid, n.nspname as name
    from pg_catalog.pg_namespace n
    where n.nspname in ('ops', 'telemetry', 'app', 'audit', 'seatpilot_rest', 'supabase_migrations', 'public')
        or n.nspname like 'seatpilot%'
),
tables as (
    select c.oid, c.oid::pg_catalog.regclass::text as name, c.relname, c.relkind, c.relispartition, c.relrowsecurity,
        c.relforcerowsecurity, c.relowner, s.name as schema, a.attnum as tenant
    from pg_catalog.pg_class c
    join schemas s on s.oid = c.relnamespace
    left join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attname = 'tenant_id' and not a.attisdropped
    where c.relkind in ('r', 'p')
        -- What an extension brought is its own affair.
        and not exists (select from pg_catalog.pg_depend d where d.objid = c.oid and d.deptype = 'e')
),
-- The ledger of the migrations: the Supabase CLI makes it, without row level security, and it has no tenant.
ours as (select * from tables where schema <> 'supabase_migrations'),
functions as (
    select f.oid, f.oid::pg_catalog.regprocedure::text as name, f.prosecdef, f.proconfig, f.prosqlbody, f.proowner,
        f.proowner::pg_catalog.regrole::text as owner
    from pg_catalog.pg_proc f
    join schemas s on s.oid = f.pronamespace
    where not exists (select from pg_catalog.pg_depend d where d.objid = f.oid and d.deptype = 'e')
),
-- Roles that nobody logs in as, and that own the functions which look before there is a claim, or across tenants.
owners (name) as (values
    ('seatpilot_lookup'), ('seatpilot_rollup'), ('seatpilot_retention'), ('seatpilot_billing'), ('seatpilot_audit'),
    ('seatpilot_redrive'), ('seatpilot_rest')
),
roles as (
    select r.*, r.rolname in (select name from owners) as is_owner
    from pg_catalog.pg_roles r
    where r.rolname in ('anon', 'authenticated') or r.rolname like 'seatpilot\_%'
),
policies as (
    select p.*, t.name as "table", t.relrowsecurity,
        coalesce(pg_catalog.pg_get_expr(p.polqual, p.polrelid), '') as shows,
        coalesce(pg_catalog.pg_get_expr(p.polwithcheck, p.polrelid), '') as takes,
        -- For roles of owners only.
        not 0 = any (p.polroles) and not exists (
            select from pg_catalog.unnest(p.polroles) r (oid)
            where r.oid::pg_catalog.regrole::text not in (select name from owners)) as is_of_owners
    from pg_catalog.pg_policy p join tables t on t.oid = p.polrelid
),
grants as (
    select t.oid, t.name, a.grantee, case a.grantee when 0 then 'public' else a.grantee::pg_catalog.regrole::text end as who,
        a.privilege_type as privilege, a.is_grantable
    from tables t join pg_catalog.pg_class c on c.oid = t.oid
    cross join lateral pg_catalog.aclexplode(c.relacl) a
    where a.grantee <> t.relowner
),
-- Tables without a tenant, which say nothing of any.
without_tenant (name) as (values
    ('telemetry.ingest_nonce_floors'),                                                  -- how far nonces were let go
    ('telemetry.mv_metadata'), ('telemetry.mv_refresh_log'), ('telemetry.mv_progress'), -- how fresh the KPIs are
    ('app.currencies'), ('app.features'), ('app.plans'), ('app.entitlements'),          -- the price list
    ('app.metering_progress'), ('app.job_runs')                                         -- how far counting is
),
-- What is unique across tenants, since it says whose the caller is.
unique_across (name) as (values
    ('ops.devices_pkey'), ('ops.devices_token_hash'), -- a token
    ('ops.signing_keys_pkey')                         -- a key's id
)

select rule, object, why
from (
    select '0003 auth_rls_initplan' as rule, p."table" || ' ' || p.polname as object,
        'asks the claim once a row: write (select telemetry.claim_tenant_id())' as why
    from policies p
    where pg_catalog.regexp_replace(p.shows || ' ' || p.takes,
            '\( SELECT telemetry\.claim_(tenant_id|role)\(\)( AS claim_(tenant_id|role))?\)', '', 'gi')
        ~* 'claim_tenant_id\(|claim_role\(|current_setting\(|jwt\('

    union all
    select '0007 policy_exists_rls_disabled', p."table", 'has policies that nobody asks: enable row level security'
    from policies p where not p.relrowsecurity

    union all
    select '0008 rls_enabled_no_policy', t.name, 'shows nothing to anybody: it lacks its policies'
    from ours t
    -- A partition is reached through its parent, or not at all.
    where t.relrowsecurity and not t.relispartition and not exists (select from policies p where p.polrelid = t.oid)

    union all
    select '0010 security_definer_view', c.oid::pg_catalog.regclass::text,
        'shows every row that its owner sees: with (security_invoker = true)'
    from pg_catalog.pg_class c join schemas s on s.oid = c.relnamespace
    where c.relkind = 'v' and not coalesce(c.reloptions @> '{security_invoker=true}', false)
        and not exists (select from pg_catalog.pg_depend d where d.objid = c.oid and d.deptype = 'e')

    union all
    select '0011 function_search_path_mutable', f.name, 'finds names where its caller says: set search_path = pg_catalog, pg_temp'
    from functions f
    where not coalesce(f.proconfig @> array['search_path=pg_catalog, pg_temp'], false)
        -- A body that was bound as it was made looks for no names any more.
        and f.prosqlbody is null
        -- With an empty path it finds only what it names whole; safe but for types, which a caller's temporary schema has first.
        and not (not f.prosecdef and coalesce(f.proconfig @> array['search_path=""'], false))

    union all
    select '0013 rls_disabled', t.name, 'is open to whoever is granted it: enable and force row level security'
    from ours t where not t.relrowsecurity

    union all
    select 'rls_not_forced', t.name, 'is open to its owner: force row level security'
    from ours t where not t.relforcerowsecurity

    union all
    select '0015 rls_references_user_metadata', p."table" || ' ' || p.polname, 'asks what the user writes himself'
    from policies p where p.shows || p.takes ~* 'user_metadata'

    union all
    select '0016 materialized_view', c.oid::pg_catalog.regclass::text,
        'holds every tenant''s rows and knows no row level security'
    from pg_catalog.pg_class c join schemas s on s.oid = c.relnamespace
    where c.relkind in ('m', 'f')

    union all
    select '0024 permissive_rls_policy', p."table" || ' ' || p.polname, 'lets everybody pass: ask the claim'
    from policies p
    where p.polpermissive and not p.is_of_owners
        and (p.shows || p.takes !~* 'claim_tenant_id\(' or p.shows || p.takes ~* 'claim_tenant_id\(\)[^)]*\) is null'
            or p.shows || p.takes ~* ' or ' or p.shows = 'true' or p.takes = 'true')
        and p."table" not in (select name from without_tenant)

    union all
    select 'policy_does_not_ask_the_tenant', p."table" || ' ' || p.polname,
        'is of an owner''s role and lets it pass, but the role may log in'
    from policies p cross join lateral pg_catalog.unnest(p.polroles) r (oid)
    join pg_catalog.pg_roles x on x.oid = r.oid
    where p.is_of_owners and x.rolcanlogin

    union all
    select 'write_without_policy', g.name || ' ' || g.who || ' ' || pg_catalog.lower(g.privilege),
        'is granted, and no policy says to whom: every write fails, until somebody mends it in a hurry'
    from grants g join tables t on t.oid = g.oid
    where g.privilege in ('INSERT', 'UPDATE', 'DELETE') and not t.relispartition and t.relrowsecurity
        and not exists (
            select from policies p
            where p.polrelid = g.oid and p.polpermissive and (0 = any (p.polroles) or g.grantee = any (p.polroles))
                and p.polcmd in ('*', case g.privilege when 'INSERT' then 'a' when 'UPDATE' then 'w' else 'd' end::"char"))

    union all
    select case when 'anon' = who then '0028 anon_security_definer_function_executable'
        else '0029 authenticated_security_definer_function_executable' end, f.name, 'runs as ' || f.owner || ' for ' || who
    from functions f cross join pg_catalog.unnest(array['anon', 'authenticated']) who
    where f.prosecdef and exists (select from pg_catalog.pg_roles where rolname = who)
        and pg_catalog.has_function_privilege(who, f.oid, 'execute')

    union all
    select 'security_definer_owner', f.name, 'runs as ' || f.owner || ', who is more than it needs'
    from functions f where f.prosecdef and f.owner not in (select name from owners)

    union all
    select 'function_public_execute', f.name, 'is anybody''s to call: revoke execute from public'
    from functions f join pg_catalog.pg_proc c on c.oid = f.oid
    cross join lateral pg_catalog.aclexplode(coalesce(c.proacl, pg_catalog.acldefault('f', c.proowner))) a
    where a.grantee = 0
        -- Policies call them as whoever reads.
        and f.name not in ('telemetry.claim_tenant_id()', 'telemetry.claim_role()')

    union all
    select 'truncate_granted', g.name || ' ' || g.who, 'empties the table of every tenant: row level security is not asked'
    from grants g
    -- A nonce's partition is emptied when its time is over, by the owner of one function.
    where g.privilege = 'TRUNCATE' and not (g.who = 'seatpilot_retention' and g.name like 'telemetry.ingest\_nonces\__')

    union all
    select 'references_or_trigger_granted', g.name || ' ' || g.who, 'tells which keys exist, or runs code with each row'
    from grants g where g.privilege in ('REFERENCES', 'TRIGGER', 'MAINTAIN')

    union all
    select 'granted_to_public', g.name || ' ' || pg_catalog.lower(g.privilege), 'is granted to every role, those to come included'
    from grants g where g.grantee = 0

    union all
    select 'grant_option', g.name || ' ' || g.who, 'may hand its right on'
    from grants g where g.is_grantable

    union all
    select 'partition_granted', g.name || ' ' || g.who, 'reads a partition past its parent''s policies'
    from grants g join tables t on t.oid = g.oid
    where t.relispartition and g.who <> 'seatpilot_retention'

    union all
    select 'default_privileges', coalesce(s.name, 'every schema') || ' ' || coalesce(r.rolname, 'public'),
        'is granted what nobody has made yet'
    from pg_catalog.pg_default_acl d
    left join schemas s on s.oid = d.defaclnamespace
    cross join lateral pg_catalog.aclexplode(d.defaclacl) a
    left join pg_catalog.pg_roles r on r.oid = a.grantee
    where a.grantee <> d.defaclrole and (s.name is not null and s.name <> 'public')

    union all
    select 'role_bypasses_rls', r.rolname, 'is bound by no policy'
    from roles r where r.rolsuper or r.rolbypassrls

    union all
    select 'role_may_too_much', r.rolname, 'makes roles or databases, replicates, or logs in as an owner'
    from roles r where r.rolcreaterole or r.rolcreatedb or r.rolreplication or (r.is_owner and r.rolcanlogin)

    union all
    select 'role_owns', t.name || ' ' || r.rolname, 'is owned by a role that services or people use'
    from tables t join roles r on r.oid = t.relowner where not r.is_owner

    union all
    select 'role_in_role', r.rolname || ' in ' || m.roleid::pg_catalog.regrole, 'is whatever that role is'
    from roles r join pg_catalog.pg_auth_members m on m.member = r.oid
    -- It reads for people as Supabase's own interface would, by `set local role`; it inherits nothing.
    where not (r.rolname = 'seatpilot_ingest' and m.roleid::pg_catalog.regrole::text = 'authenticated')
        -- Supabase's own, which lead from people to nobody.
        and not (r.rolname in ('anon', 'authenticated'))

    union all
    select 'schema_create', s.name || ' ' || r.rolname, 'may put objects of its own where ours are found'
    from schemas s cross join roles r
    where pg_catalog.has_schema_privilege(r.oid, s.oid, 'create')
        -- Its function makes a partition a day.
        and not (s.name = 'telemetry' and r.rolname = 'seatpilot_retention')

    union all
    select 'unique_without_tenant', i.indexrelid::pg_catalog.regclass::text,
        'tells one tenant of another''s keys, and refuses its rows for them'
    from pg_catalog.pg_index i join ours t on t.oid = i.indrelid
    where i.indisunique and not t.relispartition and t.tenant is not null
        and not t.tenant = any ((i.indkey::pg_catalog.int2[])[0:i.indnkeyatts - 1])
        and i.indexrelid::pg_catalog.regclass::text not in (select name from unique_across)

    union all
    select 'reference_leaves_tenant', k.conrelid::pg_catalog.regclass || ' ' || k.conname, 'leads to another tenant''s row'
    from pg_catalog.pg_constraint k join ours t on t.oid = k.conrelid join ours f on f.oid = k.confrelid
    where k.contype = 'f' and f.tenant is not null
        and (pg_catalog.array_position(k.confkey, f.tenant) is null
            or k.conkey[pg_catalog.array_position(k.confkey, f.tenant)] is distinct from t.tenant)

    union all
    select 'table_without_tenant', t.name, 'has no tenant_id, and nobody said why'
    from ours t where t.tenant is null and t.name not in (select name from without_tenant)

    union all
    select 'tenant_may_be_null', t.name, 'takes rows that are nobody''s'
    from ours t
    join pg_catalog.pg_attribute a on a.attrelid = t.oid and a.attnum = t.tenant
    left join pg_catalog.pg_type y on y.oid = a.atttypid
    where not a.attnotnull and not coalesce(y.typnotnull, false)

    union all
    select 'extension_in_public', e.extname, 'puts its functions where everybody finds them'
    from pg_catalog.pg_extension e where e.extnamespace = 'public'::pg_catalog.regnamespace
) as found
order by rule, object, why;
