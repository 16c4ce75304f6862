//! What the tenant's plan allows letters that are sent again: they use this month's units, as an event of today.

use std::collections::HashMap;

use seatpilot_domain_model::{Event, Feature, TenantId};

use super::DeadLetterDesk;
use crate::{
    Error,
    metering::entitlement,
    quotas::{Allowance, Quotas},
};

/// The type that counts as a seat assigned besides being an event.
const SEATING_ASSIGNED: &str = "seating.assigned";
/// What the operator reads of a letter that the plan refuses.
pub(super) const OVER_THE_PLAN: &str = "the plan's limit of this month is reached";

/// The limits that letters are held to.
pub(super) enum Plan<'q> {
    /// Those of the running service, which holds everything that it takes to them.
    Kept(&'q Quotas),
    /// Read for this run, and again as it goes on.
    Own(Box<Quotas>),
}

impl<'q> Plan<'q> {
    pub(super) fn of(quotas: Option<&'q Quotas>) -> Self {
        match quotas {
            Some(quotas) => Self::Kept(quotas),
            None => Self::read(),
        }
    }

    /// One of its own, which knows nothing yet.
    pub(super) fn read() -> Self {
        Self::Own(Box::default())
    }

    /// The same limits, apart: what is taken of the copy is not taken here.
    pub(super) fn copy_for(&self, tenant: &TenantId) -> Plan<'static> {
        let copy = match self {
            Self::Kept(quotas) => quotas.copy_of(tenant),
            Self::Own(quotas) => quotas.copy_of(tenant),
        };
        Plan::Own(Box::new(copy))
    }

    /// Asks for what the event uses. None: the plan refuses it.
    pub(super) fn take<'p>(&'p self, tenant: &'p TenantId, event: &Event) -> Option<Units<'p>> {
        let quotas = match self {
            Self::Kept(quotas) => *quotas,
            Self::Own(quotas) => quotas,
        };
        let mut units = Units { quotas, tenant, taken: Vec::with_capacity(2) };
        units.ask(Feature::Events)?;
        if event.kind == SEATING_ASSIGNED {
            units.ask(Feature::Seats)?;
        }
        Some(units)
    }
}

/// Units that were allowed. Dropped, they are given back, unless they were used.
pub(super) struct Units<'p> {
    quotas: &'p Quotas,
    tenant: &'p TenantId,
    taken: Vec<Feature>,
}

impl Units<'_> {
    fn ask(&mut self, feature: Feature) -> Option<()> {
        match self.quotas.take(self.tenant, feature, 1) {
            Allowance::All | Allowance::OverSoftLimit(_) => {
                self.taken.push(feature);
                Some(())
            }
            Allowance::Only(..) => None,
        }
    }

    /// The event was stored as new.
    pub(super) fn use_up(mut self) {
        self.taken.clear();
    }
}

impl Drop for Units<'_> {
    fn drop(&mut self) {
        for feature in &self.taken {
            self.quotas.give_back(self.tenant, *feature, 1);
        }
    }
}

impl DeadLetterDesk<'_> {
    /// Reads the limits and what is used of them, where no service keeps them in memory.
    pub(super) async fn look_at_the_plan(&mut self) -> Result<(), Error> {
        const SQL: &str = include_str!("../../sql/usage_list.sql");
        if let Plan::Kept(_) = self.plan {
            return Ok(());
        }
        let tenant = self.tenant.clone();
        let rows = self.read(SQL, &[&tenant.as_str()]).await?;
        let entitlements = rows.iter().map(entitlement).collect::<Result<_, _>>()?;
        if let Plan::Own(quotas) = &self.plan {
            quotas.put(HashMap::from([(tenant, entitlements)]));
        }
        Ok(())
    }
}
