//! The sender of telemetry: collects what happens, signs it in batches, sends some of it twice.

use std::{sync::Arc, time::Duration};

use jiff::SignedDuration;
use seatpilot_domain_model::{DoorId, RejectReason};
use serde_json::{Value, json};
use tokio::{
    sync::mpsc,
    time::{Instant, timeout_at},
};

use super::{deed::Deed, guest::House, plan::Telemetry, wire::Answer};

/// Events of a batch, of the contract's 500.
const BATCH_MAX: usize = 100;
/// So long a batch is collected.
const COLLECTED_WITHIN: Duration = Duration::from_millis(250);
/// Every so many batches one is sent a second time with the same nonce.
const REPLAYED_EVERY: u64 = 8;
/// Longer ago than the contract's seven days.
const TOO_OLD: SignedDuration = SignedDuration::from_hours(8 * 24);

/// Something that telemetry tells.
pub(super) enum Happening {
    /// A guest was shown the way.
    WayShown(Shown),
    /// A gate is alive.
    Alive(DoorId),
}

/// A way that was shown.
pub(super) struct Shown {
    pub(super) session: Value,
    pub(super) door: DoorId,
    /// In metres, or null.
    pub(super) distance_m: Value,
    pub(super) telemetry: Telemetry,
}

/// An event, and what must be said to it.
struct Sent {
    event: Value,
    must: Must,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Must {
    /// Accepted; of two with one id and body the other is known already.
    Taken,
    /// Refused for this reason; of two with one id and different bodies the other is taken.
    Refused(RejectReason),
}

/// Sends until nothing can happen any more.
pub(super) async fn send(house: Arc<House>, mut happenings: mpsc::Receiver<Happening>) {
    let mut batches = 0_u64;
    while let Some(first) = happenings.recv().await {
        let until = Instant::now() + COLLECTED_WITHIN;
        let mut sent = Vec::new();
        told(&house, first, &mut sent);
        while sent.len() < BATCH_MAX {
            match timeout_at(until, happenings.recv()).await {
                Ok(Some(next)) => told(&house, next, &mut sent),
                Ok(None) | Err(_) => break,
            }
        }
        batches += 1;
        if let Err(said) = flush(&house, &sent, batches).await {
            for one in &sent {
                house.tally.count(one.must.deed(), Err(said.clone()));
            }
        }
    }
}

/// Signs and sends one batch, and counts what is answered to each of its events.
async fn flush(house: &House, sent: &[Sent], nth: u64) -> Result<(), String> {
    let events = Value::Array(sent.iter().map(|one| one.event.clone()).collect());
    let signed = house.wire.signed_events(&events)?;
    let answer = house.wire.send(&signed, &house.tally).await?;
    if answer.status != 202 {
        return Err(answer.said());
    }
    let items = answer.document["items"].as_array().filter(|items| items.len() == sent.len());
    for (one, item) in sent.iter().zip(items.ok_or_else(|| "other items than were sent".to_owned())?) {
        let (deed, right) = judged(one.must, item);
        house.tally.count(deed, right);
    }
    if nth.is_multiple_of(REPLAYED_EVERY) {
        let again = house.wire.send(&signed, &house.tally).await;
        let same = |again: Answer| again.replayed && again.status == 202 && again.document == answer.document;
        house.tally.batch_replayed(if again.is_ok_and(same) { Ok(()) } else { Err(()) });
    }
    Ok(())
}

/// Which right answer an item has, or what it says instead.
fn judged(must: Must, item: &Value) -> (Deed, Result<(), String>) {
    let (status, reason) = (item["status"].as_str().unwrap_or_default(), item["reason"].as_str());
    match (must, status, reason) {
        (Must::Taken, "accepted", None) => (Deed::EventAccepted, Ok(())),
        (Must::Taken, "duplicate", None) => (Deed::EventDuplicate, Ok(())),
        (Must::Refused(wanted), "rejected", Some(reason)) if wanted.as_str() == reason => {
            (Deed::EventRejected, Ok(()))
        }
        (must, status, reason) => {
            (must.deed(), Err(format!("{status} {}", reason.unwrap_or_default()).trim().to_owned()))
        }
    }
}

impl Must {
    fn deed(self) -> Deed {
        match self {
            Self::Taken => Deed::EventAccepted,
            Self::Refused(_) => Deed::EventRejected,
        }
    }
}

/// The events that tell of it.
fn told(house: &House, happening: Happening, sent: &mut Vec<Sent>) {
    match happening {
        Happening::Alive(door) => {
            let event = event(house, "device.heartbeat", json!({ "door_id": door }));
            sent.push(Sent { event, must: Must::Taken });
        }
        Happening::WayShown(shown) => {
            let mut data = json!({ "from": format!("door:{}", shown.door) });
            if shown.distance_m.is_number() {
                data["distance_m"] = shown.distance_m;
            }
            let mut way = event(house, "wayfinding.route_shown", data);
            way["session_id"] = shown.session;
            match shown.telemetry {
                Telemetry::Once => {}
                Telemetry::Twice => sent.push(Sent { event: way.clone(), must: Must::Taken }),
                Telemetry::Bad(reason) => {
                    // A conflict is one with what came before it: the good one stands first.
                    let bad = bad(house, reason, &way);
                    sent.push(Sent { event: way, must: Must::Taken });
                    sent.push(Sent { event: bad, must: Must::Refused(reason) });
                    return;
                }
            }
            sent.push(Sent { event: way, must: Must::Taken });
        }
    }
}

fn event(house: &House, kind: &str, data: Value) -> Value {
    json!({
        "id": house.wire.clock().uuid_v7(),
        "type": kind,
        "occurred_at": house.wire.clock().now(),
        "venue_id": house.venue,
        "channel": "signage",
        "data": data,
    })
}

/// An event that is refused for the reason planned.
fn bad(house: &House, reason: RejectReason, good: &Value) -> Value {
    let mut bad = event(house, "device.heartbeat", json!({}));
    if reason == RejectReason::SchemaUnknownType {
        bad["type"] = json!("door.opened");
    } else if reason == RejectReason::SchemaViolation {
        bad["type"] = json!("checkin.success");
    } else if reason == RejectReason::TsOutOfRange {
        let now = house.wire.clock().now();
        bad["occurred_at"] = json!(now.checked_sub(TOO_OLD).unwrap_or(now));
    } else if reason == RejectReason::TenantMismatch {
        bad["tenant_id"] = json!("somebody-else");
    } else if reason == RejectReason::IdConflict {
        bad["id"] = good["id"].clone();
    }
    bad
}
