//! The plan of an evening: who comes when, by which door, and what becomes of them. Pure: the same guests, map and
//! seed are the same plan, and no answer changes it.
//!
//! Times are seconds of the evening, from the opening of the doors ([`super::curve`]); how fast an evening is played is
//! not the plan's business.

use std::collections::{BTreeMap, HashMap};

use seatpilot_domain_model::{
    Channel, DoorId, FaultCode, Lang, OUTLIER_AFTER_SECONDS, PartySize, Profile, RejectReason,
};
use seatpilot_venue_graph::{Graph, PlaceKind, PlaceRef, RouteQuery};

use super::{
    curve::{between, in_time, late},
    deed::Deed,
    fate::{Fate, LOTS, Lot},
};
use crate::guests::{Dice, GuestLine};

/// Events of telemetry that are sent twice, of a thousand guests.
const TWICE_IN_THOUSAND: usize = 20;
/// Bad events, of a thousand guests: well under the 1 % that the objective allows.
const BAD_IN_THOUSAND: usize = 4;
/// Guests who ask the way, of a thousand.
const ASKING_IN_THOUSAND: usize = 350;
/// Of those, how many want the nearest toilets instead of their seat.
const TOILETS_IN_THOUSAND: usize = 150;
/// How many in a thousand read Spanish.
const SPANISH_IN_THOUSAND: usize = 300;
/// Arrivals that a sign reports signed instead of with a device's token, of a thousand.
const SIGNED_IN_THOUSAND: usize = 100;
/// Unknown tickets, of a thousand guests.
const STRANGERS_IN_THOUSAND: usize = 15;
/// Unknown tickets at one door at most, all evening: a device may show 60 a minute (contract section 1), however
/// fast the evening is played.
const STRANGERS_A_DOOR_MAX: usize = 30;
/// Seconds between two signs of life of a gate.
const HEARTBEAT_EVERY_S: f64 = 300.0;
/// Seconds of a walk that the map knows nothing of.
const UNKNOWN_WALK_S: f64 = 28.0;

/// A whole evening.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// One for each line of the list.
    pub guests: Vec<Guest>,
    /// Those with no ticket of ours.
    pub strangers: Vec<Stranger>,
    /// When which gate says that it is alive.
    pub heartbeats: Vec<Heartbeat>,
}

/// One line of the list.
#[derive(Debug, Clone, PartialEq)]
pub struct Guest {
    /// The line's place in the list.
    pub line: usize,
    /// When they are at the first door.
    pub at_s: f64,
    /// The door that is right for them.
    pub door: DoorId,
    /// What becomes of them.
    pub fate: Fate,
    /// How many of them.
    pub people: PartySize,
    /// Seconds from the door to the seat.
    pub walk_s: f64,
    /// What scans the ticket.
    pub channel: Channel,
    /// What they read.
    pub lang: Lang,
    /// What says that they sit.
    pub ping: Ping,
    /// Whether they ask the way, and what they must be told.
    pub asks: Option<Ask>,
    /// What a sign's telemetry says of them.
    pub telemetry: Telemetry,
}

/// Who reports an arrival.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ping {
    /// A device, by its token.
    Device,
    /// A sender, by a signature.
    Signed,
}

/// A question for the way.
#[derive(Debug, Clone, PartialEq)]
pub struct Ask {
    /// `door:…`.
    pub from: String,
    /// `section:…`, `table:…`, `seat:…` or `amenity:toilets`.
    pub to: String,
    /// For whom.
    pub profile: Profile,
    /// What the map says: a route, or why there is none.
    pub refused: Option<FaultCode>,
}

/// The event that a way was shown, and what goes wrong with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Telemetry {
    /// Sent once.
    Once,
    /// Sent twice, with the same id and body.
    Twice,
    /// Sent once, and beside it one that is refused for this reason.
    Bad(RejectReason),
}

/// The reasons for which the evening's bad events are refused.
pub const BAD: [RejectReason; 5] = [
    RejectReason::SchemaUnknownType,
    RejectReason::SchemaViolation,
    RejectReason::TsOutOfRange,
    RejectReason::TenantMismatch,
    RejectReason::IdConflict,
];

/// Somebody with a ticket that nobody knows.
#[derive(Debug, Clone, PartialEq)]
pub struct Stranger {
    /// When.
    pub at_s: f64,
    /// Where.
    pub door: DoorId,
}

/// A gate's sign of life.
#[derive(Debug, Clone, PartialEq)]
pub struct Heartbeat {
    /// When.
    pub at_s: f64,
    /// Whose.
    pub door: DoorId,
}

impl Plan {
    /// Plans the evening of these guests. `doors` are all doors of the venue; with none there is no evening.
    pub fn new(lines: &[GuestLine], graph: &Graph, doors: &[DoorId], seed: u64) -> Self {
        let lots = drawn(lines.len(), seed);
        let mut ways = Ways { graph, walks: HashMap::new(), asked: HashMap::new() };
        let mut dice = Dice::new(seed, 11);
        let guests = lines
            .iter()
            .zip(lots.into_iter().zip(sent(lines.len(), seed)))
            .enumerate()
            .filter_map(|(line, (guest, (lot, sent)))| ways.guest(line, guest, lot, sent, doors, &mut dice))
            .collect();
        Self { guests, strangers: strangers(lines.len(), doors, seed), heartbeats: heartbeats(doors) }
    }

    /// How often each right answer must come.
    pub fn deeds(&self) -> BTreeMap<Deed, u64> {
        let mut deeds: BTreeMap<Deed, u64> = Deed::ALL.into_iter().map(|deed| (deed, 0)).collect();
        let mut count = |deed: Deed, by: usize| *deeds.entry(deed).or_default() += by as u64;
        count(Deed::TicketUnknown, self.strangers.len());
        count(Deed::EventAccepted, self.heartbeats.len());
        for guest in self.guests.iter().filter(|guest| guest.fate.is_admitted()) {
            count(Deed::Admitted, 1);
            count(Deed::EventAccepted, 1);
            match guest.fate {
                Fate::WrongDoor { .. } => count(Deed::WrongDoor, 1),
                Fate::Copied { .. } | Fate::Raced => count(Deed::AlreadyIn, 1),
                Fate::LostAnswer { .. } => {
                    count(Deed::Replayed, 1);
                    count(Deed::ArrivedAgain, 1);
                }
                Fate::NoShow
                | Fate::Seated
                | Fate::Late
                | Fate::Slow
                | Fate::Outlier
                | Fate::Unseen
                | Fate::Fewer { .. } => {}
            }
            if guest.fate.is_seen() {
                count(if guest.fate == Fate::Outlier { Deed::Outlier } else { Deed::Arrived }, 1);
            }
            match &guest.asks {
                Some(Ask { refused: None, .. }) => count(Deed::RouteShown, 1),
                Some(Ask { refused: Some(_), .. }) => count(Deed::RouteRefused, 1),
                None => {}
            }
            match guest.telemetry {
                Telemetry::Once => {}
                Telemetry::Twice => count(Deed::EventDuplicate, 1),
                Telemetry::Bad(_) => count(Deed::EventRejected, 1),
            }
        }
        deeds
    }

    /// The dead letters that must be there, by reason.
    pub fn dead_letters(&self) -> BTreeMap<String, u64> {
        let mut letters = BTreeMap::new();
        for guest in self.guests.iter().filter(|guest| guest.fate.is_admitted()) {
            if let Telemetry::Bad(reason) = guest.telemetry {
                *letters.entry(reason.as_str().to_owned()).or_default() += 1;
            }
        }
        letters
    }

    /// How many people must be let in.
    pub fn people(&self) -> u64 {
        let admitted = self.guests.iter().filter(|guest| guest.fate.is_admitted());
        admitted.map(|guest| u64::from(guest.people.get())).sum()
    }
}

/// A lot for each guest: each lot as often as its share says, and once where there are twenty guests or more, so that
/// a small evening has a bit of everything.
fn drawn(guests: usize, seed: u64) -> Vec<Option<Lot>> {
    let mut lots: Vec<Option<Lot>> = Vec::with_capacity(guests);
    for (lot, in_thousand) in LOTS {
        lots.extend(std::iter::repeat_n(Some(lot), share(guests, in_thousand)));
    }
    lots.resize(guests, None);
    Dice::new(seed, 10).shuffle(&mut lots);
    lots
}

/// What goes wrong with the telemetry of each guest, in shares as the lots; the reasons take turns.
fn sent(guests: usize, seed: u64) -> Vec<Telemetry> {
    let bad = BAD.iter().cycle().take(share(guests, BAD_IN_THOUSAND)).map(|reason| Telemetry::Bad(*reason));
    let twice = std::iter::repeat_n(Telemetry::Twice, share(guests, TWICE_IN_THOUSAND));
    let mut sent: Vec<Telemetry> = bad.chain(twice).collect();
    sent.resize(guests, Telemetry::Once);
    Dice::new(seed, 13).shuffle(&mut sent);
    sent
}

/// So many of the guests; one at least where there are twenty.
fn share(guests: usize, in_thousand: usize) -> usize {
    let share = (guests * in_thousand + 500) / 1000;
    if guests >= 2 * LOTS.len() { share.max(1) } else { share }
}

fn strangers(guests: usize, doors: &[DoorId], seed: u64) -> Vec<Stranger> {
    let mut dice = Dice::new(seed, 12);
    let count = (guests * STRANGERS_IN_THOUSAND).div_ceil(1000).min(doors.len() * STRANGERS_A_DOOR_MAX);
    let first = dice.below(doors.len());
    (0..count)
        .filter_map(|nth| {
            // Door after door, so that no door has more than its share.
            let door = doors.get((first + nth) % doors.len())?.clone();
            Some(Stranger { at_s: in_time(&mut dice), door })
        })
        .collect()
}

fn heartbeats(doors: &[DoorId]) -> Vec<Heartbeat> {
    let beats = (super::curve::LAST_AT_THE_DOOR_S / HEARTBEAT_EVERY_S) as u32;
    let all = (0..beats).flat_map(|beat| {
        doors.iter().enumerate().map(move |(nth, door)| {
            // Gates do not beat in step.
            let own = nth as f64 / doors.len() as f64;
            Heartbeat { at_s: (f64::from(beat) + own) * HEARTBEAT_EVERY_S, door: door.clone() }
        })
    });
    all.collect()
}

/// What the map says, asked once for each pair of places.
struct Ways<'a> {
    graph: &'a Graph,
    walks: HashMap<(DoorId, String, Profile), f64>,
    asked: HashMap<(String, String, Profile), Option<FaultCode>>,
}

impl Ways<'_> {
    /// One guest; none where the venue has no door.
    fn guest(
        &mut self,
        line: usize,
        guest: &GuestLine,
        lot: Option<Lot>,
        telemetry: Telemetry,
        doors: &[DoorId],
        dice: &mut Dice,
    ) -> Option<Guest> {
        let profile = guest.profile.unwrap_or(Profile::Walk);
        let own: Vec<&DoorId> = guest.doors.iter().filter(|door| doors.contains(door)).collect();
        let door = match dice.pick(&own) {
            Some(door) => (*door).clone(),
            None => dice.pick(doors)?.clone(),
        };
        let fate = self.fate(guest, lot, doors, dice);
        let at_s = if fate == Fate::Late { late(dice) } else { in_time(dice) };
        let place = place_of(guest);
        // Nobody's walk is so near to the limit that a clock could decide.
        let (shorter, longer) = (OUTLIER_AFTER_SECONDS - 20.0, OUTLIER_AFTER_SECONDS + 20.0);
        let walk_s = if fate == Fate::Slow {
            between(dice, 240.0, shorter)
        } else if fate == Fate::Outlier {
            between(dice, longer, longer + 580.0)
        } else {
            let pace = between(dice, 0.85, 1.5);
            (self.walk(&door, place.as_deref(), profile) * pace).clamp(3.0, shorter)
        };
        let channel = [Channel::Kiosk, Channel::Mobile, Channel::Desk][dice.weighted(&[600, 300, 100])];
        let lang = if dice.happens(SPANISH_IN_THOUSAND) { Lang::Es } else { Lang::En };
        let ping = if dice.happens(SIGNED_IN_THOUSAND) { Ping::Signed } else { Ping::Device };
        let asking = dice.happens(ASKING_IN_THOUSAND);
        let toilets = dice.happens(TOILETS_IN_THOUSAND);
        let asks = asking.then(|| {
            let to = match place {
                Some(place) if !toilets => place,
                _ => "amenity:toilets".to_owned(),
            };
            self.ask(&door, to, profile)
        });
        let people = if let Fate::Fewer { people } = fate { people } else { guest.party_size };
        Some(Guest {
            line,
            at_s,
            door,
            fate,
            people,
            walk_s: (walk_s * 1000.0).round() / 1000.0,
            channel,
            lang,
            ping,
            asks,
            telemetry,
        })
    }

    /// What the lot means for this guest; one for whom it means nothing is simply seated.
    fn fate(&self, guest: &GuestLine, lot: Option<Lot>, doors: &[DoorId], dice: &mut Dice) -> Fate {
        let (some, seconds) = (dice.fraction(), dice.fraction());
        let chosen = |count: usize| ((some * count as f64) as usize).min(count.saturating_sub(1));
        match lot {
            None => Fate::Seated,
            Some(Lot::NoShow) => Fate::NoShow,
            Some(Lot::Late) => Fate::Late,
            Some(Lot::Slow) => Fate::Slow,
            Some(Lot::Outlier) => Fate::Outlier,
            Some(Lot::Unseen) => Fate::Unseen,
            Some(Lot::Raced) => Fate::Raced,
            Some(Lot::LostAnswer) => Fate::LostAnswer { after_s: 2.0 + seconds * 8.0 },
            Some(Lot::Copied) => Fate::Copied { after_s: 20.0 + seconds * 580.0 },
            Some(Lot::WrongDoor) => {
                let wrong: Vec<&DoorId> = doors.iter().filter(|door| !guest.doors.contains(door)).collect();
                match wrong.get(chosen(wrong.len())) {
                    // A ticket for any door has no wrong one.
                    Some(door) if !guest.doors.is_empty() => {
                        Fate::WrongDoor { door: (*door).clone(), walk_s: 60.0 + seconds * 180.0 }
                    }
                    _ => Fate::Seated,
                }
            }
            Some(Lot::Fewer) => {
                let fewer = 1 + chosen(usize::from(guest.party_size.get()).saturating_sub(1)) as u64;
                match PartySize::new(fewer) {
                    Some(people) if people < guest.party_size => Fate::Fewer { people },
                    _ => Fate::Seated,
                }
            }
        }
    }

    fn walk(&mut self, door: &DoorId, place: Option<&str>, profile: Profile) -> f64 {
        let Some(place) = place else { return UNKNOWN_WALK_S };
        let graph = self.graph;
        *self.walks.entry((door.clone(), place.to_owned(), profile)).or_insert_with(|| {
            let query = query(&format!("door:{door}"), place, profile);
            query.and_then(|query| graph.route(&query).ok()).map_or(UNKNOWN_WALK_S, |route| route.duration_s)
        })
    }

    fn ask(&mut self, door: &DoorId, to: String, profile: Profile) -> Ask {
        let (graph, from) = (self.graph, format!("door:{door}"));
        let refused = *self.asked.entry((from.clone(), to.clone(), profile)).or_insert_with(|| {
            match query(&from, &to, profile) {
                Some(query) => graph.route(&query).err().map(|fault| fault.code()),
                None => Some(FaultCode::PlaceUnknown),
            }
        });
        Ask { from, to, profile, refused }
    }
}

fn query(from: &str, to: &str, profile: Profile) -> Option<RouteQuery> {
    let (from, to) = (PlaceRef::parse_origin(from).ok()?, PlaceRef::parse(to).ok()?);
    Some(RouteQuery { from, to, profile, lang: Lang::En })
}

/// Where they sit, as coarsely as still makes a way: a stadium has a way for each section, not for each seat.
fn place_of(guest: &GuestLine) -> Option<String> {
    let (section, table, seat) = (guest.section.as_ref(), guest.table.as_ref(), guest.seat.as_ref());
    let table = table.map(|id| format!("{}:{id}", PlaceKind::Table.as_str()));
    let section = section.map(|id| format!("{}:{id}", PlaceKind::Section.as_str()));
    table.or(section).or_else(|| seat.map(|id| format!("{}:{id}", PlaceKind::Seat.as_str())))
}
