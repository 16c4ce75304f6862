//! Small maps as files, to be broken one feature at a time.

use seatpilot_venue_graph::{Graph, Import, Venue, VenueFiles, import_mlit};
use serde_json::{Value, json};

/// A map of a few nodes as its files' contents.
#[derive(Debug, Clone)]
pub(crate) struct Small {
    pub(crate) nodes: Vec<Value>,
    pub(crate) links: Vec<Value>,
    pub(crate) floors: Vec<Value>,
    pub(crate) facilities: Vec<Value>,
    pub(crate) openings: Vec<Value>,
    pub(crate) places: Vec<u8>,
}

/// A node 0.0001 degrees (about 11 m) further north for each number.
pub(crate) fn node(id: &str, north: f64, level: f64) -> Value {
    json!({ "type": "Feature", "properties": { "node_id": id, "ordinal": level, "in_out": "3" },
            "geometry": { "type": "Point", "coordinates": [2.0, 41.0 + north * 1e-4] } })
}

/// A plain link of 11 m.
pub(crate) fn link(id: &str, from: &str, to: &str) -> Value {
    json!({ "type": "Feature", "geometry": null,
            "properties": { "link_id": id, "start_id": from, "end_id": to, "distance": 11.0, "route_type": "1",
                            "direction": "1", "lev_diff": "1", "vtcl_slope": "1", "elevator": "1" } })
}

pub(crate) fn collection(features: &[Value]) -> Vec<u8> {
    json!({ "type": "FeatureCollection", "features": features }).to_string().into_bytes()
}

impl Small {
    /// Nodes a, b, c in a row, links ab and bc, a door at a, a section at c.
    pub(crate) fn row() -> Self {
        let floor = json!({ "type": "Feature", "properties": { "id": "f0", "ordinal": 0.0 },
            "geometry": { "type": "Polygon", "coordinates": [[[2.0, 41.0], [2.1, 41.0], [2.1, 41.1], [2.0, 41.0]]] } });
        Self {
            nodes: vec![node("a", 0.0, 0.0), node("b", 1.0, 0.0), node("c", 2.0, 0.0)],
            links: vec![link("ab", "a", "b"), link("bc", "b", "c")],
            floors: vec![floor],
            facilities: Vec::new(),
            openings: Vec::new(),
            places:
                b"kind,id,name,level,lon,lat,node_id\ndoor,D,Door,0,,,a\nsection,S,Stalls,0,2.0,41.0002,c\n"
                    .to_vec(),
        }
    }

    pub(crate) fn files(&self) -> VenueFiles {
        VenueFiles {
            nodes: Some(collection(&self.nodes)),
            links: Some(collection(&self.links)),
            floors: Some(collection(&self.floors)),
            spaces: None,
            facilities: Some(collection(&self.facilities)),
            openings: Some(collection(&self.openings)),
            places: Some(self.places.clone()),
        }
    }

    pub(crate) fn import(&self) -> Import {
        import_mlit(&self.files())
    }
}

/// A graph in which a door and a section are both called X.
pub(crate) fn doubled() -> Graph {
    let mut small = Small::row();
    small.places = b"kind,id,node_id\ndoor,X,a\nsection,X,c\n".to_vec();
    Graph::new(small.import().venue.expect("a map"))
}

/// The venue without one of its links.
pub(crate) fn without_link(venue: &Venue, link: usize) -> Venue {
    let mut document: Value = serde_json::from_slice(&venue.to_bytes()).expect("JSON");
    document["links"].as_array_mut().expect("links").remove(link);
    Venue::from_bytes(document.to_string().as_bytes()).expect("a venue")
}
