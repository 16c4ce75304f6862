//! What a route promises, on every venue that is here.

use std::collections::BTreeMap;

use seatpilot_domain_model::{FaultCode, Lang, Profile};
use seatpilot_venue_graph::{
    Graph, Link, LinkKind, Place, PlaceKind, PlaceRef, Route, RouteFault, RouteQuery, Slope, StepKind,
    Threshold, Venue,
};

use crate::venues;

/// A question in English.
pub(crate) fn query(from: &str, to: &str, profile: Profile) -> RouteQuery {
    RouteQuery {
        from: PlaceRef::parse_origin(from).expect("an origin"),
        to: PlaceRef::parse(to).expect("a destination"),
        profile,
        lang: Lang::En,
    }
}

/// Asks.
pub(crate) fn route(graph: &Graph, from: &str, to: &str, profile: Profile) -> Result<Route, RouteFault> {
    graph.route(&query(from, to, profile))
}

/// A node as a request names it.
pub(crate) fn by_node(venue: &Venue, node: u32) -> String {
    format!("node:{}", venue.nodes()[node as usize].id)
}

fn links_of<'v>(venue: &'v Venue, route: &Route) -> Vec<&'v Link> {
    let by_id: BTreeMap<&str, &Link> = venue.links().iter().map(|link| (link.id.as_str(), link)).collect();
    route.geometry.features.iter().map(|feature| by_id[feature.properties.link_id.as_str()]).collect()
}

fn tenths(value: f64) -> i64 {
    #[expect(clippy::cast_possible_truncation, reason = "a test's small number")]
    let tenths = (value * 10.0).round() as i64;
    tenths
}

/// Routes between many places of a venue, for both profiles.
fn many(graph: &Graph) -> Vec<Route> {
    Profile::ALL.iter().flat_map(|profile| many_in(graph, *profile, Lang::En)).collect()
}

fn many_in(graph: &Graph, profile: Profile, lang: Lang) -> Vec<Route> {
    let places = graph.venue().places();
    let name = |place: &Place| format!("{}:{}", place.kind.as_str(), place.id);
    let some: Vec<String> = places.iter().step_by((places.len() / 20).max(1)).map(name).collect();
    let pairs = some.iter().flat_map(|from| some.iter().map(move |to| (from, to)));
    pairs
        .filter_map(|(from, to)| graph.route(&RouteQuery { lang, ..query(from, to, profile) }).ok())
        .collect()
}

#[test]
fn the_distance_is_the_sum_of_the_links_own_distances() {
    for venue in venues::all() {
        let graph = Graph::new(venue);
        for route in many(&graph) {
            let sum: f64 = links_of(graph.venue(), &route).iter().map(|link| link.distance_m).sum();
            assert_eq!(tenths(route.distance_m), tenths(sum));
        }
    }
}

#[test]
fn the_steps_sum_to_the_route() {
    for venue in venues::all() {
        for route in many(&Graph::new(venue)) {
            assert_eq!(
                route.steps.iter().map(|step| tenths(step.distance_m)).sum::<i64>(),
                tenths(route.distance_m)
            );
            assert_eq!(
                route.steps.iter().map(|step| tenths(step.duration_s)).sum::<i64>(),
                tenths(route.duration_s)
            );
            let changes = route.steps.iter().filter(|step| step.from_level != step.to_level).count();
            assert_eq!(route.level_changes as usize, changes);
            for pair in route.steps.windows(2) {
                assert_eq!(pair[0].to_level, pair[1].from_level, "{:?}", route.steps);
            }
        }
    }
}

#[test]
fn a_route_ends_with_its_arrival_and_every_step_has_words() {
    for venue in venues::all() {
        for route in many(&Graph::new(venue)) {
            let (last, rest) = route.steps.split_last().expect("steps");
            assert_eq!(last.kind, StepKind::Arrive);
            assert!(rest.iter().all(|step| step.kind != StepKind::Arrive));
            for step in &route.steps {
                assert!(step.text.ends_with('.') && step.text.len() > 8, "{:?}", step.text);
                assert!(!step.text.contains("NaN") && !step.text.contains("  "), "{:?}", step.text);
            }
        }
    }
}

#[test]
fn step_free_says_whether_the_route_as_found_has_steps() {
    for venue in venues::all() {
        let graph = Graph::new(venue);
        for route in many(&graph) {
            let steps = [LinkKind::Stairs, LinkKind::Escalator, LinkKind::Unknown];
            let has_steps = links_of(graph.venue(), &route).iter().any(|link| steps.contains(&link.kind));
            assert_eq!(route.step_free, !has_steps);
        }
    }
}

#[test]
fn a_step_free_route_names_what_is_in_the_way_and_never_mentions_stairs() {
    for venue in venues::all() {
        let graph = Graph::new(venue);
        for (lang, wheelchairs) in [(Lang::En, "wheelchairs"), (Lang::Es, "sillas de ruedas")] {
            for route in many_in(&graph, Profile::StepFree, lang) {
                let text = route.steps.iter().map(|step| step.text.as_str()).collect::<Vec<_>>().join(" ");
                let links = links_of(graph.venue(), &route);
                let any = |test: fn(&Link) -> bool| links.iter().any(|link| test(link));
                assert_eq!(text.contains("2 cm"), any(|link| link.threshold == Threshold::Over2Cm), "{text}");
                let steep = |link: &Link| matches!(link.slope, Slope::SteepUp | Slope::SteepDown);
                assert_eq!(text.contains("5 %"), any(steep), "{text}");
                let unfit = |link: &Link| link.kind == LinkKind::Lift && !link.lift.takes_wheelchairs();
                assert_eq!(text.contains(wheelchairs), any(unfit), "{text}");
                for word in ["stair", "escal", "Stair", "Escal"] {
                    assert!(!text.replace("escalón", "").replace("escalones", "").contains(word), "{text}");
                }
            }
        }
    }
}

#[test]
fn the_lines_run_the_way_that_is_walked() {
    for venue in venues::all() {
        let graph = Graph::new(venue);
        let level = |node: u32| graph.venue().nodes()[node as usize].level;
        for route in many(&graph) {
            for (feature, link) in route.geometry.features.iter().zip(links_of(graph.venue(), &route)) {
                let (start, end) = (level(link.start), level(link.end));
                assert_eq!(feature.properties.level, start.min(end));
                assert_eq!(feature.properties.to_level, (start != end).then(|| start.max(end)));
                assert!(feature.geometry.coordinates.len() >= 2);
            }
        }
        // In the built-in venue lines are straight between nodes, so each begins where the last one ended.
        if graph.venue() == &Venue::demo() {
            for route in many(&graph) {
                for pair in route.geometry.features.windows(2) {
                    assert_eq!(pair[0].geometry.coordinates.last(), pair[1].geometry.coordinates.first());
                }
            }
        }
    }
}

#[test]
fn from_a_place_to_itself_is_nothing_but_an_arrival() {
    let graph = Graph::new(Venue::demo());
    let route = route(&graph, "table:T07", "table:T07", Profile::StepFree).expect("a route");
    assert_eq!(
        (route.distance_m, route.duration_s, route.level_changes, route.step_free),
        (0.0, 0.0, 0, true)
    );
    assert_eq!(route.steps.len(), 1);
    assert_eq!(route.steps[0].text, "You are at table T07.");
    assert!(route.geometry.features.is_empty());
}

#[test]
fn a_place_that_the_map_does_not_know_is_named() {
    let graph = Graph::new(Venue::demo());
    let fault = |from: &str, to: &str| graph.route(&query(from, to, Profile::Walk)).expect_err("a fault");
    for (from, to) in [
        ("door:nope", "table:T01"),
        ("door:north", "seat:T01"),
        ("door:north", "node:nope"),
        ("nope", "table:T01"),
        ("door:north", "10,10,0"),
        ("door:north", "-3.6836,40.4153,9"),
    ] {
        assert_eq!(fault(from, to).code(), FaultCode::PlaceUnknown, "{from} to {to}");
    }
}

#[test]
fn a_bare_id_is_enough_where_only_one_place_has_it() {
    let graph = Graph::new(Venue::demo());
    assert_eq!(
        route(&graph, "north", "T12", Profile::Walk).expect("a route").steps,
        route(&graph, "door:north", "table:T12", Profile::Walk).expect("a route").steps
    );
    let fault = crate::small::doubled().route(&query("X", "X", Profile::Walk)).expect_err("two places");
    assert!(fault.to_string().contains("door, section"), "{fault}");
}

#[test]
fn coordinates_stand_at_the_nearest_node_of_their_level() {
    let graph = Graph::new(Venue::demo());
    let door = graph.venue().place(PlaceKind::Door, "south").expect("a door");
    let from = format!("{},{},{}", door.lon + 0.00001, door.lat, door.level);
    let near = route(&graph, &from, "section:A", Profile::Walk).expect("a route");
    let known = route(&graph, "door:south", "section:A", Profile::Walk).expect("a route");
    assert_eq!(near, known);
}

#[test]
fn the_nearest_amenity_is_the_nearest_in_time() {
    for venue in venues::all() {
        let graph = Graph::new(venue);
        let venue = graph.venue();
        let from = venue
            .places()
            .first()
            .map(|place| format!("{}:{}", place.kind.as_str(), place.id))
            .expect("places");
        for profile in Profile::ALL {
            let each = venue.amenities().iter().filter(|amenity| amenity.kind.as_str() == "lift");
            let least = each
                .filter_map(|amenity| route(&graph, &from, &by_node(venue, amenity.node), *profile).ok())
                .map(|route| tenths(route.duration_s))
                .min();
            let nearest =
                route(&graph, &from, "amenity:lift", *profile).ok().map(|route| tenths(route.duration_s));
            assert_eq!(nearest, least);
        }
    }
}

#[test]
fn a_gallery_that_only_stairs_lead_to_has_no_step_free_route() {
    let graph = Graph::new(Venue::demo());
    assert!(route(&graph, "door:north", "section:L", Profile::Walk).is_ok());
    assert_eq!(route(&graph, "door:north", "section:L", Profile::StepFree), Err(RouteFault::NoStepFreeRoute));
    let up = route(&graph, "door:north", "section:G", Profile::StepFree).expect("by lift");
    assert_eq!(up.level_changes, 1);
    assert!(up.steps.iter().any(|step| step.text == "Take the lift to level 1."), "{:?}", up.steps);
}

#[test]
fn a_seat_that_the_map_does_not_know_is_its_table_else_its_section() {
    let graph = Graph::new(Venue::demo());
    let found = |seat, table, section| graph.resolve(seat, table, section).map(|place| place.id.clone());
    assert_eq!(found(Some("T01-2"), Some("T01"), Some("A")).as_deref(), Some("T01-2"));
    assert_eq!(found(Some("T60-9"), Some("T60"), Some("L")).as_deref(), Some("T60"));
    assert_eq!(found(Some("x"), Some("y"), Some("L")).as_deref(), Some("L"));
    assert_eq!(found(None, None, None), None);
    let way = |table| graph.way("north", Some("nope"), table, Some("C"), Profile::Walk, Lang::Es);
    assert_eq!(
        way(None).expect("a way").steps.last().expect("an end").text,
        "Ha llegado a la sección C, Stalls C."
    );
    assert!(graph.way("nope", None, None, Some("C"), Profile::Walk, Lang::En).is_none());
    assert!(graph.way("north", None, None, None, Profile::Walk, Lang::En).is_none());
}

#[test]
fn the_same_map_answers_the_same_bytes() {
    for venue in venues::all() {
        let (one, two) =
            (Graph::new(venue.clone()), Graph::new(Venue::from_bytes(&venue.to_bytes()).expect("a venue")));
        let bytes = |graph: &Graph| {
            many(graph).iter().map(|route| serde_json::to_string(route).expect("JSON")).collect::<Vec<_>>()
        };
        let first = bytes(&one);
        assert!(!first.is_empty());
        assert_eq!(first, bytes(&two));
        // And when every tree has been grown.
        assert_eq!(first, bytes(&one));
    }
}

#[test]
fn the_built_in_venue_has_what_a_house_needs() {
    let venue = Venue::demo();
    let count = |kind| venue.places().iter().filter(|place| place.kind == kind).count();
    assert_eq!(
        PlaceKind::ALL.iter().map(|kind| count(*kind)).collect::<Vec<_>>(),
        [4, 12, 60, 90, 1],
        "doors, sections, tables, seats, signs"
    );
    let graph = Graph::new(venue);
    for kind in ["toilets", "accessible_toilets", "lift", "exit", "information", "first_aid"] {
        assert!(route(&graph, "door:north", &format!("amenity:{kind}"), Profile::StepFree).is_ok(), "{kind}");
    }
    let lint = seatpilot_venue_graph::lint(graph.venue(), &[]);
    assert_eq!((lint.unreachable.len(), lint.loose_nodes), (0, 0));
    for route in many(&graph).iter().step_by(97) {
        for step in &route.steps {
            println!("{:>6} m {:>6} s  {}", step.distance_m, step.duration_s, step.text);
        }
        println!();
    }
}
