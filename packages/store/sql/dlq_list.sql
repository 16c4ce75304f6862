-- dlq_list
select d.dlq_id, d.reason, d.reason_detail, d.received_at, d.source_key_id, d.request_id, d.event_id, d.event_type,
    d.payload_len, d.truncated, d.attempts, d.last_reason, d.last_detail, d.last_failed_at, d.redriven_event_id,
    d.resolved_by, d.resolved_at, d.discard_reason, d.expires_at, s.state
from telemetry.events_dlq d
cross join lateral (
    -- A lease that is over is none.
    select case when d.state = 'redriving' and d.lease_until < now() then 'parked' else d.state end as state
) s
where d.tenant_id = $1::text
    and ($2::text is null or d.reason = $2)
    and ($3::text is null or d.event_type = $3)
    and ($4::text is null or d.source_key_id = $4)
    and ($5::text is null or s.state = $5)
    and d.received_at >= coalesce($6::timestamptz, '-infinity') and d.received_at < coalesce($7::timestamptz, 'infinity')
    and (d.received_at, d.dlq_id)
        < (coalesce($8::timestamptz, 'infinity'), coalesce($9::uuid, '00000000-0000-0000-0000-000000000000'))
order by d.received_at desc, d.dlq_id desc
limit $10::bigint
