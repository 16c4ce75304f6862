-- 103_billing_close_month: turns an open month into one that never changes again.

create function app.billing_sha256(lines app.v_tenant_billing_report[]) returns bytea
language sql immutable set search_path = pg_catalog, pg_temp as $$
    select sha256(convert_to(
        app.csv_header() || E'\r\n' || coalesce(string_agg(app.csv_line(l) || E'\r\n', '' order by l.line), ''), 'UTF8'))
    from unnest(lines) l
$$;

-- Closes a month, of one tenant or of all. Outcomes: closed; was_closed (nothing changed, the same answer); too_early
-- (events of the month may still come in time; `detail` says until when); waiting (a transaction that may hold events
-- of the month is still open: try again). Single-flight with counting and with itself.
create function app.billing_close_month(month text, tenant text default null, closed_by text default session_user)
returns table (
    tenant_id text, outcome text, detail text, lines integer, total_minor bigint, currency text, sha256 text
)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
declare
    -- An event's received_at is when its transaction began; its id is drawn up to a statement timeout (2 s) later.
    margin constant interval := interval '1 minute';
    -- The caller's own, which an act in each tenant's name borrows from.
    claims constant text := current_setting('request.jwt.claims', true);
    counted record;
    t record;
    p app.plans;
    on_time_until timestamptz;
    closed timestamptz;
begin
    month := month::app.period;
    perform pg_advisory_xact_lock(hashtext('seatpilot.metering'), 0);
    if tenant is not null and not exists (select from ops.tenants k where k.tenant_id = tenant) then
        raise exception using errcode = 'no_data_found', message = format('no tenant is called %L', left(tenant, 64));
    end if;
    loop
        counted := app.metering_roll();
        exit when counted.caught_up;
    end loop;
    for t in
        select k.tenant_id::text as id, app.one_line(k.name) as name
        from ops.tenants k
        where tenant is null or k.tenant_id = tenant
        order by k.tenant_id
    loop
        tenant_id := t.id;
        detail := null;
        select b.lines, b.total_minor, b.currency, encode(b.sha256, 'hex')
        into lines, total_minor, currency, sha256
        from app.billing_periods b where b.tenant_id = t.id and b.period = month;
        if found then
            outcome := 'was_closed';
            return next;
            continue;
        end if;
        -- No plan and nothing used: there is nothing to bill.
        continue when app.plan_in_force(t.id, month) is null
            and not exists (select from app.monthly_counters c where c.tenant_id = t.id and c.period = month)
            and not exists (select from app.billing_credits c where c.tenant_id = t.id and c.period = month);
        -- The last of the tenant's venues to end its month, and UTC, where events of unknown venues count.
        select max(((month || '-01')::timestamp + interval '1 month') at time zone z.time_zone) + interval '72 hours'
        into on_time_until
        from (select v.time_zone from ops.venues v where v.tenant_id = t.id union select 'UTC') z;
        if counted.complete_until < on_time_until + margin then
            outcome := case when clock_timestamp() < on_time_until + margin then 'too_early' else 'waiting' end;
            detail := case outcome
                when 'too_early' then format('events of %s may come in time until %s', month,
                    to_char(on_time_until at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'))
                else format('everything received until %s is counted; a transaction that began then is still open',
                    to_char(counted.complete_until at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')) end;
            return next;
            continue;
        end if;

        p := null;
        select k.* into p from app.plans k where k.plan_id = app.plan_in_force(t.id, month);
        currency := coalesce(p.currency, 'EUR');
        closed := date_trunc('second', clock_timestamp());
        insert into app.billing_lines (
            tenant_id, period, line, kind, feature, for_period, quantity, included, billable, unit_price_minor, unit_per,
            amount_minor, description, credit_id
        )
        select
            t.id, month, n.line, n.kind, n.feature, n.for_period, n.quantity, n.included, n.billable, n.unit_price_minor,
            n.unit_per, n.amount_minor, n.description, n.credit_id
        from app.billing_lines_now(t.id, month) n;
        insert into app.billing_periods (
            tenant_id, period, tenant_name, plan_id, plan_name, currency, total_minor, lines, counted_until, closed_at,
            closed_by, sha256
        )
        select
            t.id, month, t.name, coalesce(p.plan_id, ''), coalesce(app.one_line(p.name), ''), currency, sum(l.amount_minor),
            count(*), counted.complete_until, closed, closed_by,
            app.billing_sha256(array_agg(row(
                l.tenant_id, t.name, l.period, 'closed', l.line, l.kind, l.feature, l.for_period, l.description, l.quantity,
                l.included, l.billable, l.unit_price_minor, l.unit_per, l.amount_minor, currency, coalesce(p.plan_id, ''),
                coalesce(app.one_line(p.name), ''), to_char(closed at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')
            )::app.v_tenant_billing_report order by l.line))
        from app.billing_lines l
        where l.tenant_id = t.id and l.period = month
        returning billing_periods.lines, billing_periods.total_minor, encode(billing_periods.sha256, 'hex')
        into lines, total_minor, sha256;
        perform telemetry.claim(t.id);
        perform audit.append('operator', closed_by, 'billing.close', 'period', month, null,
            jsonb_build_object('sha256', sha256, 'total_minor', total_minor, 'currency', currency, 'lines', lines));
        perform set_config('request.jwt.claims', coalesce(claims, ''), true);
        outcome := 'closed';
        return next;
    end loop;
end
$$;
comment on function app.billing_close_month(text, text, text) is
    'Closes a month of one tenant or of all; twice gives the same answer. The sha256 is that of the month''s CSV.';

create function app.billing_close_month(month date, tenant text default null, closed_by text default session_user)
returns table (
    tenant_id text, outcome text, detail text, lines integer, total_minor bigint, currency text, sha256 text
)
language sql volatile set search_path = pg_catalog, pg_temp as $$
    select * from app.billing_close_month(to_char(month, 'YYYY-MM'), tenant, closed_by)
$$;

-- Closed months whose lines no longer give the hash that they were closed with. None, unless somebody went around the
-- triggers.
create function app.billing_verify()
returns table (tenant_id text, period text, closed_with text, gives_now text)
language sql stable set search_path = pg_catalog, pg_temp as $$
    select b.tenant_id, b.period::text, encode(b.sha256, 'hex'), encode(now_.sha256, 'hex')
    from app.billing_periods b
    cross join lateral (
        select app.billing_sha256(array_agg(r)) as sha256
        from app.v_tenant_billing_report r where r.tenant_id = b.tenant_id and r.period = b.period
    ) now_
    where now_.sha256 is distinct from b.sha256
        or b.total_minor is distinct from (
            select sum(l.amount_minor) from app.billing_lines l where l.tenant_id = b.tenant_id and l.period = b.period)
$$;

-- A correction of a month: a negative amount in one that is still open.
create function app.billing_credit(tenant text, month text, amount_minor bigint, reason text, made_by text default session_user)
returns table (credit_id uuid, period text)
language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
begin
    month := month::app.period;
    perform pg_advisory_xact_lock(hashtext('seatpilot.metering'), 0);
    if not exists (select from app.billing_periods b where b.tenant_id = tenant and b.period = month) then
        raise exception using errcode = 'object_not_in_prerequisite_state',
            message = format('%s of %s is not closed', month, left(tenant, 64)),
            hint = 'a credit corrects a closed month; an open one is not billed yet';
    end if;
    period := greatest(to_char(now() at time zone 'UTC', 'YYYY-MM'), to_char((month || '-01')::date + interval '1 month', 'YYYY-MM'));
    while exists (select from app.billing_periods b where b.tenant_id = tenant and b.period = billing_credit.period) loop
        period := to_char((period || '-01')::date + interval '1 month', 'YYYY-MM');
    end loop;
    insert into app.billing_credits as c (tenant_id, period, for_period, amount_minor, reason, made_by)
    values (tenant, period, month, amount_minor, app.one_line(reason), made_by)
    returning c.credit_id into credit_id;
    perform audit.append('operator', made_by, 'billing.credit', 'credit', credit_id::text, null,
        jsonb_build_object('period', period, 'for_period', month, 'amount_minor', amount_minor));
    return next;
end
$$;

alter function app.billing_close_month(text, text, text) owner to seatpilot_billing;
grant usage on schema audit to seatpilot_billing;
grant execute on function audit.append(text, text, text, text, text, jsonb, jsonb, text, inet, text) to seatpilot_billing;
grant execute on function telemetry.claim(text) to seatpilot_billing;
