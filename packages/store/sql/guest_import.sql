-- guest_import
with used as materialized (
    -- Somebody is in on these: the list comes too late for them.
    select t.ticket_hash, t.event_id
    from pg_temp.guest_list g
    join ops.tickets t on t.ticket_hash = g.ticket_hash and t.event_id = g.event_id and t.tenant_id = $1
    where exists (select from ops.checkin_sessions s where s.ticket_id = t.ticket_id and s.tenant_id = $1)
        and (t.name, t.party_size, t.section, t.table_id, t.seat_id, t.doors, t.valid_from, t.valid_until, t.profile)
            is distinct from
            (g.name, g.party_size, g.section, g.table_id, g.seat_id, g.doors, g.valid_from, g.valid_until, g.profile)
),
written as (
    insert into ops.tickets as t (
        tenant_id, event_id, ticket_hash, ticket_id, name, party_size, section, table_id, seat_id, doors, valid_from,
        valid_until, profile
    )
    select
        $1, g.event_id, g.ticket_hash, g.ticket_id, g.name, g.party_size, g.section, g.table_id, g.seat_id, g.doors,
        g.valid_from, g.valid_until, g.profile
    from pg_temp.guest_list g
    where not exists (select from used u where u.ticket_hash = g.ticket_hash and u.event_id = g.event_id)
    order by g.ticket_hash
    on conflict on constraint tickets_key do update
    set name = excluded.name, party_size = excluded.party_size, section = excluded.section,
        table_id = excluded.table_id, seat_id = excluded.seat_id, doors = excluded.doors,
        valid_from = excluded.valid_from, valid_until = excluded.valid_until, profile = excluded.profile,
        imported_at = now()
    where (t.name, t.party_size, t.section, t.table_id, t.seat_id, t.doors, t.valid_from, t.valid_until, t.profile)
        is distinct from
        (excluded.name, excluded.party_size, excluded.section, excluded.table_id, excluded.seat_id, excluded.doors,
         excluded.valid_from, excluded.valid_until, excluded.profile)
    returning xmax = 0 as is_new
)
select
    (select count(*) from written w where w.is_new) as inserted,
    (select count(*) from written w where not w.is_new) as updated,
    (select count(*) from used) as used
