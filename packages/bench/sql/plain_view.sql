-- The KPI of check-ins as Postgres offers it: a materialized view over the raw rows, with the index that lets people read
-- while it is refreshed. Without row level security, which a materialized view cannot have.
create materialized view public.bench_kpi as
select
    e.tenant_id, e.venue_id, e.data ->> 'event_id' as event_id, e.channel, e.data ->> 'door_id' as door_id,
    date_trunc('minute', e.occurred_at, 'UTC') as minute,
    count(*) as checkins, sum((e.data ->> 'party_size')::integer) as guests,
    percentile_disc(array[0.5, 0.95, 0.99]) within group (order by (e.data ->> 'latency_ms')::double precision) as quantiles
from telemetry.events_raw e
where e.type = 'checkin.success' and e.source = 'service'
group by 1, 2, 3, 4, 5, 6;
create unique index bench_kpi_key on public.bench_kpi (tenant_id, venue_id, event_id, minute, door_id, channel);
analyze telemetry.events_raw;
