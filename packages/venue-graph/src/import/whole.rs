//! A venue in one GeoJSON file: the features of all layers in one collection, told apart by what each carries.

use serde::Deserialize;
use serde_json::{Map, Value, value::RawValue};

use super::{VenueFiles, document};

#[derive(Deserialize)]
struct Collection<'a> {
    #[serde(borrow)]
    features: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct Glance {
    geometry: Option<Drawn>,
    properties: Option<Map<String, Value>>,
}

#[derive(Deserialize)]
struct Drawn {
    #[serde(rename = "type")]
    shape: String,
}

/// The layers that are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Layer {
    Nodes,
    Links,
    Floors,
    Spaces,
    Facilities,
    Openings,
}

/// The file's features as if each layer had a file of its own; none where it is no collection of features, or has
/// neither nodes nor links.
pub(super) fn split(bytes: &[u8]) -> Option<VenueFiles> {
    let text = std::str::from_utf8(bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)).ok()?;
    let quoted;
    let collection: Collection<'_> = match serde_json::from_str(text) {
        Ok(collection) => collection,
        Err(_) => {
            quoted = document::quote_bare_words(text);
            serde_json::from_str(&quoted).ok()?
        }
    };
    let placed: Vec<(Layer, &str)> = collection
        .features
        .iter()
        .filter_map(|feature| layer_of(feature).map(|layer| (layer, feature.get())))
        .collect();
    let of = |wanted: Layer| {
        let mut features = placed.iter().filter(|(layer, _)| *layer == wanted).map(|(_, feature)| *feature);
        let first = features.next()?;
        let joined = features.fold(first.to_owned(), |text, feature| text + "," + feature);
        Some(format!(r#"{{"type":"FeatureCollection","features":[{joined}]}}"#).into_bytes())
    };
    let files = VenueFiles {
        nodes: of(Layer::Nodes),
        links: of(Layer::Links),
        floors: of(Layer::Floors),
        spaces: of(Layer::Spaces),
        facilities: of(Layer::Facilities),
        openings: of(Layer::Openings),
        places: None,
    };
    (files.nodes.is_some() || files.links.is_some()).then_some(files)
}

/// The layer of a feature; none for one of a layer that is not read. What cannot be read at all stands with the links,
/// where it is refused by name and reason.
fn layer_of(feature: &RawValue) -> Option<Layer> {
    let Ok(Glance { geometry, properties }) = serde_json::from_str(feature.get()) else {
        return Some(Layer::Links);
    };
    let properties = properties.unwrap_or_default();
    let has = |key: &str| properties.contains_key(key);
    let category = properties.get("category").and_then(Value::as_str).unwrap_or_default();
    let shape = geometry.as_ref().map_or("", |drawn| drawn.shape.as_str());
    if has("link_id") || has("start_id") || has("end_id") {
        Some(Layer::Links)
    } else if has("node_id") {
        Some(Layer::Nodes)
    } else if category.starts_with('F') {
        Some(Layer::Facilities)
    } else if category.starts_with('B') {
        Some(Layer::Spaces)
    } else if category.is_empty() && shape == "LineString" && (has("floor_id") || has("ordinal")) {
        Some(Layer::Openings)
    } else if has("ordinal") {
        Some(if shape == "Point" { Layer::Nodes } else { Layer::Floors })
    } else {
        None
    }
}
