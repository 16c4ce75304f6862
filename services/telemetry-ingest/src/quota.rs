//! The plan's hard limits, item by item: what goes over one is rejected as `quota_exceeded` and kept in the dead-letter
//! queue with its bytes.

use seatpilot_domain_model::{Feature, Item, Outcome, Receipt, RejectReason, TenantId};
use seatpilot_store::{Allowance, EventStore};

/// The type that counts as a seat assigned besides being an event.
const SEATING_ASSIGNED: &str = "seating.assigned";
/// What the sender's developer and the operator read.
const DETAIL: &str = "the plan's limit of this month is reached";

/// Units that a request was allowed. Dropped, it gives back those that were not used: what was not stored as new.
pub(crate) struct Allowed<'s> {
    store: &'s EventStore,
    tenant: &'s TenantId,
    /// By item: whether it was allowed as an event, and as a seat.
    items: Vec<(bool, bool)>,
}

/// Holds the events of a request to the plan: those that go over it become dead letters.
pub(crate) fn allow<'s>(
    store: &'s EventStore,
    tenant: &'s TenantId,
    items: Vec<Item>,
) -> (Vec<Item>, Allowed<'s>) {
    let mut allowed = Allowed { store, tenant, items: Vec::new() };
    if !store.limits(tenant) {
        return (items, allowed);
    }
    let events = items.iter().filter(|item| matches!(item, Item::Event(_))).count() as u64;
    let granted = match store.take(tenant, Feature::Events, events) {
        Allowance::All | Allowance::OverSoftLimit(_) => events,
        Allowance::Only(granted, _) => granted,
    };
    allowed.items.reserve(items.len());
    let mut met = 0;
    let items = items
        .into_iter()
        .map(|item| {
            let event = match item {
                Item::Event(event) => event,
                Item::DeadLetter(letter) => {
                    allowed.items.push((false, false));
                    return Item::DeadLetter(letter);
                }
            };
            met += 1;
            let as_event = met <= granted;
            let is_seat = as_event && event.kind == SEATING_ASSIGNED;
            let as_seat = is_seat && !matches!(store.take(tenant, Feature::Seats, 1), Allowance::Only(..));
            allowed.items.push((as_event, as_seat));
            if as_event && as_seat == is_seat {
                Item::Event(event)
            } else {
                Item::DeadLetter(event.into_dead_letter(RejectReason::QuotaExceeded, DETAIL))
            }
        })
        .collect();
    (items, allowed)
}

impl Allowed<'_> {
    /// What was stored as new is used up.
    pub(crate) fn used_by(&mut self, receipts: &[Receipt]) {
        for (item, receipt) in self.items.iter_mut().zip(receipts) {
            if receipt.outcome == Outcome::Accepted {
                *item = (false, false);
            }
        }
    }
}

impl Drop for Allowed<'_> {
    fn drop(&mut self) {
        let events = self.items.iter().filter(|(event, _)| *event).count() as u64;
        let seats = self.items.iter().filter(|(_, seat)| *seat).count() as u64;
        for (feature, left) in [(Feature::Events, events), (Feature::Seats, seats)] {
            if left > 0 {
                self.store.give_back(self.tenant, feature, left);
            }
        }
    }
}
