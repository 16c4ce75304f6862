-- dlq_settle
select s.dlq_id, s.outcome
from telemetry.dlq_settle(
    $1::text, $2::text, $3::text::inet, $4::text, $5::uuid, $6::uuid[], $7::uuid[], $8::text[], $9::timestamptz[],
    $10::text[], $11::uuid[], $12::text[], $13::text[], $14::text[]) s
