-- 110_ops_signing_key_rotate: a key's secret is changed while it is in use, and secrets rest sealed.
--
-- A row holds a key's current secret and, for the grace after a rotation, the previous one: two columns, so never more
-- than two verify. Who writes them is the operator's command. Where it has a key file, it writes both as AES-256-GCM under
-- the same at-rest key, whose name stands beside them; the row's place is authenticated with them, so that a secret that
-- was copied to another row or column opens nowhere. Services only open. The database has no key and checks no more than
-- lengths: docs/adr/0008-secrets-at-rest.md.

alter table ops.signing_keys
    -- Of the key's SHA-256 the first eight bytes; null where the secrets stand as they were made.
    add column sealed_with text constraint signing_keys_sealed_with check (sealed_with ~ '^[0-9a-f]{16}$'),
    drop constraint signing_keys_secret,
    -- Sealed: 12 bytes of nonce before, 16 of tag behind.
    add constraint signing_keys_secret check (
        octet_length(secret) - case when sealed_with is null then 0 else 28 end between 16 and 128),
    add constraint signing_keys_previous_secret check (
        octet_length(previous_secret) - case when sealed_with is null then 0 else 28 end between 16 and 128),
    add constraint signing_keys_previous check ((previous_secret is null) = (previous_expires_at is null)),
    add constraint signing_keys_grace check (previous_expires_at >= rotated_at);
comment on column ops.signing_keys.sealed_with is 'Which at-rest key sealed secret and previous_secret; null: none.';
comment on column ops.signing_keys.rotated_at is 'When secret took the place of another; null: it is the first.';

-- One column more, which create or replace cannot add. Same owner, same grants.
drop function ops.signing_key_by_id(text);
create function ops.signing_key_by_id(id text)
returns table (
    tenant_id text, scopes text[], secret bytea, previous_secret bytea, previous_expires_at timestamptz, sealed_with text,
    revoked boolean
)
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    select k.tenant_id, k.scopes, k.secret, k.previous_secret, k.previous_expires_at, k.sealed_with,
        k.revoked_at is not null
    from ops.signing_keys k
    where k.key_id = id
$$;
-- Who is given an object must be able to make one there, at that moment.
grant create on schema ops to seatpilot_lookup;
alter function ops.signing_key_by_id(text) owner to seatpilot_lookup;
revoke create on schema ops from seatpilot_lookup;
revoke execute on function ops.signing_key_by_id(text) from public;
grant execute on function ops.signing_key_by_id(text) to seatpilot_ingest, seatpilot_wayfinding;
