-- 105_entitlements_in_force: what each tenant may use this month, and how much of it is used.

-- The services hold this in memory. `security invoker`: it claims one tenant after the other, for this transaction.
create function app.entitlements_in_force()
returns table (
    tenant_id text, feature text, kind text, enabled boolean, value bigint, limit_quantity bigint, limit_kind text,
    used bigint, period text, resets_at timestamptz
)
language plpgsql volatile security invoker set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
declare
    zone text;
begin
    for tenant_id in select * from ops.tenant_ids() loop
        perform telemetry.claim(tenant_id);
        -- A quota has one month for all venues of a tenant: that of the first by id.
        select coalesce(min(v.time_zone), 'UTC') into zone
        from (select k.time_zone from ops.venues k where k.tenant_id = entitlements_in_force.tenant_id order by k.venue_id limit 1) v;
        period := to_char(now() at time zone zone, 'YYYY-MM');
        resets_at := (date_trunc('month', now() at time zone zone) + interval '1 month') at time zone zone;
        return query
        select
            entitlements_in_force.tenant_id, f.feature, f.kind, coalesce(e.enabled, true), e.value,
            case when o.feature is not null then o.limit_quantity else e.limit_quantity end,
            case when o.feature is not null then o.limit_kind else e.limit_kind end,
            coalesce((
                select sum(c.quantity) from app.monthly_counters c
                where c.tenant_id = entitlements_in_force.tenant_id and c.period = entitlements_in_force.period
                    and c.feature = f.feature), 0)::bigint,
            entitlements_in_force.period, entitlements_in_force.resets_at
        from app.features f
        left join app.entitlements e
            on e.feature = f.feature and e.plan_id = app.plan_in_force(entitlements_in_force.tenant_id, entitlements_in_force.period)
        left join app.entitlement_overrides o
            on o.feature = f.feature and o.tenant_id = entitlements_in_force.tenant_id
        order by f.feature;
    end loop;
end
$$;
comment on function app.entitlements_in_force() is 'Limits and usage of this month, of every tenant, one claim after the other.';
