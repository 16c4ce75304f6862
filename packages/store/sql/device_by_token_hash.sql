-- device_by_token_hash
select device_id, tenant_id, token_hash, venues, events, doors, channels from ops.device_by_token_hash($1)
