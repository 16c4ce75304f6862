-- What people may read depends on what their token says of them: bills and the audit log are not for everybody.
-- Run as tenancy_test.sql is; it leaves nothing behind.

begin;
create schema if not exists extensions;
create extension if not exists pgtap with schema extensions;
grant usage on schema extensions to public;
set local search_path = extensions, public, pg_catalog;

create function pg_temp.claim(claims text) returns void language sql as $$
    select set_config('request.jwt.claims', claims, true)
$$;
create function pg_temp.person(tenant text, person text) returns text language sql as $$
    select jsonb_build_object('app_metadata', jsonb_build_object('tenant_id', tenant, 'seatpilot_role', person))::text
$$;

-- Two tenants with a bill, an act and a dead letter each.
do $$
declare
    t text;
begin
    insert into app.plans (plan_id, name, currency, base_price_minor) values ('tap-house', 'House', 'EUR', 1);
    foreach t in array array['tap-acme', 'tap-rival'] loop
        perform pg_temp.claim(jsonb_build_object('tenant_id', t)::text);
        insert into ops.tenants (tenant_id, name) values (t, t);
        insert into app.tenant_plans (tenant_id, from_period, plan_id) values (t, '2026-01', 'tap-house');
        insert into app.billing_credits (tenant_id, period, for_period, amount_minor, reason, made_by)
            values (t, '2026-02', '2026-01', -1, 'tap', 'tap');
        insert into app.billing_periods (tenant_id, period, tenant_name, plan_id, plan_name, currency, total_minor, lines,
                counted_until, closed_by, sha256)
            values (t, '2026-01', t, 'tap-house', 'House', 'EUR', 0, 1, now(), 'tap', sha256(''));
        insert into app.billing_lines (tenant_id, period, line, kind, feature, for_period, quantity, billable,
                unit_price_minor, unit_per, amount_minor, description)
            values (t, '2026-01', 1, 'base', '', '2026-01', 1, 1, 0, 1, 0, 'tap');
        perform audit.append('operator', 'tap', 'tap.act', 'tap', 'tap', null, null, 'ok', null, null);
    end loop;
    perform pg_temp.claim('');
end
$$;

-- What each role reads of its own tenant.
create temp table reads (relation text, person text, may boolean) on commit drop;
insert into reads
select relation, person, person = any (readers)
from (values
    ('app.billing_periods', array['admin', 'owner']),
    ('app.billing_lines', array['admin', 'owner']),
    ('app.billing_credits', array['admin', 'owner']),
    ('app.v_tenant_billing_report', array['admin', 'owner']),
    ('audit.log', array['owner']),
    ('app.tenant_plans', array['viewer', 'editor', 'admin', 'owner'])
) as r (relation, readers), unnest(array['viewer', 'editor', 'admin', 'owner', 'nobody-we-know']) as person;
update reads set may = true where relation = 'app.tenant_plans';

create function pg_temp.seen(person text, relation text) returns text[] language plpgsql as $$
declare
    tenants text[];
begin
    perform pg_temp.claim(pg_temp.person('tap-acme', person));
    set local role authenticated;
    execute format('select coalesce(array_agg(distinct tenant_id::text order by tenant_id::text), ''{}'') from %s', relation)
        into tenants;
    reset role;
    perform pg_temp.claim('');
    return tenants;
end
$$;

select plan((select count(*)::int from reads) + 14);

select is(pg_temp.seen(person, relation), case when may then array['tap-acme'] else '{}'::text[] end,
    person || case when may then ' reads' else ' does not read' end || ' the own tenant''s ' || relation)
from reads;

-- A role that a user wrote of himself is none.
select pg_temp.claim('{"app_metadata":{"tenant_id":"tap-acme"},"user_metadata":{"seatpilot_role":"owner"}}');
set local role authenticated;
select is_empty('select from app.billing_lines', 'user_metadata opens no bill');
select is_empty('select from audit.log', 'user_metadata opens no audit log');
reset role;

-- Owners read; they change nothing.
select pg_temp.claim(pg_temp.person('tap-acme', 'owner'));
set local role authenticated;
select throws_ok('insert into app.billing_credits select * from app.billing_credits', '42501', null, 'an owner gives himself no credit');
select throws_ok('update app.billing_lines set amount_minor = 0', '42501', null, 'an owner changes no bill');
select throws_ok('delete from app.billing_periods', '42501', null, 'an owner opens no closed month');
select throws_ok('update audit.log set actor_id = ''x''', '42501', null, 'an owner rewrites no act');
select throws_ok('delete from audit.log', '42501', null, 'an owner forgets no act');
select throws_ok('truncate audit.log', '42501', null, 'an owner empties no log');
select throws_ok('insert into audit.log select * from audit.log', '42501', null, 'an owner adds no act of his own');
select throws_ok('select count(*) from audit.heads', '42501', null, 'the heads of the chains are nobody''s to read');
reset role;

-- Nor does the service that serves them.
select pg_temp.claim(pg_temp.person('tap-acme', 'owner'));
set local role seatpilot_ingest;
select throws_ok('select count(*) from audit.log', '42501', null, 'telemetry-ingest does not read the log itself');
select throws_ok('insert into audit.log select * from audit.log', '42501', null, 'nor write it, but by audit.append');
select throws_ok('select count(*) from app.billing_lines', '42501', null, 'nor read bills, but as the person who asks');
reset role;

-- Whoever it is: what was written down stays.
select pg_temp.claim(pg_temp.person('tap-acme', 'owner'));
select throws_ok('update audit.log set actor_id = ''x''', null, null, 'not even the owner of the schema rewrites an act');

select * from finish();
rollback;
