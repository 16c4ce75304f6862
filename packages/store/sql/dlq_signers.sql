-- dlq_signers
select d.dlq_id, d.source_key_id
from telemetry.events_dlq d
where d.tenant_id = $1::text and d.dlq_id = any ($2::uuid[])
