//! Maps from strangers: what is broken is left out by name, the rest is published, and nothing panics.

use proptest::prelude::*;
use seatpilot_domain_model::Profile;
use seatpilot_venue_graph::{Graph, ImportError, PlaceKind, RouteFault, Venue, VenueFiles, import_mlit};
use serde_json::{Value, json};

use crate::{
    routes::route,
    small::{Small, collection, link, node},
};

/// What was left out, as `file feature: reason`.
fn refusals(small: &Small) -> Vec<String> {
    let import = small.import();
    let venue = import.venue.expect("the rest is published");
    assert!(route(&Graph::new(venue), "node:a", "node:b", Profile::Walk).is_ok(), "the rest can be walked");
    import.refused.iter().map(ToString::to_string).collect()
}

fn assert_refused(small: &Small, expected: &[(&str, &str)]) {
    let refused = refusals(small);
    assert_eq!(refused.len(), expected.len(), "{refused:#?}");
    for (line, (feature, reason)) in refused.iter().zip(expected) {
        assert!(line.contains(feature) && line.contains(reason), "{line:?} says not {feature:?} {reason:?}");
    }
}

#[test]
fn a_sound_map_has_no_refusals() {
    assert_refused(&Small::row(), &[]);
}

#[test]
fn links_to_nowhere_doubled_ids_and_odd_distances_are_left_out_by_name() {
    let mut small = Small::row();
    let with = |id: &str, key: &str, value: Value| {
        let mut link = link(id, "a", "c");
        link["properties"][key] = value;
        link
    };
    small.links.extend([
        link("x1", "a", "ghost"),
        link("ab", "a", "c"),
        with("x2", "distance", json!(-1.0)),
        with("x3", "distance", json!("NaN")),
        with("x4", "distance", json!(1e9)),
        with("x5", "direction", json!("9")),
        with("x6", "start_id", Value::Null),
        link("x7", "c", "c"),
        link("not a slug", "a", "c"),
        with("x8", "route_type", json!("stairs")),
        json!({ "type": "Feature", "properties": null, "geometry": null }),
        json!(42),
    ]);
    assert_refused(
        &small,
        &[
            ("links.geojson #14", "not a GeoJSON feature"),
            ("x1", "ghost: that node does not exist"),
            ("ab", "twice"),
            ("x2", "distance -1"),
            ("x3", "not a finite number"),
            ("x4", "distance 1000000000"),
            ("x5", "direction 9 is no code"),
            ("x6", "no start_id"),
            ("x7", "to itself"),
            ("not a slug", "no identifier"),
            ("x8", "route_type is stairs"),
            ("#13", "no link_id"),
        ],
    );
    let lint = small.import().lint().expect("a lint");
    assert_eq!(lint.links_to_nowhere.len(), 1);
    assert!(lint.to_string().contains("links.geojson x1"), "{lint}");
}

#[test]
fn nodes_that_are_nowhere_are_left_out_and_so_are_their_links() {
    let mut small = Small::row();
    let mut far = node("far", 3.0, 0.0);
    far["geometry"]["coordinates"] = json!([999.0, 41.0]);
    let mut line = node("line", 3.0, 0.0);
    line["geometry"] = json!({ "type": "LineString", "coordinates": [[2.0, 41.0], [2.0, 41.1]] });
    let mut storeyless = node("storeyless", 3.0, 0.0);
    storeyless["properties"]["ordinal"] = Value::Null;
    small.nodes.extend([far, line, storeyless, node("a", 5.0, 0.0)]);
    small.links.push(link("af", "a", "far"));
    assert_refused(
        &small,
        &[
            ("nodes.geojson far", "out of range"),
            ("line", "drawn as a LineString"),
            ("storeyless", "no ordinal"),
            ("nodes.geojson a", "twice"),
            ("af", "far: that node was left out"),
        ],
    );
}

#[test]
fn numbers_that_json_does_not_have_cost_only_their_feature() {
    let small = Small::row();
    let mut files = small.files();
    let text = String::from_utf8(files.links.take().expect("links")).expect("text");
    let broken = text.replacen(r#""distance":11.0"#, r#""distance":NaN"#, 1);
    assert_ne!(broken, text);
    files.links = Some(broken.into_bytes());
    let nodes = String::from_utf8(files.nodes.take().expect("nodes")).expect("text");
    files.nodes = Some(nodes.replacen("[2.0,41.0002]", "[Infinity,1e999]", 1).into_bytes());
    let import = import_mlit(&files);
    let refused: Vec<String> = import.refused.iter().map(ToString::to_string).collect();
    assert_eq!(refused.len(), 3, "{refused:?}");
    assert!(refused[0].starts_with("nodes.geojson #3:"), "{refused:?}");
    assert!(refused[1].starts_with("links.geojson ab: distance is NaN"), "{refused:?}");
    assert!(refused[2].starts_with("links.geojson bc: end_id c:"), "{refused:?}");
    assert!(matches!(import.venue, Err(ImportError::NothingToWalkOn { nodes: 2, links: 0 })));
}

#[test]
fn half_storeys_and_numbers_in_strings_are_read() {
    let mut small = Small::row();
    small.nodes.push(node("m", 3.0, 0.0));
    small.nodes[3]["properties"]["ordinal"] = json!("0,5");
    small.links.push(link("cm", "c", "m"));
    small.links[2]["properties"]["distance"] = json!("7.5");
    small.links[2]["properties"]["route_type"] = json!(7);
    assert_refused(&small, &[]);
    let graph = Graph::new(small.import().venue.expect("a map"));
    let route = route(&graph, "door:D", "node:m", Profile::StepFree).expect("a route");
    assert_eq!(route.distance_m, 29.5);
    assert!(route.steps.iter().any(|step| step.text.contains("the ramp to level 0.5")), "{:?}", route.steps);
}

#[test]
fn a_place_stands_at_its_node_else_at_the_nearest_of_its_level_else_with_its_table() {
    let mut small = Small::row();
    small.places = "\u{feff}ID;Kind;node_id;lon;lat;level;table_id;section\n\
        D;DOOR;a;;;;;\n\
        S;section;ghost;2,0;41,0002;0;;\n\
        far;section;;2.5;41.0;0;;\n\
        up;section;;2.0;41.0;3;;\n\
        T1;table;c;;;;;S\n\
        T1-1;seat;;;;;T1;S\n\
        T9-1;seat;;;;;T9;S\n\
        T9-2;seat;;;;;T9;\n\
        bad id;table;a;;;;;\n\
        D;door;b;;;;;\n\
        P;pool;a;;;;;\n\
        Q;door;a;x;41;0;;\n\
        ;door;a;;;;;\n\
        ghostly;sign;ghost;;;;;\n"
        .into();
    assert_refused(
        &small,
        &[
            ("line 10", "\"bad id\" is no identifier"),
            ("line 11", "door D is there twice"),
            ("line 12", "kind \"pool\""),
            ("line 13", "lon is x"),
            ("line 14", "id \"\" is no identifier"),
            ("line 4", "within 50 m"),
            ("line 5", "within 50 m"),
            ("line 9", "neither node_id nor lon"),
            ("line 15", "node_id ghost"),
        ],
    );
    let venue = small.import().venue.expect("a map");
    let node_of = |kind, id| venue.place(kind, id).map(|place| place.node);
    assert_eq!(node_of(PlaceKind::Door, "D"), venue.node("a"));
    for (kind, id) in [(PlaceKind::Section, "S"), (PlaceKind::Seat, "T1-1"), (PlaceKind::Seat, "T9-1")] {
        assert_eq!(node_of(kind, id), venue.node("c"), "{id}");
    }
}

#[test]
fn bytes_that_are_no_text_cost_only_their_row() {
    let mut small = Small::row();
    small.places = b"kind,id,name,node_id\ndoor,D,\xff\xfe,a\nsection,S,Stalls,c\nsection,\"T,U,c\n".to_vec();
    let refused = refusals(&small);
    assert_eq!(refused.len(), 2, "{refused:?}");
    assert!(refused[0].contains("line 2: name is not UTF-8"), "{refused:?}");
    let mut files = Small::row().files();
    let mut nodes = files.nodes.take().expect("nodes");
    nodes.extend_from_slice(b"\xff");
    files.nodes = Some(nodes);
    let import = import_mlit(&files);
    assert!(matches!(import.venue, Err(ImportError::NothingToWalkOn { .. })), "{import:?}");
    assert!(import.refused.iter().any(|refused| refused.file == "nodes.geojson"), "{import:?}");
}

#[test]
fn one_file_that_is_no_json_is_one_refusal() {
    let mut files = Small::row().files();
    files.facilities = Some(b"{\"type\":".to_vec());
    files.openings = Some(b"[]".to_vec());
    let import = import_mlit(&files);
    assert!(import.venue.is_ok());
    let files: Vec<_> =
        import.refused.iter().map(|refused| (refused.file, refused.feature.as_str())).collect();
    assert_eq!(files, [("facilities.geojson", "")], "openings are not looked at where doors are named");
}

#[test]
fn openings_are_doors_where_no_place_is_one() {
    let opening = |name: &str, floor: &str| {
        json!({ "type": "Feature", "properties": { "id": "o", "floor_id": floor, "name": name },
            "geometry": { "type": "LineString", "coordinates": [[2.0, 41.0], [2.00001, 41.0]] } })
    };
    let mut small = Small::row();
    small.places = b"kind,id,node_id\nsection,S,c\n".to_vec();
    small.openings = vec![
        opening("東ゲート", "f0"),
        opening("North Gate!", "f0"),
        opening("North gate", "f0"),
        opening("x", "f9"),
    ];
    assert_refused(&small, &[("openings.geojson o", "floor_id f9 does not exist")]);
    let venue = small.import().venue.expect("a map");
    let doors = venue.places().iter().filter(|place| place.kind == PlaceKind::Door);
    assert_eq!(
        doors.map(|door| door.id.as_str()).collect::<Vec<_>>(),
        ["north-gate", "opening-1", "opening-3"]
    );
}

#[test]
fn a_loose_node_is_a_place_without_a_route() {
    let mut small = Small::row();
    small.nodes.push(node("loose", 9.0, 0.0));
    let graph = Graph::new(small.import().venue.expect("a map"));
    for profile in Profile::ALL {
        assert_eq!(route(&graph, "door:D", "node:loose", *profile), Err(RouteFault::NoRoute));
    }
    assert!(route(&graph, "node:loose", "node:loose", Profile::Walk).is_ok());
    assert_eq!(seatpilot_venue_graph::lint(graph.venue(), &[]).loose_nodes, 1);
}

#[test]
fn unknown_kinds_of_links_are_walked_but_are_never_step_free() {
    let mut small = Small::row();
    small.links[1]["properties"]["route_type"] = json!("42");
    let graph = Graph::new(small.import().venue.expect("a map"));
    let walk = route(&graph, "door:D", "section:S", Profile::Walk).expect("a route");
    assert!(!walk.step_free);
    assert_eq!(route(&graph, "door:D", "section:S", Profile::StepFree), Err(RouteFault::NoStepFreeRoute));
}

#[test]
fn what_is_no_network_is_said_to_be_none_with_what_is_read() {
    let error = VenueFiles::gather([("hall.json".to_owned(), b"{}".to_vec())]).expect_err("no network");
    let text = error.to_string();
    assert!(
        text.contains("hall.json") && text.contains("nodes.geojson") && text.contains("places.csv"),
        "{text}"
    );
    let error = VenueFiles::gather([("nodes.geojson".to_owned(), Vec::new())]).expect_err("no links");
    assert!(error.to_string().contains("links.geojson is missing"), "{error}");
    let import = import_mlit(&VenueFiles::default());
    assert!(matches!(import.venue, Err(ImportError::NothingToWalkOn { nodes: 0, links: 0 })));
}

#[test]
fn one_file_with_the_features_of_all_layers_is_the_same_map() {
    let mut small = Small::row();
    small.places = b"kind,id,node_id\n".to_vec();
    small.facilities.push(json!({ "type": "Feature",
        "properties": { "id": "toilet", "category": "F003", "floor_id": "f0" },
        "geometry": { "type": "Point", "coordinates": [2.0, 41.0001] } }));
    small.openings.push(json!({ "type": "Feature",
        "properties": { "id": "gate", "floor_id": "f0", "name": "North gate" },
        "geometry": { "type": "LineString", "coordinates": [[2.0, 41.0], [2.00001, 41.0]] } }));
    small.links.push(link("bad", "a", "nobody"));
    let apart = small.import();
    let pillar = json!({ "type": "Feature", "properties": { "id": "p", "category": "C001", "floor_id": "f0" },
        "geometry": { "type": "Point", "coordinates": [2.0, 41.0] } });
    let layers =
        [&small.openings, &small.links, &small.facilities, &small.floors, &small.nodes, &vec![pillar]];
    let whole = collection(&layers.into_iter().flatten().cloned().collect::<Vec<_>>());
    let files = VenueFiles::gather([("hall.geojson".to_owned(), whole)]).expect("a network");
    let together = import_mlit(&files);
    assert_eq!(together.refused, apart.refused);
    assert_eq!(together.refused.len(), 1, "the link to nobody, by its name");
    let [apart, together] = [apart, together].map(|import| import.venue.expect("a map").to_bytes());
    assert_eq!(together, apart);
    for shape in [&b"[]"[..], b"{\"features\":[]}", b"{\"features\":[{\"properties\":{}}]}", b"\xff"] {
        VenueFiles::gather([("hall.geojson".to_owned(), shape.to_vec())]).expect_err("no network");
    }
}

#[test]
fn a_damaged_document_is_an_error_and_never_a_panic() {
    let venue = Venue::demo();
    let document: Value = serde_json::from_slice(&venue.to_bytes()).expect("JSON");
    let damaged = |path: &str, value: Value| {
        let mut document = document.clone();
        *document.pointer_mut(path).unwrap_or_else(|| panic!("{path}")) = value;
        Venue::from_bytes(document.to_string().as_bytes())
    };
    for (path, value) in [
        ("/format", json!("another")),
        ("/version", json!(2)),
        ("/links/0/start", json!(4_000_000)),
        ("/places/0/node", json!(4_000_000)),
        ("/amenities/0/node", json!(4_000_000)),
        ("/links/0/distance_m", json!(-1.0)),
        ("/links/0/shape", json!([[1.0, 1.0]])),
        ("/nodes/0/lat", json!(91.0)),
        ("/nodes/0/level", json!(1e300)),
        ("/nodes/1/id", document["nodes"][0]["id"].clone()),
        ("/nodes/0/id", json!("zzz")),
        ("/places/0/id", json!("no slug")),
        ("/places/0/name", json!("x".repeat(500))),
        ("/landmarks/0/lon", json!("east")),
    ] {
        let path = if document.pointer(path).is_some() { path } else { "/links/0" };
        assert!(damaged(path, value).is_err(), "{path}");
    }
    assert!(Venue::from_bytes(b"").is_err());
    assert!(Venue::from_bytes(&venue.to_bytes()[1..]).is_err());
}

/// Whatever was imported can be asked.
fn exercise(files: &VenueFiles) {
    let import = import_mlit(files);
    if let Some(lint) = import.lint() {
        assert!(!lint.to_string().is_empty());
    }
    let Ok(venue) = import.venue else { return };
    assert_eq!(Venue::from_bytes(&venue.to_bytes()).expect("sound"), venue);
    let graph = Graph::new(venue.clone());
    for (from, to) in venue.nodes().iter().zip(venue.nodes().iter().rev()) {
        for profile in Profile::ALL {
            if let Ok(route) =
                route(&graph, &format!("node:{}", from.id), &format!("node:{}", to.id), *profile)
            {
                assert!(route.distance_m.is_finite() && route.duration_s.is_finite());
            }
        }
    }
}

/// A JSON value of any shape.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
        "[ab0-9]{1,2}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::hash_map("[a-z_]{1,10}", inner, 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// Paths into a feature that are worth spoiling.
const SPOTS: [&str; 16] = [
    "",
    "/type",
    "/properties",
    "/geometry",
    "/geometry/type",
    "/geometry/coordinates",
    "/geometry/coordinates/0",
    "/properties/node_id",
    "/properties/ordinal",
    "/properties/link_id",
    "/properties/start_id",
    "/properties/end_id",
    "/properties/distance",
    "/properties/route_type",
    "/properties/direction",
    "/properties/in_out",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_never_panic(nodes in any::<Vec<u8>>(), links in any::<Vec<u8>>(), places in any::<Vec<u8>>()) {
        let mut files = Small::row().files();
        files.places = Some(places);
        exercise(&files);
        files.nodes = Some(nodes);
        files.links = Some(links);
        exercise(&files);
    }

    #[test]
    fn spoilt_features_never_panic(
        spoils in prop::collection::vec((0_usize..6, 0_usize..SPOTS.len(), any_json()), 1..5),
    ) {
        let mut small = Small::row();
        small.nodes.push(node("d", 3.0, 1.0));
        small.links.push(link("cd", "c", "d"));
        small.links[2]["properties"]["route_type"] = json!(4);
        for (feature, spot, value) in spoils {
            let (nodes, links) = (small.nodes.len(), small.links.len());
            let feature = if feature < 3 { &mut small.nodes[feature % nodes] } else { &mut small.links[feature % links] };
            if let Some(spoilt) = feature.pointer_mut(SPOTS[spot]) {
                *spoilt = value;
            }
        }
        exercise(&small.files());
    }

    #[test]
    fn cut_and_flipped_files_never_panic(cut in 0.0..1.0_f64, at in 0.0..1.0_f64, byte in any::<u8>()) {
        let mut files = Small::row().files();
        for file in [&mut files.nodes, &mut files.links, &mut files.places].into_iter().flatten() {
            let spot = (file.len() as f64 * at) as usize;
            if let Some(spoilt) = file.get_mut(spot) {
                *spoilt = byte;
            }
        }
        exercise(&files);
        if let Some(links) = &mut files.links {
            links.truncate((links.len() as f64 * cut) as usize);
        }
        exercise(&files);
    }

    #[test]
    fn damaged_documents_never_panic(at in 0.0..1.0_f64, byte in any::<u8>()) {
        let mut bytes = Venue::demo().to_bytes();
        let spot = (bytes.len() as f64 * at) as usize;
        if let Some(spoilt) = bytes.get_mut(spot) {
            *spoilt = byte;
        }
        if let Ok(venue) = Venue::from_bytes(&bytes) {
            let graph = Graph::new(venue);
            let _ = route(&graph, "door:north", "section:L", Profile::Walk);
        }
    }

    #[test]
    fn any_table_of_places_is_read_or_refused(text in "(kind|id|,|\"|;|\n|door|seat|a|[0-9.,-]{1,4}|\u{feff}|.){0,60}") {
        let mut small = Small::row();
        small.places = text.into_bytes();
        exercise(&small.files());
    }
}

#[test]
fn a_deep_document_is_refused_and_not_followed() {
    let deep = format!("{{\"features\":[{}{}]}}", "[".repeat(100_000), "]".repeat(100_000));
    let mut files = Small::row().files();
    files.facilities = Some(deep.into_bytes());
    let import = import_mlit(&files);
    assert!(import.venue.is_ok());
    assert_eq!(import.refused.len(), 1);
    let empty =
        VenueFiles { nodes: Some(collection(&[])), links: Some(collection(&[])), ..VenueFiles::default() };
    assert!(import_mlit(&empty).venue.is_err());
}
