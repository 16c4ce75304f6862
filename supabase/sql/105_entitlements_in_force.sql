-- 105_entitlements_in_force: what each tenant may use this month, and how much of it is used.

-- Of one tenant, as far as the caller's claim shows it. A quota has one month for all venues of a tenant: that of the
-- first by id.
create function app.entitlements_of(tenant text)
returns table (
    feature text, kind text, enabled boolean, value bigint, limit_quantity bigint, limit_kind text, used bigint,
    period text, resets_at timestamptz
)
language sql stable security invoker set search_path = pg_catalog, pg_temp as $$
    with month as (
        select to_char(now() at time zone z.zone, 'YYYY-MM') as period,
            (date_trunc('month', now() at time zone z.zone) + interval '1 month') at time zone z.zone as resets_at
        from (select coalesce(
            (select v.time_zone from ops.venues v where v.tenant_id = tenant order by v.venue_id limit 1), 'UTC') as zone) z
    )
    select
        f.feature, f.kind, coalesce(e.enabled, true), e.value,
        case when o.feature is not null then o.limit_quantity else e.limit_quantity end,
        case when o.feature is not null then o.limit_kind else e.limit_kind end,
        coalesce((
            select sum(c.quantity) from app.monthly_counters c
            where c.tenant_id = tenant and c.period = m.period and c.feature = f.feature), 0)::bigint,
        m.period, m.resets_at
    from app.features f
    cross join month m
    left join app.entitlements e on e.feature = f.feature and e.plan_id = app.plan_in_force(tenant, m.period)
    left join app.entitlement_overrides o on o.feature = f.feature and o.tenant_id = tenant
    order by f.feature
$$;
comment on function app.entitlements_of(text) is 'Limits and usage of this month of one tenant.';

-- The services hold this in memory. `security invoker`: it claims one tenant after the other, for this transaction.
create function app.entitlements_in_force()
returns table (
    tenant_id text, feature text, kind text, enabled boolean, value bigint, limit_quantity bigint, limit_kind text,
    used bigint, period text, resets_at timestamptz
)
language plpgsql volatile security invoker set search_path = pg_catalog, pg_temp as $$
begin
    for tenant_id in select * from ops.tenant_ids() loop
        perform telemetry.claim(tenant_id);
        return query select entitlements_in_force.tenant_id, e.* from app.entitlements_of(entitlements_in_force.tenant_id) e;
    end loop;
end
$$;
comment on function app.entitlements_in_force() is 'Limits and usage of this month, of every tenant, one claim after the other.';
-- For the time zone of a tenant's first venue.
grant select (tenant_id, venue_id, time_zone) on ops.venues to seatpilot_ingest, seatpilot_kpi;
