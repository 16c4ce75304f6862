-- 011_ops_session_arrive: closes door-to-seat times of one tenant, in one statement and one round trip.
--
-- The first ping of a session wins; every later one gets the first answer. A signed ping's nonce is used up in the
-- same transaction, and only if the ping was an arrival: what was refused may be sent again.

-- What stands for a ping that closed nothing just now. Volatile: it sees the racing winner.
create function ops.session_arrival_standing(
    in tenant text, in session uuid, in at_table text, in at_seat text, in at_section text, in arrived timestamptz,
    in received timestamptz, in ping uuid,
    out verdict text, out table_id text, out seat_id text, out section text, out channel text,
    out checked_in_at timestamptz, out arrived_at timestamptz
)
language plpgsql volatile security invoker set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
declare
    s record;
begin
    select cs.* into s from ops.checkin_sessions cs where cs.session_id = session and cs.tenant_id = tenant limit 1;
    if not found then
        verdict := 'session_unknown';
    elsif s.arrived_at is not null and s.arrival_ping_id = ping then
        verdict := 'repeated';
    elsif at_table <> coalesce(s.table_id, '') or at_seat <> coalesce(s.seat_id, '')
        or at_section <> coalesce(s.section, '') then
        verdict := 'table_mismatch';
    elsif s.arrived_at is not null then
        verdict := 'repeated';
    elsif arrived < s.checked_in_at or arrived > received + interval '5 seconds' then
        verdict := 'arrived_at_out_of_range';
    else
        raise exception using errcode = 'serialization_failure', message = 'session_arrive: the other arrival is gone';
    end if;
    if verdict = 'repeated' then
        table_id := s.table_id;
        seat_id := s.seat_id;
        section := s.section;
        channel := s.channel;
        checked_in_at := s.checked_in_at;
        arrived_at := s.arrived_at;
    end if;
end
$$;

create function ops.session_arrive(
    tenant text, ping_ids uuid[], session_ids uuid[], telemetry_ids uuid[], tables text[], seats text[],
    sections text[], signs text[], arrivals timestamptz[], receipts timestamptz[],
    key_ids text[], key_times bigint[], nonces text[], bodies bytea[]
)
returns table (
    ord bigint, verdict text, table_id text, seat_id text, section text, channel text, checked_in_at timestamptz,
    arrived_at timestamptz, nonce_replayed boolean, first boolean
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
            n.outcomes[1] = 'arrived'
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
            nonces, bodies
        ) with ordinality as p (
            ping_id, session_id, telemetry_id, at_table, at_seat, at_section, sign_id, arrived, received, key_id, ts, nonce,
            body, ord
        )
        where p.ord <> all (known)
    ),
    open as materialized (
        -- Taken in one order everywhere: two batches that share sessions wait for each other, they do not deadlock.
        select p.ord, p.ping_id, p.telemetry_id, p.sign_id, p.received, s.session_id,
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
            cs.channel, cs.section, cs.table_id, cs.seat_id, cs.checked_in_at, cs.arrived_at
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
        from seated s
    ),
    answers as materialized (
        select
            s.ord, 'arrived' as verdict, s.table_id, s.seat_id, s.section, s.channel, s.checked_in_at, s.arrived_at
        from seated s
        union all
        select p.ord, r.verdict, r.table_id, r.seat_id, r.section, r.channel, r.checked_in_at, r.arrived_at
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
        false, a.verdict = 'arrived'
    from answers a;
end
$$;

revoke execute on function ops.session_arrival_standing(
    text, uuid, text, text, text, timestamptz, timestamptz, uuid) from public;
revoke execute on function ops.session_arrive(
    text, uuid[], uuid[], uuid[], text[], text[], text[], text[], timestamptz[], timestamptz[], text[], bigint[], text[],
    bytea[]) from public;
grant execute on function ops.session_arrival_standing(
    text, uuid, text, text, text, timestamptz, timestamptz, uuid) to seatpilot_wayfinding;
grant execute on function ops.session_arrive(
    text, uuid[], uuid[], uuid[], text[], text[], text[], text[], timestamptz[], timestamptz[], text[], bigint[], text[],
    bytea[]) to seatpilot_wayfinding;
