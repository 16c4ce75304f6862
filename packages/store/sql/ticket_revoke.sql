-- ticket_revoke
with asked as (
    select distinct a.hash from unnest($3::bytea[]) as a (hash)
),
known as materialized (
    select t.ticket_hash, t.event_id, t.revoked_at
    from ops.tickets t join asked a on a.hash = t.ticket_hash
    where t.tenant_id = $1 and ($2::text is null or t.event_id = $2)
),
revoked as (
    update ops.tickets t set revoked_at = now()
    from known k
    where t.ticket_hash = k.ticket_hash and t.event_id = k.event_id and t.tenant_id = $1 and t.revoked_at is null
    returning 1
)
select
    (select count(*) from revoked) as revoked,
    (select count(*) from known k where k.revoked_at is not null) as already,
    (select count(*) from asked a where not exists (select from known k where k.ticket_hash = a.hash)) as unknown
