-- 116_telemetry_nonces_by_tenant: the nonces' key contains the tenant, as the unique keys of all tables that grow do.
--
-- What is unique in a table that is spread over servers by tenant_id has to contain it (docs/scaling.md, Citus), and what
-- is unique beside the tenant can refuse one tenant's row for another's, and tell of it by that. Nothing is weaker by it:
-- a key's id belongs to one tenant (signing_keys_pkey), also a session key's, which names its parent; so nonce, ts and
-- key_id named the tenant already. It differs only where an owner deletes a key and gives its id to another tenant within
-- the half hour that nonces are kept: then that tenant's request is stored, where it ran into a row that it cannot see.
-- What senders of the first signed does not get in by that: the new key has a secret of its own.
--
-- The order: every look-up gives nonce, ts, key_id and slot, and its policy the tenant. The nonce comes first, since it is
-- another in each request, and the slot last, since it is one and the same in a whole partition.
--
-- On a database that serves: the table is locked while the key is built, 1.1 s for a million nonces on Postgres 15, and
-- it has those of half an hour. Signed requests wait that long, or are told 503 and sent again. No statement of a service
-- takes 3 s; behind one that does, a dump for instance, this fails rather than let all others wait behind itself: nothing
-- is changed then, and it can be tried again.

set local lock_timeout = '3s';
alter table telemetry.ingest_nonces
    drop constraint ingest_nonces_key,
    add constraint ingest_nonces_key primary key (nonce, ts, key_id, tenant_id, slot);
