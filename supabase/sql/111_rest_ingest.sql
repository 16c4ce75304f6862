-- 111_rest_ingest: the one function that telemetry-ingest calls where it reaches the database by Supabase's REST
-- interface (PostgREST) instead of Postgres' own protocol. Nonces, events and dead letters stay one transaction: it
-- hands them to telemetry.event_ingest (012).
--
-- Supabase's service key goes around every policy by nature. So this function is all that our code calls with it, it is
-- all that its schema has, and it runs as a role that is bound by policies like the service's own: it may do what
-- seatpilot_ingest may, under the tenant that it claims, and nothing else. Expose the schema `seatpilot_rest` in the
-- API's settings; no other of ours needs to be.

do $$
begin
    if not exists (select from pg_catalog.pg_roles where rolname = 'seatpilot_rest') then
        begin
            create role seatpilot_rest nologin noinherit;
        exception
            when duplicate_object or unique_violation then null; -- another database of this cluster was faster
        end;
    end if;
    -- To hand the function over, the migrating role must be able to become its owner.
    if not (select rolsuper from pg_catalog.pg_roles where rolname = current_user) then
        execute format('grant seatpilot_rest to %I', current_user);
    end if;
end
$$;

grant usage on schema ops, telemetry, app, supabase_migrations to seatpilot_rest;
grant select (version) on supabase_migrations.schema_migrations to seatpilot_rest;
grant select, insert on telemetry.event_ids, telemetry.ingest_nonces to seatpilot_rest;
grant insert on telemetry.events_raw, telemetry.events_dlq to seatpilot_rest;
grant execute on function telemetry.claim(text), telemetry.uuid_v7(), telemetry.event_standing(text, uuid, bytea),
    telemetry.is_jsonb(bytea), ops.signing_key_by_id(text), ops.tenant_ids() to seatpilot_rest;
grant execute on function telemetry.event_ingest(
    text, text[], bigint[], text[], bytea[], text[], timestamptz[], bigint[], bigint[], uuid[], text[], timestamptz[],
    text[], uuid[], text[], bytea[], integer[], bytea[], text[], text[]) to seatpilot_rest;
-- What each tenant may use this month, as the services read it.
grant select on app.features, app.plans, app.entitlements, app.tenant_plans, app.entitlement_overrides,
    app.monthly_counters to seatpilot_rest;
grant select (tenant_id, venue_id, time_zone) on ops.venues to seatpilot_rest;
grant execute on function app.entitlements_in_force(), app.entitlements_of(text), app.plan_in_force(text, text)
    to seatpilot_rest;

create schema seatpilot_rest;
comment on schema seatpilot_rest is 'What Supabase''s REST interface shows of SeatPilot: one function, for the service key.';

-- Bytes travel as base64, hashes as hexadecimal digits: JSON has no bytes, and dead letters are kept as they were sent.
-- statement_timeout: PostgREST takes it over for the transaction; set on the function alone it would come too late.
create function seatpilot_rest.ingest(task text, given jsonb) returns jsonb
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set statement_timeout = '2s'
set lock_timeout = '500ms'
set plan_cache_mode = force_generic_plan
set jit = off
as $$
#variable_conflict use_column
declare
    answer jsonb;
    place text;
begin
    case task
    -- One answer a request, as event_ingest gives them.
    when 'submit' then
        begin
            select coalesce(jsonb_agg(to_jsonb(e)), '[]') into answer
            from (
                select
                    array_agg(r.key_id order by r.n) as key_ids, array_agg(r.ts order by r.n) as times,
                    array_agg(r.nonce order by r.n) as nonces,
                    array_agg(decode(r.body_sha256, 'hex') order by r.n) as bodies,
                    array_agg(r.request_id order by r.n) as request_ids,
                    array_agg(r.received_at order by r.n) as receipts
                from rows from (jsonb_to_recordset(given -> 'requests') as (
                    key_id text, ts bigint, nonce text, body_sha256 text, request_id text, received_at timestamptz
                )) with ordinality as r (key_id, ts, nonce, body_sha256, request_id, received_at, n)
            ) q
            cross join (
                select
                    array_agg(i.request) as requests, array_agg(i.number) as numbers, array_agg(i.id) as ids,
                    array_agg(i.type) as types, array_agg(i.occurred_at) as times, array_agg(i.venue_id) as venues,
                    array_agg(i.session_id) as sessions, array_agg(i.channel) as channels,
                    array_agg(decode(i.payload, 'base64')) as payloads, array_agg(i.payload_len) as lengths,
                    array_agg(decode(i.payload_sha256, 'hex')) as hashes, array_agg(i.reason) as reasons,
                    array_agg(i.detail) as details
                from jsonb_to_recordset(given -> 'items') as i (
                    request bigint, number bigint, id uuid, type text, occurred_at timestamptz, venue_id text,
                    session_id uuid, channel text, payload text, payload_len integer, payload_sha256 text, reason text,
                    detail text)
            ) i
            cross join lateral telemetry.event_ingest(
                given ->> 'tenant', q.key_ids, q.times, q.nonces, q.bodies, q.request_ids, q.receipts,
                i.requests, i.numbers, i.ids, i.types, i.times, i.venues, i.sessions, i.channels, i.payloads, i.lengths,
                i.hashes, i.reasons, i.details) e;
            return answer;
        exception
            -- PostgREST runs a transaction that failed so again and again, for as long as it fails, and goes on after
            -- its caller left (PostgREST/postgrest#3673). Whether to send the same again, the caller decides: 409.
            when serialization_failure or deadlock_detected then
                raise exception using errcode = 'PT409', message = 'two transactions met: send the same again';
            when unique_violation then
                get stacked diagnostics place = table_name;
                if place like 'ingest\_nonces%' then
                    -- Another instance was faster with the nonce: the next try finds its outcome.
                    raise exception using errcode = 'PT409', message = 'the nonce was just used: send the same again';
                end if;
                raise;
        end;
    when 'nonce' then
        perform telemetry.claim(given ->> 'tenant');
        return to_jsonb(exists (
            select from telemetry.ingest_nonces n
            where n.nonce = given ->> 'nonce' and n.ts = (given ->> 'ts')::bigint and n.key_id = given ->> 'key_id'
                and n.slot = (((given ->> 'ts')::bigint / 300) % 8)::smallint));
    -- Which of these texts Postgres takes as jsonb.
    when 'refused' then
        select jsonb_agg(telemetry.is_jsonb(decode(p.content, 'base64')) order by p.n) into answer
        from jsonb_array_elements_text(given -> 'payloads') with ordinality as p (content, n);
        return answer;
    -- One row or null; bytea as Postgres prints it.
    when 'key' then
        select to_jsonb(k) into answer from ops.signing_key_by_id(given ->> 'key_id') k;
        return answer;
    when 'hello' then
        select jsonb_build_object('schema_version', max(m.version)) into answer
        from supabase_migrations.schema_migrations m;
        return answer;
    -- What cannot be listened to through PostgREST: who there is, and what limits them.
    when 'look' then
        select jsonb_build_object(
            'tenants', (select coalesce(jsonb_agg(t.id), '[]') from ops.tenant_ids() as t (id)),
            'entitlements', (
                select coalesce(jsonb_agg(to_jsonb(e)), '[]') from app.entitlements_in_force() e
                where not e.enabled or e.limit_quantity is not null)
        ) into answer;
        return answer;
    else
        raise exception using errcode = 'invalid_parameter_value', message = 'seatpilot_rest.ingest: no such task';
    end case;
end
$$;
comment on function seatpilot_rest.ingest(text, jsonb) is
    'All that telemetry-ingest asks of the database where it goes through Supabase''s REST interface.';

-- Who is given an object must be able to make one there, at that moment.
grant create on schema seatpilot_rest to seatpilot_rest;
alter function seatpilot_rest.ingest(text, jsonb) owner to seatpilot_rest;
revoke create on schema seatpilot_rest from seatpilot_rest;
revoke execute on function seatpilot_rest.ingest(text, jsonb) from public;
grant usage on schema seatpilot_rest to service_role;
grant execute on function seatpilot_rest.ingest(text, jsonb) to service_role;

-- PostgREST looks at the catalogue anew.
notify pgrst, 'reload schema';
