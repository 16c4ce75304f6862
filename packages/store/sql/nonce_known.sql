-- nonce_known
select exists (
    select from telemetry.ingest_nonces n
    where n.nonce = $1 and n.ts = $2 and n.key_id = $3 and n.slot = (($2 / 300) % 8)::smallint
) as known
