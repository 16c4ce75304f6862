//! What each tenant used of its plan this month, and what the plan includes.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Mutex, PoisonError},
};

use prometheus::{GaugeVec, Registry};
use seatpilot_domain_model::{Entitlement, Feature, TenantId};

use crate::{OTHER, TENANTS_MAX, families};

/// `seatpilot_billing_used_units`, `seatpilot_billing_limit_units`.
pub struct UsageMetrics {
    used: GaugeVec,
    limit: GaugeVec,
    /// Tenants with gauges now; at most [`TENANTS_MAX`].
    shown: Mutex<BTreeSet<TenantId>>,
}

impl UsageMetrics {
    pub(crate) fn register(registry: &Registry) -> Self {
        let made = Self {
            used: families::BILLING_USED_UNITS.gauges(registry),
            limit: families::BILLING_LIMIT_UNITS.gauges(registry),
            shown: Mutex::default(),
        };
        for feature in Feature::METERED {
            made.show(OTHER, *feature, 0.0, None);
        }
        made
    }

    /// Shows every tenant there is, and forgets those that are gone. Tenants beyond [`TENANTS_MAX`] are added up as
    /// [`OTHER`], without a limit.
    pub fn set(&self, entitlements: &HashMap<TenantId, Vec<Entitlement>>) {
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        shown.retain(|tenant| {
            let stays = entitlements.contains_key(tenant);
            if !stays {
                self.forget(tenant.as_str());
            }
            stays
        });
        // In the order of their ids, so that the same ones are shown each time.
        let ordered: BTreeMap<_, _> = entitlements.iter().collect();
        let mut others: BTreeMap<Feature, f64> =
            Feature::METERED.iter().map(|feature| (*feature, 0.0)).collect();
        for (tenant, features) in ordered {
            if tenant.as_str() != OTHER && !shown.contains(tenant) && shown.len() < TENANTS_MAX {
                shown.insert(tenant.clone());
            }
            let is_shown = shown.contains(tenant);
            for entitlement in features {
                let used = entitlement.used as f64;
                match others.get_mut(&entitlement.feature) {
                    // Not counted: a switch, or a number of the plan's.
                    None => {}
                    Some(_) if is_shown => {
                        let limit = entitlement.limit.map(|limit| limit.quantity as f64);
                        self.show(tenant.as_str(), entitlement.feature, used, limit);
                    }
                    Some(others) => *others += used,
                }
            }
        }
        for (feature, used) in others {
            self.show(OTHER, feature, used, None);
        }
    }

    fn show(&self, tenant: &str, feature: Feature, used: f64, limit: Option<f64>) {
        let labels = [tenant, feature.as_str()];
        self.used.with_label_values(&labels).set(used);
        self.limit.with_label_values(&labels).set(limit.unwrap_or(f64::INFINITY));
    }

    fn forget(&self, tenant: &str) {
        for feature in Feature::METERED {
            for family in [&self.used, &self.limit] {
                // Fails only where it is not there.
                let _ = family.remove_label_values(&[tenant, feature.as_str()]);
            }
        }
    }
}
