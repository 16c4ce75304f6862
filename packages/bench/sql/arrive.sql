-- What one arrival writes, as one statement for one row.
\set i :i + 1
\set n :first + permute(:base + :i * :clients + :client_id, :tickets, 20261122)
with seated as (
    update ops.checkin_sessions cs
    set arrived_at = now(), arrival_recorded_at = now(), arrival_ping_id = gen_random_uuid()
    where cs.session_id = public.bench_session_id(:n) and cs.tenant_id = 'acme' and cs.arrived_at is null
    returning cs.session_id, cs.event_id, cs.door_id, cs.section, cs.table_id, cs.seat_id, cs.channel, cs.checked_in_at,
        cs.arrived_at, cs.arrival_ping_id
),
named as (
    select public.bench_uuid_v7() as id, s.* from seated s
),
ids as (
    insert into telemetry.event_ids (id, tenant_id, body_sha256)
    select n.id, 'acme', ''::bytea from named n
)
insert into telemetry.events_raw (occurred_at, id, session_id, tenant_id, type, source, venue_id, channel, data)
select
    n.arrived_at, n.id, n.session_id, 'acme', 'wayfinding.arrive_table', 'service', 'hall', n.channel,
    jsonb_build_object(
        'event_id', n.event_id, 'door_id', n.door_id, 'section', n.section, 'table_id', n.table_id,
        'seat_id', n.seat_id, 'sign_id', null, 'ping_id', n.arrival_ping_id,
        'door_to_seat_seconds', extract(epoch from n.arrived_at - n.checked_in_at), 'outlier', false)
from named n;
