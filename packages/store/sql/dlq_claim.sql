-- dlq_claim
select c.dlq_id, c.received_at, c.payload from telemetry.dlq_claim($1::text, $2::uuid[], $3::uuid) c
