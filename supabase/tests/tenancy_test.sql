-- Each tenant sees its own rows, writes its own rows, and no others: table by table, role by role.
--
--     supabase test db            or            pg_prove -d "$DATABASE_URL" supabase/tests/*.sql
--
-- Everything happens in a transaction that is rolled back: it may be run on any database, that of an evening included. Two
-- tenants are made for it. Needs pgTAP; run as the owner of the schema.

begin;
create schema if not exists extensions;
create extension if not exists pgtap with schema extensions;
grant usage on schema extensions to public;
set local search_path = extensions, public, pg_catalog;

-- Whoever reads and writes, and what is claimed. `nobody` claims nothing.
create temp table cast_list (who text, role name, claims text) on commit drop;
insert into cast_list
select who, role, jsonb_build_object('app_metadata', jsonb_build_object('tenant_id', tenant, 'seatpilot_role', person))::text
from (values
    ('a viewer', 'authenticated', 'viewer'), ('an owner', 'authenticated', 'owner'), ('check-in', 'seatpilot_checkin', null),
    ('wayfinding', 'seatpilot_wayfinding', null), ('ingest', 'seatpilot_ingest', null), ('the refresher', 'seatpilot_kpi', null)
) as p (who, role, person), (values ('tap-acme'), ('tap-rival')) as t (tenant);
grant select on cast_list to public;

-- Two tenants with the same venue, event, door, ticket and ids. As the owner, who is bound by the claim too.
create function pg_temp.claim(claims text) returns void language sql as $$
    select set_config('request.jwt.claims', claims, true)
$$;
do $$
declare
    t text;
begin
    foreach t in array array['tap-acme', 'tap-rival'] loop
        perform pg_temp.claim(jsonb_build_object('tenant_id', t)::text);
        insert into ops.tenants (tenant_id, name) values (t, t);
        insert into ops.venues (tenant_id, venue_id, name, time_zone) values (t, 'hall', 'Hall', 'Europe/Madrid');
        insert into ops.doors (tenant_id, venue_id, door_id, name) values (t, 'hall', 'north', 'North');
        insert into ops.events (tenant_id, event_id, venue_id, name) values (t, 'gala', 'hall', 'Gala');
        insert into telemetry.event_ids (tenant_id, id, body_sha256)
            values (t, '01890000-0000-7000-8000-000000000001', '\x00');
        insert into telemetry.events_raw (tenant_id, id, type, source, occurred_at, received_at, venue_id, data)
            values (t, '01890000-0000-7000-8000-000000000001', 'device.heartbeat', 'tap_key_01', now(), now(), 'hall', '{}');
    end loop;
    perform pg_temp.claim('');
end
$$;

-- Tables with a tenant that a role was given to read. Partitions are reached through their parents.
create temp table readable on commit drop as
select distinct c.oid::regclass::text as name, r.role
from pg_class c
join pg_namespace n on n.oid = c.relnamespace
cross join (select distinct role from cast_list) r
where n.nspname in ('ops', 'telemetry', 'app', 'audit') and c.relkind in ('r', 'p', 'v') and not c.relispartition
    and exists (select from pg_attribute a where a.attrelid = c.oid and a.attname = 'tenant_id'
        and has_column_privilege(r.role, c.oid, a.attnum, 'select'));
grant select on readable to public;

select plan((
    select (count(*) + count(*) filter (where name in ('ops.venues', 'ops.doors', 'ops.events', 'telemetry.events_raw')))::int
    from readable join cast_list using (role)
) + 2 * (select count(*)::int from readable)
+ 2 * (select count(*)::int from cast_list where role in ('seatpilot_checkin', 'seatpilot_wayfinding', 'seatpilot_ingest'))
+ (select count(*)::int from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where n.nspname in ('ops', 'telemetry', 'app', 'audit') and c.relkind in ('r', 'p'))
+ 5);

-- One tap line for each: read as the role, told as ourselves.
create function pg_temp.seen(as_role name, claims text, relation text) returns text[] language plpgsql as $$
declare
    tenants text[];
begin
    perform set_config('request.jwt.claims', claims, true);
    execute format('set local role %I', as_role);
    execute format('select coalesce(array_agg(distinct tenant_id::text order by tenant_id::text), ''{}'') from %s', relation)
        into tenants;
    reset role;
    perform set_config('request.jwt.claims', '', true);
    return tenants;
end
$$;

select ok(c.relrowsecurity and c.relforcerowsecurity, c.oid::regclass || ' has row level security, forced')
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname in ('ops', 'telemetry', 'app', 'audit') and c.relkind in ('r', 'p');

select ok(
    pg_temp.seen(role, claims, name) <@ array[claims::jsonb #>> '{app_metadata,tenant_id}'],
    who || ' of ' || (claims::jsonb #>> '{app_metadata,tenant_id}') || ' sees no other tenant in ' || name)
from readable join cast_list using (role);

-- Where a row was put in, it is seen by its own.
select is(pg_temp.seen(role, claims, name), array[claims::jsonb #>> '{app_metadata,tenant_id}'],
    who || ' of ' || (claims::jsonb #>> '{app_metadata,tenant_id}') || ' sees its own in ' || name)
from readable join cast_list using (role)
where name in ('ops.venues', 'ops.doors', 'ops.events', 'telemetry.events_raw');

select is(pg_temp.seen(role, '', name), '{}', role || ' sees nothing in ' || name || ' without a claim') from readable;
select is(pg_temp.seen(role, '{"user_metadata":{"tenant_id":"tap-acme"}}', name), '{}',
    role || ' sees nothing in ' || name || ' by what a user writes of himself') from readable;

-- Writing: the own tenant's id is taken, another's is refused.
create function pg_temp.written(as_role name, claims text, tenant text) returns text language plpgsql as $$
declare
    outcome text := 'taken';
begin
    perform set_config('request.jwt.claims', claims, true);
    execute format('set local role %I', as_role);
    begin
        insert into telemetry.event_ids (tenant_id, id, body_sha256) values (tenant, gen_random_uuid(), '\x00');
    exception when insufficient_privilege then outcome := 'refused';
    end;
    reset role;
    perform set_config('request.jwt.claims', '', true);
    return outcome;
end
$$;
select is(pg_temp.written(role, claims, claims::jsonb #>> '{app_metadata,tenant_id}'), 'taken',
    who || ' writes for ' || (claims::jsonb #>> '{app_metadata,tenant_id}'))
from cast_list where role in ('seatpilot_checkin', 'seatpilot_wayfinding', 'seatpilot_ingest');
select is(pg_temp.written(role, claims, 'tap-third'), 'refused', who || ' writes for nobody else')
from cast_list where role in ('seatpilot_checkin', 'seatpilot_wayfinding', 'seatpilot_ingest');

-- People without a login, and people with one who write.
set local role anon;
select throws_ok('select count(*) from ops.venues', '42501', null, 'who has no login reads nothing');
reset role;
select pg_temp.claim('{"app_metadata":{"tenant_id":"tap-acme","seatpilot_role":"owner"}}');
set local role authenticated;
select throws_ok('insert into ops.doors (tenant_id, venue_id, door_id, name) values (''tap-acme'', ''hall'', ''south'', ''S'')', '42501', null,
    'an owner adds no door past us');
select throws_ok('update ops.venues set name = ''Mine''', '42501', null, 'an owner renames no venue past us');
select throws_ok('delete from telemetry.events_raw', '42501', null, 'an owner deletes no event');
select throws_ok('truncate telemetry.events_raw', '42501', null, 'an owner empties no table');
reset role;

select * from finish();
rollback;
