-- 102_billing_report: a month line by line, open or closed, and its CSV.

-- Price of what goes over the limit, rounded half up to a whole minor unit once a line. Amounts of quantities that
-- arrive in parts are differences of this, so that the parts add up to what the whole would have cost.
create function app.charge_minor(quantity bigint, included bigint, price_minor bigint, per bigint) returns bigint
language sql immutable set search_path = pg_catalog, pg_temp as $$
    select case when included is null or quantity <= included then 0
        else div(2 * (quantity - included)::numeric * price_minor + per, 2 * per::numeric)::bigint end
$$;

-- Control characters in a name are spaces in a bill: a line break inside a cell is where CSV readers disagree.
create function app.one_line(value text) returns text
language sql immutable set search_path = pg_catalog, pg_temp as $$
    select regexp_replace(value, '[\u0001-\u001f\u007f-\u009f\u2028\u2029]', ' ', 'g')
$$;

create function app.plan_in_force(tenant text, month text) returns text
language sql stable set search_path = pg_catalog, pg_temp as $$
    select p.plan_id::text from app.tenant_plans p
    where p.tenant_id = tenant and p.from_period <= month
    order by p.from_period desc limit 1
$$;

-- What a feature's usage of a month costs: as it was closed, else as the plan says now.
create function app.billing_terms(
    in tenant text, in month text, in metered text, out included bigint, out price_minor bigint, out per bigint
)
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
    select l.included, l.unit_price_minor, l.unit_per into included, price_minor, per
    from app.billing_lines l
    where l.tenant_id = tenant and l.period = month and l.kind = 'usage' and l.feature = metered;
    if found then
        return;
    end if;
    select e.limit_quantity, e.overage_price_minor, e.overage_per into included, price_minor, per
    from app.entitlements e
    where e.plan_id = app.plan_in_force(tenant, month) and e.feature = metered and e.enabled;
    price_minor := coalesce(price_minor, 0);
    per := coalesce(per, 1);
    select o.limit_quantity into included
    from app.entitlement_overrides o where o.tenant_id = tenant and o.feature = metered;
    if not found then
        select e.limit_quantity into included
        from app.entitlements e
        where e.plan_id = app.plan_in_force(tenant, month) and e.feature = metered and e.enabled;
    end if;
end
$$;

-- The lines of a month as they stand now.
create function app.billing_lines_now(tenant text, month text)
returns table (
    line integer, kind text, feature text, for_period text, quantity bigint, included bigint, billable bigint,
    unit_price_minor bigint, unit_per bigint, amount_minor bigint, description text, credit_id uuid
)
language sql stable set search_path = pg_catalog, pg_temp as $$
    with used as (
        select f.feature, f.unit, f.meaning, f.for_period, coalesce(sum(c.quantity), 0)::bigint as quantity
        from (
            select m.feature, m.unit, m.meaning, month as for_period from app.features m where m.kind = 'metered'
            union
            select m.feature, m.unit, m.meaning, c.for_period
            from app.monthly_counters c join app.features m on m.feature = c.feature
            where c.tenant_id = tenant and c.period = month and c.quantity <> 0
        ) f
        left join app.monthly_counters c
            on c.tenant_id = tenant and c.period = month and c.feature = f.feature and c.for_period = f.for_period
        group by f.feature, f.unit, f.meaning, f.for_period
    ),
    -- What the same month was billed for before: in its own bill, then in adjustments of earlier bills.
    billed as (
        select u.*, case when u.for_period = month then 0 else (
                select coalesce(sum(c.quantity), 0)::bigint from app.monthly_counters c
                where c.tenant_id = tenant and c.feature = u.feature and c.for_period = u.for_period and c.period < month
            ) end as before
        from used u
    ),
    all_lines as (
        select
            1 as part, 'base' as kind, '' as feature, month as for_period, 1::bigint as quantity, null::bigint as included,
            1::bigint as billable, coalesce(p.base_price_minor, 0) as price_minor, 1::bigint as per,
            coalesce(p.base_price_minor, 0) as amount_minor, coalesce('Plan ' || p.name, 'No plan') as description,
            null::uuid as credit_id
        from (select) one
        left join app.plans p on p.plan_id = app.plan_in_force(tenant, month)
        union all
        select
            case when b.for_period = month then 2 else 3 end,
            case when b.for_period = month then 'usage' else 'adjustment' end, b.feature, b.for_period, b.quantity, t.included,
            coalesce(greatest(b.before + b.quantity - t.included, 0) - greatest(b.before - t.included, 0), 0), t.price_minor, t.per,
            app.charge_minor(b.before + b.quantity, t.included, t.price_minor, t.per)
                - app.charge_minor(b.before, t.included, t.price_minor, t.per),
            case when b.for_period = month then b.meaning else b.meaning || ', received late, of ' || b.for_period end, null
        from billed b
        cross join lateral app.billing_terms(tenant, b.for_period, b.feature) t
        union all
        select 4, 'credit', '', c.for_period, 1, null, 1, c.amount_minor, 1, c.amount_minor, 'Credit: ' || c.reason, c.credit_id
        from app.billing_credits c
        where c.tenant_id = tenant and c.period = month
    )
    select
        row_number() over (order by a.part, a.for_period, a.feature collate "C", a.credit_id)::integer, a.kind, a.feature,
        a.for_period, a.quantity, a.included, a.billable, a.price_minor, a.per, a.amount_minor, app.one_line(a.description), a.credit_id
    from all_lines a
$$;

-- security_invoker: it shows what the caller may see of the tables beneath.
create view app.v_tenant_billing_report with (security_invoker = true) as
select
    p.tenant_id, p.tenant_name, p.period::text as period, 'closed' as state, l.line, l.kind, l.feature,
    l.for_period::text as for_period, l.description, l.quantity, l.included, l.billable, l.unit_price_minor, l.unit_per,
    l.amount_minor, p.currency, p.plan_id, p.plan_name,
    to_char(p.closed_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') as closed_at
from app.billing_periods p
join app.billing_lines l on l.tenant_id = p.tenant_id and l.period = p.period
union all
select
    t.tenant_id::text, app.one_line(t.name), o.period, 'open', l.line, l.kind, l.feature, l.for_period, l.description,
    l.quantity, l.included, l.billable, l.unit_price_minor, l.unit_per, l.amount_minor, coalesce(p.currency, 'EUR'),
    coalesce(p.plan_id::text, ''), coalesce(app.one_line(p.name), ''), null
from ops.tenants t
cross join lateral (
    select distinct c.period::text as period from app.monthly_counters c where c.tenant_id = t.tenant_id
    union
    select c.period::text from app.billing_credits c where c.tenant_id = t.tenant_id
) o
left join app.plans p on p.plan_id = app.plan_in_force(t.tenant_id, o.period)
cross join lateral app.billing_lines_now(t.tenant_id, o.period) l
where not exists (select from app.billing_periods b where b.tenant_id = t.tenant_id and b.period = o.period)
    -- Who may not see bills sees no closed months: without this, they would look open.
    and (current_user <> 'authenticated' or telemetry.claim_role() in ('admin', 'owner'));
comment on view app.v_tenant_billing_report is
    'Each month of each tenant line by line: closed as it was closed, open as it stands now. Amounts in minor units.';

-- A text cell: always quoted; one that a spreadsheet would run starts with an apostrophe. White space is listed, and
-- compared by number: what `\s` means depends on the machine's locale, and these bytes must not. In plpgsql, which
-- makes a line four times faster than a function in SQL that cannot be inlined.
create function app.csv_cell(value text) returns text
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
    return '"' || replace(
        case when value collate "C" ~ '^[\u0001-\u0020\u007f-\u00a0\u00ad\u1680\u180e\u2000-\u200f\u2028-\u202f\u205f-\u2064\u3000\ufeff]*[-=+@＝＋－＠]'
            then '''' || value else value end, '"', '""') || '"';
end
$$;

create function app.csv_line(r app.v_tenant_billing_report) returns text
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
    return concat_ws(',',
        app.csv_cell(r.tenant_id), app.csv_cell(r.tenant_name), app.csv_cell(r.period), app.csv_cell(r.state), r.line::text,
        app.csv_cell(r.kind), app.csv_cell(r.feature), app.csv_cell(r.for_period), app.csv_cell(r.description),
        r.quantity::text, coalesce(r.included::text, ''), r.billable::text, r.unit_price_minor::text, r.unit_per::text,
        r.amount_minor::text, app.csv_cell(r.currency), app.csv_cell(r.plan_id), app.csv_cell(r.plan_name),
        app.csv_cell(coalesce(r.closed_at, '')));
end
$$;
comment on function app.csv_line(app.v_tenant_billing_report) is 'One line of the CSV, without its end (CRLF).';

create function app.csv_header() returns text
language sql immutable set search_path = pg_catalog, pg_temp as $$
    select 'tenant_id,tenant_name,period,state,line,kind,feature,for_period,description,quantity,included,billable,'
        'unit_price_minor,unit_per,amount_minor,currency,plan_id,plan_name,closed_at'
$$;

grant select on app.v_tenant_billing_report to authenticated, seatpilot_billing;
