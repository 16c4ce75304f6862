-- 109_telemetry_dlq_redrive: dead letters are sent again, or given up.
--
-- A letter is sent again in two steps. telemetry.dlq_claim takes letters for 60 s: nobody else does meanwhile, and who
-- dies with them loses them after that time. What they are today is judged outside, by the parser of ingest.
-- telemetry.dlq_settle then stores event, letter and audit row in one transaction, under the claim's token: who comes
-- twice, late, or as the second changes nothing.
--
-- Security definer functions, owned by seatpilot_redrive, which sees one tenant, by the claim, as everybody does:
--   telemetry.dlq_claim, telemetry.dlq_settle, telemetry.dlq_discard, telemetry.dlq_standing
-- They are for operators (members of that role) and for people whose claim says admin or owner. What a person reads of
-- the queue, they read themselves, by row level security.

do $$
begin
    if not exists (select from pg_catalog.pg_roles where rolname = 'seatpilot_redrive') then
        begin
            create role seatpilot_redrive nologin noinherit;
        exception
            when duplicate_object or unique_violation then null; -- another database of this cluster was faster
        end;
    end if;
    if not (select rolsuper from pg_catalog.pg_roles where rolname = current_user) then
        execute format('grant seatpilot_redrive to %I', current_user);
    end if;
end
$$;
grant usage on schema telemetry, audit to seatpilot_redrive;

-- What is kept -------------------------------------------------------------------------------------------------
alter table telemetry.events_raw add column redriven_at timestamptz;
comment on column telemetry.events_raw.redriven_at is
    'When a dead letter became this event; null for what was accepted at once. received_at is the letter''s.';

alter table telemetry.events_dlq
    add column last_reason text,
    add column last_detail text constraint events_dlq_last_detail check (char_length(last_detail) <= 512),
    add column last_failed_at timestamptz,
    add column discard_reason text
        constraint events_dlq_discard_reason check (char_length(discard_reason) between 1 and 500),
    -- Letters that were discarded by hand before this have none.
    add constraint events_dlq_discarded check (state <> 'discarded' or discard_reason is not null) not valid,
    add constraint events_dlq_leased check (state <> 'redriving' or lease_until is not null) not valid;
comment on column telemetry.events_dlq.attempts is 'How often it was sent again and refused for what is in it; at 5 only a person may discard it.';
comment on column telemetry.events_dlq.last_reason is 'Why it was refused when it was last sent again; `reason` stays the first.';
comment on column telemetry.events_dlq.lease_until is 'A letter that is redriving later than this waits again.';

-- People whose role answers for the tenant read its letters, payload included.
create policy events_dlq_answerable on telemetry.events_dlq as restrictive for select to authenticated
    using ((select telemetry.claim_role()) in ('admin', 'owner'));
grant select on telemetry.events_dlq to authenticated;
comment on view telemetry.v_rejected_events_last_hour is
    'Dead letters of the last hour by reason. For roles that may read events_dlq; people with a login have no grant on it.';

grant select on telemetry.events_dlq, telemetry.event_ids to seatpilot_redrive;
grant update (
    state, attempts, lease_token, lease_until, redriven_event_id, resolved_by, resolved_at, last_reason, last_detail,
    last_failed_at, discard_reason
) on telemetry.events_dlq to seatpilot_redrive;
grant insert on telemetry.events_raw, telemetry.event_ids to seatpilot_redrive;
grant execute on function telemetry.event_standing(text, uuid, bytea), telemetry.is_jsonb(bytea) to seatpilot_redrive;
grant execute on function audit.append(text, text, text, text, text, jsonb, jsonb, text, inet, text) to seatpilot_redrive;

-- What waits, whoever let go of it: for the list, for the gauges and for sending again, oldest first.
create index events_dlq_waiting on telemetry.events_dlq (tenant_id, received_at, dlq_id)
    where state in ('parked', 'redriving');
drop index telemetry.events_dlq_parked;

-- Who acts -----------------------------------------------------------------------------------------------------
-- The tenant that is worked on, if the caller may: an operator, who is a member of the owner of these functions, or a
-- person whose claim says admin or owner.
create function telemetry.dlq_tenant(actor_type text) returns text
language plpgsql stable security invoker set search_path = pg_catalog, pg_temp as $$
declare
    tenant text := telemetry.claim_tenant_id();
begin
    if tenant is null then
        raise exception 'dead letters are somebody''s: no tenant is claimed' using errcode = 'insufficient_privilege';
    end if;
    if not (actor_type = 'person' and coalesce(telemetry.claim_role() in ('admin', 'owner'), false)
        or actor_type = 'operator' and pg_has_role(session_user, 'seatpilot_redrive', 'member'))
    then
        raise exception 'dead letters are for admins, owners and operators' using errcode = 'insufficient_privilege';
    end if;
    return tenant;
end
$$;

create function telemetry.dlq_actor(actor_type text, actor_id text) returns text
language sql stable security invoker set search_path = pg_catalog, pg_temp as $$
    select case when actor_type = 'person'
        then coalesce(nullif(nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub', ''), 'unnamed')
        else actor_id end
$$;

-- The hash of an event's members, as telemetry.event_ingest makes it (012).
create function telemetry.event_body(
    type text, occurred timestamptz, venue_id text, session_id uuid, channel text, content jsonb
) returns bytea
language sql stable security invoker set search_path = pg_catalog, pg_temp as $$
    select sha256(convert_to(
        jsonb_build_array(type, occurred, venue_id, session_id, channel, content)::text, 'UTF8'))
$$;

-- Sending again ------------------------------------------------------------------------------------------------
-- Takes those of the wanted letters that wait, for 60 s. Who else wants one of them at the same moment goes on without.
create function telemetry.dlq_claim(actor_type text, wanted uuid[], token uuid)
returns table (dlq_id uuid, received_at timestamptz, payload bytea)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
declare
    tenant text := telemetry.dlq_tenant(actor_type);
begin
    if cardinality(wanted) > 100 then
        raise exception 'at most 100 letters are taken at once' using errcode = 'program_limit_exceeded';
    end if;
    return query
    with free as materialized (
        select d.dlq_id
        from telemetry.events_dlq d
        where d.tenant_id = tenant and d.dlq_id = any (wanted)
            and (d.state = 'parked' or d.state = 'redriving' and d.lease_until < clock_timestamp())
            and d.attempts < 5 and not d.truncated
        for update skip locked
    )
    update telemetry.events_dlq d
    set state = 'redriving', lease_token = token, lease_until = clock_timestamp() + interval '60 seconds'
    from free f
    where d.dlq_id = f.dlq_id and d.tenant_id = tenant
    returning d.dlq_id, d.received_at, d.payload;
end
$$;

-- Stores what became of letters that were claimed with this token: the event, the letter's state and the audit row, all
-- of it or nothing. A letter with a reason is still refused; one that only the plan refused has lost no attempt.
-- Answers accepted, duplicate, a reject reason, or `lost` for a letter that is not claimed with this token any more.
create function telemetry.dlq_settle(
    actor_type text, actor_id text, ip inet, request_id text, token uuid,
    letters uuid[], ids uuid[], types text[], times timestamptz[], venues text[], sessions uuid[], channels text[],
    reasons text[], details text[]
)
returns table (dlq_id uuid, outcome text)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
declare
    tenant text := telemetry.dlq_tenant(actor_type);
    who text := telemetry.dlq_actor(actor_type, actor_id);
    one record;
    letter telemetry.events_dlq;
    content jsonb;
    body bytea;
    detail text;
begin
    -- Settling is one after the other within a tenant: its audit chain is anyway, and two that wait for an event's id
    -- and for the chain at once would wait for each other.
    perform pg_advisory_xact_lock(hashtext('seatpilot.dlq'), hashtext(tenant));
    for one in
        select s.*
        from unnest(letters, ids, types, times, venues, sessions, channels, reasons, details) with ordinality
            as s (dlq_id, id, type, occurred, venue_id, session_id, channel, reason, detail, number)
        order by s.id, s.number -- as ingest does
    loop
        select d.* into letter
        from telemetry.events_dlq d
        where d.dlq_id = one.dlq_id and d.tenant_id = tenant and d.state = 'redriving' and d.lease_token = token
        for update;
        dlq_id := one.dlq_id;
        if not found then
            outcome := 'lost';
            return next;
            continue;
        end if;
        outcome := one.reason;
        detail := one.detail;
        if outcome is null and not telemetry.is_jsonb(letter.payload) then
            outcome := 'db_data_exception';
            detail := 'the database does not take the event as jsonb';
        end if;
        if outcome is null then
            content := convert_from(letter.payload, 'UTF8')::jsonb -> 'data';
            body := telemetry.event_body(one.type, one.occurred, one.venue_id, one.session_id, one.channel, content);
            insert into telemetry.event_ids (id, tenant_id, body_sha256) values (one.id, tenant, body)
                on conflict do nothing;
            if found then
                insert into telemetry.events_raw (
                    received_at, redriven_at, occurred_at, id, session_id, tenant_id, type, source, venue_id, channel, data
                ) values (
                    letter.received_at, now(), one.occurred, one.id, one.session_id, tenant, one.type,
                    letter.source_key_id, one.venue_id, one.channel, content
                );
                outcome := 'accepted';
            else
                outcome := telemetry.event_standing(tenant, one.id, body);
                detail := 'the id is known with another body';
            end if;
        end if;

        case
            when outcome in ('accepted', 'duplicate') then
                update telemetry.events_dlq d
                set state = 'redriven', redriven_event_id = one.id, resolved_by = who, resolved_at = now(),
                    lease_token = null, lease_until = null
                where d.dlq_id = letter.dlq_id and d.tenant_id = tenant;
                perform audit.append(
                    actor_type, actor_id, 'dlq.redrive', 'dead_letter', letter.dlq_id::text,
                    jsonb_build_object('reason', letter.reason, 'attempts', letter.attempts),
                    jsonb_build_object('outcome', outcome, 'event_id', one.id), 'ok', ip, request_id);
            when outcome = 'quota_exceeded' then
                update telemetry.events_dlq d
                set state = 'parked', lease_token = null, lease_until = null, last_reason = outcome,
                    last_detail = detail, last_failed_at = now()
                where d.dlq_id = letter.dlq_id and d.tenant_id = tenant;
            else
                update telemetry.events_dlq d
                set state = 'parked', attempts = d.attempts + 1, lease_token = null, lease_until = null,
                    last_reason = outcome, last_detail = detail, last_failed_at = now()
                where d.dlq_id = letter.dlq_id and d.tenant_id = tenant;
                perform audit.append(
                    actor_type, actor_id, 'dlq.redrive', 'dead_letter', letter.dlq_id::text,
                    jsonb_build_object('reason', letter.reason, 'attempts', letter.attempts),
                    jsonb_build_object('outcome', outcome, 'attempts', letter.attempts + 1), 'refused', ip, request_id);
        end case;
        return next;
    end loop;
end
$$;

-- What the database would say to letters that passed every other check, and changes nothing: new, duplicate, id_conflict
-- or db_data_exception. The hash tells two letters of one id apart.
create function telemetry.dlq_standing(
    actor_type text, letters uuid[], ids uuid[], types text[], times timestamptz[], venues text[], sessions uuid[],
    channels text[]
)
returns table (dlq_id uuid, standing text, body bytea)
language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
declare
    tenant text := telemetry.dlq_tenant(actor_type);
begin
    return query
    select l.dlq_id,
        case
            when not l.taken then 'db_data_exception'
            when known.body_sha256 is null then 'new'
            when known.body_sha256 = hashed.body then 'duplicate'
            else 'id_conflict'
        end,
        hashed.body
    from (
        select s.*, d.payload, telemetry.is_jsonb(d.payload) as taken
        from unnest(letters, ids, types, times, venues, sessions, channels)
            as s (dlq_id, id, type, occurred, venue_id, session_id, channel)
        join telemetry.events_dlq d on d.dlq_id = s.dlq_id and d.tenant_id = tenant
    ) l
    cross join lateral (
        select case when l.taken then telemetry.event_body(
            l.type, l.occurred, l.venue_id, l.session_id, l.channel, convert_from(l.payload, 'UTF8')::jsonb -> 'data')
        end as body
    ) hashed
    left join lateral (
        select e.body_sha256 from telemetry.event_ids e where e.id = l.id and e.tenant_id = tenant limit 1
    ) known on true;
end
$$;

-- Giving up ----------------------------------------------------------------------------------------------------
-- The payload stays readable until its time is over. Answers discarded, was_discarded, redriven, leased or unknown.
create function telemetry.dlq_discard(
    actor_type text, actor_id text, ip inet, request_id text, wanted uuid[], why text
)
returns table (dlq_id uuid, outcome text)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
declare
    tenant text := telemetry.dlq_tenant(actor_type);
    who text := telemetry.dlq_actor(actor_type, actor_id);
    letter telemetry.events_dlq;
    one uuid;
begin
    if cardinality(wanted) > 100 then
        raise exception 'at most 100 letters are discarded at once' using errcode = 'program_limit_exceeded';
    end if;
    perform pg_advisory_xact_lock(hashtext('seatpilot.dlq'), hashtext(tenant));
    foreach one in array wanted loop
        select d.* into letter from telemetry.events_dlq d where d.dlq_id = one and d.tenant_id = tenant for update;
        dlq_id := one;
        outcome := case
            when not found then 'unknown'
            when letter.state = 'discarded' then 'was_discarded'
            when letter.state = 'redriven' then 'redriven'
            when letter.state = 'redriving' and letter.lease_until >= clock_timestamp() then 'leased'
            else 'discarded'
        end;
        if outcome = 'discarded' then
            update telemetry.events_dlq d
            set state = 'discarded', discard_reason = why, resolved_by = who, resolved_at = now(), lease_token = null,
                lease_until = null
            where d.dlq_id = one and d.tenant_id = tenant;
            perform audit.append(
                actor_type, actor_id, 'dlq.discard', 'dead_letter', one::text,
                jsonb_build_object('reason', letter.reason, 'attempts', letter.attempts),
                jsonb_build_object('why', why), 'ok', ip, request_id);
        end if;
        return next;
    end loop;
end
$$;

grant create on schema telemetry to seatpilot_redrive; -- who is given a function must be able to make one there
alter function telemetry.dlq_claim(text, uuid[], uuid) owner to seatpilot_redrive;
alter function telemetry.dlq_settle(
    text, text, inet, text, uuid, uuid[], uuid[], text[], timestamptz[], text[], uuid[], text[], text[], text[]
) owner to seatpilot_redrive;
alter function telemetry.dlq_standing(text, uuid[], uuid[], text[], timestamptz[], text[], uuid[], text[])
    owner to seatpilot_redrive;
alter function telemetry.dlq_discard(text, text, inet, text, uuid[], text) owner to seatpilot_redrive;
revoke create on schema telemetry from seatpilot_redrive;
revoke execute on function
    telemetry.dlq_tenant(text), telemetry.dlq_actor(text, text),
    telemetry.event_body(text, timestamptz, text, uuid, text, jsonb),
    telemetry.dlq_claim(text, uuid[], uuid),
    telemetry.dlq_settle(
        text, text, inet, text, uuid, uuid[], uuid[], text[], timestamptz[], text[], uuid[], text[], text[], text[]),
    telemetry.dlq_standing(text, uuid[], uuid[], text[], timestamptz[], text[], uuid[], text[]),
    telemetry.dlq_discard(text, text, inet, text, uuid[], text)
    from public;
grant execute on function
    telemetry.dlq_tenant(text), telemetry.dlq_actor(text, text),
    telemetry.event_body(text, timestamptz, text, uuid, text, jsonb)
    to seatpilot_redrive;
grant execute on function
    telemetry.dlq_claim(text, uuid[], uuid),
    telemetry.dlq_settle(
        text, text, inet, text, uuid, uuid[], uuid[], text[], timestamptz[], text[], uuid[], text[], text[], text[]),
    telemetry.dlq_standing(text, uuid[], uuid[], text[], timestamptz[], text[], uuid[], text[]),
    telemetry.dlq_discard(text, text, inet, text, uuid[], text)
    to seatpilot_ingest;

-- What counts and what lets go: a letter whose holder died waits again -------------------------------------------
grant select (lease_until) on telemetry.events_dlq to seatpilot_kpi;

create or replace function telemetry.backlog()
returns table (tenant_id text, dlq_rows bigint, dlq_oldest_seconds double precision, key_age_seconds double precision)
language plpgsql volatile security invoker set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
declare
    -- A column of the same name would hide it.
    whose text;
begin
    for whose in select t.tenant_id from ops.tenant_ids() as t (tenant_id) loop
        perform telemetry.claim(whose);
        return query
            select whose,
                -- Counted so far and no further: beyond it nobody asks how many.
                (select count(*) from (
                    select from telemetry.events_dlq d
                    where d.tenant_id = whose and d.state in ('parked', 'redriving')
                        and (d.state = 'parked' or d.lease_until < now())
                    limit 1000000) as waiting),
                -- A clock that was set back makes nothing younger than now.
                (select greatest(coalesce(extract(epoch from now() - min(d.received_at)), 0), 0)::double precision
                    from telemetry.events_dlq d
                    where d.tenant_id = whose and d.state in ('parked', 'redriving')
                        and (d.state = 'parked' or d.lease_until < now())),
                (select greatest(coalesce(extract(epoch from now() - min(coalesce(k.rotated_at, k.created_at))), 0), 0)
                        ::double precision
                    from ops.signing_keys k where k.tenant_id = whose and k.revoked_at is null);
    end loop;
    -- The last tenant's claim does not outlive the look.
    perform set_config('request.jwt.claims', '', true);
end
$$;

create or replace function telemetry.retain(days_kept integer default 400, days_ahead integer default 14)
returns table (made integer, dropped integer, ids integer, letters integer, nonce_slots integer)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
    today date := (now() at time zone 'UTC')::date;
    moment bigint := extract(epoch from now())::bigint;
    part record;
    slot_is_old boolean;
begin
    made := 0; dropped := 0; ids := 0; letters := 0; nonce_slots := 0;
    -- Ids are remembered for 40 days and their events must outlive them.
    if days_kept < 41 then
        raise exception using errcode = 'invalid_parameter_value', message = 'retain: days_kept must be at least 41';
    end if;
    if not pg_try_advisory_xact_lock(hashtext('seatpilot.retain')) then
        return next;
        return;
    end if;
    for d in -1..days_ahead loop
        if telemetry.event_day_make(today + d) then
            made := made + 1;
        end if;
    end loop;
    -- What follows locks out writers while it waits for its turn: it gives up at once and is tried again next time.
    perform set_config('lock_timeout', '50ms', true);
    for part in
        select c.relname
        from pg_catalog.pg_inherits i
        join pg_catalog.pg_class c on c.oid = i.inhrelid
        where i.inhparent = 'telemetry.events_raw'::regclass
            and c.relname ~ '^events_raw_p[0-9]{8}$'
            and to_date(substring(c.relname from 13), 'YYYYMMDD') < today - days_kept
    loop
        begin
            execute format('drop table telemetry.%I', part.relname);
            dropped := dropped + 1;
        exception when lock_not_available then null;
        end;
    end loop;
    -- In bites, so that a long pause does not become one long transaction.
    with old as (
        delete from telemetry.event_ids where ctid = any (array(
            select e.ctid from telemetry.event_ids e where e.received_on < current_date - 40 limit 50000))
        returning 1)
    select count(*) into ids from old;
    with old as (
        delete from telemetry.events_dlq where ctid = any (array(
            select e.ctid from telemetry.events_dlq e
            where e.expires_at < now() and (e.state <> 'redriving' or e.lease_until < now()) limit 10000))
        returning 1)
    select count(*) into letters from old;
    -- A signed time is accepted up to 300 s from now and remembered for 660 s. Kept longer (the
    -- ring has room for 2,400 s), so that a clock that steps back by 10 min reopens no replay.
    for s in 0..7 loop
        execute format('select coalesce(max(ts) < %s, false) from telemetry.ingest_nonces_%s', moment - 1500, s) into slot_is_old;
        if slot_is_old then
            begin
                execute format('truncate telemetry.ingest_nonces_%s', s);
                nonce_slots := nonce_slots + 1;
            exception when lock_not_available then null;
            end;
        end if;
    end loop;
    return next;
end
$$;
