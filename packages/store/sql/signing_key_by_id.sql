-- signing_key_by_id
select tenant_id, scopes, secret, previous_secret, previous_expires_at, sealed_with, revoked from ops.signing_key_by_id($1)
