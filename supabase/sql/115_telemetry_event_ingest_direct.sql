-- 115_telemetry_event_ingest_direct: what nearly every statement of signed requests is, new requests of new events, is
-- stored from the arrays as they come. Only where a nonce or an id is known, or an item was refused, is each item's
-- outcome worked out, by the statement of 012.
--
-- For one event that statement was 28 plan nodes, a look into each of the eight slots of nonces among them. Outcomes, order
-- and what is stored stay as they were.
--
-- And no hot statement may read a table from end to end, whatever the planner believes. A writer keeps its plans for as long
-- as its connection lives; one that was made when a table had a page, after the month's first requests or a truncated slot,
-- joined every later batch with the whole of it: of an evening's ingest that was two thirds of all work.

create or replace function telemetry.event_ingest(
    tenant text,
    key_ids text[], key_times bigint[], nonces text[], bodies bytea[], request_ids text[], receipts timestamptz[],
    item_requests bigint[], item_numbers bigint[], ids uuid[], types text[], times timestamptz[], venues text[],
    sessions uuid[], channels text[], payloads bytea[], payload_lengths integer[], payload_hashes bytea[],
    reasons text[], details text[]
)
returns table (request bigint, replayed boolean, reused boolean, outcomes text[])
language plpgsql volatile security invoker
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
as $$
#variable_conflict use_column
declare
    claims text;
    earliest bigint := key_times[1];
    latest bigint := key_times[1];
    signed bigint;
    maybe_known boolean;
    known bigint[] := '{}';
    fresh uuid[];
    counts integer[];
    items_of_request integer;
begin
    -- An assignment is evaluated without a plan, as in telemetry.claim.
    claims := set_config('request.jwt.claims', jsonb_build_object('tenant_id', tenant)::text, true);

    foreach signed in array key_times loop
        earliest := least(earliest, signed);
        latest := greatest(latest, signed);
    end loop;
    -- Requests are signed within 300 s of now, so they lie in at most three slots; which, is known before the look, and no
    -- other slot is opened for it.
    -- Also where there are no requests: a line is opened with none, so that this is planned before somebody waits for it.
    if coalesce(latest - earliest, 0) <= 600 then
        maybe_known := exists (
            select from telemetry.ingest_nonces n
            where n.nonce = any (nonces) and n.slot in (
                ((earliest / 300) % 8)::smallint, (((earliest + latest) / 600) % 8)::smallint,
                ((latest / 300) % 8)::smallint));
    else
        maybe_known := true;
    end if;
    if maybe_known then
        known := coalesce((
            select array_agg(r.request)
            from unnest(key_ids, key_times, nonces) with ordinality as r (key_id, ts, nonce, request)
            where exists (
                select from telemetry.ingest_nonces n
                where n.nonce = r.nonce and n.ts = r.ts and n.key_id = r.key_id
                    and n.slot = ((r.ts / 300) % 8)::smallint)
        ), '{}');
    end if;

    if known <> '{}' then
        return query
        -- Standard Webhooks signs no path: a ping's signature is good here too. What it was used for there is no
        -- outcome of events, so it is reused, not replayed.
        select r.request, u.same, not u.same, n.outcomes
        from unnest(key_ids, key_times, nonces, bodies) with ordinality as r (key_id, ts, nonce, body, request)
        join telemetry.ingest_nonces n
            on n.nonce = r.nonce and n.ts = r.ts and n.key_id = r.key_id and n.slot = ((r.ts / 300) % 8)::smallint
        cross join lateral (
            select n.body_sha256 = r.body and n.outcomes[1] not in ('arrived', 'repeated')
        ) as u (same)
        where r.request = any (known);
    end if;

    -- Of an id that comes twice the first is stored, which is why the order is by more than the id. The body's members as
    -- jsonb prints them: white space and the order of members do not make another event.
    with new_ids as (
        insert into telemetry.event_ids (id, tenant_id, body_sha256)
        select i.id, tenant, sha256(convert_to(jsonb_build_array(
            i.type, i.occurred, i.venue_id, i.session_id, i.channel,
            convert_from(i.payload, 'UTF8')::jsonb -> 'data')::text, 'UTF8'))
        from unnest(
            item_requests, item_numbers, ids, types, times, venues, sessions, channels, payloads, reasons
        ) as i (request, number, id, type, occurred, venue_id, session_id, channel, payload, reason)
        where i.reason is null and i.request <> all (known)
        order by i.id, i.request, i.number
        on conflict do nothing
        returning event_ids.id
    )
    select coalesce(array_agg(n.id), '{}') into fresh from new_ids n;

    if cardinality(fresh) = cardinality(ids) then
        -- Every item is a new event.
        insert into telemetry.events_raw (
            received_at, occurred_at, id, session_id, tenant_id, type, source, venue_id, channel, data
        )
        select
            now(), i.occurred, i.id, i.session_id, tenant, i.type, key_ids[i.request], i.venue_id, i.channel,
            convert_from(i.payload, 'UTF8')::jsonb -> 'data'
        from unnest(item_requests, ids, types, times, venues, sessions, channels, payloads)
            as i (request, id, type, occurred, venue_id, session_id, channel, payload);

        replayed := false;
        reused := false;
        counts := array_fill(0, array[cardinality(nonces)]);
        foreach request in array item_requests loop
            counts[request] := counts[request] + 1;
        end loop;
        insert into telemetry.ingest_nonces (ts, slot, tenant_id, key_id, nonce, body_sha256, outcomes)
        select
            r.ts, ((r.ts / 300) % 8)::smallint, tenant, r.key_id, r.nonce, r.body,
            array_fill('accepted'::text, array[r.items])
        from unnest(key_ids, key_times, nonces, bodies, counts) as r (key_id, ts, nonce, body, items)
        order by r.nonce, r.ts, r.key_id;
        request := 0;
        foreach items_of_request in array counts loop
            request := request + 1;
            outcomes := array_fill('accepted'::text, array[items_of_request]);
            return next;
        end loop;
        return;
    end if;

    return query
    with requests as materialized (
        select r.*
        from unnest(key_ids, key_times, nonces, bodies, request_ids, receipts) with ordinality
            as r (key_id, ts, nonce, body, request_id, received, request)
        where r.request <> all (known)
    ),
    items as materialized (
        select i.*, r.key_id, r.request_id, r.received
        from unnest(
            item_requests, item_numbers, ids, types, times, venues, sessions, channels, payloads, payload_lengths,
            payload_hashes, reasons, details
        ) as i (
            request, number, id, type, occurred, venue_id, session_id, channel, payload, payload_length,
            payload_sha256, reason, detail
        )
        join requests r using (request)
    ),
    events as materialized (
        select e.*,
            sha256(convert_to(jsonb_build_array(
                e.type, e.occurred, e.venue_id, e.session_id, e.channel, e.content)::text, 'UTF8')) as body,
            e.id in (select f.id from unnest(fresh) as f (id))
                and row_number() over (partition by e.id order by e.request, e.number) = 1 as is_new
        from (
            -- The event travels once, as sent: most of it is `data`, and a conflict of ids needs all of it.
            select i.*, convert_from(i.payload, 'UTF8')::jsonb -> 'data' as content from items i where i.reason is null
        ) e
    ),
    new_events as (
        insert into telemetry.events_raw (
            received_at, occurred_at, id, session_id, tenant_id, type, source, venue_id, channel, data
        )
        select now(), e.occurred, e.id, e.session_id, tenant, e.type, e.key_id, e.venue_id, e.channel, e.content
        from events e
        where e.is_new
        order by e.request, e.number
    ),
    outcomes as materialized (
        select e.request, e.number, 'accepted' as outcome from events e where e.is_new
        union all
        select e.request, e.number, telemetry.event_standing(tenant, e.id, e.body) from events e where not e.is_new
        union all
        select i.request, i.number, i.reason from items i where i.reason is not null
    ),
    letters as (
        insert into telemetry.events_dlq (
            tenant_id, reason, reason_detail, received_at, source_key_id, request_id, payload, payload_len, payload_sha256,
            truncated, event_id, event_type
        )
        select
            tenant, o.outcome,
            coalesce(i.detail, 'the id is known with another body'), i.received, i.key_id, i.request_id, i.payload,
            i.payload_length, coalesce(i.payload_sha256, sha256(i.payload)), octet_length(i.payload) < i.payload_length,
            i.id, i.type
        from outcomes o join items i on i.request = o.request and i.number = o.number
        where o.outcome not in ('accepted', 'duplicate')
        order by o.request, o.number
    ),
    answers as materialized (
        select o.request, array_agg(o.outcome order by o.number) as outcomes from outcomes o group by o.request
    ),
    used as (
        insert into telemetry.ingest_nonces (ts, slot, tenant_id, key_id, nonce, body_sha256, outcomes)
        select r.ts, ((r.ts / 300) % 8)::smallint, tenant, r.key_id, r.nonce, r.body, a.outcomes
        from requests r join answers a using (request)
        order by r.nonce, r.ts, r.key_id
    )
    select a.request, false, false, a.outcomes from answers a;
end
$$;

alter function ops.session_check_in(
    text, uuid[], uuid[], uuid[], bytea[], text[], text[], text[], bytea[], text[], uuid[], smallint[], timestamptz[],
    double precision[], text[]) set enable_seqscan = off;
alter function ops.session_arrive(
    text, uuid[], uuid[], uuid[], text[], text[], text[], text[], timestamptz[], timestamptz[], text[], bigint[], text[],
    bytea[], text[]) set enable_seqscan = off;
