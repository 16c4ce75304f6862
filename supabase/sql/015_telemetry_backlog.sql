-- 015_telemetry_backlog: what waits and what ages, tenant by tenant, for the gauges of kpi-refresher.
--
-- It is no security definer: kpi-refresher claims one tenant after the other, as it may, and sees of each what the
-- policies of 002 show. Of the keys it reads when they were made and rotated, never what they are.

grant select (tenant_id, state, received_at) on telemetry.events_dlq to seatpilot_kpi;
grant select (tenant_id, created_at, rotated_at, revoked_at) on ops.signing_keys to seatpilot_kpi;

-- So that counting costs what waits, not what was ever refused, and the oldest is the first.
create index events_dlq_parked on telemetry.events_dlq (tenant_id, received_at) where state = 'parked';
create index signing_keys_tenant on ops.signing_keys (tenant_id);

create function telemetry.backlog()
returns table (tenant_id text, dlq_rows bigint, dlq_oldest_seconds double precision, key_age_seconds double precision)
language plpgsql volatile security invoker set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
declare
    -- A column of the same name would hide it.
    whose text;
begin
    for whose in select t.tenant_id from ops.tenant_ids() as t (tenant_id) loop
        perform telemetry.claim(whose);
        return query
            select whose,
                -- Counted so far and no further: beyond it nobody asks how many.
                (select count(*) from (
                    select from telemetry.events_dlq d
                    where d.tenant_id = whose and d.state = 'parked' limit 1000000) as parked),
                -- A clock that was set back makes nothing younger than now.
                (select greatest(coalesce(extract(epoch from now() - min(d.received_at)), 0), 0)::double precision
                    from telemetry.events_dlq d where d.tenant_id = whose and d.state = 'parked'),
                (select greatest(coalesce(extract(epoch from now() - min(coalesce(k.rotated_at, k.created_at))), 0), 0)
                        ::double precision
                    from ops.signing_keys k where k.tenant_id = whose and k.revoked_at is null);
    end loop;
    -- The last tenant's claim does not outlive the look.
    perform set_config('request.jwt.claims', '', true);
end
$$;
comment on function telemetry.backlog() is
    'One row a tenant: parked dead letters, seconds since the oldest came, seconds since the oldest key was rotated.';

revoke execute on function telemetry.backlog() from public;
grant execute on function telemetry.backlog() to seatpilot_kpi;
