-- 001_schema_core: the roles, the schemas and every table that check-in, arrival and ingest write.
--
-- Tenancy: every row carries its tenant_id; 002 forces row level security on every table. Keys lead with their
-- selective column and compare text bytewise ("C"): half of a writer's time is index work.
--
-- Functions `set search_path = pg_catalog, pg_temp` and name everything else with its schema. Not '': what is not
-- listed is searched first, so a caller's own pg_temp.text would run its checks as a security definer's owner.

-- Roles ------------------------------------------------------------------------------------------------------
-- Roles belong to the cluster, not to the database: each is made only where it is missing.
do $$
declare
    r record;
begin
    for r in
        select * from (values
            -- Supabase brings these three; a plain Postgres does not.
            ('anon', 'nologin noinherit'),
            ('authenticated', 'nologin noinherit'),
            ('service_role', 'nologin noinherit bypassrls'),
            -- The services. They own nothing and see only the tenant that a statement claims.
            ('seatpilot_checkin', 'login noinherit'),
            ('seatpilot_wayfinding', 'login noinherit'),
            ('seatpilot_ingest', 'login noinherit'),
            ('seatpilot_kpi', 'login noinherit'),
            ('seatpilot_metrics', 'login noinherit'),
            -- Owners of the few functions that look before there is a claim, or across tenants. Nobody logs in as them.
            ('seatpilot_lookup', 'nologin noinherit'),
            ('seatpilot_rollup', 'nologin noinherit'),
            ('seatpilot_retention', 'nologin noinherit')
        ) as wanted (name, options)
    loop
        if not exists (select from pg_catalog.pg_roles where rolname = r.name) then
            begin
                execute format('create role %I %s', r.name, r.options);
            exception
                when duplicate_object or unique_violation then null; -- another database of this cluster was faster
                -- An owner that is no superuser may not hand on bypassrls (15), or only its own (16 and later): then
                -- service_role is bound by the claim as everybody is.
                when insufficient_privilege then
                    if r.options !~ 'bypassrls' then
                        raise;
                    end if;
                    execute format('create role %I %s', r.name, replace(r.options, 'bypassrls', ''));
            end;
        end if;
    end loop;
end
$$;

-- To hand objects over to the nologin owners, the migrating role must be able to become them.
do $$
declare
    owner text;
begin
    if not (select rolsuper from pg_catalog.pg_roles where rolname = current_user) then
        foreach owner in array array['seatpilot_lookup', 'seatpilot_rollup', 'seatpilot_retention'] loop
            execute format('grant %I to %I', owner, current_user);
        end loop;
    end if;
end
$$;

-- One plan for every batch size: a custom plan turns to a sequential scan of the tickets at 20,000 rows. The
-- timeouts are those of docs/reliability: statement < deadline < client.
do $$
declare
    r record;
begin
    for r in
        select * from (values
            ('seatpilot_checkin', '750ms', '200ms'),
            ('seatpilot_wayfinding', '750ms', '200ms'),
            ('seatpilot_ingest', '2000ms', '500ms'),
            ('seatpilot_kpi', '60s', '2s'),
            ('seatpilot_metrics', '2000ms', '500ms')
        ) as wanted (name, statement_timeout, lock_timeout)
    loop
        execute format('alter role %I set plan_cache_mode = force_generic_plan', r.name);
        execute format('alter role %I set statement_timeout = %L', r.name, r.statement_timeout);
        execute format('alter role %I set lock_timeout = %L', r.name, r.lock_timeout);
        execute format('alter role %I set idle_in_transaction_session_timeout = %L', r.name, '2s');
        execute format('alter role %I set jit = off', r.name);
        execute format('alter role %I set search_path = %L', r.name, '');
    end loop;
end
$$;

-- Schemas ----------------------------------------------------------------------------------------------------
create schema if not exists auth;
create schema if not exists ops;
create schema if not exists telemetry;
create schema if not exists app;
comment on schema ops is 'The venue and its evening: tenants, venues, events, doors, tickets, devices, sessions.';
comment on schema telemetry is 'What happened: events, the dead-letter queue, KPIs.';
comment on schema app is 'Plans, entitlements, metering, billing.';

revoke create on schema public from public;
grant usage on schema ops, telemetry to authenticated,
    seatpilot_checkin, seatpilot_wayfinding, seatpilot_ingest, seatpilot_kpi, seatpilot_metrics,
    seatpilot_lookup, seatpilot_rollup, seatpilot_retention;

do $$
begin
    if to_regprocedure('auth.jwt()') is null then
        execute $f$
            create function auth.jwt() returns jsonb language sql stable set search_path = pg_catalog, pg_temp as $body$
                select nullif(current_setting('request.jwt.claims', true), '')::jsonb
            $body$
        $f$;
        grant usage on schema auth to anon, authenticated, service_role;
    end if;
end
$$;

-- The tenant of the caller's claim, or null. A setting that a transaction has set once reads '' afterwards, not
-- null: both mean "no claim", and no claim sees no row. user_metadata is the user's own text: never read.
create function telemetry.claim_tenant_id() returns text
language sql stable set search_path = pg_catalog, pg_temp as $$
    select coalesce(nullif(claim #>> '{app_metadata,tenant_id}', ''), nullif(claim ->> 'tenant_id', ''))
    from (select nullif(current_setting('request.jwt.claims', true), '')::jsonb) as claims (claim)
$$;
comment on function telemetry.claim_tenant_id() is
    'Tenant of request.jwt.claims (app_metadata.tenant_id, else top-level tenant_id); null without a claim.';

-- Puts a tenant's claim on the running transaction only. For a single statement that is the statement.
create function telemetry.claim(tenant text) returns void
language sql volatile set search_path = pg_catalog, pg_temp as $$
    select set_config('request.jwt.claims', jsonb_build_object('tenant_id', tenant)::text, true)
$$;

-- UUIDv7 for rows that SQL makes by itself (dead letters). Postgres 18 has its own.
create function telemetry.uuid_v7() returns uuid
language sql volatile set search_path = pg_catalog, pg_temp as $$
    select encode(
        set_bit(set_bit(overlay(
            uuid_send(gen_random_uuid())
            placing substring(int8send((extract(epoch from clock_timestamp()) * 1000)::bigint) from 3) from 1 for 6
        ), 52, 1), 53, 1), 'hex')::uuid
$$;

create domain ops.slug as text collate "C"
    constraint slug check (value ~ '^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$');
comment on domain ops.slug is 'An identifier of the wire contract, section 0.';

-- ops --------------------------------------------------------------------------------------------------------
create table ops.tenants (
    tenant_id ops.slug primary key,
    name text not null,
    created_at timestamptz not null default now()
);
comment on table ops.tenants is 'The customers.';

create table ops.venues (
    tenant_id ops.slug not null references ops.tenants,
    venue_id ops.slug not null,
    name text not null,
    time_zone text not null,
    map_revision bigint not null default 0,
    primary key (venue_id, tenant_id)
);
comment on column ops.venues.time_zone is 'IANA name; decides which day and month an event belongs to.';
comment on column ops.venues.map_revision is 'Counts publications of the map; 0 = none yet.';

create table ops.venue_maps (
    tenant_id ops.slug not null,
    venue_id ops.slug not null,
    document bytea not null,
    published_at timestamptz not null default now(),
    primary key (venue_id, tenant_id),
    foreign key (venue_id, tenant_id) references ops.venues
);
comment on column ops.venue_maps.document is 'The venue as packages/venue-graph serialises it.';

create table ops.doors (
    tenant_id ops.slug not null,
    venue_id ops.slug not null,
    door_id ops.slug not null,
    name text not null,
    primary key (venue_id, door_id, tenant_id),
    foreign key (venue_id, tenant_id) references ops.venues
);

create table ops.sections (
    tenant_id ops.slug not null,
    venue_id ops.slug not null,
    section ops.slug not null,
    name text not null,
    primary key (venue_id, section, tenant_id),
    foreign key (venue_id, tenant_id) references ops.venues
);

create table ops.tables (
    tenant_id ops.slug not null,
    venue_id ops.slug not null,
    table_id ops.slug not null,
    section ops.slug,
    name text not null,
    primary key (venue_id, table_id, tenant_id),
    foreign key (venue_id, tenant_id) references ops.venues
);

create table ops.seats (
    tenant_id ops.slug not null,
    venue_id ops.slug not null,
    seat_id ops.slug not null,
    table_id ops.slug,
    section ops.slug,
    name text not null,
    primary key (venue_id, seat_id, tenant_id),
    foreign key (venue_id, tenant_id) references ops.venues
);

create table ops.events (
    tenant_id ops.slug not null,
    event_id ops.slug not null,
    venue_id ops.slug not null,
    name text not null,
    opens_at timestamptz not null default now(),
    created_at timestamptz not null default now(),
    primary key (event_id, tenant_id),
    foreign key (venue_id, tenant_id) references ops.venues
);
comment on table ops.events is 'Evenings. An event never changes its venue: services cache that.';

create table ops.tickets (
    tenant_id text collate "C" not null,
    event_id text collate "C" not null,
    ticket_hash bytea not null,
    ticket_id uuid not null,
    name text not null,
    party_size smallint not null constraint tickets_party_size check (party_size between 1 and 50),
    section ops.slug,
    table_id ops.slug,
    seat_id ops.slug,
    doors text[] not null default '{}',
    valid_from timestamptz,
    valid_until timestamptz,
    profile text constraint tickets_profile check (profile in ('walk', 'step_free')),
    revoked_at timestamptz,
    imported_at timestamptz not null default now(),
    constraint tickets_key primary key (ticket_hash, tenant_id, event_id),
    constraint tickets_hash_is_sha256 check (octet_length(ticket_hash) = 32),
    foreign key (event_id, tenant_id) references ops.events
);
comment on table ops.tickets is 'The guest lists. The code on the ticket is never stored, only its SHA-256.';
comment on column ops.tickets.doors is 'Doors where it is good; empty = any.';
create index tickets_event on ops.tickets (event_id, tenant_id);

create table ops.devices (
    device_id uuid primary key,
    tenant_id ops.slug not null references ops.tenants,
    name text not null,
    token_hash bytea not null,
    venues text[],
    events text[],
    doors text[],
    channels text[],
    created_at timestamptz not null default now(),
    revoked_at timestamptz,
    constraint devices_token_hash unique (token_hash),
    constraint devices_token_hash_is_sha256 check (octet_length(token_hash) = 32)
);
comment on table ops.devices is 'Gates, phones, kiosks, desks and signs. A null limit = not limited.';
-- token_hash and key_id are unique without the tenant: they are what says whose the caller is.

create table ops.signing_keys (
    key_id text collate "C" primary key constraint signing_keys_key_id check (key_id ~ '^[A-Za-z0-9_-]{8,64}$'),
    tenant_id ops.slug not null references ops.tenants,
    scopes text[] not null constraint signing_keys_scopes check (scopes <@ array['ingest', 'arrive']),
    secret bytea not null constraint signing_keys_secret check (octet_length(secret) between 16 and 128),
    previous_secret bytea,
    previous_expires_at timestamptz,
    created_at timestamptz not null default now(),
    rotated_at timestamptz,
    revoked_at timestamptz
);
comment on column ops.signing_keys.previous_secret is 'Verifies until previous_expires_at, after a rotation.';

create table ops.checkin_sessions (
    session_id uuid not null,
    scan_id uuid not null,
    ticket_id uuid not null,
    device_id uuid not null,
    checked_in_at timestamptz not null,
    recorded_at timestamptz not null default now(),
    arrived_at timestamptz,
    arrival_recorded_at timestamptz,
    arrival_ping_id uuid,
    tenant_id text collate "C" not null,
    venue_id text collate "C" not null,
    event_id text collate "C" not null,
    door_id text collate "C" not null,
    channel text not null constraint checkin_sessions_channel check (channel in ('mobile', 'kiosk', 'desk', 'signage')),
    party_size smallint not null,
    section text,
    table_id text,
    seat_id text,
    profile text,
    arrival_sign_id text,
    fingerprint bytea not null,
    constraint checkin_sessions_key primary key (session_id, tenant_id),
    -- Replays of a scan find the first answer by this, ...
    constraint checkin_sessions_scan unique (scan_id, tenant_id),
    -- ... and this is the one thing that admits a ticket once, on any number of instances.
    constraint checkin_sessions_ticket unique (ticket_id, tenant_id),
    constraint checkin_sessions_not_before_the_door check (arrived_at >= checked_in_at)
) with (fillfactor = 85);
comment on table ops.checkin_sessions is 'One row an admission; the arrival is written into it (room is left for that).';
comment on column ops.checkin_sessions.fingerprint is 'SHA-256 over the members of the request that was admitted.';
comment on column ops.checkin_sessions.profile is 'The ticket''s profile at admission, for the way of a replay.';

-- telemetry --------------------------------------------------------------------------------------------------
-- Events live in daily partitions by receipt, so that a day's retention is a drop. A partitioned table cannot
-- hold a key across its partitions, so event_ids is the one place where (tenant_id, id) is unique across time.
-- See docs/adr/0002-event-layout.md.
create table telemetry.events_raw (
    received_at timestamptz not null default now(),
    occurred_at timestamptz not null,
    id uuid not null,
    session_id uuid,
    xid xid8 not null default pg_current_xact_id(),
    tenant_id text collate "C" not null,
    type text not null,
    source text not null,
    venue_id text collate "C" not null,
    channel text,
    data jsonb not null
) partition by range (received_at);
comment on table telemetry.events_raw is 'Every accepted event, in the order received.';
comment on column telemetry.events_raw.source is '"service" where check-in or arrival wrote it, else the key''s id.';
comment on column telemetry.events_raw.xid is
    'The transaction that wrote it: what lies below the oldest running transaction is complete, so the roll-up misses nothing.';
create index events_raw_xid on telemetry.events_raw (xid);
create index events_raw_received on telemetry.events_raw using brin (received_at);
create table telemetry.events_raw_rest partition of telemetry.events_raw default;
comment on table telemetry.events_raw_rest is 'Catches what has no day yet; empty while partitions are made ahead.';

create table telemetry.event_ids (
    id uuid not null,
    received_on date not null default current_date,
    tenant_id text collate "C" not null,
    body_sha256 bytea not null,
    constraint event_ids_key primary key (id, tenant_id)
);
comment on table telemetry.event_ids is 'Each event id of the last 40 days, once.';
comment on column telemetry.event_ids.body_sha256 is
    'SHA-256 over the event''s members as jsonb prints them; empty for events of our own services.';
create index event_ids_received on telemetry.event_ids using brin (received_on);

-- Nonces live in a ring of eight partitions of five minutes each: what is older than 660 s is truncated a
-- partition at a time, never deleted row by row and never evicted by size.
create table telemetry.ingest_nonces (
    ts bigint not null,
    slot smallint not null,
    tenant_id text collate "C" not null,
    key_id text collate "C" not null,
    nonce text collate "C" not null,
    body_sha256 bytea not null,
    outcomes text[] not null,
    constraint ingest_nonces_key primary key (nonce, ts, key_id, slot),
    constraint ingest_nonces_slot check (slot = (ts / 300) % 8)
) partition by list (slot);
comment on table telemetry.ingest_nonces is 'Each signed request that reached the store, with what it was answered.';
comment on column telemetry.ingest_nonces.outcomes is 'One word an item, in the order sent: accepted, duplicate, or a reject reason; for an arrival its session.';
do $$
begin
    for slot in 0..7 loop
        execute format('create table telemetry.ingest_nonces_%s partition of telemetry.ingest_nonces for values in (%s)', slot, slot);
    end loop;
end
$$;

create table telemetry.events_dlq (
    dlq_id uuid not null default telemetry.uuid_v7(),
    tenant_id text collate "C" not null,
    reason text not null,
    reason_detail text not null constraint events_dlq_detail check (char_length(reason_detail) <= 512),
    received_at timestamptz not null,
    source_key_id text not null,
    request_id text not null,
    payload bytea not null constraint events_dlq_payload check (octet_length(payload) <= 65536),
    payload_len integer not null,
    payload_sha256 bytea not null,
    truncated boolean not null,
    event_id uuid,
    event_type text,
    attempts integer not null default 0,
    state text not null default 'parked'
        constraint events_dlq_state check (state in ('parked', 'redriving', 'redriven', 'discarded')),
    lease_token uuid,
    lease_until timestamptz,
    redriven_event_id uuid,
    resolved_by text,
    resolved_at timestamptz,
    expires_at timestamptz not null default now() + interval '30 days',
    constraint events_dlq_key primary key (dlq_id, tenant_id)
);
comment on table telemetry.events_dlq is 'Authenticated items that were refused, bytes as sent: jsonb could not hold what is wrong with some.';
create index events_dlq_tenant on telemetry.events_dlq (tenant_id, received_at);

-- What changes while services run is told to them: they hold caches of what a claim may read.
create function ops.tell_services() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    perform pg_notify('seatpilot', tg_argv[0]);
    return null;
end
$$;
create trigger devices_tell after insert or update or delete on ops.devices
    for each statement execute function ops.tell_services('devices');
create trigger signing_keys_tell after insert or update or delete on ops.signing_keys
    for each statement execute function ops.tell_services('signing_keys');
create trigger venues_tell after insert or update or delete on ops.venues
    for each statement execute function ops.tell_services('venues');
create trigger doors_tell after insert or update or delete on ops.doors
    for each statement execute function ops.tell_services('venues');
create trigger events_tell after insert or update or delete on ops.events
    for each statement execute function ops.tell_services('venues');
create trigger tenants_tell after insert or update or delete on ops.tenants
    for each statement execute function ops.tell_services('tenants');
