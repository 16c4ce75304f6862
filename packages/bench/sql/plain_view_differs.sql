-- Minutes of one that the other has not, or not so.
select count(*)
from telemetry.mv_kpi_checkin ours
full join public.bench_kpi other using (tenant_id, venue_id, event_id, channel, door_id, minute)
where (ours.checkins, ours.guests) is distinct from (other.checkins, other.guests)
    or abs(ours.p50_ms - other.quantiles[1]) > other.quantiles[1] / 128
    or abs(ours.p99_ms - other.quantiles[3]) > other.quantiles[3] / 128
