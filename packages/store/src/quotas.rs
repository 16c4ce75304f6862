//! The limits of each tenant's plan, in memory: whether something may still be used is answered without the database.
//!
//! The table is read when the store comes up, when the database tells of a change, and every 20 s. Usage in it is as old
//! as the last count; what this process let through since is added. So a limit holds to the unit for one process, and
//! several can pass it together by what each let through between two counts.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use arc_swap::ArcSwap;
use jiff::Timestamp;
use seatpilot_domain_model::{Entitlement, Feature, Limit, LimitKind, Period, TenantId};

/// What may be used of what was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Allowance {
    /// All of it.
    All,
    /// All of it; it goes over a soft limit, or is over it already.
    OverSoftLimit(Exhausted),
    /// So many units, fewer than asked for: the hard limit is reached.
    Only(u64, Exhausted),
}

/// A limit that is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exhausted {
    /// Of what.
    pub feature: Feature,
    /// Units used, those that were just allowed included.
    pub used: u64,
    /// Units a month.
    pub limit: u64,
    /// The month.
    pub period: Period,
    /// When it ends.
    pub resets_at: Timestamp,
}

/// The limits that a process keeps.
#[derive(Default)]
pub(crate) struct Quotas {
    tenants: ArcSwap<HashMap<TenantId, Vec<Quota>>>,
}

struct Quota {
    entitlement: Entitlement,
    limit: Limit,
    /// Units that this process let through and that `entitlement.used` may not have yet.
    since: AtomicU64,
}

impl Quota {
    fn used(&self) -> u64 {
        self.entitlement.used.saturating_add(self.since.load(Ordering::Relaxed))
    }

    fn exhausted(&self) -> Exhausted {
        let Entitlement { feature, period, resets_at, .. } = &self.entitlement;
        Exhausted {
            feature: *feature,
            used: self.used(),
            limit: self.limit.quantity,
            period: period.clone(),
            resets_at: *resets_at,
        }
    }
}

impl Quotas {
    /// Takes over what the database says now.
    pub(crate) fn put(&self, entitlements: HashMap<TenantId, Vec<Entitlement>>) {
        let before = self.tenants.load();
        let mut tenants = HashMap::new();
        for (tenant, entitlements) in entitlements {
            let known = before.get(&tenant);
            let quotas: Vec<Quota> = entitlements
                .into_iter()
                .filter_map(|entitlement| {
                    // A feature that a plan does not have at all has a limit of none.
                    let limit = match entitlement.limit {
                        _ if !entitlement.enabled => Limit { quantity: 0, kind: LimitKind::Hard },
                        Some(limit) => limit,
                        None => return None,
                    };
                    let same = known.into_iter().flatten().find(|quota| {
                        quota.entitlement.feature == entitlement.feature
                            && quota.entitlement.period == entitlement.period
                    });
                    // The database may not have counted all that was let through; usage never goes back.
                    let since = same.map_or(0, |quota| quota.used().saturating_sub(entitlement.used));
                    Some(Quota { entitlement, limit, since: AtomicU64::new(since) })
                })
                .collect();
            if !quotas.is_empty() {
                tenants.insert(tenant, quotas);
            }
        }
        self.tenants.store(Arc::new(tenants));
    }

    /// Whether the tenant has any limit.
    pub(crate) fn limits(&self, tenant: &TenantId) -> bool {
        self.tenants.load().contains_key(tenant)
    }

    /// Asks for so many units and counts those that are allowed as used.
    pub(crate) fn take(&self, tenant: &TenantId, feature: Feature, units: u64) -> Allowance {
        let tenants = self.tenants.load();
        let Some(quota) = tenants
            .get(tenant)
            .and_then(|quotas| quotas.iter().find(|quota| quota.entitlement.feature == feature))
        else {
            return Allowance::All;
        };
        match quota.limit.kind {
            LimitKind::Soft => {
                let since = quota.since.fetch_add(units, Ordering::Relaxed);
                let used = quota.entitlement.used.saturating_add(since).saturating_add(units);
                if used > quota.limit.quantity {
                    Allowance::OverSoftLimit(quota.exhausted())
                } else {
                    Allowance::All
                }
            }
            LimitKind::Hard => {
                let left_of = |since: u64| {
                    quota
                        .limit
                        .quantity
                        .saturating_sub(quota.entitlement.used.saturating_add(since))
                        .min(units)
                };
                let taken = quota
                    .since
                    .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |since| Some(since + left_of(since)))
                    .unwrap_or_default();
                let allowed = left_of(taken);
                if allowed < units { Allowance::Only(allowed, quota.exhausted()) } else { Allowance::All }
            }
        }
    }

    /// The tenant's limits and use as they stand now: what is taken of the copy is not taken here.
    pub(crate) fn copy_of(&self, tenant: &TenantId) -> Self {
        let known = self.tenants.load();
        let quotas = known.get(tenant).into_iter().flatten().map(|quota| Quota {
            entitlement: quota.entitlement.clone(),
            limit: quota.limit,
            since: AtomicU64::new(quota.since.load(Ordering::Relaxed)),
        });
        let copy = Self::default();
        copy.tenants.store(Arc::new(HashMap::from([(tenant.clone(), quotas.collect())])));
        copy
    }

    /// Gives back units that were taken and not used: what was not stored, or was stored before.
    pub(crate) fn give_back(&self, tenant: &TenantId, feature: Feature, units: u64) {
        let tenants = self.tenants.load();
        let quotas = tenants.get(tenant).into_iter().flatten();
        for quota in quotas.filter(|quota| quota.entitlement.feature == feature) {
            let _ = quota.since.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |since| {
                Some(since.saturating_sub(units))
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entitled(feature: Feature, limit: Option<(u64, LimitKind)>, used: u64, period: &str) -> Entitlement {
        Entitlement {
            feature,
            enabled: true,
            value: None,
            limit: limit.map(|(quantity, kind)| Limit { quantity, kind }),
            used,
            period: period.parse().unwrap(),
            resets_at: Timestamp::UNIX_EPOCH,
        }
    }

    fn acme() -> TenantId {
        "acme".parse().unwrap()
    }

    fn with(entitlement: Entitlement) -> HashMap<TenantId, Vec<Entitlement>> {
        HashMap::from([(acme(), vec![entitlement])])
    }

    fn allowed(allowance: &Allowance, asked: u64) -> u64 {
        match allowance {
            Allowance::All | Allowance::OverSoftLimit(_) => asked,
            Allowance::Only(units, _) => *units,
        }
    }

    #[test]
    fn without_a_limit_everything_is_allowed() {
        let quotas = Quotas::default();
        assert_eq!(quotas.take(&acme(), Feature::Events, u64::MAX), Allowance::All);
        quotas.put(with(entitled(Feature::Events, None, 7, "2026-03")));
        assert_eq!(quotas.take(&acme(), Feature::Events, u64::MAX), Allowance::All);
    }

    #[test]
    fn a_hard_limit_holds_to_the_unit_among_many_threads() {
        let quotas = Quotas::default();
        quotas.put(with(entitled(Feature::Events, Some((1_000, LimitKind::Hard)), 10, "2026-03")));
        let total: u64 = std::thread::scope(|scope| {
            let takers: Vec<_> = (0..8)
                .map(|_| {
                    scope.spawn(|| {
                        (0..200).map(|_| allowed(&quotas.take(&acme(), Feature::Events, 3), 3)).sum::<u64>()
                    })
                })
                .collect();
            takers.into_iter().map(|taker| taker.join().unwrap()).sum()
        });
        assert_eq!(total, 990);
    }

    #[test]
    fn a_soft_limit_lets_through_and_says_so() {
        let quotas = Quotas::default();
        quotas.put(with(entitled(Feature::Routes, Some((2, LimitKind::Soft)), 1, "2026-03")));
        assert_eq!(quotas.take(&acme(), Feature::Routes, 1), Allowance::All);
        assert!(matches!(
            quotas.take(&acme(), Feature::Routes, 1),
            Allowance::OverSoftLimit(Exhausted { used: 3, limit: 2, .. })
        ));
    }

    #[test]
    fn what_was_let_through_is_not_forgotten_by_a_count_that_is_behind_and_not_counted_twice() {
        let quotas = Quotas::default();
        let limit = Some((10, LimitKind::Hard));
        quotas.put(with(entitled(Feature::Events, limit, 0, "2026-03")));
        assert_eq!(quotas.take(&acme(), Feature::Events, 6), Allowance::All);
        // The count has seen two of the six.
        quotas.put(with(entitled(Feature::Events, limit, 2, "2026-03")));
        assert_eq!(allowed(&quotas.take(&acme(), Feature::Events, 9), 9), 4);
        // It has seen all of them, and another process' too.
        quotas.put(with(entitled(Feature::Events, limit, 10, "2026-03")));
        assert_eq!(allowed(&quotas.take(&acme(), Feature::Events, 1), 1), 0);
        // A new month.
        quotas.put(with(entitled(Feature::Events, limit, 0, "2026-04")));
        assert_eq!(quotas.take(&acme(), Feature::Events, 10), Allowance::All);
    }

    #[test]
    fn what_was_not_stored_is_given_back() {
        let quotas = Quotas::default();
        quotas.put(with(entitled(Feature::Events, Some((5, LimitKind::Hard)), 0, "2026-03")));
        assert_eq!(quotas.take(&acme(), Feature::Events, 5), Allowance::All);
        quotas.give_back(&acme(), Feature::Events, 2);
        assert_eq!(allowed(&quotas.take(&acme(), Feature::Events, 5), 5), 2);
        quotas.give_back(&acme(), Feature::Events, 99);
        assert_eq!(allowed(&quotas.take(&acme(), Feature::Events, 9), 9), 5);
    }

    #[test]
    fn a_feature_that_the_plan_does_not_have_is_refused() {
        let quotas = Quotas::default();
        quotas.put(with(Entitlement { enabled: false, ..entitled(Feature::Routes, None, 0, "2026-03") }));
        assert_eq!(allowed(&quotas.take(&acme(), Feature::Routes, 1), 1), 0);
    }
}
