-- dlq_states
select d.dlq_id, d.event_id, d.truncated, d.attempts,
    case when d.state = 'redriving' and d.lease_until < now() then 'parked' else d.state end as state
from telemetry.events_dlq d
where d.tenant_id = $1::text and d.dlq_id = any ($2::uuid[])
