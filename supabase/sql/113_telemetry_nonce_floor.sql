-- 113_telemetry_nonce_floor: what was signed before the nonces that were let go is refused, whatever a clock says.
--
-- telemetry.retain() lets go of a slot of nonces when the database's clock says that nobody could still replay them. An
-- instance whose clock was stepped back further than that would take such a request for a new one. So each slot remembers
-- the newest signed second that it let go of, and takes nothing from before. The floor is the newest time that was really
-- there, not a time of day: where the database's own clock was ahead for a while, no honest sender is shut out for long.

create table telemetry.ingest_nonce_floors (
    slot smallint not null,
    ts bigint not null,
    constraint ingest_nonce_floors_key primary key (slot),
    constraint ingest_nonce_floors_slot check (slot = (ts / 300) % 8)
);
comment on table telemetry.ingest_nonce_floors is 'Of each slot of ingest_nonces the newest signed second that was let go; of no tenant.';
alter table telemetry.ingest_nonce_floors enable row level security;
alter table telemetry.ingest_nonce_floors force row level security;
grant select on telemetry.ingest_nonce_floors to seatpilot_ingest, seatpilot_wayfinding, seatpilot_rest;
grant select, insert, update on telemetry.ingest_nonce_floors to seatpilot_retention;
create policy ingest_nonce_floors_read on telemetry.ingest_nonce_floors for select
    to seatpilot_ingest, seatpilot_wayfinding, seatpilot_rest using (true);
create policy ingest_nonce_floors_retention on telemetry.ingest_nonce_floors to seatpilot_retention
    using (true) with check (true);

-- Before a slot is truncated. The lock that this waits behind is on a slot that nobody writes to any more.
create function telemetry.nonce_slot_let_go() returns trigger
language plpgsql volatile security invoker set search_path = pg_catalog, pg_temp as $$
begin
    insert into telemetry.ingest_nonce_floors as f (slot, ts)
    select n.slot, max(n.ts) from telemetry.ingest_nonces n where n.slot = tg_argv[0]::smallint group by n.slot
    on conflict (slot) do update set ts = greatest(f.ts, excluded.ts);
    return null;
end
$$;

-- After the nonces of a statement were written: its query sees what was let go until now, and all of the statement fails.
-- The code is one of our own in the class of broken constraints (packages/store/src/error.rs).
create function telemetry.nonce_floor_hold() returns trigger
language plpgsql volatile security invoker set search_path = pg_catalog, pg_temp as $$
begin
    if exists (select from used u join telemetry.ingest_nonce_floors f on f.slot = u.slot where u.ts <= f.ts) then
        raise exception using errcode = '23SP1', schema = 'telemetry', table = 'ingest_nonces',
            constraint = 'ingest_nonces_floor', message = 'the nonces of that time were let go';
    end if;
    return null;
end
$$;

revoke execute on function telemetry.nonce_slot_let_go(), telemetry.nonce_floor_hold() from public;
do $$
begin
    for slot in 0..7 loop
        execute format(
            'create trigger ingest_nonces_let_go before truncate on telemetry.ingest_nonces_%s'
            ' for each statement execute function telemetry.nonce_slot_let_go(%s)', slot, slot);
    end loop;
end
$$;
create trigger ingest_nonces_floor after insert on telemetry.ingest_nonces
    referencing new table as used for each statement execute function telemetry.nonce_floor_hold();
