-- 012_telemetry_event_ingest: stores signed requests of one tenant, in one statement and one round trip.
--
-- Nonces, events, dead letters and the outcomes that are answered are one transaction. A nonce is written last,
-- with the outcomes of its request: if another instance was faster with the same nonce, the unique key fails this
-- statement as a whole, nothing of it is stored, and the writer sends it again, which then finds the first outcome.

-- Whether the id that was not stored just now is known with the same body. Volatile: it sees the racing winner and
-- earlier rows of this batch.
create function telemetry.event_standing(tenant text, event_id uuid, body bytea) returns text
language plpgsql volatile security invoker set search_path = pg_catalog, pg_temp as $$
declare
    known bytea;
begin
    select e.body_sha256 into known from telemetry.event_ids e where e.id = event_id and e.tenant_id = tenant limit 1;
    if not found then
        raise exception using errcode = 'serialization_failure', message = 'event_ingest: the conflicting id is gone';
    end if;
    return case when known = body then 'duplicate' else 'id_conflict' end;
end
$$;

-- Requests are numbered by their place in the arrays, items by theirs within the request (from 1). An item without a
-- reason is an event; one with a reason goes to the dead-letter queue. Answers one row a request.
create function telemetry.event_ingest(
    tenant text,
    key_ids text[], key_times bigint[], nonces text[], bodies bytea[], request_ids text[], receipts timestamptz[],
    item_requests bigint[], item_numbers bigint[], ids uuid[], types text[], times timestamptz[], venues text[],
    sessions uuid[], channels text[], payloads bytea[], payload_lengths integer[], payload_hashes bytea[],
    reasons text[], details text[]
)
returns table (request bigint, replayed boolean, reused boolean, outcomes text[])
language plpgsql volatile security invoker set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
declare
    known bigint[];
begin
    perform telemetry.claim(tenant);
    known := coalesce((
        select array_agg(r.request)
        from unnest(key_ids, key_times, nonces) with ordinality as r (key_id, ts, nonce, request)
        where exists (
            select from telemetry.ingest_nonces n
            where n.nonce = r.nonce and n.ts = r.ts and n.key_id = r.key_id and n.slot = ((r.ts / 300) % 8)::smallint)
    ), '{}');

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
            -- The members as jsonb prints them: white space and the order of members do not make another event.
            sha256(convert_to(jsonb_build_array(
                e.type, e.occurred, e.venue_id, e.session_id, e.channel, e.content)::text, 'UTF8')) as body,
            row_number() over (partition by e.id order by e.request, e.number) as turn
        from (
            -- The event travels once, as sent: most of it is `data`, and a conflict of ids needs all of it.
            select i.*, convert_from(i.payload, 'UTF8')::jsonb -> 'data' as content from items i where i.reason is null
        ) e
    ),
    new_ids as (
        insert into telemetry.event_ids (id, tenant_id, body_sha256)
        select e.id, tenant, e.body from events e where e.turn = 1 order by e.id
        on conflict do nothing
        returning event_ids.id
    ),
    new_events as (
        insert into telemetry.events_raw (
            received_at, occurred_at, id, session_id, tenant_id, type, source, venue_id, channel, data
        )
        select now(), e.occurred, e.id, e.session_id, tenant, e.type, e.key_id, e.venue_id, e.channel, e.content
        from events e
        where e.turn = 1 and e.id in (select n.id from new_ids n)
        order by e.request, e.number
    ),
    outcomes as materialized (
        select e.request, e.number, 'accepted' as outcome
        from events e where e.turn = 1 and e.id in (select n.id from new_ids n)
        union all
        select e.request, e.number, telemetry.event_standing(tenant, e.id, e.body)
        from events e where not (e.turn = 1 and e.id in (select n.id from new_ids n))
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

-- Whether Postgres takes bytes as jsonb. The strict parser refuses what jsonb refuses; this finds what it missed, so
-- that one item goes to the dead-letter queue and not its whole request.
create function telemetry.is_jsonb(content bytea) returns boolean
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
    perform convert_from(content, 'UTF8')::jsonb;
    return true;
exception
    when data_exception or program_limit_exceeded or statement_too_complex then return false;
end
$$;

revoke execute on function telemetry.event_standing(text, uuid, bytea) from public;
revoke execute on function telemetry.is_jsonb(bytea) from public;
revoke execute on function telemetry.event_ingest(
    text, text[], bigint[], text[], bytea[], text[], timestamptz[], bigint[], bigint[], uuid[], text[], timestamptz[],
    text[], uuid[], text[], bytea[], integer[], bytea[], text[], text[]) from public;
grant execute on function telemetry.event_standing(text, uuid, bytea), telemetry.is_jsonb(bytea) to seatpilot_ingest;
grant execute on function telemetry.event_ingest(
    text, text[], bigint[], text[], bytea[], text[], timestamptz[], bigint[], bigint[], uuid[], text[], timestamptz[],
    text[], uuid[], text[], bytea[], integer[], bytea[], text[], text[]) to seatpilot_ingest;
