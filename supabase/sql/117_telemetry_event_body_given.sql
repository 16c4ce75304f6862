-- 117_telemetry_event_body_given: the hash of an event's members comes with the event.
--
-- What tells a repeat from another event with the same id is the hash of its members as jsonb prints them: white space and
-- the order of members do not make another event. To parse, print and hash them was a third of what an event cost the
-- database. A service prints the same text by itself, for a fraction of that, and says where in the event its `data` is,
-- so that nothing else of it is parsed. What it cannot print it says nothing of, and who passes no hash is worked out here.
--
-- An id that is known with another hash is looked at again before it is a conflict, by a hash that is made here: a service
-- that printed something else would make nobody's repeat a dead letter. And jsonb prints times in the time zone of the
-- session: from here on in UTC; what was stored before in a session with another is known again by that session's text.
--
-- The function with twenty parameters stays for services of the version before, and for seatpilot_rest.ingest (111).

-- The hash of an event's members, the same in every session. `create or replace`: 109 calls it too.
create or replace function telemetry.event_body(
    type text, occurred timestamptz, venue_id text, session_id uuid, channel text, content jsonb
) returns bytea
language sql stable security invoker set search_path = pg_catalog, pg_temp as $$
    select sha256(convert_to(jsonb_build_array(
        type, (to_jsonb(occurred at time zone 'UTC') #>> '{}') || '+00:00', venue_id, session_id, channel, content
    )::text, 'UTF8'))
$$;

-- Whether an id that was not stored just now is known with the same members. Volatile: it sees the racing winner and
-- earlier rows of this batch. `body` is the hash that came with the event, or null.
create function telemetry.event_standing(
    tenant text, event_id uuid, body bytea,
    type text, occurred timestamptz, venue_id text, session_id uuid, channel text, content jsonb
) returns text
language plpgsql volatile security invoker set search_path = pg_catalog, pg_temp as $$
declare
    known bytea;
begin
    select e.body_sha256 into known from telemetry.event_ids e where e.id = event_id and e.tenant_id = tenant limit 1;
    if not found then
        raise exception using errcode = 'serialization_failure', message = 'event_ingest: the conflicting id is gone';
    end if;
    if known = body
        or known = telemetry.event_body(type, occurred, venue_id, session_id, channel, content)
        -- As it was until 116: the time as this session prints it.
        or known = sha256(convert_to(
            jsonb_build_array(type, occurred, venue_id, session_id, channel, content)::text, 'UTF8'))
    then
        return 'duplicate';
    end if;
    return 'id_conflict';
end
$$;

-- Requests are numbered by their place in the arrays, items by theirs within the request (from 1). An item without a
-- reason is an event; one with a reason goes to the dead-letter queue. Of an event, `item_bodies` is telemetry.event_body,
-- or null; `data_begins` (the first byte is 1) and `data_lengths` say where in its payload `data` is, or are null. Answers
-- one row a request.
--
-- What nearly every statement is, new requests of new events, is stored from the arrays as they come. Only where a nonce
-- or an id is known, or an item was refused, is each item's outcome worked out.
create function telemetry.event_ingest(
    tenant text,
    key_ids text[], key_times bigint[], nonces text[], bodies bytea[], request_ids text[], receipts timestamptz[],
    item_requests bigint[], item_numbers bigint[], ids uuid[], types text[], times timestamptz[], venues text[],
    sessions uuid[], channels text[], payloads bytea[], payload_lengths integer[], payload_hashes bytea[],
    reasons text[], details text[], item_bodies bytea[], data_begins integer[], data_lengths integer[]
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

    -- Of an id that comes twice the first is stored, which is why the order is by more than the id.
    with new_ids as (
        insert into telemetry.event_ids (id, tenant_id, body_sha256)
        -- telemetry.event_body written out: a call costs more than the hash.
        select i.id, tenant, coalesce(i.body, sha256(convert_to(jsonb_build_array(
            i.type, (to_jsonb(i.occurred at time zone 'UTC') #>> '{}') || '+00:00', i.venue_id, i.session_id, i.channel,
            convert_from(i.payload, 'UTF8')::jsonb -> 'data')::text, 'UTF8')))
        from unnest(
            item_requests, item_numbers, ids, types, times, venues, sessions, channels, payloads, reasons, item_bodies
        ) as i (request, number, id, type, occurred, venue_id, session_id, channel, payload, reason, body)
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
            case when i.data_length is null then convert_from(i.payload, 'UTF8')::jsonb -> 'data'
                else convert_from(substr(i.payload, i.data_begin, i.data_length), 'UTF8')::jsonb end
        from unnest(
            item_requests, ids, types, times, venues, sessions, channels, payloads, data_begins, data_lengths
        ) as i (request, id, type, occurred, venue_id, session_id, channel, payload, data_begin, data_length);

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
            payload_hashes, reasons, details, item_bodies
        ) as i (
            request, number, id, type, occurred, venue_id, session_id, channel, payload, payload_length,
            payload_sha256, reason, detail, body
        )
        join requests r using (request)
    ),
    events as materialized (
        select e.*,
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
        select e.request, e.number, telemetry.event_standing(
            tenant, e.id, e.body, e.type, e.occurred, e.venue_id, e.session_id, e.channel, e.content)
        from events e where not e.is_new
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

-- For those who pass no hashes.
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
begin
    return query
    select e.* from telemetry.event_ingest(
        tenant, key_ids, key_times, nonces, bodies, request_ids, receipts, item_requests, item_numbers, ids, types, times,
        venues, sessions, channels, payloads, payload_lengths, payload_hashes, reasons, details,
        '{}'::bytea[], '{}'::integer[], '{}'::integer[]) e;
end
$$;

revoke execute on function telemetry.event_standing(
    text, uuid, bytea, text, timestamptz, text, uuid, text, jsonb) from public;
revoke execute on function telemetry.event_ingest(
    text, text[], bigint[], text[], bytea[], text[], timestamptz[], bigint[], bigint[], uuid[], text[], timestamptz[],
    text[], uuid[], text[], bytea[], integer[], bytea[], text[], text[],
    bytea[], integer[], integer[]) from public;
grant execute on function
    telemetry.event_body(text, timestamptz, text, uuid, text, jsonb),
    telemetry.event_standing(text, uuid, bytea, text, timestamptz, text, uuid, text, jsonb),
    telemetry.event_ingest(
        text, text[], bigint[], text[], bytea[], text[], timestamptz[], bigint[], bigint[], uuid[], text[], timestamptz[],
        text[], uuid[], text[], bytea[], integer[], bytea[], text[], text[], bytea[], integer[], integer[])
    to seatpilot_ingest, seatpilot_rest;
