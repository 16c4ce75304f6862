-- entitlements_in_force
select tenant_id, feature, enabled, value, limit_quantity, limit_kind, used, period, resets_at
from app.entitlements_in_force()
