-- usage_list
select e.feature, e.enabled, e.value, e.limit_quantity, e.limit_kind, e.used, e.period, e.resets_at
from app.entitlements_of($1) e
