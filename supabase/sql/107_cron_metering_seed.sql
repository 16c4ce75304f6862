-- 107_cron_metering_seed: who drives counting. pg_cron where it is installed, kpi-refresher where it is not: the one
-- that comes second finds the other's mark and leaves it alone, so there are never both, and one that dies is
-- followed by the other within five minutes.

alter table app.metering_progress add column cron_seen_at timestamptz;
comment on column app.metering_progress.cron_seen_at is 'When pg_cron last drove the counting.';

-- Once a day: every tenant has its counters of this month, at 0 where nothing was used, so that a bill shows what was
-- not used as well. False where the day's run was before.
create function app.ops_metering_seed_daily(driver text default 'operator') returns boolean
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
begin
    perform pg_advisory_xact_lock(hashtext('seatpilot.metering'), 0);
    insert into app.job_runs (job, day, driver)
    values ('ops_metering_seed_daily', (now() at time zone 'UTC')::date, driver)
    on conflict do nothing;
    if not found then
        return false;
    end if;
    insert into app.monthly_counters (tenant_id, period, feature, for_period, venue_id)
    select t.tenant_id, m.period, f.feature, m.period, ''
    from ops.tenants t
    cross join lateral (select coalesce(
        (select v.time_zone from ops.venues v where v.tenant_id = t.tenant_id order by v.venue_id limit 1), 'UTC') as zone) z
    cross join lateral (select to_char(now() at time zone z.zone, 'YYYY-MM') as period) m
    cross join app.features f
    where f.kind = 'metered'
        and not exists (select from app.billing_periods b where b.tenant_id = t.tenant_id and b.period = m.period)
    order by 1, 2, 3
    on conflict do nothing;
    delete from app.job_runs j where j.day < current_date - 400;
    return true;
end
$$;
comment on function app.ops_metering_seed_daily(text) is 'Makes this month''s counters of every tenant, at 0. Once a day.';

-- One beat: counts what is new, and runs the daily job when its time has come. Outcomes: counted; left_to_pg_cron;
-- busy.
create function app.metering_tick(
    in driver text, out outcome text, out rows_read bigint, out caught_up boolean, out complete_until timestamptz
)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp set work_mem = '64MB' as $$
declare
    rolled record;
begin
    if driver <> 'pg_cron' and exists (
        select from app.metering_progress p where p.cron_seen_at > clock_timestamp() - interval '5 minutes'
    ) then
        outcome := 'left_to_pg_cron';
        return;
    end if;
    rolled := app.metering_roll();
    if rolled.complete_until is null then
        outcome := 'busy';
        return;
    end if;
    outcome := 'counted';
    rows_read := rolled.rows_read;
    caught_up := rolled.caught_up;
    complete_until := rolled.complete_until;
    if driver = 'pg_cron' then
        update app.metering_progress set cron_seen_at = clock_timestamp();
    elsif (now() at time zone 'UTC')::time >= '00:05' then
        perform app.ops_metering_seed_daily(driver);
    end if;
    -- Services hold limits and usage in memory.
    if rolled.rows_changed > 0 and (
        exists (select from app.entitlements e where e.limit_quantity is not null)
        or exists (select from app.entitlement_overrides o where o.limit_quantity is not null)
    ) then
        perform pg_notify('seatpilot', 'entitlements');
    end if;
end
$$;
comment on function app.metering_tick(text) is 'Counts what is new and runs the daily job when it is due; for kpi-refresher and pg_cron.';

-- Gives the jobs to pg_cron where this database has it. False where it does not. Run it again after
-- `create extension pg_cron`.
create function app.ops_metering_schedule() returns boolean
language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
begin
    if to_regprocedure('cron.schedule(text, text, text)') is null then
        return false;
    end if;
    execute 'select cron.schedule(''ops_metering_seed_daily'', ''5 0 * * *'', ''select app.ops_metering_seed_daily(''''pg_cron'''')'')';
    execute 'select cron.schedule(''ops_metering_tick'', ''* * * * *'', ''select app.metering_tick(''''pg_cron'''')'')';
    return true;
end
$$;
comment on function app.ops_metering_schedule() is 'Schedules counting and the daily job with pg_cron, where it is installed.';

alter function app.ops_metering_seed_daily(text) owner to seatpilot_billing;
alter function app.metering_tick(text) owner to seatpilot_billing;
revoke execute on all functions in schema app from public;
revoke create on schema app from seatpilot_billing;
grant execute on function app.metering_tick(text) to seatpilot_kpi;
grant execute on function app.one_line(text), app.plan_in_force(text, text), app.charge_minor(bigint, bigint, bigint, bigint),
    app.billing_terms(text, text, text), app.billing_lines_now(text, text), app.csv_cell(text), app.csv_header(),
    app.csv_line(app.v_tenant_billing_report) to authenticated, seatpilot_billing;
grant execute on function app.billing_sha256(app.v_tenant_billing_report[]) to seatpilot_billing;
grant execute on function app.entitlements_of(text) to authenticated;
grant execute on function app.entitlements_in_force(), app.entitlements_of(text), app.plan_in_force(text, text)
    to seatpilot_checkin, seatpilot_wayfinding, seatpilot_ingest, seatpilot_kpi;
do $$
begin
    -- An owner of the schema who is no superuser drives these too.
    if not (select rolsuper from pg_catalog.pg_roles where rolname = current_user) then
        execute format('grant execute on function app.metering_tick(text), app.ops_metering_seed_daily(text),'
            ' app.billing_close_month(text, text, text), app.metering_roll() to %I', current_user);
    end if;
    if to_regclass('cron.job') is not null then
        perform app.ops_metering_schedule();
    end if;
end
$$;
