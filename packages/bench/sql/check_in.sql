-- What one check-in writes, as one statement for one row: no replay, no refusal, no answer of seat and way.
\set i :i + 1
\set n :first + permute(:base + :i * :clients + :client_id, :tickets, 20261122)
with t as (
    select k.ticket_id, k.party_size, k.section, k.table_id, k.seat_id, k.profile
    from ops.tickets k
    where k.ticket_hash = sha256(convert_to('ticket-' || (:n)::text, 'UTF8')) and k.tenant_id = 'acme'
        and k.event_id = 'gala'
),
admitted as (
    insert into ops.checkin_sessions (
        session_id, scan_id, ticket_id, device_id, checked_in_at, tenant_id, venue_id, event_id, door_id, channel,
        party_size, section, table_id, seat_id, profile, fingerprint
    )
    select public.bench_uuid_v7(), gen_random_uuid(), t.ticket_id, '00000000-0000-7000-8000-000000000001', now(), 'acme',
        'hall', 'gala', 'DOOR', 'kiosk', t.party_size, t.section, t.table_id, t.seat_id, t.profile,
        sha256(convert_to((:n)::text, 'UTF8'))
    from t
    on conflict do nothing
    returning session_id, checked_in_at, section, party_size
),
named as (
    select public.bench_uuid_v7() as id, a.* from admitted a
),
ids as (
    insert into telemetry.event_ids (id, tenant_id, body_sha256)
    select n.id, 'acme', ''::bytea from named n
)
insert into telemetry.events_raw (occurred_at, id, session_id, tenant_id, type, source, venue_id, channel, data)
select
    n.checked_in_at, n.id, n.session_id, 'acme', 'checkin.success', 'service', 'hall', 'kiosk',
    jsonb_build_object(
        'event_id', 'gala', 'door_id', 'DOOR', 'section', n.section, 'party_size', n.party_size, 'latency_ms', 1.234)
from named n;
