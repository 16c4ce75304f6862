-- 101_metering_roll: counts committed events into the months they are billed in, each exactly once.
--
-- As the KPIs' roll-up (003): what is new since the last time is told by transaction ids against a snapshot, so
-- nothing is missed, nothing is counted twice, and one forgotten transaction stops nobody. The hot paths do nothing.

-- What each event counts for, and in which month. The one place where these rules stand: counting, tracing and
-- recounting all read it.
create view app.v_metered_events with (security_invoker = true) as
select
    e.tenant_id, e.id, e.xid, e.received_at, e.occurred_at, e.session_id, e.type, e.source,
    coalesce(v.venue_id, '') as venue_id, z.time_zone, m.feature, m.quantity, o.for_period,
    -- On time: received within 72 h (as old as a scan may be) after its month ended at its venue.
    case when e.received_at < (o.month + interval '1 month') at time zone z.time_zone + interval '72 hours'
        then o.for_period
        else to_char(e.received_at at time zone z.time_zone, 'YYYY-MM') end as due_period
from telemetry.events_raw e
left join lateral (
    select k.venue_id, k.time_zone from ops.venues k where k.venue_id = e.venue_id and k.tenant_id = e.tenant_id limit 1
) v on true
cross join lateral (select coalesce(v.time_zone, 'UTC') as time_zone) z
cross join lateral (
    select date_trunc('month', e.occurred_at at time zone z.time_zone) as month,
        to_char(e.occurred_at at time zone z.time_zone, 'YYYY-MM') as for_period
) o
cross join lateral (
    select 'checkins' as feature, 1::bigint as quantity where e.type = 'checkin.success' and e.source = 'service'
    union all
    select 'devices', 1 where e.type = 'checkin.success' and e.source = 'service'
    union all
    select 'arrivals', 1 where e.type = 'wayfinding.arrive_table' and e.source = 'service'
    union all
    -- Routes are answered from memory; wayfinding writes how many, every few seconds.
    select 'routes', case when jsonb_typeof(e.data -> 'count') = 'number'
            then least(greatest((e.data -> 'count')::numeric, 0), 1000000000)::bigint else 0 end
        where e.type = 'wayfinding.routes_served' and e.source = 'service'
    union all
    select 'seats', 1 where e.type = 'seating.assigned'
    union all
    select 'events', 1 where e.source <> 'service'
) m;
comment on view app.v_metered_events is 'What each stored event counts for in a bill, and in which month it is due.';
grant select on app.v_metered_events to seatpilot_billing;

-- Counts the events of [from_xid, to_xid) and of open_xids that are visible in `seen`. Those below again_below were
-- counted before, when counting did not start over: months that are closed have what they have. Another event for a
-- closed month is late.
create function app.metering_add(
    seen pg_snapshot, from_xid xid8, to_xid xid8, open_xids xid8[], own_xid xid8, seen_at timestamptz, again_below xid8,
    out rows_read bigint, out rows_changed bigint
)
language plpgsql volatile security invoker set search_path = pg_catalog, pg_temp as $$
begin
    with events as materialized (
        select e.*, e.xid < again_below as again, exists (
                select from app.billing_periods b where b.tenant_id = e.tenant_id and b.period = e.due_period) as is_closed
        from (
            select r.* from app.v_metered_events r where r.xid >= from_xid and r.xid < to_xid
            union all
            select r.* from app.v_metered_events r where r.xid = any (open_xids)
        ) e
        where pg_visible_in_snapshot(e.xid, seen) and e.xid is distinct from own_xid
    ),
    billed as materialized (
        select e.*, case
                when l.period is not null then l.period
                when not e.is_closed then e.due_period
                when not e.again then to_char(seen_at at time zone e.time_zone, 'YYYY-MM')
            end as period
        from events e
        left join app.late_events l on e.is_closed and l.tenant_id = e.tenant_id and l.id = e.id
        where not (e.again and exists (
            select from app.billing_periods b where b.tenant_id = e.tenant_id and b.period = coalesce(l.period, e.due_period)))
    ),
    late as (
        insert into app.late_events (tenant_id, id, due_period, period)
        select distinct b.tenant_id, b.id, b.due_period, b.period from billed b
        where b.is_closed and b.period <> b.due_period
        on conflict do nothing
    ),
    -- A device counts once a month, in the earliest month that it may be billed in; which event stands for it does
    -- not depend on the order of arrival either.
    admitting as (
        select distinct on (b.tenant_id, b.for_period, s.device_id)
            b.tenant_id, b.for_period, s.device_id, b.period, b.id
        from billed b
        cross join lateral (
            select k.device_id from ops.checkin_sessions k
            where k.session_id = b.session_id and k.tenant_id = b.tenant_id limit 1
        ) s
        where b.feature = 'devices'
        order by b.tenant_id, b.for_period, s.device_id, b.period, b.id
    ),
    devices as (
        insert into app.active_devices as d (tenant_id, for_period, device_id, period, event_id)
        select a.tenant_id, a.for_period, a.device_id, a.period, a.id from admitting a
        on conflict on constraint active_devices_key do update
            set period = excluded.period, event_id = excluded.event_id
            where (excluded.period, excluded.event_id) < (d.period, d.event_id)
                and not exists (
                    select from app.billing_periods b where b.tenant_id = d.tenant_id and b.period in (d.period, excluded.period))
        returning d.tenant_id
    ),
    counted as (
        insert into app.monthly_counters as c (tenant_id, period, feature, for_period, venue_id, quantity)
        select b.tenant_id, b.period, b.feature, b.for_period, b.venue_id, sum(b.quantity)
        from billed b
        where b.feature <> 'devices'
        group by b.tenant_id, b.period, b.feature, b.for_period, b.venue_id
        order by 1, 2, 3, 4, 5
        on conflict on constraint monthly_counters_key do update
            set quantity = c.quantity + excluded.quantity, updated_at = now()
        returning 1
    )
    select (select count(distinct e.id) from events e), (select count(*) from counted) + (select count(*) from devices)
    into rows_read, rows_changed;

    -- Few rows a month: counted anew, so that a device that moves to an earlier month leaves the other.
    insert into app.monthly_counters as c (tenant_id, period, feature, for_period, venue_id, quantity)
    select d.tenant_id, d.period, 'devices', d.for_period, '', count(*)
    from app.active_devices d
    where not exists (select from app.billing_periods b where b.tenant_id = d.tenant_id and b.period = d.period)
    group by d.tenant_id, d.period, d.for_period
    on conflict on constraint monthly_counters_key do update
        set quantity = excluded.quantity, updated_at = now()
        where c.quantity <> excluded.quantity;
    delete from app.monthly_counters c
    where c.feature = 'devices' and c.quantity > 0
        and not exists (
            select from app.active_devices d
            where d.tenant_id = c.tenant_id and d.period = c.period and d.for_period = c.for_period)
        and not exists (select from app.billing_periods b where b.tenant_id = c.tenant_id and b.period = c.period);
end
$$;

-- Counts what was committed since the last time. `caught_up` is false where more than rows_max events waited: call
-- again. Null where another one is at it.
create function app.metering_roll(out rows_read bigint, out rows_changed bigint, out caught_up boolean, out complete_until timestamptz)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp set work_mem = '64MB' as $$
declare
    rows_max constant integer := 500000;
    marks_max constant integer := 128;
    -- Both before the snapshot: what was committed by then is visible in it.
    seen_at timestamptz := case current_setting('transaction_isolation')
        when 'read committed' then clock_timestamp() else now() end;
    seen pg_snapshot;
    seen_end xid8;
    own_xid xid8;
    this_system bigint := (select s.system_identifier from pg_control_system() s);
    p app.metering_progress;
    cut xid8;
    oldest_open xid8;
begin
    if not pg_try_advisory_xact_lock(hashtext('seatpilot.metering'), 0) then
        return;
    end if;
    seen := pg_current_snapshot();
    seen_end := pg_snapshot_xmax(seen);
    own_xid := pg_current_xact_id_if_assigned();
    select * into strict p from app.metering_progress;
    if p.next_xid is null or p.system_identifier <> this_system or p.next_xid > seen_end then
        -- Months that are closed stay as they are; the open ones are counted again from what is stored, in bites:
        -- none can be closed before complete_until says that all of it is in.
        delete from app.monthly_counters c where not exists (
            select from app.billing_periods b where b.tenant_id = c.tenant_id and b.period = c.period);
        delete from app.active_devices d where not exists (
            select from app.billing_periods b where b.tenant_id = d.tenant_id and b.period = d.period);
        p.next_xid := '0';
        p.again_below := seen_end;
        p.open_xids := '{}';
        p.mark_xids := '{}';
        p.mark_times := '{}';
        p.complete_until := 'epoch';
    end if;

    select e.xid into cut
    from telemetry.events_raw e
    where e.xid >= p.next_xid and e.xid < seen_end
    order by e.xid
    offset rows_max limit 1;
    if cut is not null then
        -- Whole transactions only: at least the first.
        select min(e.xid) into cut
        from telemetry.events_raw e
        where e.xid < seen_end and e.xid >= cut and e.xid > (
            select min(f.xid) from telemetry.events_raw f where f.xid >= p.next_xid);
    end if;
    caught_up := cut is null;
    cut := coalesce(cut, seen_end);

    select a.rows_read, a.rows_changed into rows_read, rows_changed
    from app.metering_add(seen, p.next_xid, cut, p.open_xids, own_xid, seen_at, p.again_below) a;

    p.open_xids := array(select x from pg_snapshot_xip(seen) x where x < cut);
    if own_xid < cut and exists (select from telemetry.events_raw e where e.xid = own_xid) then
        p.open_xids := p.open_xids || own_xid;
    end if;
    if cardinality(p.mark_xids) = marks_max then
        p.mark_xids := p.mark_xids[:marks_max - 1];
        p.mark_times := p.mark_times[:marks_max - 1];
    end if;
    p.mark_xids := p.mark_xids || seen_end;
    p.mark_times := p.mark_times || seen_at;
    oldest_open := least(cut, (select min(x) from unnest(p.open_xids) x));
    select
        greatest(p.complete_until, max(m.at) filter (where m.xid <= oldest_open)),
        coalesce(array_agg(m.xid order by m.at) filter (where m.xid > oldest_open), '{}'),
        coalesce(array_agg(m.at order by m.at) filter (where m.xid > oldest_open), '{}')
    into complete_until, p.mark_xids, p.mark_times
    from unnest(p.mark_xids, p.mark_times) m (xid, at);

    update app.metering_progress m set
        next_xid = cut, open_xids = p.open_xids, mark_xids = p.mark_xids, mark_times = p.mark_times,
        again_below = p.again_below, system_identifier = this_system, as_of = seen_at, complete_until = metering_roll.complete_until;
end
$$;
comment on function app.metering_roll() is 'Counts the events that were committed since the last time into their months.';
alter function app.metering_add(pg_snapshot, xid8, xid8, xid8[], xid8, timestamptz, xid8) owner to seatpilot_billing;
alter function app.metering_roll() owner to seatpilot_billing;
