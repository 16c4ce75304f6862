//! What became of telemetry events.

use std::str::FromStr;

use prometheus::{IntCounter, Registry};
use seatpilot_domain_model::{CountedOnly, Outcome, RejectReason, TenantId, UnknownWord};

use crate::{families, tenant::PerTenant};

/// Why something was refused: an item of an authenticated request, or a request as a whole. Both sets are
/// closed and have no word in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RejectedFor {
    /// An item.
    Item(RejectReason),
    /// A request.
    Request(CountedOnly),
}

impl RejectedFor {
    /// Every reason: those of items, then those of requests.
    pub fn all() -> impl Iterator<Item = Self> {
        let items = RejectReason::ALL.iter().copied().map(Self::Item);
        items.chain(CountedOnly::ALL.iter().copied().map(Self::Request))
    }

    /// The label's value.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Item(reason) => reason.as_str(),
            Self::Request(reason) => reason.as_str(),
        }
    }

    /// Its place in [`RejectedFor::all`].
    const fn index(self) -> usize {
        match self {
            Self::Item(reason) => reason as usize,
            Self::Request(reason) => RejectReason::ALL.len() + reason as usize,
        }
    }
}

impl FromStr for RejectedFor {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        text.parse().map(Self::Item).or_else(|_| text.parse().map(Self::Request))
    }
}

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CountedAs {
    /// Stored.
    Accepted,
    /// Stored before.
    Duplicate,
    /// Refused.
    Rejected(RejectedFor),
}

impl From<Outcome> for CountedAs {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Accepted => Self::Accepted,
            Outcome::Duplicate => Self::Duplicate,
            Outcome::Rejected(reason) => Self::Rejected(RejectedFor::Item(reason)),
        }
    }
}

#[derive(Clone)]
struct IngestSeries {
    accepted: IntCounter,
    duplicate: IntCounter,
    rejected: Vec<IntCounter>,
}

impl IngestSeries {
    fn of(&self, counted: CountedAs) -> &IntCounter {
        match counted {
            CountedAs::Accepted => &self.accepted,
            CountedAs::Duplicate => &self.duplicate,
            CountedAs::Rejected(reason) => &self.rejected[reason.index()],
        }
    }
}

/// `seatpilot_ingest_accepted_total`, `seatpilot_ingest_duplicate_total`, `seatpilot_ingest_rejected_total`.
pub struct IngestMetrics {
    series: PerTenant<IngestSeries>,
}

impl IngestMetrics {
    pub(crate) fn register(registry: &Registry, tenants: &[TenantId]) -> Self {
        let accepted = families::INGEST_ACCEPTED_TOTAL.counters(registry);
        let duplicate = families::INGEST_DUPLICATE_TOTAL.counters(registry);
        let rejected = families::INGEST_REJECTED_TOTAL.counters(registry);
        Self {
            series: PerTenant::new(tenants, move |tenant| IngestSeries {
                accepted: accepted.with_label_values(&[tenant]),
                duplicate: duplicate.with_label_values(&[tenant]),
                rejected: RejectedFor::all()
                    .map(|reason| rejected.with_label_values(&[tenant, reason.as_str()]))
                    .collect(),
            }),
        }
    }

    pub(crate) fn extend(&self, tenants: &[TenantId]) {
        self.series.extend(tenants);
    }

    /// Counts one item's outcome.
    pub fn count(&self, tenant: &TenantId, outcome: Outcome) {
        self.add(tenant, outcome.into(), 1);
    }

    /// Counts several of the same.
    pub fn add(&self, tenant: &TenantId, counted: CountedAs, times: u64) {
        self.series.with(tenant, |series| series.of(counted).inc_by(times));
    }

    /// Counts a refused request. Until its tag was verified a request has no tenant, whatever key it names:
    /// else anybody could fill a tenant's reject rate.
    pub fn refuse(&self, tenant: Option<&TenantId>, reason: CountedOnly) {
        let counted = CountedAs::Rejected(RejectedFor::Request(reason));
        match tenant {
            Some(tenant) => self.add(tenant, counted, 1),
            None => self.series.other().of(counted).inc(),
        }
    }
}
