-- bill_lines
select
    r.tenant_name, r.state, r.line, r.kind, r.feature, r.for_period, r.description, r.quantity, r.included, r.billable,
    r.unit_price_minor, r.unit_per, r.amount_minor, r.currency, coalesce(c.minor_digits, 2::smallint) as minor_digits,
    r.plan_name, r.closed_at
from app.v_tenant_billing_report r
left join app.currencies c on c.currency = r.currency
where r.tenant_id = $1 and r.period = $2
order by r.line
limit $3
