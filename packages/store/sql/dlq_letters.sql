-- dlq_letters
select d.dlq_id, d.reason, d.reason_detail, d.received_at, d.source_key_id, d.request_id, d.event_id, d.event_type,
    d.payload_len, d.truncated, d.attempts, d.last_reason, d.last_detail, d.last_failed_at, d.redriven_event_id,
    d.resolved_by, d.resolved_at, d.discard_reason, d.expires_at, d.payload, d.payload_sha256,
    case when d.state = 'redriving' and d.lease_until < now() then 'parked' else d.state end as state
from telemetry.events_dlq d
where d.tenant_id = $1::text and d.dlq_id = any ($2::uuid[])
