-- bill_months
select m.period, m.closed_at, m.total_minor, m.currency, coalesce(c.minor_digits, 2::smallint) as minor_digits, m.sha256
from (
    select p.period::text as period, p.closed_at, p.total_minor, p.currency, encode(p.sha256, 'hex') as sha256
    from app.billing_periods p
    where p.tenant_id = $1
    union all
    select r.period, null, sum(r.amount_minor)::bigint, min(r.currency), null
    from app.v_tenant_billing_report r
    where r.tenant_id = $1 and r.state = 'open'
    group by r.period
) m
left join app.currencies c on c.currency = m.currency
order by m.period desc
limit $2
