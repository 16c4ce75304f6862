-- 104_billing_trace: from a line of a bill back to the events, and from the events to the counters.

-- The events behind a line, oldest receipt first, `rows_max` from after (after_received, after_id) on. None for the
-- base price and for a credit, which have no events behind them.
create function app.billing_trace(
    tenant text, month text, line_number integer, rows_max integer default 1000,
    after_received timestamptz default '-infinity', after_id uuid default '00000000-0000-0000-0000-000000000000'
)
returns table (
    id uuid, received_at timestamptz, occurred_at timestamptz, type text, source text, venue_id text, session_id uuid,
    quantity bigint
)
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
declare
    l record;
    from_received timestamptz;
    to_received timestamptz;
begin
    select r.feature, r.kind, r.for_period into l
    from app.v_tenant_billing_report r
    where r.tenant_id = tenant and r.period = month and r.line = line_number;
    if not found then
        raise exception using errcode = 'no_data_found',
            message = format('%s of %s has no line %s', left(month, 16), left(tenant, 64), line_number);
    end if;
    if l.kind in ('base', 'credit') then
        return;
    end if;
    -- Receipt is at most 5 minutes before the event, and an event on time at most 72 h after its month. What was
    -- stored later than it was received (a redriven dead letter) is at most 40 days older than its month.
    from_received := (l.for_period || '-01')::timestamp at time zone 'UTC' - interval '15 hours';
    to_received := ((month || '-01')::timestamp + interval '1 month') at time zone 'UTC' + interval '72 hours' + interval '15 hours';
    if l.feature = 'devices' then
        return query
        select e.id, e.received_at, e.occurred_at, e.type, e.source, e.venue_id, e.session_id, 1::bigint
        from app.active_devices d
        cross join lateral (
            select k.* from telemetry.events_raw k
            where k.id = d.event_id and k.tenant_id = tenant
                and k.received_at >= from_received and k.received_at < to_received
            limit 1
        ) e
        where d.tenant_id = tenant and d.period = month and d.for_period = l.for_period
            and (e.received_at, e.id) > (after_received, after_id)
        order by e.received_at, e.id
        limit rows_max;
        return;
    end if;
    return query
    select e.id, e.received_at, e.occurred_at, e.type, e.source, e.venue_id, e.session_id, e.quantity
    from app.v_metered_events e
    left join app.late_events late on late.tenant_id = e.tenant_id and late.id = e.id
    where e.tenant_id = tenant and e.feature = l.feature and e.for_period = l.for_period
        and coalesce(late.period, e.due_period) = month
        and e.received_at >= from_received and e.received_at < to_received
        and (e.received_at, e.id) > (after_received, after_id)
    order by e.received_at, e.id
    limit rows_max;
end
$$;
comment on function app.billing_trace(text, text, integer, integer, timestamptz, uuid) is 'The events behind a line of a bill.';

-- Counters that differ from a count of the stored events. None, where counting is exact and caught up.
create function app.metering_recount(month text)
returns table (tenant_id text, feature text, for_period text, venue_id text, counted bigint, stored bigint)
language sql stable set search_path = pg_catalog, pg_temp as $$
    with events as (
        select e.tenant_id, e.feature, e.for_period, e.venue_id, e.quantity, e.session_id, e.id,
            coalesce(l.period, e.due_period) as period
        from app.v_metered_events e
        left join app.late_events l on l.tenant_id = e.tenant_id and l.id = e.id
    ),
    stored as (
        select e.tenant_id, e.feature, e.for_period, e.venue_id, sum(e.quantity)::bigint as quantity
        from events e
        where e.period = month and e.feature <> 'devices'
        group by 1, 2, 3, 4
        union all
        select d.tenant_id, 'devices', d.for_period, '', count(*)
        from (
            select e.tenant_id, e.for_period, s.device_id, min(e.period) as period
            from events e
            join ops.checkin_sessions s on s.session_id = e.session_id and s.tenant_id = e.tenant_id
            where e.feature = 'devices'
            group by 1, 2, 3
        ) d
        where d.period = month
        group by 1, 2, 3
    ),
    counted as (
        select c.tenant_id, c.feature, c.for_period::text, c.venue_id, c.quantity
        from app.monthly_counters c where c.period = month and c.quantity <> 0
    )
    select
        coalesce(c.tenant_id, s.tenant_id), coalesce(c.feature, s.feature), coalesce(c.for_period, s.for_period),
        coalesce(c.venue_id, s.venue_id), coalesce(c.quantity, 0), coalesce(s.quantity, 0)
    from counted c
    full join stored s using (tenant_id, feature, for_period, venue_id)
    where coalesce(c.quantity, 0) <> coalesce(s.quantity, 0)
$$;
comment on function app.metering_recount(text) is 'Where the counters of a month differ from the stored events.';

-- Counts the open months again from the stored events, at the next roll: after events were copied in by hand.
create function app.metering_start_over() returns void
language sql volatile set search_path = pg_catalog, pg_temp as $$
    update app.metering_progress set next_xid = null
$$;
