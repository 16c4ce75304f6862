//! What a sender may tell, as types: a value that exists is inside its closed sets and limits.

use seatpilot_domain_model::{
    Channel, Fault, FaultCode, RejectReason, Stage, TenantId, View, member,
    strict_json::{self, Document},
};
use seatpilot_http::parse_json_items;
use seatpilot_metrics_api::{Assigned, CountedAs, RejectedFor};
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, Error, IgnoredAny},
};

use crate::quantity::{Count, Milliseconds, Seconds};

/// Most observations of one request.
pub(crate) const ITEMS_MAX: usize = 1_000;

/// A check-in's latency.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CheckinObservation {
    pub(crate) tenant: TenantId,
    pub(crate) channel: Channel,
    pub(crate) latency_ms: Milliseconds,
}

/// One stage of a check-in.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StageObservation {
    pub(crate) tenant: TenantId,
    pub(crate) channel: Channel,
    pub(crate) stage: Stage,
    pub(crate) seconds: Seconds,
}

/// A walk from door to seat.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DoorToSeatObservation {
    pub(crate) tenant: TenantId,
    pub(crate) channel: Channel,
    pub(crate) seconds: Seconds,
}

/// Telemetry events by outcome.
#[derive(Debug, Deserialize)]
#[serde(try_from = "IngestMembers")]
pub(crate) struct IngestObservation {
    pub(crate) tenant: TenantId,
    pub(crate) counted: CountedAs,
    pub(crate) times: u64,
}

/// The members of an [`IngestObservation`], each by itself.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct IngestMembers {
    tenant: TenantId,
    outcome: IngestOutcome,
    #[serde(default, deserialize_with = "member::present")]
    reason: Option<Reason>,
    #[serde(default = "Count::once")]
    count: Count,
}

/// `accepted`, `duplicate` or `rejected`, without the reason that the domain's outcome carries.
enum IngestOutcome {
    Accepted,
    Duplicate,
    Rejected,
}

impl<'de> Deserialize<'de> for IngestOutcome {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match String::deserialize(deserializer)?.as_str() {
            "accepted" => Ok(Self::Accepted),
            "duplicate" => Ok(Self::Duplicate),
            "rejected" => Ok(Self::Rejected),
            _ => Err(D::Error::custom("must be one of accepted duplicate rejected")),
        }
    }
}

struct Reason(RejectedFor);

impl<'de> Deserialize<'de> for Reason {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let reason = String::deserialize(deserializer)?.parse();
        reason.map(Self).map_err(|_| {
            let words: Vec<_> = RejectedFor::all().map(RejectedFor::as_str).collect();
            D::Error::custom(format_args!("must be one of {}", words.join(" ")))
        })
    }
}

impl TryFrom<IngestMembers> for IngestObservation {
    type Error = &'static str;

    fn try_from(members: IngestMembers) -> Result<Self, &'static str> {
        let counted = match (members.outcome, members.reason) {
            (IngestOutcome::Accepted, None) => CountedAs::Accepted,
            (IngestOutcome::Duplicate, None) => CountedAs::Duplicate,
            (IngestOutcome::Rejected, Some(Reason(reason))) => CountedAs::Rejected(reason),
            (IngestOutcome::Rejected, None) => return Err("needs a reason where outcome is rejected"),
            (IngestOutcome::Accepted | IngestOutcome::Duplicate, Some(_)) => {
                return Err("has a reason only where outcome is rejected");
            }
        };
        Ok(Self { tenant: members.tenant, counted, times: members.count.times() })
    }
}

/// How far a view is behind.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LagObservation {
    pub(crate) view: View,
    pub(crate) seconds: Seconds,
}

/// A seating decision that was confirmed.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AssignObservation {
    pub(crate) tenant: TenantId,
    pub(crate) channel: Channel,
    pub(crate) duration_ms: Milliseconds,
    #[serde(rename = "feasible", deserialize_with = "assigned")]
    pub(crate) assigned: Assigned,
}

fn assigned<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Assigned, D::Error> {
    Ok(if bool::deserialize(deserializer)? { Assigned::Automatically } else { Assigned::ByHand })
}

/// Reads one observation, or an array of at most [`ITEMS_MAX`]: all of them or none.
///
/// # Errors
/// `bad_json`, or `schema_violation` with the pointer of what is wrong.
pub(crate) fn read<T: DeserializeOwned>(body: &[u8]) -> Result<Vec<T>, Fault> {
    parse_json_items(body, ITEMS_MAX).map_err(|fault| match fault.code() {
        FaultCode::BadJson => bare_word(body).unwrap_or(fault),
        _ => fault,
    })
}

/// `NaN` and `Infinity` are not JSON, but what several languages print for a measurement that went wrong: if
/// they are all that is wrong, the sender learns where instead of hearing that its body is no JSON.
fn bare_word(body: &[u8]) -> Option<Fault> {
    let (prefixes, values) = match strict_json::scan(body, ITEMS_MAX).ok()? {
        Document::One(value) => (vec![String::new()], vec![value]),
        Document::Many { elements, .. } => {
            ((0..elements.len()).map(|at| format!("/{at}")).collect(), elements)
        }
    };
    let (prefix, value) = prefixes
        .iter()
        .zip(&values)
        .find(|(_, value)| value.flaw.is_some_and(|flaw| flaw.reason == RejectReason::JsonNumberRange))?;
    let member =
        value.members.iter().find(|member| serde_json::from_str::<IgnoredAny>(member.raw).is_err())?;
    // What it is called is the sender's own word, and short where it is one of ours.
    let name: String = member.key.chars().take(64).collect::<String>().replace('~', "~0").replace('/', "~1");
    Some(Fault::schema(format!("{prefix}/{name}"), "must be a number"))
}
