-- 002_policies_rls: who may see and write what.
--
-- Row level security is forced on every table. One rule for everybody: a row is there for who claims its tenant.
-- Grants say which role may do what with those rows. What has to look before there is a claim, or across
-- tenants, is a security definer function each, owned by a role of its own with a policy of its own:
--   ops.device_by_token_hash, ops.signing_key_by_id, ops.tenant_ids      seatpilot_lookup
--   telemetry.refresh_mv and the roll-up behind it (003)                 seatpilot_rollup
--   telemetry.retain (013)                                               seatpilot_retention
-- Nothing else.

do $$
declare
    t record;
begin
    for t in
        select n.nspname as schema, c.relname as name, c.relispartition as is_partition
        from pg_catalog.pg_class c
        join pg_catalog.pg_namespace n on n.oid = c.relnamespace
        where n.nspname in ('ops', 'telemetry') and c.relkind in ('r', 'p')
    loop
        execute format('alter table %I.%I enable row level security', t.schema, t.name);
        execute format('alter table %I.%I force row level security', t.schema, t.name);
        -- A partition has no policy of its own: it is reached through its parent or not at all.
        continue when t.is_partition;
        execute format(
            'create policy %I on %I.%I for select using ((select telemetry.claim_tenant_id()) = tenant_id)',
            t.name || '_tenant_isolation_select', t.schema, t.name);
        execute format(
            'create policy %I on %I.%I for insert with check ((select telemetry.claim_tenant_id()) = tenant_id)',
            t.name || '_tenant_isolation_insert', t.schema, t.name);
        execute format(
            'create policy %I on %I.%I for update using ((select telemetry.claim_tenant_id()) = tenant_id)'
            ' with check ((select telemetry.claim_tenant_id()) = tenant_id)',
            t.name || '_tenant_isolation_update', t.schema, t.name);
        execute format(
            'create policy %I on %I.%I for delete using ((select telemetry.claim_tenant_id()) = tenant_id)',
            t.name || '_tenant_isolation_delete', t.schema, t.name);
    end loop;
end
$$;

-- Check-in: decides from tickets, writes sessions and their events, reads maps and doors.
grant select on ops.tickets, ops.venues, ops.venue_maps, ops.doors, ops.events to seatpilot_checkin;
grant select, insert on ops.checkin_sessions to seatpilot_checkin;
grant insert on telemetry.events_raw, telemetry.event_ids to seatpilot_checkin;

-- Wayfinding: reads maps, closes sessions, remembers the nonces of signed pings.
grant select on ops.venues, ops.venue_maps, ops.doors, ops.events to seatpilot_wayfinding;
grant select on ops.checkin_sessions to seatpilot_wayfinding;
grant update (arrived_at, arrival_recorded_at, arrival_ping_id, arrival_sign_id) on ops.checkin_sessions
    to seatpilot_wayfinding;
grant insert on telemetry.events_raw, telemetry.event_ids to seatpilot_wayfinding;
grant select, insert on telemetry.ingest_nonces to seatpilot_wayfinding;

-- Ingest: events, dead letters, nonces. It reads only what says whether an id or a nonce is known.
grant select, insert on telemetry.event_ids, telemetry.ingest_nonces to seatpilot_ingest;
grant insert on telemetry.events_raw, telemetry.events_dlq to seatpilot_ingest;

-- People with a Supabase login read their own tenant's venue, sessions' KPIs (003) and events.
grant select on ops.venues, ops.doors, ops.sections, ops.tables, ops.seats, ops.events to authenticated;
grant select on telemetry.events_raw to authenticated;

-- Look-ups before there is a claim: one row each, by a secret's hash or a key's id.
create policy devices_lookup on ops.devices for select to seatpilot_lookup using (true);
create policy signing_keys_lookup on ops.signing_keys for select to seatpilot_lookup using (true);
create policy tenants_lookup on ops.tenants for select to seatpilot_lookup using (true);
grant select on ops.devices, ops.signing_keys, ops.tenants to seatpilot_lookup;

create function ops.device_by_token_hash(hash bytea)
returns table (device_id uuid, tenant_id text, token_hash bytea, venues text[], events text[], doors text[], channels text[])
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    select d.device_id, d.tenant_id, d.token_hash, d.venues, d.events, d.doors, d.channels
    from ops.devices d
    where d.token_hash = hash and d.revoked_at is null
$$;

create function ops.signing_key_by_id(id text)
returns table (
    tenant_id text, scopes text[], secret bytea, previous_secret bytea, previous_expires_at timestamptz, revoked boolean
)
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    select k.tenant_id, k.scopes, k.secret, k.previous_secret, k.previous_expires_at, k.revoked_at is not null
    from ops.signing_keys k
    where k.key_id = id
$$;

create function ops.tenant_ids() returns setof text
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    select t.tenant_id from ops.tenants t order by t.tenant_id
$$;

-- Who is given an object must be able to make one there, at that moment. seatpilot_retention makes partitions for good.
grant create on schema ops to seatpilot_lookup;
grant create on schema telemetry to seatpilot_rollup, seatpilot_retention;
alter function ops.device_by_token_hash(bytea) owner to seatpilot_lookup;
alter function ops.signing_key_by_id(text) owner to seatpilot_lookup;
alter function ops.tenant_ids() owner to seatpilot_lookup;
revoke create on schema ops from seatpilot_lookup;

revoke execute on all functions in schema ops, telemetry from public;
grant execute on function telemetry.claim_tenant_id() to public;
grant execute on function telemetry.claim(text), telemetry.uuid_v7()
    to seatpilot_checkin, seatpilot_wayfinding, seatpilot_ingest, seatpilot_kpi;
grant execute on function ops.device_by_token_hash(bytea) to seatpilot_checkin, seatpilot_wayfinding;
grant execute on function ops.signing_key_by_id(text) to seatpilot_ingest, seatpilot_wayfinding;
grant execute on function ops.tenant_ids()
    to seatpilot_checkin, seatpilot_wayfinding, seatpilot_ingest, seatpilot_kpi, seatpilot_metrics;
