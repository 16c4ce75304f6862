//! Plays a plan: everybody comes when they come, whether or not the one before was answered.

use std::{sync::Arc, time::Duration};

use seatpilot_domain_model::DoorId;
use seatpilot_runtime::Shutdown;
use serde_json::json;
use tokio::{sync::mpsc, task::JoinSet};

use super::{
    batches::{self, Happening},
    curve::EVENING_S,
    deed::Deed,
    guest::{House, Visit},
    pace::Pace,
    plan::Plan,
    progress,
    stage::Stage,
    tally::{Counts, Tally},
    wire::Wire,
};
use crate::failure::Failure;

/// Happenings that wait for the sender of telemetry; whoever finds no place waits.
const HAPPENINGS_MAX: usize = 10_000;

/// Somebody at a door.
#[derive(Debug, Clone, Copy)]
enum Comer<'a> {
    Guest(usize),
    Stranger(&'a DoorId),
    Alive(&'a DoorId),
}

/// Plays it within a time.
///
/// # Errors
/// Where it was stopped.
pub(super) async fn play(
    plan: &Plan,
    stage: &Stage,
    wire: Wire,
    within: Duration,
    shutdown: &Shutdown,
) -> Result<Counts, Failure> {
    let house = Arc::new(House {
        wire,
        tally: Tally::default(),
        pace: Pace::begin(EVENING_S, within),
        venue: stage.venue.clone(),
        event: stage.event.clone(),
    });
    let (happenings, told) = mpsc::channel(HAPPENINGS_MAX);
    let sender = tokio::spawn(batches::send(Arc::clone(&house), told));
    let everybody = async {
        // Dropped, it takes those who are under way with it.
        let mut under_way = JoinSet::new();
        for (at_s, comer) in comers(plan) {
            house.pace.until(at_s).await;
            while under_way.try_join_next().is_some() {}
            comer.come(plan, stage, &house, &happenings, &mut under_way);
        }
        while under_way.join_next().await.is_some() {}
        // With the last who could tell it something, the sender ends.
        drop(happenings);
        sender.await.map_err(Failure::new)
    };
    tokio::select! {
        played = everybody => played?,
        () = progress::tell(&house, plan) => {}
        () = shutdown.begun() => return Err(Failure::new("stopped before the evening was over")),
    }
    Ok(house.tally.counted())
}

/// Everybody, in the order in which they come.
fn comers(plan: &Plan) -> Vec<(f64, Comer<'_>)> {
    let guests = plan.guests.iter().enumerate().map(|(nth, guest)| (guest.at_s, Comer::Guest(nth)));
    let strangers = plan.strangers.iter().map(|stranger| (stranger.at_s, Comer::Stranger(&stranger.door)));
    let alive = plan.heartbeats.iter().map(|beat| (beat.at_s, Comer::Alive(&beat.door)));
    let mut all: Vec<_> = guests.chain(strangers).chain(alive).collect();
    all.sort_by(|a, b| a.0.total_cmp(&b.0));
    all
}

impl Comer<'_> {
    fn come(
        self,
        plan: &Plan,
        stage: &Stage,
        house: &Arc<House>,
        happenings: &mpsc::Sender<Happening>,
        under_way: &mut JoinSet<()>,
    ) {
        let house = Arc::clone(house);
        match self {
            Self::Guest(nth) => {
                let Some(guest) = plan.guests.get(nth) else { return };
                let Some(line) = stage.lines.get(guest.line) else { return };
                let (guest, line) = (guest.clone(), line.clone());
                under_way.spawn(Visit { house, happenings: happenings.clone(), guest, line }.go());
            }
            Self::Stranger(door) => {
                let door = door.clone();
                under_way.spawn(async move { unknown(&house, &door).await });
            }
            Self::Alive(door) => {
                let (happenings, door) = (happenings.clone(), door.clone());
                // Only a sender that died is gone, and then the count of events says it.
                under_way.spawn(async move {
                    let _ = happenings.send(Happening::Alive(door)).await;
                });
            }
        }
    }
}

/// Somebody shows a code that is no ticket.
async fn unknown(house: &House, door: &DoorId) {
    let scan_id = house.wire.clock().uuid_v7();
    let scan = json!({
        "scan_id": scan_id,
        "venue_id": house.venue,
        "event_id": house.event,
        "door_id": door,
        "ticket": format!("found on the floor {scan_id}"),
        "channel": "kiosk",
    });
    let answer = house.wire.scan(door, &scan, &house.tally).await;
    let right = answer.and_then(|answer| answer.is(404, Some("ticket_unknown")));
    house.tally.count(Deed::TicketUnknown, right);
}
