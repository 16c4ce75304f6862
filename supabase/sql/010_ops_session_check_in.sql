-- 010_ops_session_check_in: decides, admits and records scans of one tenant, in one statement and one round trip.
--
-- The function is `security invoker`: it puts the tenant's claim on this transaction (which is this statement) and
-- then sees what row level security lets the caller see. What follows was proved on a prototype (ADR 0003):
--   * a lateral probe with `limit 1` keeps the index under a generic plan at every table size;
--   * sessions are inserted in the order of the ticket's key: unsorted, two writers deadlock;
--   * what was not inserted is looked up by a *volatile* function, which has a fresh snapshot of its own: it sees the
--     racing winner and earlier rows of this batch. Never make it stable.

-- What stands for a scan that was not admitted just now: the first answer to the same scan, else why not.
create function ops.session_standing(
    in tenant text, in scan uuid, in scan_fingerprint bytea, in ticket uuid, in decision text,
    out verdict text, out session_id uuid, out ticket_id uuid, out party_size smallint, out section text,
    out table_id text, out seat_id text, out door_id text, out checked_in_at timestamptz, out profile text
)
language plpgsql volatile security invoker set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
declare
    s record;
begin
    select cs.* into s from ops.checkin_sessions cs where cs.scan_id = scan and cs.tenant_id = tenant limit 1;
    if found then
        if s.fingerprint <> scan_fingerprint then
            verdict := 'scan_id_reused';
            return;
        end if;
        verdict := 'replayed';
        session_id := s.session_id;
        ticket_id := s.ticket_id;
        party_size := s.party_size;
        section := s.section;
        table_id := s.table_id;
        seat_id := s.seat_id;
        door_id := s.door_id;
        checked_in_at := s.checked_in_at;
        profile := s.profile;
        return;
    end if;
    if decision not in ('admitted', 'party_too_large') then
        verdict := decision;
        return;
    end if;
    select cs.* into s from ops.checkin_sessions cs where cs.ticket_id = ticket and cs.tenant_id = tenant limit 1;
    if found then
        verdict := 'already_checked_in';
        checked_in_at := s.checked_in_at;
        door_id := s.door_id;
    elsif decision = 'party_too_large' then
        verdict := decision;
    else
        -- The row that stood in the way was rolled back meanwhile: decide anew.
        raise exception using errcode = 'serialization_failure', message = 'session_check_in: the conflicting session is gone';
    end if;
end
$$;

create function ops.session_check_in(
    tenant text, scan_ids uuid[], session_ids uuid[], telemetry_ids uuid[], fingerprints bytea[], venues text[],
    events text[], doors text[], tickets bytea[], channels text[], devices uuid[], party_sizes smallint[],
    times timestamptz[], waits_ms double precision[]
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
            s.device_id, s.checked_in_at, s.wait_ms,
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
            party_sizes, times, waits_ms
        ) with ordinality as s (
            scan_id, session_id, telemetry_id, fingerprint, venue_id, event_id, door_id, ticket_hash, channel, device_id,
            party_size, checked_in_at, wait_ms, ord
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
            party_size, section, table_id, seat_id, profile, fingerprint
        )
        select
            s.session_id, s.scan_id, s.ticket_id, s.device_id, s.checked_in_at, tenant, s.venue_id, s.event_id, s.door_id,
            s.channel, s.party_size, s.section, s.table_id, s.seat_id, s.profile, s.fingerprint
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

revoke execute on function ops.session_standing(text, uuid, bytea, uuid, text) from public;
revoke execute on function ops.session_check_in(
    text, uuid[], uuid[], uuid[], bytea[], text[], text[], text[], bytea[], text[], uuid[], smallint[], timestamptz[],
    double precision[]) from public;
grant execute on function ops.session_standing(text, uuid, bytea, uuid, text) to seatpilot_checkin;
grant execute on function ops.session_check_in(
    text, uuid[], uuid[], uuid[], bytea[], text[], text[], text[], bytea[], text[], uuid[], smallint[], timestamptz[],
    double precision[]) to seatpilot_checkin;
