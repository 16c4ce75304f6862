-- 108_telemetry_routes_served: routes are answered from memory; this writes down how many, venue by venue, every few
-- seconds. The ids are the caller's and the same when it tries again, so a batch counts once.
create function telemetry.routes_served(tenant text, ids uuid[], venues text[], counts bigint[]) returns bigint
language plpgsql volatile security invoker set search_path = pg_catalog, pg_temp as $$
declare
    written bigint;
begin
    perform telemetry.claim(tenant);
    with served as materialized (
        select s.id, s.venue_id, s.served from unnest(ids, venues, counts) as s (id, venue_id, served)
    ),
    fresh as (
        insert into telemetry.event_ids (id, tenant_id, body_sha256)
        select s.id, tenant, ''::bytea from served s order by s.id
        on conflict do nothing
        returning id
    ),
    facts as (
        insert into telemetry.events_raw (occurred_at, id, tenant_id, type, source, venue_id, data)
        select now(), s.id, tenant, 'wayfinding.routes_served', 'service', s.venue_id, jsonb_build_object('count', s.served)
        from served s
        where s.id in (select f.id from fresh f)
        returning 1
    )
    select count(*) into written from facts;
    return written;
end
$$;
comment on function telemetry.routes_served(text, uuid[], text[], bigint[]) is
    'Writes how many routes wayfinding answered since the last time; once an id.';
revoke execute on function telemetry.routes_served(text, uuid[], text[], bigint[]) from public;
grant execute on function telemetry.routes_served(text, uuid[], text[], bigint[]) to seatpilot_wayfinding;
grant select (id) on telemetry.event_ids to seatpilot_wayfinding;
