-- 017_ops_session_trace: the trace of a guest, kept with the session and both of its events.
--
-- A check-in's request belongs to a W3C trace: the phone's, or one that the gate began. Its `traceparent` is stored with
-- the session and in the event's data; the arrival, minutes later and from another device, finds it there and links to
-- it. Where nobody traces, nothing is stored and the array of traces is empty: `unnest` fills it up with nulls.
--
-- The functions take one array more than those of 010 and 011. Those stay, as doors to these, so that processes of the
-- version before go on working while the new ones come up.

alter table ops.checkin_sessions add column traceparent text;
comment on column ops.checkin_sessions.traceparent is
    'W3C traceparent of the request that was admitted; null where nobody traced it.';

create function ops.session_check_in(
    tenant text, scan_ids uuid[], session_ids uuid[], telemetry_ids uuid[], fingerprints bytea[], venues text[],
    events text[], doors text[], tickets bytea[], channels text[], devices uuid[], party_sizes smallint[],
    times timestamptz[], waits_ms double precision[], traceparents text[]
)
returns table (
    ord bigint, verdict text, session_id uuid, ticket_id uuid, party_size smallint, section text, table_id text,
    seat_id text, door_id text, checked_in_at timestamptz, profile text
)
language plpgsql volatile security invoker set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
begin
    perform telemetry.claim(tenant);
    return query
    with scans as materialized (
        select
            s.ord, s.scan_id, s.session_id, s.telemetry_id, s.fingerprint, s.venue_id, s.event_id, s.door_id, s.channel,
            s.device_id, s.checked_in_at, s.wait_ms, s.traceparent,
            t.ticket_id, t.section, t.table_id, t.seat_id, t.profile,
            coalesce(s.party_size, t.party_size) as party_size, t.party_size as ticket_party_size,
            case
                when t.ticket_id is null then coalesce(
                    -- Known for other events only. Revoked for all of them is said first.
                    (select case when bool_and(o.revoked_at is not null) then 'ticket_revoked' else 'wrong_event' end
                     from ops.tickets o where o.ticket_hash = s.ticket_hash and o.tenant_id = tenant
                     having count(*) > 0),
                    'ticket_unknown')
                when t.revoked_at is not null then 'ticket_revoked'
                when t.valid_from > s.checked_in_at then 'not_yet_valid'
                when t.valid_until < s.checked_in_at then 'no_longer_valid'
                when t.doors <> '{}' and s.door_id <> all (t.doors) then 'wrong_door'
                when s.party_size > t.party_size then 'party_too_large'
                else 'admitted'
            end as decision
        from unnest(
            scan_ids, session_ids, telemetry_ids, fingerprints, venues, events, doors, tickets, channels, devices,
            party_sizes, times, waits_ms, traceparents
        ) with ordinality as s (
            scan_id, session_id, telemetry_id, fingerprint, venue_id, event_id, door_id, ticket_hash, channel, device_id,
            party_size, checked_in_at, wait_ms, traceparent, ord
        )
        left join lateral (
            select k.* from ops.tickets k
            where k.ticket_hash = s.ticket_hash and k.tenant_id = tenant and k.event_id = s.event_id
            limit 1
        ) t on true
    ),
    admitted as (
        insert into ops.checkin_sessions as cs (
            session_id, scan_id, ticket_id, device_id, checked_in_at, tenant_id, venue_id, event_id, door_id, channel,
            party_size, section, table_id, seat_id, profile, fingerprint, traceparent
        )
        select
            s.session_id, s.scan_id, s.ticket_id, s.device_id, s.checked_in_at, tenant, s.venue_id, s.event_id, s.door_id,
            s.channel, s.party_size, s.section, s.table_id, s.seat_id, s.profile, s.fingerprint, s.traceparent
        from scans s
        where s.decision = 'admitted'
        order by s.ticket_id, s.ord
        on conflict do nothing
        returning cs.session_id
    ),
    won as materialized (
        select s.* from scans s where s.session_id in (select a.session_id from admitted a)
    ),
    ids as (
        insert into telemetry.event_ids (id, tenant_id, body_sha256)
        select w.telemetry_id, tenant, ''::bytea from won w
    ),
    facts as (
        insert into telemetry.events_raw (
            occurred_at, id, session_id, tenant_id, type, source, venue_id, channel, data
        )
        select
            w.checked_in_at, w.telemetry_id, w.session_id, tenant, 'checkin.success', 'service', w.venue_id, w.channel,
            jsonb_build_object(
                'event_id', w.event_id, 'door_id', w.door_id, 'section', w.section, 'party_size', w.party_size,
                -- From the request's first byte to here; the commit that follows is not in it.
                'latency_ms', round((w.wait_ms
                    + extract(epoch from clock_timestamp() - statement_timestamp()) * 1000)::numeric, 3)
            )
            || case when w.traceparent is null then '{}' else jsonb_build_object('traceparent', w.traceparent) end
        from won w
    )
    select
        w.ord, 'admitted', w.session_id, w.ticket_id, w.party_size, w.section::text, w.table_id::text, w.seat_id::text,
        w.door_id, w.checked_in_at, w.profile
    from won w
    union all
    select
        s.ord, r.verdict, r.session_id, r.ticket_id, coalesce(r.party_size, s.ticket_party_size), r.section, r.table_id,
        r.seat_id, r.door_id, r.checked_in_at, r.profile
    from scans s
    cross join lateral ops.session_standing(tenant, s.scan_id, s.fingerprint, s.ticket_id, s.decision) r
    where not exists (select from won w where w.session_id = s.session_id);
end
$$;

create or replace function ops.session_check_in(
    tenant text, scan_ids uuid[], session_ids uuid[], telemetry_ids uuid[], fingerprints bytea[], venues text[],
    events text[], doors text[], tickets bytea[], channels text[], devices uuid[], party_sizes smallint[],
    times timestamptz[], waits_ms double precision[]
)
returns table (
    ord bigint, verdict text, session_id uuid, ticket_id uuid, party_size smallint, section text, table_id text,
    seat_id text, door_id text, checked_in_at timestamptz, profile text
)
language sql volatile security invoker set search_path = pg_catalog, pg_temp as $$
    select * from ops.session_check_in(
        tenant, scan_ids, session_ids, telemetry_ids, fingerprints, venues, events, doors, tickets, channels, devices,
        party_sizes, times, waits_ms, '{}'::text[])
$$;

create function ops.session_arrive(
    tenant text, ping_ids uuid[], session_ids uuid[], telemetry_ids uuid[], tables text[], seats text[],
    sections text[], signs text[], arrivals timestamptz[], receipts timestamptz[],
    key_ids text[], key_times bigint[], nonces text[], bodies bytea[], traceparents text[]
)
returns table (
    ord bigint, verdict text, table_id text, seat_id text, section text, channel text, checked_in_at timestamptz,
    arrived_at timestamptz, nonce_replayed boolean, first boolean, check_in_traceparent text
)
language plpgsql volatile security invoker set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
declare
    -- Ordinals whose nonce is known: replayed with the same body, or reused with another.
    known bigint[] := '{}';
    -- Whether any ping of this batch is signed.
    is_signed boolean := exists (select from unnest(key_ids) as k (id) where k.id is not null);
begin
    perform telemetry.claim(tenant);
    if is_signed then
        known := coalesce((
            select array_agg(k.ord)
            from unnest(key_ids, key_times, nonces) with ordinality as k (key_id, ts, nonce, ord)
            where k.key_id is not null and exists (
                select from telemetry.ingest_nonces n
                where n.nonce = k.nonce and n.ts = k.ts and n.key_id = k.key_id and n.slot = ((k.ts / 300) % 8)::smallint)
        ), '{}');
        return query
        select k.ord,
            -- An outcome of events is none of a ping: Standard Webhooks signs no path, so one signature fits both.
            case when n.body_sha256 = k.body and n.outcomes[1] in ('arrived', 'repeated') then n.outcomes[1]
                else 'nonce_reused' end,
            cs.table_id::text, cs.seat_id::text, cs.section::text, cs.channel, cs.checked_in_at, cs.arrived_at, true,
            n.outcomes[1] = 'arrived', cs.traceparent
        from unnest(key_ids, key_times, nonces, bodies, session_ids) with ordinality as k (key_id, ts, nonce, body, session, ord)
        join telemetry.ingest_nonces n
            on n.nonce = k.nonce and n.ts = k.ts and n.key_id = k.key_id and n.slot = ((k.ts / 300) % 8)::smallint
        left join ops.checkin_sessions cs on cs.session_id = k.session and cs.tenant_id = tenant
        where k.ord = any (known);
    end if;

    return query
    with pings as materialized (
        select p.*
        from unnest(
            ping_ids, session_ids, telemetry_ids, tables, seats, sections, signs, arrivals, receipts, key_ids, key_times,
            nonces, bodies, traceparents
        ) with ordinality as p (
            ping_id, session_id, telemetry_id, at_table, at_seat, at_section, sign_id, arrived, received, key_id, ts, nonce,
            body, traceparent, ord
        )
        where p.ord <> all (known)
    ),
    open as materialized (
        -- Taken in one order everywhere: two batches that share sessions wait for each other, they do not deadlock.
        select p.ord, p.ping_id, p.telemetry_id, p.sign_id, p.received, p.traceparent, s.session_id,
            greatest(s.checked_in_at, least(coalesce(p.arrived, p.received), p.received)) as arrived
        from pings p
        cross join lateral (
            select cs.session_id, cs.checked_in_at from ops.checkin_sessions cs
            where cs.session_id = p.session_id and cs.tenant_id = tenant
                and cs.arrived_at is null
                and (p.at_table is null or p.at_table = cs.table_id)
                and (p.at_seat is null or p.at_seat = cs.seat_id)
                and (p.at_section is null or p.at_section = cs.section)
                and (p.arrived is null or (p.arrived >= cs.checked_in_at and p.arrived <= p.received + interval '5 seconds'))
            limit 1
        ) s
        order by s.session_id, p.ord
    ),
    seated as (
        update ops.checkin_sessions cs
        set arrived_at = o.arrived, arrival_recorded_at = now(), arrival_ping_id = o.ping_id, arrival_sign_id = o.sign_id
        from open o
        where cs.session_id = o.session_id and cs.tenant_id = tenant and cs.arrived_at is null
        returning o.ord, o.telemetry_id, o.ping_id, o.sign_id, cs.session_id, cs.venue_id, cs.event_id, cs.door_id,
            cs.channel, cs.section, cs.table_id, cs.seat_id, cs.checked_in_at, cs.arrived_at, o.traceparent,
            cs.traceparent as check_in_traceparent
    ),
    ids as (
        insert into telemetry.event_ids (id, tenant_id, body_sha256)
        select s.telemetry_id, tenant, ''::bytea from seated s
    ),
    facts as (
        insert into telemetry.events_raw (
            occurred_at, id, session_id, tenant_id, type, source, venue_id, channel, data
        )
        select
            s.arrived_at, s.telemetry_id, s.session_id, tenant, 'wayfinding.arrive_table', 'service', s.venue_id, s.channel,
            jsonb_build_object(
                'event_id', s.event_id, 'door_id', s.door_id, 'section', s.section, 'table_id', s.table_id,
                'seat_id', s.seat_id, 'sign_id', s.sign_id, 'ping_id', s.ping_id,
                'door_to_seat_seconds', extract(epoch from s.arrived_at - s.checked_in_at),
                'outlier', s.arrived_at - s.checked_in_at > interval '900 seconds'
            )
            || case when s.traceparent is null then '{}' else jsonb_build_object('traceparent', s.traceparent) end
            || case when s.check_in_traceparent is null then '{}'
                else jsonb_build_object('check_in_traceparent', s.check_in_traceparent) end
        from seated s
    ),
    answers as materialized (
        select
            s.ord, 'arrived' as verdict, s.table_id, s.seat_id, s.section, s.channel, s.checked_in_at, s.arrived_at,
            s.check_in_traceparent
        from seated s
        union all
        select p.ord, r.verdict, r.table_id, r.seat_id, r.section, r.channel, r.checked_in_at, r.arrived_at, null
        from pings p
        cross join lateral ops.session_arrival_standing(
            tenant, p.session_id, p.at_table, p.at_seat, p.at_section, p.arrived, p.received, p.ping_id) r
        where not exists (select from seated s where s.ord = p.ord)
    ),
    used as (
        insert into telemetry.ingest_nonces (ts, slot, tenant_id, key_id, nonce, body_sha256, outcomes)
        select p.ts, ((p.ts / 300) % 8)::smallint, tenant, p.key_id, p.nonce, p.body, array[a.verdict]
        from pings p join answers a on a.ord = p.ord
        where p.key_id is not null and a.verdict in ('arrived', 'repeated')
        order by p.nonce, p.ts
    )
    select a.ord, a.verdict, a.table_id::text, a.seat_id::text, a.section::text, a.channel, a.checked_in_at, a.arrived_at,
        false, a.verdict = 'arrived', a.check_in_traceparent
    from answers a;
end
$$;

create or replace function ops.session_arrive(
    tenant text, ping_ids uuid[], session_ids uuid[], telemetry_ids uuid[], tables text[], seats text[],
    sections text[], signs text[], arrivals timestamptz[], receipts timestamptz[],
    key_ids text[], key_times bigint[], nonces text[], bodies bytea[]
)
returns table (
    ord bigint, verdict text, table_id text, seat_id text, section text, channel text, checked_in_at timestamptz,
    arrived_at timestamptz, nonce_replayed boolean, first boolean
)
language sql volatile security invoker set search_path = pg_catalog, pg_temp as $$
    select a.ord, a.verdict, a.table_id, a.seat_id, a.section, a.channel, a.checked_in_at, a.arrived_at,
        a.nonce_replayed, a.first
    from ops.session_arrive(
        tenant, ping_ids, session_ids, telemetry_ids, tables, seats, sections, signs, arrivals, receipts, key_ids,
        key_times, nonces, bodies, '{}'::text[]) a
$$;

revoke execute on function ops.session_check_in(
    text, uuid[], uuid[], uuid[], bytea[], text[], text[], text[], bytea[], text[], uuid[], smallint[], timestamptz[],
    double precision[], text[]) from public;
revoke execute on function ops.session_arrive(
    text, uuid[], uuid[], uuid[], text[], text[], text[], text[], timestamptz[], timestamptz[], text[], bigint[], text[],
    bytea[], text[]) from public;
grant execute on function ops.session_check_in(
    text, uuid[], uuid[], uuid[], bytea[], text[], text[], text[], bytea[], text[], uuid[], smallint[], timestamptz[],
    double precision[], text[]) to seatpilot_checkin;
grant execute on function ops.session_arrive(
    text, uuid[], uuid[], uuid[], text[], text[], text[], text[], timestamptz[], timestamptz[], text[], bigint[], text[],
    bytea[], text[]) to seatpilot_wayfinding;
