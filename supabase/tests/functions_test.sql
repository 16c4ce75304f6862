-- Who may call what: functions that run as their owner are few, each for the roles that need it, and none for people.
-- Run as tenancy_test.sql is; it leaves nothing behind.

begin;
create schema if not exists extensions;
create extension if not exists pgtap with schema extensions;
grant usage on schema extensions to public;
set local search_path = extensions, public, pg_catalog;

create temp table functions on commit drop as
select f.oid, f.oid::regprocedure::text as name, f.prosecdef, f.proconfig, f.prosqlbody is not null as is_bound,
    f.proowner::regrole::text as owner
from pg_proc f join pg_namespace n on n.oid = f.pronamespace
where n.nspname in ('ops', 'telemetry', 'app', 'audit', 'seatpilot_rest');

-- What looks before there is a claim, or across tenants, and who is let in.
create temp table definers (name text, callers text[]) on commit drop;
insert into definers values
    ('ops.device_by_token_hash(bytea)', '{seatpilot_checkin,seatpilot_wayfinding}'),
    ('ops.signing_key_by_id(text)', '{seatpilot_ingest,seatpilot_rest,seatpilot_wayfinding}'),
    ('ops.tenant_ids()', '{seatpilot_checkin,seatpilot_ingest,seatpilot_kpi,seatpilot_metrics,seatpilot_rest,seatpilot_wayfinding}'),
    ('telemetry.refresh_mv(text)', '{seatpilot_kpi}'),
    ('telemetry.rebuild_mv(text)', '{seatpilot_kpi}'),
    ('telemetry.retain(integer,integer)', '{seatpilot_kpi}'),
    ('telemetry.dlq_claim(text,uuid[],uuid)', '{seatpilot_ingest}'),
    ('telemetry.dlq_discard(text,text,inet,text,uuid[],text)', '{seatpilot_ingest}'),
    ('app.metering_tick(text)', '{seatpilot_kpi}'),
    ('app.metering_roll()', '{}'),
    ('app.ops_metering_seed_daily(text)', '{}'),
    ('app.billing_close_month(text,text,text)', '{}');

select plan((select count(*)::int * 3 from functions) + (select count(*)::int from definers) + 6);

-- A body that was bound as it was made looks for no names any more.
select ok(
    coalesce(proconfig @> array['search_path=pg_catalog, pg_temp'], false) or is_bound,
    name || ' finds names in pg_catalog only') from functions;
select ok(not exists (select from pg_proc f, aclexplode(coalesce(f.proacl, acldefault('f', f.proowner))) a
        where f.oid = functions.oid and a.grantee = 0)
    or name in ('telemetry.claim_tenant_id()', 'telemetry.claim_role()'),
    name || ' is nobody''s who was not given it')
from functions;
select ok(not prosecdef or not (has_function_privilege('anon', oid, 'execute') or has_function_privilege('authenticated', oid, 'execute')),
    name || ' runs as no owner for people')
from functions;

select is(
    array(select r.rolname::text from pg_roles r
        where r.rolname like 'seatpilot\_%' and r.oid <> f.owner::regrole and has_function_privilege(r.oid, f.oid, 'execute')
        order by r.rolname),
    d.callers, d.name || ' is called by ' || coalesce(nullif(array_to_string(d.callers, ', '), ''), 'the operator only'))
from definers d join functions f using (name);

-- An owner of such a function is a role that nobody logs in as, and is no superuser.
select is_empty(
    'select f.name from functions f join pg_roles r on r.rolname = f.owner
     where f.prosecdef and (r.rolcanlogin or r.rolsuper or r.rolbypassrls)',
    'functions run as no one who may log in or passes row level security');

-- Tried, not only read.
set local role anon;
select throws_ok('select * from ops.tenant_ids()', '42501', null, 'who has no login lists no tenants');
reset role;
set local role authenticated;
select throws_ok('select * from ops.signing_key_by_id(''x'')', '42501', null, 'people read no keys');
select throws_ok('select audit.append(''person'', ''x'', ''x'', ''x'', ''x'', null, null, ''ok'', null, null)', '42501', null,
    'people write no acts');
reset role;
set local role seatpilot_metrics;
select throws_ok('select telemetry.retain(0, 0)', '42501', null, 'metrics-api deletes nothing');
select lives_ok('select * from ops.tenant_ids()', 'and lists the tenants');
reset role;

select * from finish();
rollback;
