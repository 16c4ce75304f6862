-- bill_csv
select app.csv_line(r) as line
from app.v_tenant_billing_report r
where r.tenant_id = $1 and r.period = $2
order by r.line
