//! The map that routes are measured on: the real stadium where its folder is at hand, else the built-in hall.

use std::path::PathBuf;

use anyhow::Context as _;
use seatpilot_runtime::{Environment, variable};
use seatpilot_venue_graph::{PlaceKind, Venue, VenueFiles, import_mlit};

/// The folder below `SEATPILOT_VENUES`.
const FOLDER: &str = "nissan-stadium";

/// A map, and what to call it.
pub(crate) struct Stadium {
    /// `nissan-stadium`, or `the built-in hall`.
    pub(crate) name: &'static str,
    /// The map.
    pub(crate) venue: Venue,
}

impl Stadium {
    /// Reads it.
    ///
    /// # Errors
    /// The folder is there and is no venue.
    pub(crate) fn find() -> anyhow::Result<Self> {
        let named = Environment::process().text(&variable::SEATPILOT_VENUES);
        let folder = named.map(|folder| PathBuf::from(folder).join(FOLDER)).filter(|folder| folder.is_dir());
        let Some(folder) = folder else {
            return Ok(Self { name: "the built-in hall", venue: Venue::demo() });
        };
        let files = VenueFiles::NAMES
            .iter()
            .filter_map(|name| Some(((*name).to_owned(), std::fs::read(folder.join(name)).ok()?)));
        let import = import_mlit(&VenueFiles::gather(files)?);
        let venue = import.venue.ok().with_context(|| format!("{} is no venue", folder.display()))?;
        Ok(Self { name: FOLDER, venue })
    }

    /// The first place of a kind.
    ///
    /// # Errors
    /// The map has none.
    pub(crate) fn place(&self, kind: PlaceKind) -> anyhow::Result<&str> {
        let place = self.venue.places().iter().find(|place| place.kind == kind);
        Ok(place.with_context(|| format!("{} has no {}", self.name, kind.as_str()))?.id.as_str())
    }
}
