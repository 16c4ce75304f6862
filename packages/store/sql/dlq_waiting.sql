-- dlq_waiting
select d.dlq_id, d.received_at
from telemetry.events_dlq d
where d.tenant_id = $1::text and d.state in ('parked', 'redriving')
    and (d.state = 'parked' or d.lease_until < now())
    and ($2::text is null or d.reason = $2)
    and ($3::text is null or d.event_type = $3)
    and ($4::text is null or d.source_key_id = $4)
    and d.received_at >= coalesce($5::timestamptz, '-infinity') and d.received_at < coalesce($6::timestamptz, 'infinity')
    -- Those that may be sent again; null: all that wait.
    and ($7::integer is null or d.attempts < $7 and not d.truncated)
    and (d.received_at, d.dlq_id)
        > (coalesce($8::timestamptz, '-infinity'), coalesce($9::uuid, '00000000-0000-0000-0000-000000000000'))
order by d.received_at, d.dlq_id
limit $10::bigint
