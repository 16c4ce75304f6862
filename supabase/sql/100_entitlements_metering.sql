-- 100_entitlements_metering: what a venue may use, what it used, and what that costs.
--
-- A plan has a base price and entitlements; a tenant has a plan from some month on. Usage is counted from committed
-- events only (101) into a counter a month. docs/billing.md has the rules in words; the short of it:
--   * the month is the event's own, in the time zone of its venue (UTC where the venue is not known);
--   * what was received within 72 h after that month's end is on time; later, it is an adjustment in the month of
--     its receipt;
--   * money is in whole minor units of the plan's currency.
--
-- Security definer functions, owned by seatpilot_billing, which sees all tenants by policies of its own:
--   app.metering_roll, app.ops_metering_seed_daily       kpi-refresher, or pg_cron
--   app.billing_close_month                              operators

do $$
begin
    if not exists (select from pg_catalog.pg_roles where rolname = 'seatpilot_billing') then
        begin
            create role seatpilot_billing nologin noinherit;
        exception
            when duplicate_object or unique_violation then null; -- another database of this cluster was faster
        end;
    end if;
    if not (select rolsuper from pg_catalog.pg_roles where rolname = current_user) then
        execute format('grant seatpilot_billing to %I', current_user);
    end if;
end
$$;
grant usage on schema app to authenticated, seatpilot_checkin, seatpilot_wayfinding, seatpilot_ingest, seatpilot_kpi,
    seatpilot_billing;
grant usage on schema ops, telemetry to seatpilot_billing;
grant create on schema app to seatpilot_billing; -- until 107: who is given a function must be able to make one there

create domain app.period as text collate "C"
    constraint period check (value ~ '^[0-9]{4}-(0[1-9]|1[0-2])$');
comment on domain app.period is 'A month, YYYY-MM.';

-- What is sold -------------------------------------------------------------------------------------------------
create table app.currencies (
    currency text collate "C" constraint currencies_key primary key constraint currencies_code check (currency ~ '^[A-Z]{3}$'),
    minor_digits smallint not null constraint currencies_minor_digits check (minor_digits between 0 and 4)
);
comment on table app.currencies is 'ISO 4217: how many digits of an amount stand behind the point. No tenant''s data.';
insert into app.currencies (currency, minor_digits) values
    ('EUR', 2), ('USD', 2), ('GBP', 2), ('CHF', 2), ('MXN', 2), ('ARS', 2), ('CLP', 0), ('COP', 2), ('BRL', 2),
    ('CAD', 2), ('AUD', 2), ('SEK', 2), ('JPY', 0), ('KRW', 0), ('KWD', 3), ('BHD', 3), ('TND', 3);

create table app.features (
    feature text collate "C" constraint features_key primary key,
    kind text not null constraint features_kind check (kind in ('boolean', 'static', 'metered')),
    unit text not null,
    meaning text not null
);
comment on table app.features is 'What a plan can speak of: a closed set. No tenant''s data.';
comment on column app.features.meaning is 'As it stands on a bill; app.v_metered_events says which events count.';
insert into app.features (feature, kind, unit, meaning) values
    ('checkins', 'metered', 'admission', 'Tickets admitted'),
    ('arrivals', 'metered', 'arrival', 'Arrivals at a seat'),
    ('events', 'metered', 'event', 'Telemetry events of senders'),
    ('routes', 'metered', 'route', 'Routes answered'),
    ('devices', 'metered', 'device', 'Devices that admitted a guest'),
    ('seats', 'metered', 'assignment', 'Seats assigned'),
    ('data_days', 'static', 'day', 'Days that telemetry is promised to be kept'),
    ('priority_support', 'boolean', '', 'Calls are answered at night');

create table app.plans (
    plan_id ops.slug constraint plans_key primary key,
    name text not null,
    currency text not null references app.currencies,
    base_price_minor bigint not null constraint plans_base_price check (base_price_minor between 0 and 1000000000000),
    created_at timestamptz not null default now()
);
comment on table app.plans is 'The price list. No tenant''s data.';
comment on column app.plans.base_price_minor is 'A month, in minor units of the currency.';

create table app.entitlements (
    plan_id ops.slug not null references app.plans,
    feature text collate "C" not null references app.features,
    enabled boolean not null default true,
    value bigint,
    limit_quantity bigint constraint entitlements_limit check (limit_quantity >= 0),
    limit_kind text constraint entitlements_limit_kind check (limit_kind in ('soft', 'hard')),
    resets text not null default 'monthly' constraint entitlements_resets check (resets in ('monthly')),
    overage_price_minor bigint not null default 0
        constraint entitlements_overage_price check (overage_price_minor between 0 and 1000000000000),
    overage_per bigint not null default 1 constraint entitlements_overage_per check (overage_per between 1 and 1000000000),
    constraint entitlements_key primary key (plan_id, feature),
    constraint entitlements_limit_is_whole check ((limit_quantity is null) = (limit_kind is null))
);
comment on table app.entitlements is 'What each plan includes. A feature that is not named is not limited and costs nothing. No tenant''s data.';
comment on column app.entitlements.value is 'Of a static feature.';
comment on column app.entitlements.limit_quantity is 'Included in the base price; null = without limit.';
comment on column app.entitlements.limit_kind is
    'soft: what is over it is counted, warned of and charged. hard: what would go over it is refused, except check-in.';
comment on column app.entitlements.overage_price_minor is 'Price of every overage_per units over the limit.';

create table app.tenant_plans (
    tenant_id ops.slug not null references ops.tenants,
    from_period app.period not null,
    plan_id ops.slug not null references app.plans,
    constraint tenant_plans_key primary key (tenant_id, from_period)
);
comment on table app.tenant_plans is 'Which plan a tenant has from which month on. None: nothing is limited, nothing is charged.';

create table app.entitlement_overrides (
    tenant_id ops.slug not null references ops.tenants,
    feature text collate "C" not null references app.features,
    limit_quantity bigint constraint entitlement_overrides_limit check (limit_quantity >= 0),
    limit_kind text constraint entitlement_overrides_limit_kind check (limit_kind in ('soft', 'hard')),
    reason text not null,
    constraint entitlement_overrides_key primary key (tenant_id, feature),
    constraint entitlement_overrides_limit_is_whole check ((limit_quantity is null) = (limit_kind is null))
);
comment on table app.entitlement_overrides is 'Another limit than the plan''s, agreed with one tenant. Its price stays the plan''s.';

-- What was used ------------------------------------------------------------------------------------------------
create table app.monthly_counters (
    tenant_id text collate "C" not null,
    period app.period not null,
    feature text collate "C" not null references app.features,
    for_period app.period not null,
    venue_id text collate "C" not null,
    quantity bigint not null default 0,
    updated_at timestamptz not null default now(),
    constraint monthly_counters_key primary key (tenant_id, period, feature, for_period, venue_id)
) with (fillfactor = 85);
comment on table app.monthly_counters is 'Usage by month, as counted from committed events.';
comment on column app.monthly_counters.period is 'The month that it is billed in.';
comment on column app.monthly_counters.for_period is 'The month that it happened in; earlier than period for what came late.';
comment on column app.monthly_counters.venue_id is 'Empty for devices, and where an event names a venue that does not exist.';

create table app.active_devices (
    tenant_id text collate "C" not null,
    for_period app.period not null,
    device_id uuid not null,
    period app.period not null,
    event_id uuid not null,
    constraint active_devices_key primary key (tenant_id, for_period, device_id)
);
comment on table app.active_devices is 'Devices that admitted a guest in a month, once each.';
comment on column app.active_devices.event_id is 'The check-in that it is counted for.';

create table app.late_events (
    tenant_id text collate "C" not null,
    id uuid not null,
    due_period app.period not null,
    period app.period not null,
    constraint late_events_key primary key (tenant_id, id)
);
comment on table app.late_events is
    'Events that were stored after their month had been closed although received in time (a redriven dead letter): billed in `period`.';

create table app.metering_progress (
    single boolean not null default true constraint metering_progress_key primary key constraint metering_progress_one check (single),
    next_xid xid8,
    open_xids xid8[] not null default '{}',
    mark_xids xid8[] not null default '{}',
    mark_times timestamptz[] not null default '{}',
    again_below xid8 not null default '0',
    system_identifier bigint,
    as_of timestamptz,
    complete_until timestamptz not null default 'epoch'
);
comment on table app.metering_progress is 'How far counting is, as telemetry.mv_progress. No tenant''s data.';
comment on column app.metering_progress.again_below is
    'Transactions below this were counted before counting started over: what they hold for a closed month is in it.';
insert into app.metering_progress default values;

create table app.job_runs (
    job text not null,
    day date not null,
    driver text not null constraint job_runs_driver check (driver in ('pg_cron', 'kpi-refresher', 'operator')),
    ran_at timestamptz not null default now(),
    constraint job_runs_key primary key (job, day)
);
comment on table app.job_runs is 'Daily jobs that ran, and who drove them: each once a day. No tenant''s data.';

-- What is billed -----------------------------------------------------------------------------------------------
create table app.billing_periods (
    tenant_id text collate "C" not null,
    period app.period not null,
    tenant_name text not null,
    plan_id text not null,
    plan_name text not null,
    currency text not null,
    total_minor bigint not null,
    lines integer not null,
    counted_until timestamptz not null,
    closed_at timestamptz not null default now(),
    closed_by text not null,
    sha256 bytea not null constraint billing_periods_sha256 check (octet_length(sha256) = 32),
    constraint billing_periods_key primary key (tenant_id, period)
);
comment on table app.billing_periods is 'Closed months. A row is never changed and never removed.';
comment on column app.billing_periods.sha256 is 'SHA-256 of the month''s CSV, header and line ends included.';

create table app.billing_lines (
    tenant_id text collate "C" not null,
    period app.period not null,
    line integer not null,
    kind text not null constraint billing_lines_kind check (kind in ('base', 'usage', 'adjustment', 'credit')),
    feature text collate "C" not null,
    for_period app.period not null,
    quantity bigint not null,
    included bigint,
    billable bigint not null,
    unit_price_minor bigint not null,
    unit_per bigint not null,
    amount_minor bigint not null,
    description text not null,
    credit_id uuid,
    constraint billing_lines_key primary key (tenant_id, period, line),
    constraint billing_lines_period foreign key (tenant_id, period) references app.billing_periods deferrable initially deferred
);
comment on table app.billing_lines is 'What each closed month costs, line by line. A row is never changed and never removed.';
comment on column app.billing_lines.included is 'Units that the base price includes; null = without limit.';
comment on column app.billing_lines.billable is 'Units that are charged.';

create table app.billing_credits (
    tenant_id ops.slug not null references ops.tenants,
    credit_id uuid not null default telemetry.uuid_v7(),
    period app.period not null,
    for_period app.period not null,
    amount_minor bigint not null constraint billing_credits_amount check (amount_minor < 0),
    reason text not null constraint billing_credits_reason check (char_length(reason) between 1 and 500),
    made_by text not null,
    made_at timestamptz not null default now(),
    constraint billing_credits_key primary key (tenant_id, credit_id)
);
comment on table app.billing_credits is 'Corrections of closed months: credited in an open one, never by an edit.';
create index billing_credits_period on app.billing_credits (tenant_id, period);

create function app.refuse_change() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    raise exception using errcode = 'restrict_violation',
        message = format('%s.%s is append-only: %s is refused', tg_table_schema, tg_table_name, lower(tg_op)),
        hint = 'a closed month is corrected by a credit in an open one';
end
$$;

-- Who may see what ---------------------------------------------------------------------------------------------
do $$
declare
    name text;
begin
    foreach name in array array[
        'currencies', 'features', 'plans', 'entitlements', 'tenant_plans', 'entitlement_overrides', 'monthly_counters',
        'active_devices', 'late_events', 'metering_progress', 'job_runs', 'billing_periods', 'billing_lines', 'billing_credits'
    ] loop
        execute format('alter table app.%I enable row level security', name);
        execute format('alter table app.%I force row level security', name);
        execute format('create policy %I on app.%I to seatpilot_billing using (true) with check (true)', name || '_billing', name);
    end loop;
    -- The price list and how far counting is: no tenant's data.
    foreach name in array array['currencies', 'features', 'plans', 'entitlements', 'metering_progress', 'job_runs'] loop
        execute format('create policy %I on app.%I for select using (true)', name || '_everybody_select', name);
    end loop;
    foreach name in array array[
        'tenant_plans', 'entitlement_overrides', 'monthly_counters', 'active_devices', 'late_events', 'billing_periods',
        'billing_lines', 'billing_credits'
    ] loop
        execute format(
            'create policy %I on app.%I for select using ((select telemetry.claim_tenant_id()) = tenant_id)',
            name || '_tenant_isolation_select', name);
        execute format(
            'create policy %I on app.%I for insert with check ((select telemetry.claim_tenant_id()) = tenant_id)',
            name || '_tenant_isolation_insert', name);
    end loop;
    foreach name in array array['tenant_plans', 'entitlement_overrides'] loop
        execute format(
            'create policy %I on app.%I for update using ((select telemetry.claim_tenant_id()) = tenant_id)'
            ' with check ((select telemetry.claim_tenant_id()) = tenant_id)', name || '_tenant_isolation_update', name);
        execute format(
            'create policy %I on app.%I for delete using ((select telemetry.claim_tenant_id()) = tenant_id)',
            name || '_tenant_isolation_delete', name);
    end loop;
    -- The operator keeps the price list.
    foreach name in array array['plans', 'entitlements', 'currencies'] loop
        execute format('create policy %I on app.%I to %I using (true) with check (true)', name || '_operator', name, current_user);
    end loop;
    -- What is money in a tenant's rows is for those who answer for it.
    foreach name in array array['billing_periods', 'billing_lines', 'billing_credits'] loop
        execute format(
            'create policy %I on app.%I as restrictive for select to authenticated'
            ' using ((select telemetry.claim_role()) in (''admin'', ''owner''))', name || '_answerable', name);
    end loop;
    -- Append-only, whoever asks.
    foreach name in array array['billing_periods', 'billing_lines', 'billing_credits', 'late_events'] loop
        execute format(
            'create trigger %I before update or delete on app.%I for each row execute function app.refuse_change()',
            name || '_append_only', name);
        execute format(
            'create trigger %I before truncate on app.%I for each statement execute function app.refuse_change()',
            name || '_never_emptied', name);
    end loop;
end
$$;

grant select on app.currencies to seatpilot_billing, authenticated;
grant select on app.features, app.plans, app.entitlements to seatpilot_billing, authenticated,
    seatpilot_checkin, seatpilot_wayfinding, seatpilot_ingest, seatpilot_kpi;
grant select on app.tenant_plans, app.entitlement_overrides, app.monthly_counters to seatpilot_billing, authenticated,
    seatpilot_checkin, seatpilot_wayfinding, seatpilot_ingest, seatpilot_kpi;
grant insert, update, delete on app.monthly_counters, app.active_devices to seatpilot_billing;
grant select on app.active_devices, app.late_events to seatpilot_billing;
grant select on app.billing_periods, app.billing_lines, app.billing_credits to seatpilot_billing, authenticated;
grant insert on app.late_events, app.billing_periods, app.billing_lines, app.job_runs to seatpilot_billing;
grant select, update on app.metering_progress to seatpilot_billing;
grant select, delete on app.job_runs to seatpilot_billing;
grant select on app.metering_progress to seatpilot_kpi, authenticated;
grant select on app.job_runs to seatpilot_kpi;

-- What counting reads.
create policy events_raw_billing_select on telemetry.events_raw for select to seatpilot_billing using (true);
create policy venues_billing_select on ops.venues for select to seatpilot_billing using (true);
create policy tenants_billing_select on ops.tenants for select to seatpilot_billing using (true);
create policy checkin_sessions_billing_select on ops.checkin_sessions for select to seatpilot_billing using (true);
grant select on telemetry.events_raw, ops.venues, ops.tenants to seatpilot_billing;
grant select (tenant_id, session_id, device_id) on ops.checkin_sessions to seatpilot_billing;
grant select on ops.tenants to authenticated;

-- Services hold limits in memory: they are told when one changes.
create trigger plans_tell after insert or update or delete on app.plans
    for each statement execute function ops.tell_services('entitlements');
create trigger entitlements_tell after insert or update or delete on app.entitlements
    for each statement execute function ops.tell_services('entitlements');
create trigger tenant_plans_tell after insert or update or delete on app.tenant_plans
    for each statement execute function ops.tell_services('entitlements');
create trigger entitlement_overrides_tell after insert or update or delete on app.entitlement_overrides
    for each statement execute function ops.tell_services('entitlements');
