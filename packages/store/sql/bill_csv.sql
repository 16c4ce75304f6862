-- bill_csv
-- Sorted first, then written: the first line comes before the last one is made.
select app.csv_line(s.r) as line
from (
    select r
    from app.v_tenant_billing_report r
    where r.tenant_id = $1 and r.period = $2
    order by r.line
    offset 0
) s
