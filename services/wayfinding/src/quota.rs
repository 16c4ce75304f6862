//! The plan's limits at this service's doors.

use seatpilot_domain_model::{Fault, FaultCode, Feature, TenantId};
use seatpilot_store::Allowance;
use serde_json::json;

use crate::state::State;

/// Uses up one unit of a feature.
///
/// # Errors
/// `quota_exceeded` with `usage` where the plan's hard limit is reached.
pub(crate) fn take(state: &State, tenant: &TenantId, feature: Feature) -> Result<(), Fault> {
    match state.store.take(tenant, feature, 1) {
        Allowance::All | Allowance::OverSoftLimit(_) => Ok(()),
        Allowance::Only(_, exhausted) => {
            let wait = exhausted.resets_at.duration_since(state.clock.now()).as_secs().max(1);
            let usage = json!({
                "feature": exhausted.feature,
                "period": exhausted.period.as_str(),
                "used": exhausted.used,
                "limit": exhausted.limit,
                "resets_at": exhausted.resets_at,
            });
            Err(Fault::new(
                FaultCode::QuotaExceeded,
                "The plan's limit of this month is reached. `usage` says when it resets.",
            )
            .with_member("usage", usage)
            .with_retry_after(u32::try_from(wait).unwrap_or(u32::MAX)))
        }
    }
}
