-- 106_seed_metering_demo: a price list and a tenant with two months of usage, to look at bills with. By hand only
-- (metering_seed.sql); twice changes nothing. The usage is real events, so that it is counted, not claimed.
create function app.seed_metering_demo() returns table (tenant_id text, month text, events bigint)
language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
declare
    demo constant text := 'metering-demo';
    hall constant text := 'demo-hall';
    device constant uuid := '0de0de00-0000-7000-8000-000000000001';
    opening date := (date_trunc('month', now() at time zone 'UTC') - interval '1 month')::date;
    day date;
begin
    perform telemetry.claim(demo);
    insert into app.plans (plan_id, name, currency, base_price_minor) values
        ('pilot', 'Pilot', 'EUR', 0), ('house', 'House', 'EUR', 24900), ('arena', 'Arena', 'USD', 149000)
    on conflict do nothing;
    insert into app.entitlements (plan_id, feature, enabled, value, limit_quantity, limit_kind, overage_price_minor, overage_per) values
        ('pilot', 'checkins', true, null, 500, 'soft', 0, 1),
        ('pilot', 'events', true, null, 10000, 'hard', 0, 1),
        ('pilot', 'data_days', true, 41, null, null, 0, 1),
        ('house', 'checkins', true, null, 100, 'soft', 9, 1),
        ('house', 'arrivals', true, null, 100, 'soft', 2, 1),
        ('house', 'events', true, null, 200, 'soft', 75, 1000),
        ('house', 'routes', true, null, 500, 'soft', 1, 10),
        ('house', 'devices', true, null, 4, 'soft', 900, 1),
        ('house', 'data_days', true, 400, null, null, 0, 1),
        ('house', 'priority_support', false, null, null, null, 0, 1),
        ('arena', 'checkins', true, null, 50000, 'soft', 3, 1),
        ('arena', 'events', true, null, 5000000, 'soft', 20, 1000),
        ('arena', 'priority_support', true, null, null, null, 0, 1)
    on conflict do nothing;
    insert into ops.tenants (tenant_id, name) values (demo, 'Metering Demo') on conflict do nothing;
    insert into ops.venues (tenant_id, venue_id, name, time_zone) values (demo, hall, 'Demo Hall', 'Europe/Madrid') on conflict do nothing;
    insert into ops.events (tenant_id, event_id, venue_id, name) values (demo, 'demo-gala', hall, 'Demo Gala') on conflict do nothing;
    insert into app.tenant_plans (tenant_id, from_period, plan_id) values (demo, to_char(opening, 'YYYY-MM'), 'house') on conflict do nothing;

    -- An evening on the 3rd and the 10th of last month, and on the 1st of this one.
    foreach day in array array[opening + 2, opening + 9, (opening + interval '1 month')::date] loop
        perform telemetry.event_day_make(day);
        with fates as (
            select
                n, md5(demo || day || n || 'session')::uuid as session_id,
                (day::timestamp + interval '10 hours' + n * interval '7 seconds') at time zone 'UTC' as at
            from generate_series(1, 80) n
            where (day::timestamp + interval '11 hours') at time zone 'UTC' < now()
        ),
        sessions as (
            insert into ops.checkin_sessions (
                session_id, scan_id, ticket_id, device_id, checked_in_at, recorded_at, tenant_id, venue_id, event_id,
                door_id, channel, party_size, fingerprint
            )
            select
                f.session_id, md5(demo || day || f.n || 'scan')::uuid, md5(demo || day || f.n || 'ticket')::uuid, device,
                f.at, f.at, demo, hall, 'demo-gala', 'main', 'kiosk', 2, sha256('demo')
            from fates f
            on conflict do nothing
        ),
        facts as (
            select md5(demo || day || f.n || k.type)::uuid as id, f.*, k.*
            from fates f
            cross join (values
                ('checkin.success', 'service', interval '0', '{"event_id":"demo-gala","door_id":"main","party_size":2,"latency_ms":12}'),
                ('wayfinding.arrive_table', 'service', interval '41 seconds', '{"event_id":"demo-gala","door_to_seat_seconds":41,"outlier":false}'),
                ('wayfinding.routes_served', 'service', interval '50 seconds', '{"count":5}'),
                ('device.heartbeat', 'metering_demo_key', interval '55 seconds', '{}'),
                ('seating.assigned', 'metering_demo_key', interval '5 seconds', '{"feasible":true}')
            ) k (type, source, later, data)
        ),
        ids as (
            insert into telemetry.event_ids (id, tenant_id, received_on, body_sha256)
            select f.id, demo, ((f.at + f.later) at time zone 'UTC')::date, ''::bytea from facts f
            on conflict do nothing
            returning id
        ),
        stored as (
            insert into telemetry.events_raw (received_at, occurred_at, id, session_id, tenant_id, type, source, venue_id, channel, data)
            select f.at + f.later, f.at + f.later, f.id, f.session_id, demo, f.type, f.source, hall, 'kiosk', f.data::jsonb
            from facts f
            where f.id in (select i.id from ids i)
                -- Ids are forgotten after 40 days, events are not.
                and not exists (
                    select from telemetry.events_raw e
                    where e.tenant_id = demo and e.id = f.id and e.received_at >= day and e.received_at < day + 1)
            returning 1
        )
        select count(*) into events from stored;
        tenant_id := demo;
        month := to_char(day, 'YYYY-MM');
        return next;
    end loop;
end
$$;
comment on function app.seed_metering_demo() is 'A price list, and a tenant with two months of usage. For looking at bills; twice changes nothing.';
