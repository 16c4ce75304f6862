-- 013_telemetry_retain: makes days ahead and lets go of what is past its time. kpi-refresher calls it; it may be
-- called at any time, by any number of instances.
--
--   events_raw      a partition a day, `days_kept` days (a drop each)
--   event_ids       40 days: the window of occurred_at, the 30 days of the dead-letter queue, and slack
--   ingest_nonces   660 s and slack, a truncated partition at a time
--   events_dlq      30 days (expires_at)

grant select, delete on telemetry.events_dlq, telemetry.event_ids to seatpilot_retention;
grant select on telemetry.ingest_nonces to seatpilot_retention;
create policy events_dlq_retention on telemetry.events_dlq to seatpilot_retention using (true);
create policy event_ids_retention on telemetry.event_ids to seatpilot_retention using (true);
create policy events_raw_retention on telemetry.events_raw to seatpilot_retention using (true) with check (true);
create policy events_raw_rest_retention on telemetry.events_raw_rest to seatpilot_retention using (true) with check (true);
do $$
begin
    for slot in 0..7 loop
        execute format('grant select, truncate on telemetry.ingest_nonces_%s to seatpilot_retention', slot);
        execute format('create policy ingest_nonces_%s_retention on telemetry.ingest_nonces_%s for select to seatpilot_retention using (true)', slot, slot);
    end loop;
end
$$;
create policy ingest_nonces_retention on telemetry.ingest_nonces for select to seatpilot_retention using (true);
-- Only an owner may attach and drop partitions.
alter table telemetry.events_raw owner to seatpilot_retention;
alter table telemetry.events_raw_rest owner to seatpilot_retention;

create function telemetry.event_day_make(day date) returns boolean
language plpgsql security invoker set search_path = pg_catalog, pg_temp as $$
declare
    name text := 'events_raw_p' || to_char(day, 'YYYYMMDD');
    opens timestamptz := day::timestamp at time zone 'UTC';
    closes timestamptz := (day + 1)::timestamp at time zone 'UTC';
begin
    if to_regclass('telemetry.' || name) is not null then
        return false;
    end if;
    -- Attached, not created as a partition: that would lock the whole table against its writers.
    execute format('create table telemetry.%I (like telemetry.events_raw including defaults including constraints)', name);
    execute format('alter table telemetry.%I enable row level security', name);
    execute format('alter table telemetry.%I force row level security', name);
    execute format(
        'create policy %I on telemetry.%I to seatpilot_retention using (true) with check (true)', name || '_retention', name);
    if exists (select from telemetry.events_raw_rest r where r.received_at >= opens and r.received_at < closes) then
        execute format(
            'with moved as (delete from telemetry.events_raw_rest where received_at >= %L and received_at < %L returning *)'
            ' insert into telemetry.%I select * from moved', opens, closes, name);
    end if;
    execute format(
        'alter table telemetry.events_raw attach partition telemetry.%I for values from (%L) to (%L)', name, opens, closes);
    return true;
end
$$;

create function telemetry.retain(days_kept integer default 400, days_ahead integer default 14)
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
            select e.ctid from telemetry.events_dlq e where e.expires_at < now() and e.state <> 'redriving' limit 10000))
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

alter function telemetry.event_day_make(date) owner to seatpilot_retention;
alter function telemetry.retain(integer, integer) owner to seatpilot_retention;
revoke execute on function telemetry.event_day_make(date), telemetry.retain(integer, integer) from public;
grant execute on function telemetry.retain(integer, integer) to seatpilot_kpi;

select telemetry.retain();
