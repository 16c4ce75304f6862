-- 003_views_kpi: the KPIs by minute, and the roll-up that keeps them.
--
-- `mv_kpi_checkin` and `mv_kpi_door2seat` are plain tables: a materialized view has no row level security, and its
-- refresh reads everything that is stored. Here a refresh reads the events that became visible since the last one,
-- adds them to the histogram of their minute (kpi_minutes) and writes the minutes that changed. Late events heal
-- their minute. Everything kept is a sum, a minimum or a maximum of integers, so the rows do not depend on the order
-- in which events arrive, nor on how often somebody refreshed. docs/kpi.md has the reasons and the measurements.
--
-- Security definer functions, owned by seatpilot_rollup, which sees all tenants' events by a policy of its own:
--   telemetry.refresh_mv    kpi-refresher, every minute
--   telemetry.rebuild_mv    operators, after events were copied in by hand

-- What people read ---------------------------------------------------------------------------------------------
create table telemetry.mv_kpi_checkin (
    tenant_id text collate "C" not null,
    venue_id text collate "C" not null,
    event_id text collate "C" not null,
    channel text collate "C" not null,
    door_id text collate "C" not null,
    minute timestamptz not null,
    checkins bigint not null,
    guests bigint not null,
    p50_ms double precision,
    p95_ms double precision,
    p99_ms double precision,
    constraint mv_kpi_checkin_key primary key (tenant_id, venue_id, event_id, minute, door_id, channel)
) with (fillfactor = 85);
comment on table telemetry.mv_kpi_checkin is 'Check-ins by minute, the open minute included.';
comment on column telemetry.mv_kpi_checkin.minute is 'UTC minute of checked_in_at, not of receipt.';
comment on column telemetry.mv_kpi_checkin.guests is 'Sum of the party sizes.';
comment on column telemetry.mv_kpi_checkin.p50_ms is
    'Nearest-rank quantile of latency_ms, at most 1/128 (0.8 %) off; null where no event says its latency.';

create table telemetry.mv_kpi_door2seat (
    tenant_id text collate "C" not null,
    venue_id text collate "C" not null,
    event_id text collate "C" not null,
    channel text collate "C" not null,
    section text collate "C" not null,
    minute timestamptz not null,
    arrivals bigint not null,
    outliers bigint not null,
    p50_seconds double precision,
    p95_seconds double precision,
    constraint mv_kpi_door2seat_key primary key (tenant_id, venue_id, event_id, minute, section, channel)
) with (fillfactor = 85);
comment on table telemetry.mv_kpi_door2seat is 'Arrivals at table or seat by minute, the open minute included.';
comment on column telemetry.mv_kpi_door2seat.channel is 'Channel of the check-in, not of the sign.';
comment on column telemetry.mv_kpi_door2seat.section is 'Empty where the guest''s place has no section.';
comment on column telemetry.mv_kpi_door2seat.minute is 'UTC minute of arrived_at, not of receipt.';
comment on column telemetry.mv_kpi_door2seat.arrivals is 'Arrivals within 900 s of the door; outliers are not among them.';
comment on column telemetry.mv_kpi_door2seat.outliers is 'Arrivals later than 900 s: counted here, kept out of arrivals and quantiles.';
comment on column telemetry.mv_kpi_door2seat.p50_seconds is
    'Nearest-rank quantile of door_to_seat_seconds, at most 1/128 (0.8 %) off; null where there are outliers only.';

create table telemetry.mv_metadata (
    view text not null constraint mv_metadata_key primary key,
    as_of timestamptz not null default now(),
    complete_until timestamptz not null default now()
);
comment on table telemetry.mv_metadata is 'How fresh each KPI view is. No tenant''s data: everybody with a grant may read it.';
comment on column telemetry.mv_metadata.as_of is 'When the last refresh looked: every event committed by then is in.';
comment on column telemetry.mv_metadata.complete_until is
    'Every event written before then is in: no transaction that was open then is still open. Lags behind as_of only while one is.';

create table telemetry.mv_refresh_log (
    refresh_id bigint generated always as identity constraint mv_refresh_log_key primary key,
    view text not null,
    started_at timestamptz not null,
    finished_at timestamptz not null,
    duration_ms double precision not null,
    outcome text not null constraint mv_refresh_log_outcome check (outcome in ('ok', 'failed')),
    rows_read bigint not null,
    rows_changed bigint not null,
    error text
);
comment on table telemetry.mv_refresh_log is 'Each refresh of the last 7 days. No tenant''s data.';
comment on column telemetry.mv_refresh_log.rows_read is 'Events that the refresh added up.';
comment on column telemetry.mv_refresh_log.rows_changed is 'Rows of the view that it wrote.';
create index mv_refresh_log_started on telemetry.mv_refresh_log (started_at);

-- What the roll-up keeps ---------------------------------------------------------------------------------------
-- Histogram: a value is counted in whole microseconds; below 128 in a bucket of its own, above in one of 64 buckets
-- to each doubling (log-linear, as HdrHistogram). A bucket's middle is at most 1/128 off any value in it. Integers,
-- not logarithms: the same on every machine.
create table telemetry.kpi_minutes (
    view text collate "C" not null,
    tenant_id text collate "C" not null,
    venue_id text collate "C" not null,
    event_id text collate "C" not null,
    minute timestamptz not null,
    place text collate "C" not null,
    channel text collate "C" not null,
    counted bigint not null,
    guests bigint not null,
    outliers bigint not null,
    low_us bigint,
    high_us bigint,
    p50_us bigint,
    p95_us bigint,
    p99_us bigint,
    buckets smallint[] not null,
    counts integer[] not null,
    constraint kpi_minutes_key primary key (tenant_id, venue_id, event_id, view, minute, place, channel)
) with (fillfactor = 85);
comment on table telemetry.kpi_minutes is 'The roll-up behind the KPI views: one mergeable histogram a view, place, channel and minute.';
comment on column telemetry.kpi_minutes.place is 'Door of a check-in, section of an arrival; empty where there is none.';
comment on column telemetry.kpi_minutes.counted is 'Events that are no outliers.';
comment on column telemetry.kpi_minutes.low_us is 'Smallest value counted: the quantile of the first rank, as high_us is of the last.';
comment on column telemetry.kpi_minutes.buckets is 'Indices of the buckets that hold something, ascending.';
comment on column telemetry.kpi_minutes.counts is 'How many values each of them holds.';

-- How far a view is: what was visible when it last looked. Events are new if their transaction was not. This is a
-- snapshot and not "everything below the oldest open transaction", so that one forgotten transaction anywhere in
-- the cluster does not stop the KPIs.
create table telemetry.mv_progress (
    view text not null constraint mv_progress_key primary key references telemetry.mv_metadata,
    next_xid xid8,
    open_xids xid8[] not null default '{}',
    mark_xids xid8[] not null default '{}',
    mark_times timestamptz[] not null default '{}',
    system_identifier bigint,
    first_received_at timestamptz,
    kept_before timestamptz not null default '-infinity',
    kept_xid xid8 not null default '0'
);
comment on table telemetry.mv_progress is 'How far the roll-up of each view is. No tenant''s data.';
comment on column telemetry.mv_progress.next_xid is 'Transactions from here on are not in; null = start over.';
comment on column telemetry.mv_progress.open_xids is 'Transactions below next_xid that are not in either: they were still open.';
comment on column telemetry.mv_progress.mark_xids is
    'With mark_times: transaction ids below this one were taken before that time. Once all of them have ended, complete_until moves there.';
comment on column telemetry.mv_progress.system_identifier is 'Of the cluster that next_xid belongs to: ids start anew in another.';
comment on column telemetry.mv_progress.first_received_at is 'Oldest receipt among the events that are in: tells whether retention has dropped days since.';
comment on column telemetry.mv_progress.kept_before is
    'A rebuild left minutes before this as they were, because retention has dropped their events; ...';
comment on column telemetry.mv_progress.kept_xid is '... so events of those minutes with an id below this are in already.';

insert into telemetry.mv_metadata (view) values ('mv_kpi_checkin'), ('mv_kpi_door2seat');
insert into telemetry.mv_progress (view) select m.view from telemetry.mv_metadata m;

-- Who may see what ---------------------------------------------------------------------------------------------
do $$
declare
    name text;
begin
    foreach name in array array[
        'mv_kpi_checkin', 'mv_kpi_door2seat', 'kpi_minutes', 'mv_metadata', 'mv_refresh_log', 'mv_progress'
    ] loop
        execute format('alter table telemetry.%I enable row level security', name);
        execute format('alter table telemetry.%I force row level security', name);
        execute format('create policy %I on telemetry.%I to seatpilot_rollup using (true) with check (true)', name || '_rollup', name);
        execute format('grant select, insert, update, delete on telemetry.%I to seatpilot_rollup', name);
    end loop;
    foreach name in array array['mv_kpi_checkin', 'mv_kpi_door2seat', 'kpi_minutes'] loop
        execute format(
            'create policy %I on telemetry.%I for select using ((select telemetry.claim_tenant_id()) = tenant_id)',
            name || '_tenant_isolation_select', name);
    end loop;
end
$$;
-- These two say nothing of any tenant, only how fresh the views are. Written by the roll-up alone.
create policy mv_metadata_everybody_select on telemetry.mv_metadata for select using (true);
create policy mv_refresh_log_everybody_select on telemetry.mv_refresh_log for select using (true);

grant select on telemetry.mv_kpi_checkin, telemetry.mv_kpi_door2seat, telemetry.mv_metadata to authenticated;
grant select on telemetry.mv_metadata, telemetry.mv_refresh_log to seatpilot_kpi;

create policy events_raw_rollup_select on telemetry.events_raw for select to seatpilot_rollup using (true);
create policy events_raw_rollup_update on telemetry.events_raw for update to seatpilot_rollup using (true) with check (true);
grant select, update (xid) on telemetry.events_raw to seatpilot_rollup;

-- The roll-up --------------------------------------------------------------------------------------------------
-- Adds the new events of one view to their minutes; answers the minutes that changed, with how many events each got.
-- New: visible in `seen`, and in a transaction of `open_xids` or of [from_xid, to_xid).
create function telemetry.kpi_minutes_add(
    which text, seen pg_snapshot, from_xid xid8, to_xid xid8, open_xids xid8[], own_xid xid8,
    kept_before timestamptz, kept_xid xid8
)
returns table (
    tenant_id text, venue_id text, event_id text, minute timestamptz, place text, channel text,
    counted bigint, guests bigint, outliers bigint, p50_us bigint, p95_us bigint, p99_us bigint,
    added bigint, first_received_at timestamptz
)
language plpgsql volatile security invoker set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
declare
    wanted_type text;
    place_member text;
    value_member text;
    us_per_unit integer;
    outlier_after_us bigint;
    -- Where each further doubling begins.
    doublings bigint[] := array(select 1::bigint << g from generate_series(7, 40) g);
begin
    case which
        when 'mv_kpi_checkin' then
            wanted_type := 'checkin.success';
            place_member := 'door_id';
            value_member := 'latency_ms';
            us_per_unit := 1000;
        when 'mv_kpi_door2seat' then
            wanted_type := 'wayfinding.arrive_table';
            place_member := 'section';
            value_member := 'door_to_seat_seconds';
            us_per_unit := 1000000;
            outlier_after_us := 900 * 1000000;
    end case;
    return query
    with events as materialized (
        select
            e.tenant_id, e.venue_id, coalesce(e.data ->> 'event_id', '') as event_id,
            date_trunc('minute', e.occurred_at, 'UTC') as minute, coalesce(e.data ->> place_member, '') as place,
            coalesce(e.channel, '') as channel, e.received_at,
            -- A member that is no number must not stop everybody's KPIs: it counts as not said.
            case when jsonb_typeof(e.data -> 'party_size') = 'number'
                then least(greatest((e.data -> 'party_size')::numeric, 0), 1000)::bigint else 1 end as guests,
            case when jsonb_typeof(e.data -> value_member) = 'number'
                then least(greatest(round((e.data -> value_member)::numeric * us_per_unit), 0), 1::bigint << 40)::bigint
                end as us,
            outlier_after_us is not null and coalesce(e.data -> 'outlier' = 'true', false) as is_outlier
        from (
            select r.* from telemetry.events_raw r where r.xid >= from_xid and r.xid < to_xid
            union all
            select r.* from telemetry.events_raw r where r.xid = any (open_xids)
        ) e
        where e.type = wanted_type and e.source = 'service'
            and pg_visible_in_snapshot(e.xid, seen) and e.xid is distinct from own_xid
            and not (e.occurred_at < kept_before and e.xid < kept_xid)
    ),
    classed as (
        select e.*, e.is_outlier or coalesce(e.us > outlier_after_us, false) as out, width_bucket(e.us, doublings) as doubling
        from events e
    ),
    cells as materialized (
        select
            c.tenant_id, c.venue_id, c.event_id, c.minute, c.place, c.channel,
            case when not c.out then (64 * c.doubling + (c.us >> c.doubling))::smallint end as bucket,
            count(*) as added, count(*) filter (where not c.out) as counted, sum(c.guests)::bigint as guests,
            min(c.us) filter (where not c.out) as low_us, max(c.us) filter (where not c.out) as high_us,
            min(c.received_at) as first_received_at
        from classed c
        group by c.tenant_id, c.venue_id, c.event_id, c.minute, c.place, c.channel, bucket
    ),
    -- One row a minute that gets something, with what is kept of it so far. The lateral probe keeps the index at
    -- every table size and under a generic plan.
    minutes as materialized (
        select
            row_number() over () as ord, n.*,
            n.counted + coalesce(k.counted, 0) as all_counted, n.guests + coalesce(k.guests, 0) as all_guests,
            n.added - n.counted + coalesce(k.outliers, 0) as all_outliers,
            least(n.low_us, k.low_us) as all_low_us, greatest(n.high_us, k.high_us) as all_high_us,
            k.buckets, k.counts
        from (
            select
                c.tenant_id, c.venue_id, c.event_id, c.minute, c.place, c.channel,
                sum(c.added)::bigint as added, sum(c.counted)::bigint as counted, sum(c.guests)::bigint as guests,
                min(c.low_us) as low_us, max(c.high_us) as high_us, min(c.first_received_at) as first_received_at,
                array_agg(c.bucket) filter (where c.bucket is not null) as new_buckets,
                array_agg(c.counted) filter (where c.bucket is not null) as new_counts
            from cells c
            group by c.tenant_id, c.venue_id, c.event_id, c.minute, c.place, c.channel
        ) n
        left join lateral (
            select m.* from telemetry.kpi_minutes m
            where m.tenant_id = n.tenant_id and m.venue_id = n.venue_id and m.event_id = n.event_id and m.view = which
                and m.minute = n.minute and m.place = n.place and m.channel = n.channel
            limit 1
        ) k on true
    ),
    ranked as (
        select
            b.ord, b.bucket, b.n,
            -- The bucket's middle.
            case when b.bucket < 128 then b.bucket::bigint
                else ((b.bucket % 64 + 64)::bigint << (b.bucket / 64 - 1)) + (1::bigint << (b.bucket / 64 - 2)) end as us,
            (sum(b.n) over (partition by b.ord order by b.bucket))::bigint as reached,
            (sum(b.n) over (partition by b.ord))::bigint as total
        from (
            select m.ord, u.bucket, sum(u.n)::bigint as n
            from minutes m
            cross join lateral (
                select * from unnest(m.new_buckets, m.new_counts) as new (bucket, n)
                union all
                select * from unnest(m.buckets, m.counts) as kept (bucket, n)
            ) u
            group by m.ord, u.bucket
        ) b
    ),
    histograms as (
        select
            r.ord, array_agg(r.bucket order by r.bucket) as buckets, array_agg(r.n::integer order by r.bucket) as counts,
            -- Nearest rank: the first bucket that reaches ceil(q * total).
            (max(r.total) * 50 + 99) / 100 as p50_rank, min(r.us) filter (where r.reached * 100 >= r.total * 50) as p50_us,
            (max(r.total) * 95 + 99) / 100 as p95_rank, min(r.us) filter (where r.reached * 100 >= r.total * 95) as p95_us,
            (max(r.total) * 99 + 99) / 100 as p99_rank, min(r.us) filter (where r.reached * 100 >= r.total * 99) as p99_us,
            max(r.total) as total
        from ranked r
        group by r.ord
    ),
    merged as materialized (
        select
            m.tenant_id, m.venue_id, m.event_id, m.minute, m.place, m.channel, m.added, m.first_received_at,
            m.all_counted as counted, m.all_guests as guests, m.all_outliers as outliers,
            m.all_low_us as low_us, m.all_high_us as high_us,
            -- The last rank and the first are known exactly. Without a histogram all of these are null.
            case h.p50_rank when h.total then m.all_high_us when 1 then m.all_low_us
                else greatest(m.all_low_us, least(m.all_high_us, h.p50_us)) end as p50_us,
            case h.p95_rank when h.total then m.all_high_us when 1 then m.all_low_us
                else greatest(m.all_low_us, least(m.all_high_us, h.p95_us)) end as p95_us,
            case h.p99_rank when h.total then m.all_high_us when 1 then m.all_low_us
                else greatest(m.all_low_us, least(m.all_high_us, h.p99_us)) end as p99_us,
            coalesce(h.buckets, '{}') as buckets, coalesce(h.counts, '{}') as counts
        from minutes m left join histograms h using (ord)
    ),
    written as (
        insert into telemetry.kpi_minutes as k (
            view, tenant_id, venue_id, event_id, minute, place, channel, counted, guests, outliers, low_us, high_us,
            p50_us, p95_us, p99_us, buckets, counts
        )
        select
            which, m.tenant_id, m.venue_id, m.event_id, m.minute, m.place, m.channel, m.counted, m.guests, m.outliers,
            m.low_us, m.high_us, m.p50_us, m.p95_us, m.p99_us, m.buckets, m.counts
        from merged m
        on conflict on constraint kpi_minutes_key do update set
            counted = excluded.counted, guests = excluded.guests, outliers = excluded.outliers,
            low_us = excluded.low_us, high_us = excluded.high_us,
            p50_us = excluded.p50_us, p95_us = excluded.p95_us, p99_us = excluded.p99_us,
            buckets = excluded.buckets, counts = excluded.counts
    )
    select
        m.tenant_id, m.venue_id, m.event_id, m.minute, m.place, m.channel, m.counted, m.guests, m.outliers,
        m.p50_us, m.p95_us, m.p99_us, m.added, m.first_received_at
    from merged m;
end
$$;

-- Adds what is new and writes the rows of the view that changed.
create function telemetry.mv_add(
    which text, seen pg_snapshot, from_xid xid8, to_xid xid8, open_xids xid8[], own_xid xid8,
    kept_before timestamptz, kept_xid xid8,
    out rows_read bigint, out rows_changed bigint, out first_received_at timestamptz
)
language plpgsql volatile security invoker set search_path = pg_catalog, pg_temp as $$
begin
    -- One statement a view: one that is broken does not keep the other from being planned.
    case which
        when 'mv_kpi_checkin' then
            with minutes as materialized (
                select * from telemetry.kpi_minutes_add(
                    which, seen, from_xid, to_xid, open_xids, own_xid, kept_before, kept_xid)
            ),
            written as (
                insert into telemetry.mv_kpi_checkin (
                    tenant_id, venue_id, event_id, channel, door_id, minute, checkins, guests, p50_ms, p95_ms, p99_ms
                )
                select
                    m.tenant_id, m.venue_id, m.event_id, m.channel, m.place, m.minute, m.counted, m.guests,
                    m.p50_us / 1000::double precision, m.p95_us / 1000::double precision, m.p99_us / 1000::double precision
                from minutes m
                on conflict on constraint mv_kpi_checkin_key do update set
                    checkins = excluded.checkins, guests = excluded.guests,
                    p50_ms = excluded.p50_ms, p95_ms = excluded.p95_ms, p99_ms = excluded.p99_ms
                returning 1
            )
            select coalesce(sum(m.added), 0), (select count(*) from written), min(m.first_received_at)
            into rows_read, rows_changed, first_received_at
            from minutes m;
        when 'mv_kpi_door2seat' then
            with minutes as materialized (
                select * from telemetry.kpi_minutes_add(
                    which, seen, from_xid, to_xid, open_xids, own_xid, kept_before, kept_xid)
            ),
            written as (
                insert into telemetry.mv_kpi_door2seat (
                    tenant_id, venue_id, event_id, channel, section, minute, arrivals, outliers, p50_seconds, p95_seconds
                )
                select
                    m.tenant_id, m.venue_id, m.event_id, m.channel, m.place, m.minute, m.counted, m.outliers,
                    m.p50_us / 1000000::double precision, m.p95_us / 1000000::double precision
                from minutes m
                on conflict on constraint mv_kpi_door2seat_key do update set
                    arrivals = excluded.arrivals, outliers = excluded.outliers,
                    p50_seconds = excluded.p50_seconds, p95_seconds = excluded.p95_seconds
                returning 1
            )
            select coalesce(sum(m.added), 0), (select count(*) from written), min(m.first_received_at)
            into rows_read, rows_changed, first_received_at
            from minutes m;
    end case;
end
$$;

-- Empties a view from a minute on.
create function telemetry.mv_clear(which text, from_minute timestamptz) returns void
language plpgsql volatile security invoker set search_path = pg_catalog, pg_temp as $$
begin
    delete from telemetry.kpi_minutes m where m.view = which and m.minute >= from_minute;
    case which
        when 'mv_kpi_checkin' then delete from telemetry.mv_kpi_checkin m where m.minute >= from_minute;
        when 'mv_kpi_door2seat' then delete from telemetry.mv_kpi_door2seat m where m.minute >= from_minute;
    end case;
end
$$;

-- Events from a dump or a copy bring the transaction ids of where they were written. Those that this cluster has not
-- come to yet would be counted only when it does: they become "long ago", and every view starts over.
create function telemetry.events_raw_settle(own_xid xid8) returns void
language plpgsql volatile security invoker set search_path = pg_catalog, pg_temp as $$
begin
    if not exists (
        select from telemetry.events_raw e
        where e.xid >= pg_snapshot_xmax(pg_current_snapshot()) and e.xid is distinct from own_xid
    ) then
        return;
    end if;
    perform pg_advisory_xact_lock(hashtext('seatpilot.refresh'), hashtext('settle'));
    update telemetry.events_raw set xid = '2' -- as the frozen transaction's
    where xid >= pg_snapshot_xmax(pg_current_snapshot()) and xid is distinct from own_xid;
    if found then
        update telemetry.mv_progress set next_xid = null;
    end if;
end
$$;

-- Brings one view up to what is committed now; `caught_up` is false where more than rows_max events waited, and the
-- next call goes on from there. The caller holds the view's lock.
create function telemetry.mv_advance(
    which text, start_over boolean,
    out rows_read bigint, out rows_changed bigint, out caught_up boolean, out until timestamptz
)
language plpgsql volatile security invoker set search_path = pg_catalog, pg_temp as $$
declare
    -- A bite that ends within the service's statement timeout, even if every event has a minute of its own.
    rows_max constant integer := 1500000;
    marks_max constant integer := 128;
    -- Both before the snapshot: what was committed by then is visible in it.
    seen_at timestamptz := case current_setting('transaction_isolation')
        when 'read committed' then clock_timestamp() else now() end;
    seen pg_snapshot := pg_current_snapshot();
    seen_end xid8 := pg_snapshot_xmax(seen);
    own_xid xid8 := pg_current_xact_id_if_assigned();
    this_system bigint := (select s.system_identifier from pg_control_system() s);
    p telemetry.mv_progress;
    cut xid8;
    oldest_open xid8;
    oldest_event timestamptz;
    added record;
begin
    perform telemetry.events_raw_settle(own_xid);
    select * into strict p from telemetry.mv_progress m where m.view = which;
    select m.complete_until into strict until from telemetry.mv_metadata m where m.view = which;

    if start_over or p.next_xid is null or p.system_identifier <> this_system or p.next_xid > seen_end then
        p.kept_before := '-infinity';
        if p.first_received_at is not null then
            select coalesce(min(e.received_at), now()) into oldest_event from telemetry.events_raw e;
            -- Retention drops whole days of receipt. What occurred up to 5 minutes after the last dropped one may
            -- have been received within it.
            if date_trunc('day', p.first_received_at, 'UTC') < date_trunc('day', oldest_event, 'UTC') then
                p.kept_before := date_trunc('day', oldest_event, 'UTC') + interval '5 minutes';
            end if;
        end if;
        p.kept_xid := seen_end;
        p.open_xids := '{}';
        p.mark_xids := '{}';
        p.mark_times := '{}';
        perform telemetry.mv_clear(which, p.kept_before);
        -- Nothing is known until the marks say so, unless the view was never filled at all.
        if p.system_identifier is not null then
            until := 'epoch';
        end if;
        -- The guard at the end looks for what is stored.
        update telemetry.mv_progress set next_xid = '0' where view = which;
        p.next_xid := '0';
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

    added := telemetry.mv_add(which, seen, p.next_xid, cut, p.open_xids, own_xid, p.kept_before, p.kept_xid);
    rows_read := added.rows_read;
    rows_changed := added.rows_changed;

    p.open_xids := array(select x from pg_snapshot_xip(seen) x where x < cut);
    -- This transaction's own events are not committed: they are left for later, as anybody else's.
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
        greatest(until, max(m.at) filter (where m.xid <= oldest_open)),
        coalesce(array_agg(m.xid order by m.at) filter (where m.xid > oldest_open), '{}'),
        coalesce(array_agg(m.at order by m.at) filter (where m.xid > oldest_open), '{}')
    into until, p.mark_xids, p.mark_times
    from unnest(p.mark_xids, p.mark_times) m (xid, at);

    update telemetry.mv_progress m set
        next_xid = cut, open_xids = p.open_xids, mark_xids = p.mark_xids, mark_times = p.mark_times,
        system_identifier = this_system, kept_before = p.kept_before, kept_xid = p.kept_xid,
        first_received_at = least(p.first_received_at, added.first_received_at)
    where m.view = which and m.next_xid = p.next_xid;
    if not found then
        raise exception using errcode = 'serialization_failure', message = 'refresh_mv: the view was told to start over meanwhile';
    end if;
    update telemetry.mv_metadata m set as_of = seen_at, complete_until = until where m.view = which;
end
$$;

-- The views that `which` names: one, or all where it is null.
create function telemetry.mv_named(which text) returns setof text
language plpgsql stable security invoker set search_path = pg_catalog, pg_temp as $$
begin
    which := regexp_replace(which, '^telemetry\.', '');
    return query select m.view from telemetry.mv_metadata m where which is null or m.view = which order by m.view;
    if not found then
        raise exception using errcode = 'invalid_parameter_value',
            message = format('no KPI view is called %L', left(which, 64)),
            hint = 'mv_kpi_checkin, mv_kpi_door2seat';
    end if;
end
$$;

-- work_mem: a first roll-up groups as many minutes as there are; everyday ones need none of it.
--
-- Refreshes one view, or each of them. Outcomes: ok; busy (another one is at it, nothing was done); failed (logged,
-- not raised: one broken view does not stop the others).
create function telemetry.refresh_mv(which text default null)
returns table (
    view text, outcome text, rows_read bigint, rows_changed bigint, caught_up boolean, complete_until timestamptz,
    error text
)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp set work_mem = '64MB' as $$
#variable_conflict use_column
declare
    started_at timestamptz;
    advanced record;
begin
    for view in select * from telemetry.mv_named(which) loop
        started_at := clock_timestamp();
        rows_read := 0;
        rows_changed := 0;
        caught_up := false;
        error := null;
        if not pg_try_advisory_xact_lock(hashtext('seatpilot.refresh'), hashtext(view)) then
            outcome := 'busy';
        else
            begin
                advanced := telemetry.mv_advance(view, false);
                outcome := 'ok';
                rows_read := advanced.rows_read;
                rows_changed := advanced.rows_changed;
                caught_up := advanced.caught_up;
            exception when others then
                outcome := 'failed';
                error := left(sqlstate || ': ' || sqlerrm, 500);
            end;
            insert into telemetry.mv_refresh_log (
                view, started_at, finished_at, duration_ms, outcome, rows_read, rows_changed, error
            )
            select
                view, started_at, f.at, extract(epoch from f.at - started_at) * 1000, outcome, rows_read, rows_changed, error
            from (select clock_timestamp()) f (at);
            delete from telemetry.mv_refresh_log l where l.started_at < now() - interval '7 days';
        end if;
        complete_until := (select m.complete_until from telemetry.mv_metadata m where m.view = refresh_mv.view);
        return next;
    end loop;
end
$$;
comment on function telemetry.refresh_mv(text) is 'Adds the events that were committed since the last refresh to a KPI view, or to each.';

-- Rolls one view, or each of them, up from the stored events again, in this transaction: readers see the old rows
-- until it commits. Raises what goes wrong.
create function telemetry.rebuild_mv(which text default null)
returns table (view text, rows_read bigint, rows_changed bigint, complete_until timestamptz)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp set work_mem = '64MB' as $$
#variable_conflict use_column
declare
    started_at timestamptz;
    advanced record;
begin
    for view in select * from telemetry.mv_named(which) loop
        perform pg_advisory_xact_lock(hashtext('seatpilot.refresh'), hashtext(view));
        started_at := clock_timestamp();
        advanced := telemetry.mv_advance(view, true);
        rows_read := advanced.rows_read;
        rows_changed := advanced.rows_changed;
        while not advanced.caught_up loop
            advanced := telemetry.mv_advance(view, false);
            rows_read := rows_read + advanced.rows_read;
            rows_changed := rows_changed + advanced.rows_changed;
        end loop;
        complete_until := advanced.until;
        insert into telemetry.mv_refresh_log (
            view, started_at, finished_at, duration_ms, outcome, rows_read, rows_changed
        )
        select
            view, started_at, f.at, extract(epoch from f.at - started_at) * 1000, 'ok', rows_read, rows_changed
        from (select clock_timestamp()) f (at);
        return next;
    end loop;
end
$$;
comment on function telemetry.rebuild_mv(text) is
    'Rolls a KPI view, or each, up from the stored events again. Needed only after events were copied in by hand, with their xid.';

-- What dashboards ask ------------------------------------------------------------------------------------------
-- security_invoker: they show what the caller may see of the tables beneath.
create view telemetry.v_mv_staleness with (security_invoker = true) as
select
    m.view, m.as_of, m.complete_until,
    greatest(extract(epoch from statement_timestamp() - m.complete_until), 0)::double precision as lag_seconds
from telemetry.mv_metadata m;
comment on view telemetry.v_mv_staleness is 'How far each KPI view lags behind now.';

create view telemetry.v_event_counts_last_hour with (security_invoker = true) as
select e.tenant_id, e.type, e.source, count(*) as events
from telemetry.events_raw e
where e.received_at > now() - interval '1 hour'
group by e.tenant_id, e.type, e.source;
comment on view telemetry.v_event_counts_last_hour is 'Events received within the last hour.';

create view telemetry.v_rejected_events_last_hour with (security_invoker = true) as
select d.tenant_id, d.reason, count(*) as events
from telemetry.events_dlq d
where d.received_at > now() - interval '1 hour'
group by d.tenant_id, d.reason;
comment on view telemetry.v_rejected_events_last_hour is
    'Dead letters of the last hour by reason. For roles that may read events_dlq; people with a login may not, and have no grant.';

grant select on telemetry.v_mv_staleness to authenticated, seatpilot_kpi;
grant select on telemetry.v_event_counts_last_hour to authenticated;

-- Owners and callers -------------------------------------------------------------------------------------------
do $$
declare
    f record;
begin
    for f in
        select p.oid::regprocedure as signature
        from pg_catalog.pg_proc p
        where p.pronamespace = 'telemetry'::regnamespace and p.proname in (
            'kpi_minutes_add', 'mv_add', 'mv_clear', 'events_raw_settle', 'mv_advance', 'mv_named', 'refresh_mv', 'rebuild_mv')
    loop
        execute format('revoke execute on function %s from public', f.signature);
        execute format('alter function %s owner to seatpilot_rollup', f.signature);
    end loop;
end
$$;
grant execute on function telemetry.refresh_mv(text), telemetry.rebuild_mv(text) to seatpilot_kpi;
revoke create on schema telemetry from seatpilot_rollup;
