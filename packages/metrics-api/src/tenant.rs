//! Series by tenant: one child for each tenant that exists, made before anything happens, and one for all
//! others.

use std::{collections::HashMap, sync::Arc};

use arc_swap::ArcSwap;
use foldhash::fast::RandomState;
use seatpilot_domain_model::{Channel, TenantId};

/// The label value of whatever is not known: a tenant that does not exist, a request without one, a method
/// that nobody speaks.
pub const OTHER: &str = "other";

/// Most tenants with series of their own; those beyond are counted under [`OTHER`]. A tenant has about 430
/// series in a process that holds every family.
pub const TENANTS_MAX: usize = 200;

/// A child for each known tenant. Reading is one atomic load and one map lookup; a tenant that comes is a copy
/// of the map.
pub(crate) struct PerTenant<T> {
    known: ArcSwap<HashMap<TenantId, T, RandomState>>,
    other: T,
    make: Box<dyn Fn(&str) -> T + Send + Sync>,
}

impl<T: Clone> PerTenant<T> {
    /// Children for these tenants, and for [`OTHER`].
    pub(crate) fn new(tenants: &[TenantId], make: impl Fn(&str) -> T + Send + Sync + 'static) -> Self {
        let family = Self { known: ArcSwap::default(), other: make(OTHER), make: Box::new(make) };
        family.extend(tenants);
        family
    }

    /// Makes the children of tenants that have none. Children are never taken away: a counter that vanishes
    /// and comes back is a wrong rate.
    pub(crate) fn extend(&self, tenants: &[TenantId]) {
        let known = self.known.load();
        let new: Vec<&TenantId> = tenants.iter().filter(|tenant| !known.contains_key(*tenant)).collect();
        if new.is_empty() {
            return;
        }
        let mut longer = HashMap::clone(&known);
        longer.extend(new.into_iter().map(|tenant| (tenant.clone(), (self.make)(tenant.as_str()))));
        self.known.store(Arc::new(longer));
    }

    /// Does something with a tenant's child, or with that of all others.
    pub(crate) fn with<R>(&self, tenant: &TenantId, act: impl FnOnce(&T) -> R) -> R {
        act(self.known.load().get(tenant).unwrap_or(&self.other))
    }

    /// The child of what has no tenant.
    pub(crate) fn other(&self) -> &T {
        &self.other
    }
}

/// One child for each channel.
#[derive(Clone)]
pub(crate) struct PerChannel<T>([T; Channel::ALL.len()]);

impl<T> PerChannel<T> {
    pub(crate) fn new(make: impl Fn(Channel) -> T) -> Self {
        Self(std::array::from_fn(|at| make(Channel::ALL[at])))
    }

    pub(crate) fn of(&self, channel: Channel) -> &T {
        // A word's discriminant is its place in ALL.
        &self.0[channel as usize]
    }
}
