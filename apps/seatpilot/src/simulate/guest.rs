//! One guest's evening, over HTTP: from the first door to the seat, as the plan has it.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use seatpilot_domain_model::{DoorId, EventId, VenueId};
use serde_json::{Value, json};
use tokio::{sync::mpsc, time::Instant};

use super::{
    batches::{Happening, Shown},
    deed::Deed,
    fate::Fate,
    pace::Pace,
    plan::{Ask, Guest, Ping},
    tally::Tally,
    wire::{Answer, Wire},
};
use crate::guests::GuestLine;

/// How much further a scan lies back than it must, for clocks that differ by a little.
const MARGIN_S: f64 = 1.0;
/// The answer gives microseconds; a walk is planned in milliseconds.
const WALK_EXACT_S: f64 = 0.002;

/// What all guests share.
pub(super) struct House {
    pub(super) wire: Wire,
    pub(super) tally: Tally,
    pub(super) pace: Pace,
    pub(super) venue: VenueId,
    pub(super) event: EventId,
}

/// A guest on the way through the evening.
pub(super) struct Visit {
    pub(super) house: Arc<House>,
    /// To the sender of telemetry.
    pub(super) happenings: mpsc::Sender<Happening>,
    pub(super) guest: Guest,
    pub(super) line: GuestLine,
}

impl Visit {
    /// All of it. What is answered goes to the tally; a guest who is not let in goes home.
    pub(super) async fn go(self) {
        let (house, guest) = (&self.house, &self.guest);
        if !guest.fate.is_admitted() {
            return;
        }
        let late = house.pace.until(guest.at_s).await;
        house.tally.behind(late);
        let mut at_s = guest.at_s;
        if let Fate::WrongDoor { door, walk_s } = &guest.fate {
            let answer = self.scan(door).await.1;
            let right = answer.and_then(|answer| answer.is(403, Some("wrong_door")));
            house.tally.count(Deed::WrongDoor, right);
            at_s += walk_s;
            house.pace.until(at_s).await;
        }
        let Some((scan, admission)) = self.enter().await else { return };
        match &guest.fate {
            Fate::LostAnswer { after_s } => {
                house.pace.until(at_s + after_s).await;
                let again = house.wire.scan(&guest.door, &scan, &house.tally).await;
                house.tally.count(Deed::Replayed, again.and_then(|again| same(&admission, &again)));
                tokio::join!(self.look(&admission), self.sit(at_s, &admission, Some(*after_s)));
            }
            Fate::Copied { after_s } => {
                let copy = async {
                    house.pace.until(at_s + after_s).await;
                    self.copied(self.scan(&guest.door).await.1);
                };
                tokio::join!(copy, self.look(&admission), self.sit(at_s, &admission, None));
            }
            Fate::Unseen => self.look(&admission).await,
            Fate::NoShow
            | Fate::Seated
            | Fate::Late
            | Fate::WrongDoor { .. }
            | Fate::Slow
            | Fate::Outlier
            | Fate::Raced
            | Fate::Fewer { .. } => {
                tokio::join!(self.look(&admission), self.sit(at_s, &admission, None));
            }
        }
    }

    /// Through the right door: the scan and the answer that admits.
    async fn enter(&self) -> Option<(Value, Answer)> {
        let (house, door) = (&self.house, &self.guest.door);
        let begun = Instant::now();
        let (scan, answer) = if self.guest.fate == Fate::Raced {
            let (one, other) = tokio::join!(self.scan(door), self.scan(door));
            let is_in =
                |answer: &Result<Answer, String>| answer.as_ref().is_ok_and(|answer| answer.status == 201);
            let (first, second) = if is_in(&one.1) { (one, other) } else { (other, one) };
            self.copied(second.1);
            first
        } else {
            self.scan(door).await
        };
        let answer = match answer {
            Ok(answer) if answer.status == 201 && answer.document["decision"] == "admitted" => answer,
            Ok(answer) => {
                house.tally.count(Deed::Admitted, Err(answer.said()));
                return None;
            }
            Err(said) => {
                house.tally.count(Deed::Admitted, Err(said));
                return None;
            }
        };
        house.tally.scanned(begun.elapsed());
        let people = u64::from(self.guest.people.get());
        let right =
            if answer.document["party_size"] == people { Ok(()) } else { Err("another party".to_owned()) };
        house.tally.count(Deed::Admitted, right);
        Some((scan, answer))
    }

    fn copied(&self, answer: Result<Answer, String>) {
        let right = answer.and_then(|answer| answer.is(409, Some("already_checked_in")));
        self.house.tally.count(Deed::AlreadyIn, right);
    }

    /// The scan of this ticket at a door, new each time, and its answer.
    async fn scan(&self, door: &DoorId) -> (Value, Result<Answer, String>) {
        let (house, guest) = (&self.house, &self.guest);
        let mut scan = json!({
            "scan_id": house.wire.clock().uuid_v7(),
            "venue_id": house.venue,
            "event_id": house.event,
            "door_id": door,
            "ticket": self.line.ticket.code(),
            "channel": guest.channel.as_str(),
            "lang": guest.lang.as_str(),
        });
        if let Fate::Fewer { people } = guest.fate {
            scan["party_size"] = json!(people);
        }
        let back_s = house.pace.back_s(guest.walk_s);
        if back_s > 0.0 {
            scan["scanned_at"] = json!(earlier(house.wire.clock().now(), back_s + MARGIN_S));
        }
        let answer = house.wire.scan(door, &scan, &house.tally).await;
        (scan, answer)
    }

    /// Looks at the signs: telemetry says that a way was shown, and some ask for one.
    async fn look(&self, admission: &Answer) {
        let (house, guest) = (&self.house, &self.guest);
        let shown = Shown {
            session: admission.document["session_id"].clone(),
            door: guest.door.clone(),
            distance_m: admission.document["way"]["distance_m"].clone(),
            telemetry: guest.telemetry,
        };
        // Only a sender that died is gone, and then the count of events says it.
        let _ = self.happenings.send(Happening::WayShown(shown)).await;
        let Some(ask) = &guest.asks else { return };
        let answer = house.wire.route(house.venue.as_str(), ask, guest.lang, &house.tally).await;
        match ask {
            Ask { refused: None, .. } => {
                let right = answer.and_then(|answer| answer.is(200, None));
                house.tally.count(Deed::RouteShown, right);
            }
            Ask { refused: Some(code), .. } => {
                let right = answer.and_then(|answer| match answer.document["code"].as_str() {
                    Some(said) if said == code.as_str() => Ok(()),
                    _ => Err(answer.said()),
                });
                house.tally.count(Deed::RouteRefused, right);
            }
        }
    }

    /// Walks, sits down, and is seen; `again` seconds later a second time.
    async fn sit(&self, at_s: f64, admission: &Answer, again: Option<f64>) {
        let (house, guest) = (&self.house, &self.guest);
        house.pace.until(at_s + guest.walk_s).await;
        let deed = if guest.fate == Fate::Outlier { Deed::Outlier } else { Deed::Arrived };
        let ping = match self.ping(admission) {
            Ok(ping) => ping,
            Err(said) => return house.tally.count(deed, Err(said)),
        };
        let send = async || match guest.ping {
            Ping::Device => house.wire.ping(&ping, &house.tally).await,
            Ping::Signed => house.wire.send(&house.wire.signed_ping(&ping)?, &house.tally).await,
        };
        let arrival = match send().await {
            Ok(arrival) => arrival,
            Err(said) => return house.tally.count(deed, Err(said)),
        };
        house.tally.count(deed, self.seated(&arrival));
        if let Some(after_s) = again {
            house.pace.until(at_s + guest.walk_s + after_s).await;
            let right = send().await.and_then(|again| {
                let same = again.status == 200 && again.document == arrival.document;
                if same { Ok(()) } else { Err(again.said()) }
            });
            house.tally.count(Deed::ArrivedAgain, right);
        }
    }

    /// What the phone says at the seat: the admission's own place, the planned walk after its door.
    fn ping(&self, admission: &Answer) -> Result<Value, String> {
        let document = &admission.document;
        let checked_in_at =
            document["checked_in_at"].as_str().and_then(|text| text.parse::<Timestamp>().ok());
        let at = checked_in_at.ok_or_else(|| "an admission without a time".to_owned())?;
        let mut ping = json!({
            "ping_id": self.house.wire.clock().uuid_v7(),
            "session_id": document["session_id"],
            "arrived_at": earlier(at, -self.guest.walk_s),
        });
        for place in ["table_id", "seat_id", "section"] {
            if !document[place].is_null() {
                ping[place] = document[place].clone();
            }
        }
        Ok(ping)
    }

    /// Whether an arrival says what was planned.
    fn seated(&self, arrival: &Answer) -> Result<(), String> {
        // The answer to a first sending may have been lost.
        if arrival.status != 201 && !(arrival.status == 200 && arrival.tries > 1) {
            return Err(arrival.said());
        }
        let seconds = arrival.document["door_to_seat_seconds"].as_f64().unwrap_or(-1.0);
        if (seconds - self.guest.walk_s).abs() > WALK_EXACT_S {
            return Err("another door-to-seat time".to_owned());
        }
        let outlier = self.guest.fate == Fate::Outlier;
        if arrival.document["outlier"] == outlier { Ok(()) } else { Err("another outlier".to_owned()) }
    }
}

/// Whether a repeated scan was answered as the first; only the way may be another (contract section 1).
fn same(first: &Answer, again: &Answer) -> Result<(), String> {
    let without_way = |answer: &Answer| {
        let mut document = answer.document.clone();
        document["way"] = Value::Null;
        document
    };
    if again.status == 201 && again.replayed && without_way(first) == without_way(again) {
        Ok(())
    } else {
        Err(again.said())
    }
}

/// So many seconds before a time.
fn earlier(time: Timestamp, seconds: f64) -> Timestamp {
    let back = SignedDuration::from_micros((seconds * 1e6).round() as i64);
    time.checked_sub(back).unwrap_or(time)
}
