//! Floors, nodes and links: the network itself.

use std::collections::{HashMap, HashSet};

use geojson::{Feature, GeometryValue};
use seatpilot_domain_model::NodeId;

use super::{
    Refused,
    document::{Entry, code_of, entries, legible, lon_lat, number_of, text_of},
};
use crate::{
    kind::{Direction, Exposure, LiftFitness, LinkKind, Slope, Threshold},
    plane::Plane,
    venue::{
        LEVEL_MAX, LINK_M_MAX, LINKS_MAX, Link, NODES_MAX, Node, POINTS_MAX, SHAPE_POINTS_MAX, Survey,
        is_position, is_slug,
    },
};

/// The nodes that were read, and those that were left out, by id.
pub(super) struct Nodes {
    pub(super) at: HashMap<String, u32>,
    left_out: HashSet<String>,
}

/// Reads the level of each floor.
pub(super) fn read_floors(bytes: Option<&[u8]>, refused: &mut Vec<Refused>) -> HashMap<String, f64> {
    const FILE: &str = "floors.geojson";
    let mut levels = HashMap::new();
    for Entry { feature, name, .. } in entries(FILE, "id", bytes, refused) {
        let floor = || {
            let id = text_of(&feature, "id").filter(|id| !id.is_empty()).ok_or("it has no id")?;
            let level = number_of(&feature, "ordinal")?.ok_or("it has no ordinal")?;
            if level.abs() > LEVEL_MAX {
                return Err(format!("ordinal {level} is out of range"));
            }
            Ok((id, level))
        };
        match floor() {
            Ok((id, _)) if levels.contains_key(&id) => {
                refused.push(Refused {
                    file: FILE,
                    feature: name,
                    reason: "its id is there twice".to_owned(),
                });
            }
            Ok((id, level)) => {
                levels.insert(id, level);
            }
            Err(reason) => refused.push(Refused { file: FILE, feature: name, reason }),
        }
    }
    levels
}

/// Reads the nodes into a survey.
pub(super) fn read_nodes(bytes: Option<&[u8]>, survey: &mut Survey, refused: &mut Vec<Refused>) -> Nodes {
    const FILE: &str = "nodes.geojson";
    let before = refused.len();
    let mut nodes = Nodes { at: HashMap::new(), left_out: HashSet::new() };
    for Entry { feature, name, .. } in entries(FILE, "node_id", bytes, refused) {
        match node(&feature) {
            Ok(node) if nodes.at.contains_key(node.id.as_str()) => {
                let reason = "its node_id is there twice: the first is kept".to_owned();
                refused.push(Refused { file: FILE, feature: name, reason });
            }
            Ok(_) if survey.nodes.len() >= NODES_MAX => {
                let reason = format!("over {NODES_MAX} nodes");
                refused.push(Refused { file: FILE, feature: name, reason });
            }
            Ok(node) => {
                // The count is bounded above.
                nodes.at.insert(
                    node.id.as_str().to_owned(),
                    u32::try_from(survey.nodes.len()).unwrap_or(u32::MAX),
                );
                survey.nodes.push(node);
            }
            Err(reason) => refused.push(Refused { file: FILE, feature: name, reason }),
        }
    }
    nodes.left_out = refused[before..].iter().map(|refused| refused.feature.clone()).collect();
    nodes
}

fn node(feature: &Feature) -> Result<Node, String> {
    let id = text_of(feature, "node_id").filter(|id| !id.is_empty()).ok_or("it has no node_id")?;
    let id: NodeId = id.parse().map_err(|error| format!("its node_id {error}"))?;
    let [lon, lat] = match feature.geometry.as_ref().map(|geometry| &geometry.value) {
        Some(GeometryValue::Point { coordinates }) => lon_lat(coordinates)?,
        Some(other) => return Err(format!("it is drawn as a {}, not a Point", other.type_name())),
        None => match (number_of(feature, "lon")?, number_of(feature, "lat")?) {
            (Some(lon), Some(lat)) => [lon, lat],
            _ => return Err("it has no geometry".to_owned()),
        },
    };
    // The pedestrian network of 2018 says `floor` where the indoor one says `ordinal`.
    let level = match number_of(feature, "ordinal")? {
        Some(level) => level,
        None => number_of(feature, "floor")?.ok_or("it has no ordinal")?,
    };
    if !is_position(lon, lat, level) {
        return Err("its position is out of range".to_owned());
    }
    let exposure = Exposure::from_code(code_of(feature, "in_out", Exposure::Inside.code())?);
    // -0 and 0 are one storey.
    Ok(Node { id, lon, lat, level: level + 0.0, exposure })
}

/// Reads the links into a survey.
pub(super) fn read_links(
    bytes: Option<&[u8]>,
    nodes: &Nodes,
    survey: &mut Survey,
    refused: &mut Vec<Refused>,
) {
    const FILE: &str = "links.geojson";
    let plane = Plane::around(survey.nodes.iter().map(|node| (node.lon, node.lat)));
    let mut seen = HashSet::new();
    let mut points = 0;
    for Entry { feature, name, .. } in entries(FILE, "link_id", bytes, refused) {
        let mut refuse = |reason: String| {
            refused.push(Refused { file: FILE, feature: name.clone(), reason });
        };
        match link(&feature, nodes, &survey.nodes, &plane) {
            Ok(link) if seen.contains(&link.id) => {
                refuse("its link_id is there twice: the first is kept".to_owned());
            }
            Ok(_) if survey.links.len() >= LINKS_MAX => refuse(format!("over {LINKS_MAX} links")),
            Ok(link) if points + link.shape.len() > POINTS_MAX => {
                refuse(format!("over {POINTS_MAX} points in all lines"));
            }
            Ok(link) => {
                points += link.shape.len();
                seen.insert(link.id.clone());
                survey.links.push(link);
            }
            Err(reason) => refuse(reason),
        }
    }
}

fn link(feature: &Feature, nodes: &Nodes, surveyed: &[Node], plane: &Plane) -> Result<Link, String> {
    let id = text_of(feature, "link_id").filter(|id| !id.is_empty()).ok_or("it has no link_id")?;
    if !is_slug(&id) {
        return Err("its link_id is no identifier".to_owned());
    }
    let end_of = |key: &str| {
        let id =
            text_of(feature, key).filter(|id| !id.is_empty()).ok_or_else(|| format!("it has no {key}"))?;
        nodes.at.get(&id).copied().ok_or_else(|| {
            let fate = if nodes.left_out.contains(&legible(&id)) { "was left out" } else { "does not exist" };
            format!("{key} {}: that node {fate}", legible(&id))
        })
    };
    let (start, end) = (end_of("start_id")?, end_of("end_id")?);
    if start == end {
        return Err("it leads from a node to itself".to_owned());
    }
    let shape = match feature.geometry.as_ref().map(|geometry| &geometry.value) {
        None => Vec::new(),
        Some(GeometryValue::LineString { coordinates }) => {
            if !(2..=SHAPE_POINTS_MAX).contains(&coordinates.len()) {
                return Err(format!("its line has {} points", coordinates.len()));
            }
            coordinates.iter().map(lon_lat).collect::<Result<Vec<_>, _>>()?
        }
        Some(other) => return Err(format!("it is drawn as a {}, not a LineString", other.type_name())),
    };
    let distance_m = match number_of(feature, "distance")? {
        Some(distance) => distance,
        None if shape.is_empty() => {
            let ends = [start, end].map(|node| &surveyed[node as usize]).map(|node| [node.lon, node.lat]);
            plane.length(&ends)
        }
        None => plane.length(&shape),
    };
    if !(0.0..=LINK_M_MAX).contains(&distance_m) {
        return Err(format!("distance {distance_m} is not within 0 to {LINK_M_MAX} m"));
    }
    let direction = match code_of(feature, "direction", 1)? {
        code @ 1..=3 => Direction::from_code(code),
        // Both ways would be a guess that leads somebody down the up escalator.
        code => return Err(format!("direction {code} is no code")),
    };
    Ok(Link {
        id,
        start,
        end,
        kind: LinkKind::from_code(code_of(feature, "route_type", 99)?),
        direction,
        distance_m: distance_m + 0.0,
        threshold: Threshold::from_code(code_of(feature, "lev_diff", 99)?),
        slope: Slope::from_code(code_of(feature, "vtcl_slope", 99)?),
        lift: LiftFitness::from_code(code_of(feature, "elevator", 99)?),
        shape,
    })
}
