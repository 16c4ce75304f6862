-- dlq_discard
select d.dlq_id, d.outcome
from telemetry.dlq_discard($1::text, $2::text, $3::text::inet, $4::text, $5::uuid[], $6::text) d
