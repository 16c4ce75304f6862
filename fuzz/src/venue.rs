//! A map from a stranger's hands: whatever is published can be walked without a panic, and is the same when it is read
//! again.

use seatpilot_domain_model::{Lang, Profile};
use seatpilot_venue_graph::{Graph, PlaceRef, RouteQuery, Venue, VenueFiles, import_mlit};

/// Bytes are files behind each other, each begun by a line `--- name`.
pub fn hold(bytes: &[u8]) {
    let mut files: Vec<(String, Vec<u8>)> = Vec::new();
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        match line.strip_prefix(b"--- ") {
            Some(name) => files.push((String::from_utf8_lossy(name).trim().to_owned(), Vec::new())),
            None => {
                if let Some((_, contents)) = files.last_mut() {
                    contents.extend_from_slice(line);
                }
            }
        }
    }
    let Ok(files) = VenueFiles::gather(files) else { return };
    let Ok(venue) = import_mlit(&files).venue else { return };
    let kept = venue.to_bytes();
    let read = Venue::from_bytes(&kept);
    assert!(read.is_ok_and(|read| read.to_bytes() == kept), "what was published is read back");
    let places: Vec<PlaceRef> = ["node:a", "node:c", "door:D", "section:S", "amenity:toilets", "2.0,41.0,0"]
        .into_iter()
        .filter_map(|place| place.parse().ok())
        .collect();
    let graph = Graph::new(venue);
    for from in &places {
        for to in &places {
            for profile in [Profile::Walk, Profile::StepFree] {
                let query = RouteQuery { from: from.clone(), to: to.clone(), profile, lang: Lang::Es };
                if let Ok(route) = graph.route(&query) {
                    assert!(route.distance_m >= 0.0 && route.duration_s >= 0.0, "a way has a length");
                }
            }
        }
    }
}
