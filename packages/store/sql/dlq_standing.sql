-- dlq_standing
select s.dlq_id, s.standing, s.body
from telemetry.dlq_standing(
    $1::text, $2::uuid[], $3::uuid[], $4::text[], $5::timestamptz[], $6::text[], $7::uuid[], $8::text[]) s
