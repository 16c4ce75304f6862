-- 016_audit_log: who did what to whom, in a log that only grows, and people's own reads under their own claims.
--
-- One row for each administrative act, written in the transaction of the act by audit.append and by nothing else. Each
-- row carries the hash of the one before it, one chain a tenant, so that a row that is changed, removed or moved is
-- found (`seatpilot audit verify`). The head of each chain is kept apart: a log that was cut at its end does not reach
-- it. Whoever may write both tables as their owner can forge both; that needs a head that was noted elsewhere.
--
-- Security definer: audit.append, owned by seatpilot_audit, which sees one tenant, by the claim, as everybody does.

do $$
begin
    if not exists (select from pg_catalog.pg_roles where rolname = 'seatpilot_audit') then
        begin
            create role seatpilot_audit nologin noinherit;
        exception
            when duplicate_object or unique_violation then null; -- another database of this cluster was faster
        end;
    end if;
    if not (select rolsuper from pg_catalog.pg_roles where rolname = current_user) then
        execute format('grant seatpilot_audit to %I', current_user);
    end if;
end
$$;

create schema if not exists audit;
comment on schema audit is 'What administrators and operators did.';
grant usage on schema audit to authenticated, seatpilot_ingest, seatpilot_audit;
grant usage on schema telemetry to seatpilot_audit;

-- People --------------------------------------------------------------------------------------------------------
-- The role of the caller's claim, or null; policies ask it beside the tenant. user_metadata is the user's own text.
create or replace function telemetry.claim_role() returns text
language sql stable set search_path = pg_catalog, pg_temp as $$
    select nullif(claim #>> '{app_metadata,seatpilot_role}', '')
    from (select nullif(current_setting('request.jwt.claims', true), '')::jsonb) as claims (claim)
$$;
comment on function telemetry.claim_role() is
    'viewer, editor, admin or owner, as request.jwt.claims say (app_metadata.seatpilot_role); null without a claim.';
revoke execute on function telemetry.claim_role() from public;
grant execute on function telemetry.claim_role() to public;

-- telemetry-ingest serves people: what they read, it reads as the role that Supabase gives them. It inherits nothing:
-- what is not done with `set local role authenticated` is done as before.
grant authenticated to seatpilot_ingest;

-- The log -------------------------------------------------------------------------------------------------------
create table audit.log (
    tenant_id ops.slug not null,
    seq bigint not null,
    at timestamptz not null,
    actor_type text not null,
    actor_id text not null,
    role text,
    ip inet,
    request_id text,
    action text not null,
    target_type text not null,
    target_id text not null,
    before jsonb,
    after jsonb,
    result text not null,
    prev_hash bytea not null,
    hash bytea not null,
    constraint log_pkey primary key (tenant_id, seq),
    constraint log_actor_type check (actor_type in ('operator', 'person', 'service')),
    constraint log_role check (role in ('viewer', 'editor', 'admin', 'owner')),
    constraint log_result check (result in ('ok', 'refused')),
    constraint log_texts check (
        length(actor_id) between 1 and 255 and length(action) between 1 and 64
        and length(target_type) between 1 and 64 and length(target_id) between 0 and 255
        and length(request_id) between 1 and 128),
    constraint log_documents check (
        octet_length(before::text) <= 65536 and octet_length(after::text) <= 65536),
    constraint log_hashes check (octet_length(prev_hash) = 32 and octet_length(hash) = 32)
);
comment on table audit.log is
    'Administrative acts; append only. It names ids, never people or secrets. No reference to ops.tenants: it outlives them.';
comment on column audit.log.at is 'When the act was written, by the clock, under the lock of the chain: never before the row before it, unless the clock was set back.';
comment on column audit.log.role is 'Of a person, by the claim.';
comment on column audit.log.hash is
    'SHA-256 of prev_hash and of each other column in its order, as text in UTF-8, each with its length before it as four bytes (big endian), -1 for null. `at` is in microseconds since 1970.';

create table audit.heads (
    tenant_id ops.slug not null constraint heads_pkey primary key,
    seq bigint not null,
    hash bytea not null,
    constraint heads_hash check (octet_length(hash) = 32)
);
comment on table audit.heads is 'Where each chain ends: its last row''s number and hash. Locked by who appends.';

-- A code of a login link is good once, on every instance and across restarts: its use is a row of the log.
create unique index log_login_codes on audit.log (tenant_id, target_id)
    where action = 'session.open' and target_type = 'login_code';

alter table audit.log enable row level security;
alter table audit.log force row level security;
alter table audit.heads enable row level security;
alter table audit.heads force row level security;
create policy log_tenant_isolation_select on audit.log for select
    using ((select telemetry.claim_tenant_id()) = tenant_id);
create policy log_tenant_isolation_insert on audit.log for insert
    with check ((select telemetry.claim_tenant_id()) = tenant_id);
create policy heads_tenant_isolation_select on audit.heads for select
    using ((select telemetry.claim_tenant_id()) = tenant_id);
create policy heads_tenant_isolation_insert on audit.heads for insert
    with check ((select telemetry.claim_tenant_id()) = tenant_id);
create policy heads_tenant_isolation_update on audit.heads for update
    using ((select telemetry.claim_tenant_id()) = tenant_id)
    with check ((select telemetry.claim_tenant_id()) = tenant_id);
-- Of people, owners read it.
create policy log_owners_only on audit.log as restrictive for select to authenticated
    using ((select telemetry.claim_role()) = 'owner');
grant select on audit.log to authenticated;
grant select, insert on audit.log to seatpilot_audit;
grant select, insert, update on audit.heads to seatpilot_audit;

-- For who has the right to: the owner, a superuser. They would have to disable it first, and the hash still tells.
create function audit.refuse() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    raise exception '% on %.% is refused: the log only grows', tg_op, tg_table_schema, tg_table_name
        using errcode = 'insufficient_privilege';
end
$$;
create trigger log_only_grows before update or delete or truncate on audit.log
    for each statement execute function audit.refuse();
create trigger heads_stay before delete or truncate on audit.heads
    for each statement execute function audit.refuse();

create function audit.field(value text) returns bytea
language sql immutable set search_path = pg_catalog, pg_temp as $$
    select case
        when value is null then int4send(-1)
        else int4send(octet_length(convert_to(value, 'UTF8'))) || convert_to(value, 'UTF8')
    end
$$;

create function audit.hash_of(entry audit.log) returns bytea
language sql immutable set search_path = pg_catalog, pg_temp as $$
    select sha256(
        entry.prev_hash
        || audit.field(entry.tenant_id) || audit.field(entry.seq::text)
        || audit.field((extract(epoch from entry.at) * 1000000)::bigint::text)
        || audit.field(entry.actor_type) || audit.field(entry.actor_id) || audit.field(entry.role)
        || audit.field(host(entry.ip)) || audit.field(entry.request_id)
        || audit.field(entry.action) || audit.field(entry.target_type) || audit.field(entry.target_id)
        || audit.field(entry.before::text) || audit.field(entry.after::text) || audit.field(entry.result))
$$;

-- Appends a row to the chain of the claimed tenant. Who a person is, is what the claims in force say, not an argument.
create function audit.append(
    actor_type text, actor_id text, action text, target_type text, target_id text,
    before jsonb default null, after jsonb default null, result text default 'ok',
    ip inet default null, request_id text default null
) returns table (seq bigint, hash bytea)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_variable
declare
    entry audit.log;
    head audit.heads;
begin
    entry.tenant_id := telemetry.claim_tenant_id();
    if entry.tenant_id is null then
        raise exception 'an act is somebody''s: no tenant is claimed' using errcode = 'insufficient_privilege';
    end if;
    -- One after the other, until the transaction of each has ended.
    insert into audit.heads as h (tenant_id, seq, hash) values (entry.tenant_id, 0, sha256(''::bytea))
        on conflict on constraint heads_pkey do nothing;
    select h.* into strict head from audit.heads h where h.tenant_id = entry.tenant_id for update;

    entry.seq := head.seq + 1;
    entry.at := clock_timestamp();
    entry.actor_type := actor_type;
    entry.actor_id := actor_id;
    if actor_type = 'person' then
        entry.actor_id := coalesce(
            nullif(nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub', ''), 'unnamed');
        entry.role := telemetry.claim_role();
    end if;
    entry.ip := ip;
    entry.request_id := request_id;
    entry.action := action;
    entry.target_type := target_type;
    entry.target_id := target_id;
    entry.before := before;
    entry.after := after;
    entry.result := result;
    entry.prev_hash := head.hash;
    entry.hash := audit.hash_of(entry);
    insert into audit.log select entry.*;
    update audit.heads h set seq = entry.seq, hash = entry.hash where h.tenant_id = entry.tenant_id;
    return query select entry.seq, entry.hash;
end
$$;
comment on function audit.append(text, text, text, text, text, jsonb, jsonb, text, inet, text) is
    'The only way into the log: one row of the claimed tenant, in the transaction of the act.';

grant create on schema audit to seatpilot_audit;
alter function audit.append(text, text, text, text, text, jsonb, jsonb, text, inet, text) owner to seatpilot_audit;
revoke create on schema audit from seatpilot_audit;
revoke execute on all functions in schema audit from public;
grant execute on function audit.field(text), audit.hash_of(audit.log) to seatpilot_audit;
grant execute on function audit.append(text, text, text, text, text, jsonb, jsonb, text, inet, text)
    to seatpilot_ingest;
