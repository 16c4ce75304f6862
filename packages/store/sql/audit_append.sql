-- audit_append
select a.seq, a.hash
from audit.append($1::text, $2::text, $3::text, $4::text, $5::text, $6::jsonb, $7::jsonb, 'ok', $8::text::inet, $9::text) a
