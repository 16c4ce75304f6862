//! The plan of a simulated evening, whatever the number of guests and the seed.

use std::collections::BTreeMap;

use proptest::prelude::*;
use seatpilot::{
    guests::{GuestLine, GuestPlan, Seating, generate},
    simulate::{
        CURTAIN_S, EVENING_S, LAST_AT_THE_DOOR_S,
        deed::Deed,
        fate::Fate,
        plan::{Guest, Plan, Telemetry},
    },
};
use seatpilot_domain_model::DoorId;
use seatpilot_venue_graph::{Graph, PlaceKind, Venue};

/// The built-in venue, and guests of it.
struct Hall {
    graph: Graph,
    doors: Vec<DoorId>,
    seating: Seating,
}

impl Hall {
    fn new() -> Self {
        let graph = Graph::new(Venue::demo());
        let places = graph.venue().places().iter().filter(|place| place.kind == PlaceKind::Door);
        let doors = places.map(|door| door.id.parse().unwrap()).collect();
        let seating = Seating::of(&graph);
        Self { graph, doors, seating }
    }

    fn lines(&self, count: usize, seed: u64) -> Vec<GuestLine> {
        let event = "simulation-1".parse().unwrap();
        let seating = self.seating.clone();
        generate(&GuestPlan { event, count, seed, seating, valid_from: None, valid_until: None })
    }

    fn plan(&self, count: usize, seed: u64) -> (Vec<GuestLine>, Plan) {
        let lines = self.lines(count, seed);
        let plan = Plan::new(&lines, &self.graph, &self.doors, seed);
        (lines, plan)
    }
}

/// When the last of a guest happens, in seconds of the evening.
fn last_s(guest: &Guest) -> f64 {
    let before = if let Fate::WrongDoor { walk_s, .. } = guest.fate { walk_s } else { 0.0 };
    let after = match guest.fate {
        Fate::LostAnswer { after_s } => guest.walk_s + after_s,
        Fate::Copied { after_s } => guest.walk_s.max(after_s),
        _ => guest.walk_s,
    };
    guest.at_s + before + after
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn every_line_has_one_guest_with_one_fate_inside_the_evening(count in 1_usize..400, seed in any::<u64>()) {
        let hall = Hall::new();
        let (lines, plan) = hall.plan(count, seed);
        let in_order: Vec<usize> = plan.guests.iter().map(|guest| guest.line).collect();
        prop_assert_eq!(in_order, (0..count).collect::<Vec<_>>());
        for guest in &plan.guests {
            let line = &lines[guest.line];
            prop_assert!((0.0..=LAST_AT_THE_DOOR_S).contains(&guest.at_s), "{guest:?}");
            prop_assert!(last_s(guest) <= EVENING_S, "{guest:?}");
            prop_assert_eq!(guest.fate == Fate::Late, guest.at_s > CURTAIN_S);
            prop_assert_eq!(guest.fate == Fate::Outlier, guest.walk_s > 900.0);
            prop_assert!((guest.walk_s - 900.0).abs() > 10.0 && guest.walk_s >= 3.0);
            prop_assert!(line.doors.is_empty() || line.doors.contains(&guest.door));
            prop_assert!(guest.people <= line.party_size);
            if let Fate::WrongDoor { door, .. } = &guest.fate {
                prop_assert!(!line.doors.contains(door) && hall.doors.contains(door));
            }
        }
        for at_s in plan.strangers.iter().map(|one| one.at_s).chain(plan.heartbeats.iter().map(|one| one.at_s)) {
            prop_assert!((0.0..=LAST_AT_THE_DOOR_S).contains(&at_s));
        }
    }

    #[test]
    fn a_seed_is_an_evening_and_another_seed_another(count in 20_usize..200, seed in any::<u64>()) {
        let hall = Hall::new();
        prop_assert_eq!(hall.plan(count, seed).1, hall.plan(count, seed).1);
        prop_assert_ne!(hall.plan(count, seed).1.guests, hall.plan(count, seed.wrapping_add(1)).1.guests);
    }

    #[test]
    fn no_door_sees_so_many_strangers_that_its_gate_would_be_refused(count in 1_usize..20_000, seed in any::<u64>()) {
        let hall = Hall::new();
        // The strangers depend on how many guests there are, not on who they are.
        let lines = vec![hall.lines(1, seed).remove(0); count];
        let mut doors: BTreeMap<DoorId, usize> = BTreeMap::new();
        for stranger in Plan::new(&lines, &hall.graph, &hall.doors, seed).strangers {
            *doors.entry(stranger.door).or_default() += 1;
        }
        prop_assert!(!doors.is_empty());
        prop_assert!(doors.values().all(|count| *count <= 30), "{doors:?}");
    }
}

#[test]
fn an_evening_of_a_thousand_has_something_of_everything_and_its_figures_add_up() {
    let hall = Hall::new();
    let (_, plan) = hall.plan(1000, 7);
    let deeds = plan.deeds();
    for deed in Deed::ALL {
        // The built-in venue has a way for everybody.
        assert_eq!(deeds[&deed] == 0, deed == Deed::RouteRefused, "{deed:?}");
    }
    let fates = |is: fn(&Fate) -> bool| plan.guests.iter().filter(|guest| is(&guest.fate)).count() as u64;
    let admitted = 1000 - fates(|fate| *fate == Fate::NoShow);
    assert_eq!(deeds[&Deed::Admitted], admitted);
    let unseen = fates(|fate| *fate == Fate::Unseen);
    assert_eq!(deeds[&Deed::Arrived] + deeds[&Deed::Outlier], admitted - unseen);
    assert_eq!(deeds[&Deed::EventAccepted], admitted + plan.heartbeats.len() as u64);
    let telemetry = |wanted: fn(Telemetry) -> bool| {
        let sent = plan.guests.iter().filter(|guest| guest.fate.is_admitted());
        sent.filter(|guest| wanted(guest.telemetry)).count() as u64
    };
    assert_eq!(deeds[&Deed::EventRejected], telemetry(|sent| matches!(sent, Telemetry::Bad(_))));
    assert_eq!(plan.dead_letters().values().sum::<u64>(), deeds[&Deed::EventRejected]);
    let refused = deeds[&Deed::EventRejected] as f64;
    assert!(refused / (deeds[&Deed::EventAccepted] as f64) < 0.01, "the objective would be missed");
}
