//! Guest lists that read like real ones: one line a booking, with the name of whoever booked, a party, seats
//! side by side, the doors next to them. For trying a venue out; no real person is meant.

use jiff::Timestamp;
use seatpilot_domain_model::{EventId, PartySize, Profile, SeatId};
use sha2::{Digest, Sha256};

use super::{
    dice::Dice,
    line::{GuestLine, Ticket},
    names::Names,
    seating::{Block, Seating, Seats, row_and_number},
};

/// How often a party of one, two … eight books, in a thousand: pairs first, three in four of two to four.
const PARTIES: [usize; 8] = [130, 390, 150, 210, 55, 40, 13, 12];
/// How many guests in a thousand cannot take stairs.
const STEP_FREE_IN_THOUSAND: usize = 20;
/// How many tickets in a thousand are good at any door (hospitality, press).
const ANY_DOOR_IN_THOUSAND: usize = 25;
/// How many parties in a thousand leave a seat empty beside them.
const GAP_IN_THOUSAND: usize = 60;
/// How far a party looks for seats in one row, where the map names them.
const LOOK_AHEAD_SEATS: usize = 200;

/// What to make up.
#[derive(Debug, Clone)]
pub struct GuestPlan {
    /// For which event.
    pub event: EventId,
    /// How many tickets: one line each, one party each.
    pub count: usize,
    /// The same plan with the same seed is the same list, byte for byte. Whoever knows the seed knows the
    /// ticket codes: take an unguessable one where that matters.
    pub seed: u64,
    /// Where there is room.
    pub seating: Seating,
    /// Not before.
    pub valid_from: Option<Timestamp>,
    /// Not after.
    pub valid_until: Option<Timestamp>,
}

/// Makes the list. It is in no order of seats, as bookings come in. Where a map names its seats and they do
/// not suffice, later parties have a section or table only.
pub fn generate(plan: &GuestPlan) -> Vec<GuestLine> {
    let names = Names::new();
    let mut dice = Dice::new(plan.seed, 1);
    let mut rooms: Vec<Room<'_>> = plan.seating.blocks.iter().map(Room::new).collect();
    let weights: Vec<usize> = rooms.iter().map(|room| room.weight(&mut dice)).collect();
    let step_free: Vec<usize> = rooms
        .iter()
        .zip(&weights)
        .map(|(room, weight)| if room.block.step_free_doors.is_empty() { 0 } else { *weight })
        .collect();
    let reach_matters = step_free.iter().any(|weight| *weight > 0);

    let mut bookings: Vec<GuestLine> = Vec::with_capacity(plan.count);
    for number in 0..plan.count {
        let people = dice.weighted(&PARTIES) + 1;
        let profile = dice.happens(STEP_FREE_IN_THOUSAND).then_some(Profile::StepFree);
        let weights = if profile.is_some() && reach_matters { &step_free } else { &weights };
        let name = names.throw(&mut dice);
        let any_door = dice.happens(ANY_DOOR_IN_THOUSAND);
        let (Some(ticket), Some(party_size)) =
            (Ticket::new(ticket_code(plan.seed, &plan.event, number)), PartySize::new(people as u64))
        else {
            continue;
        };
        let room = dice.weighted(weights);
        let seat = rooms.get_mut(room).and_then(|room| room.seat(people, &mut dice));
        let block = rooms.get(room).map(|room| room.block);
        let doors = match (block, profile) {
            (None, _) => Vec::new(),
            (Some(_), _) if any_door => Vec::new(),
            (Some(block), Some(Profile::StepFree)) => block.step_free_doors.clone(),
            (Some(block), _) => block.doors.clone(),
        };
        bookings.push(GuestLine {
            ticket,
            event: plan.event.clone(),
            name,
            party_size,
            section: block.and_then(|block| block.section.clone()),
            table: block.and_then(|block| block.table.clone()),
            seat,
            doors,
            valid_from: plan.valid_from,
            valid_until: plan.valid_until,
            profile,
        });
    }
    dice.shuffle(&mut bookings);
    bookings
}

/// A block while it fills.
struct Room<'a> {
    block: &'a Block,
    row: usize,
    next: usize,
}

impl<'a> Room<'a> {
    fn new(block: &'a Block) -> Self {
        Self { block, row: 1, next: 0 }
    }

    /// How many guests it draws: its seats where they are known, else somewhat more or less than its like.
    fn weight(&self, dice: &mut Dice) -> usize {
        match &self.block.seats {
            Seats::Named(seats) => seats.len().max(1),
            Seats::Table { chairs } => (*chairs).max(1),
            Seats::Rows { wide } => wide * (70 + dice.below(61)),
        }
    }

    /// The first of `people` seats beside each other, from the front and from the left.
    fn seat(&mut self, people: usize, dice: &mut Dice) -> Option<SeatId> {
        let gap = usize::from(dice.happens(GAP_IN_THOUSAND));
        match &self.block.seats {
            Seats::Named(seats) => {
                let beside =
                    seats.get(self.next..)?.windows(people).take(LOOK_AHEAD_SEATS).position(|seats| {
                        seats.first().map(|seat| row_and_number(seat.as_str()).0)
                            == seats.last().map(|seat| row_and_number(seat.as_str()).0)
                    })?;
                let first = self.next + beside;
                self.next = first + people;
                seats.get(first).cloned()
            }
            Seats::Table { chairs } => {
                let first = self.next;
                if first + people > *chairs {
                    return None;
                }
                self.next += people;
                let table = self.block.table.as_ref()?;
                format!("{table}-{}", first + 1).parse().ok()
            }
            Seats::Rows { wide } => {
                if self.next + people > *wide {
                    (self.row, self.next) = (self.row + 1, 0);
                }
                let first = self.next;
                self.next += people + gap;
                let section = self.block.section.as_ref()?;
                format!("{section}-{}-{}", self.row, first + 1).parse().ok()
            }
        }
    }
}

/// A ticket's code: 140 bits of SHA-256 over seed, event and number, in Crockford's base32 (no I, L, O, U), in
/// groups that can be read out at a desk: `SP-7K3M-…`.
fn ticket_code(seed: u64, event: &EventId, number: usize) -> String {
    const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    let hash = Sha256::digest(format!("seatpilot ticket\n{seed}\n{event}\n{number}").as_bytes());
    let mut code = String::from("SP");
    for symbol in 0..28 {
        if symbol % 4 == 0 {
            code.push('-');
        }
        let bit = symbol * 5;
        let window = u16::from_be_bytes([hash[bit / 8], hash[bit / 8 + 1]]);
        code.push(char::from(ALPHABET[usize::from(window >> (11 - bit % 8) & 31)]));
    }
    code
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn plan(count: usize, seed: u64) -> GuestPlan {
        let event = "derby".parse().expect("a slug");
        GuestPlan { event, count, seed, seating: Seating::plain(), valid_from: None, valid_until: None }
    }

    #[test]
    fn a_seed_is_a_list_and_another_seed_another() {
        assert_eq!(generate(&plan(500, 7)), generate(&plan(500, 7)));
        assert_ne!(generate(&plan(500, 7)), generate(&plan(500, 8)));
    }

    #[test]
    fn tickets_are_unique_and_most_parties_are_two_to_four() {
        let list = generate(&plan(10_000, 1));
        let tickets: HashSet<&str> = list.iter().map(|line| line.ticket.code()).collect();
        assert_eq!(tickets.len(), 10_000);
        let sizes = |range: std::ops::RangeInclusive<u8>| {
            list.iter().filter(|line| range.contains(&line.party_size.get())).count()
        };
        assert!((7_200..7_800).contains(&sizes(2..=4)), "{}", sizes(2..=4));
        assert_eq!(sizes(1..=8), 10_000);
        let step_free = list.iter().filter(|line| line.profile == Some(Profile::StepFree)).count();
        assert!((140..260).contains(&step_free), "{step_free}");
    }

    #[test]
    fn no_two_parties_share_a_seat() {
        let mut taken = HashSet::new();
        for line in generate(&plan(5_000, 3)) {
            let seat = line.seat.expect("rows never end").to_string();
            let (row, first) = seat.rsplit_once('-').expect("section-row-seat");
            let first: usize = first.parse().expect("a number");
            for seat in first..first + usize::from(line.party_size.get()) {
                assert!(taken.insert((row.to_owned(), seat)), "{row}-{seat}");
            }
        }
    }

    #[test]
    fn a_code_can_be_read_out() {
        let event = "derby".parse().expect("a slug");
        let code = ticket_code(1, &event, 0);
        assert_eq!(code.len(), "SP-7K3M-7K3M-7K3M-7K3M-7K3M-7K3M-7K3M".len());
        assert!(code.bytes().all(|byte| byte == b'-' || byte.is_ascii_digit() || byte.is_ascii_uppercase()));
        assert!(!code[2..].contains(['I', 'L', 'O', 'U']));
    }
}
