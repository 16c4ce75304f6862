//! Facts about real venues. Each test says when the venue is not here.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use seatpilot_domain_model::{FaultCode, Lang, Profile};
use seatpilot_venue_graph::{
    Direction, Exposure, Graph, LinkKind, PlaceKind, RouteFault, Venue, import_mlit, lint,
};

use crate::{
    routes::{by_node, query, route},
    venues,
};

fn of_kind(venue: &Venue, kind: PlaceKind) -> Vec<String> {
    let places = venue.places().iter().filter(|place| place.kind == kind);
    places.map(|place| format!("{}:{}", kind.as_str(), place.id)).collect()
}

#[test]
fn the_stadium_is_published_whole() {
    let Some((import, venue)) = venues::real("nissan-stadium") else { return };
    assert_eq!(import.refused, []);
    assert_eq!(venue.nodes().len(), 2277);
    assert_eq!(venue.links().len(), 2734);
    assert_eq!(of_kind(&venue, PlaceKind::Door).len(), 16);
    assert_eq!(of_kind(&venue, PlaceKind::Section).len(), 80);
    let import = import.lint().expect("a lint");
    assert_eq!((import.unreachable.len(), import.links_to_nowhere.len(), import.loose_nodes), (0, 0, 0));
}

#[test]
fn the_stadium_is_one_component() {
    let Some((_, venue)) = venues::real("nissan-stadium") else { return };
    let step = |node: &u32| {
        let node = *node;
        let links = venue.links().iter().filter(move |link| link.start == node || link.end == node);
        links.map(move |link| if link.start == node { link.end } else { link.start }).collect::<Vec<_>>()
    };
    assert_eq!(pathfinding::directed::bfs::bfs_reach(0_u32, step).count(), 2277);
}

#[test]
fn without_steps_1256_nodes_of_the_stadium_are_reached_and_none_on_storeys_6_and_7() {
    let Some((_, venue)) = venues::real("nissan-stadium") else { return };
    let open = |exposure| matches!(exposure, Exposure::Outside | Exposure::Boundary);
    assert_eq!(venue.nodes().iter().filter(|node| open(node.exposure)).count(), 259);
    let lint = lint(&venue, &[]);
    assert_eq!(lint.ways_in, 259);
    assert_eq!(lint.levels.iter().map(|reach| reach.nodes_step_free).sum::<usize>(), 1256);
    for reach in lint.levels.iter().filter(|reach| reach.level >= 6.0) {
        assert_eq!(reach.nodes_step_free, 0, "level {}", reach.level);
    }
    println!("{lint}");
}

#[test]
fn the_answer_to_the_upper_stand_is_no_step_free_way_never_a_stair() {
    let Some((_, venue)) = venues::real("nissan-stadium") else { return };
    let graph = Graph::new(venue.clone());
    let mut answered = 0;
    for door in of_kind(&venue, PlaceKind::Door) {
        for section in of_kind(&venue, PlaceKind::Section) {
            assert!(route(&graph, &door, &section, Profile::Walk).is_ok(), "{door} to {section}");
            match route(&graph, &door, &section, Profile::StepFree) {
                Ok(route) => {
                    answered += 1;
                    assert!(!section.starts_with("section:U"), "{door} to {section}");
                    assert!(route.step_free);
                    for step in &route.steps {
                        assert!(
                            !step.text.contains("stair") && !step.text.contains("escalator"),
                            "{}",
                            step.text
                        );
                    }
                }
                Err(fault) => assert_eq!(fault, RouteFault::NoStepFreeRoute, "{door} to {section}"),
            }
        }
    }
    assert!(answered > 500, "{answered} step-free ways");
}

#[test]
fn one_way_links_of_the_forum_are_respected() {
    let Some((_, venue)) = venues::real("tokyo-international-forum") else { return };
    let one_way: Vec<_> = venue.links().iter().filter(|link| link.direction != Direction::Both).collect();
    assert_eq!(one_way.len(), 10);
    assert!(one_way.iter().all(|link| link.kind == LinkKind::Escalator));
    let graph = Graph::new(venue.clone());
    let mut ridden = 0;
    for link in one_way {
        let [start, end] = [link.start, link.end].map(|node| by_node(&venue, node));
        let (with, against) = match link.direction {
            Direction::Forward => {
                (route(&graph, &start, &end, Profile::Walk), route(&graph, &end, &start, Profile::Walk))
            }
            _ => (route(&graph, &end, &start, Profile::Walk), route(&graph, &start, &end, Profile::Walk)),
        };
        let uses = |route: &seatpilot_venue_graph::Route| {
            route.geometry.features.iter().any(|feature| feature.properties.link_id == link.id)
        };
        // Stairs beside an escalator may be quicker; some escalators are the way.
        ridden += usize::from(uses(&with.expect("a way")));
        assert!(!against.is_ok_and(|route| uses(&route)), "{} is walked against its direction", link.id);
    }
    assert!(ridden >= 5, "{ridden} of 10 escalators are ridden");
}

#[test]
fn a_venue_without_named_doors_is_entered_by_its_entrances() {
    let Some((import, venue)) = venues::real("tokyo-international-forum") else { return };
    assert_eq!(import.refused, []);
    assert_eq!((venue.nodes().len(), venue.links().len()), (125, 147));
    let doors: BTreeSet<String> = of_kind(&venue, PlaceKind::Door).into_iter().collect();
    assert_eq!(doors.len(), 9);
    assert!(doors.contains("door:entrance-1"), "{doors:?}");
}

#[test]
fn without_places_the_openings_of_the_stadium_are_its_doors() {
    let Some(mut files) = venues::real_files("nissan-stadium") else { return };
    files.places = None;
    let venue = import_mlit(&files).venue.expect("a map");
    assert_eq!(of_kind(&venue, PlaceKind::Door).len(), 16);
    assert!(venue.place(PlaceKind::Door, "opening-1").is_some());
}

#[test]
fn the_stadium_is_read_and_decoded_in_no_time() {
    let Some(files) = venues::real_files("nissan-stadium") else { return };
    let started = Instant::now();
    let venue = import_mlit(&files).venue.expect("a map");
    let imported = started.elapsed();
    let bytes = venue.to_bytes();
    let started = Instant::now();
    let decoded = Venue::from_bytes(&bytes).expect("a venue");
    let decoding = started.elapsed();
    let graph = Graph::new(decoded.clone());
    let way = || graph.way("south-1", None, None, Some("U12"), Profile::Walk, Lang::En).expect("a way");
    let first = way();
    let started = Instant::now();
    assert_eq!((0..1000).filter(|_| way() == first).count(), 1000);
    println!(
        "import {imported:?}, {} bytes, decode {decoding:?}, a way in words {:?}",
        bytes.len(),
        started.elapsed() / 1000
    );
    assert_eq!(decoded, venue);
    // Bounds that only a quadratic mistake breaks: machines are noisy.
    assert!(imported < Duration::from_secs(10), "{imported:?}");
}

#[test]
fn every_amenity_that_the_stadium_has_is_found_and_others_are_unknown() {
    let Some((_, venue)) = venues::real("nissan-stadium") else { return };
    let graph = Graph::new(venue);
    for kind in ["toilets", "accessible_toilets", "lift", "exit", "information"] {
        let route = route(&graph, "door:east-1", &format!("amenity:{kind}"), Profile::StepFree);
        assert!(route.is_ok(), "{kind}: {route:?}");
    }
    let fault = graph.route(&query("door:east-1", "amenity:first_aid", Profile::Walk)).expect_err("none");
    assert_eq!(fault.code(), FaultCode::PlaceUnknown);
}
