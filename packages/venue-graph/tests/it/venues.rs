//! The venues that the tests run on.

use std::path::{Path, PathBuf};

use seatpilot_venue_graph::{Import, Venue, VenueFiles, import_mlit};

/// The folder of real venues, where one is named; the run says which it is.
fn folder() -> Option<PathBuf> {
    #[expect(
        clippy::disallowed_methods,
        reason = "a test's own switch; the product reads no environment here"
    )]
    let folder = std::env::var("SEATPILOT_VENUES").ok().filter(|folder| !folder.is_empty());
    folder.map(PathBuf::from)
}

/// The files of a venue's folder.
pub(crate) fn files_in(folder: &Path) -> VenueFiles {
    let named = VenueFiles::NAMES
        .iter()
        .filter_map(|name| Some(((*name).to_owned(), std::fs::read(folder.join(name)).ok()?)));
    VenueFiles::gather(named).expect("a venue's folder")
}

/// A real venue's files, where there are any.
pub(crate) fn real_files(name: &str) -> Option<VenueFiles> {
    match folder().map(|folder| folder.join(name)).filter(|folder| folder.is_dir()) {
        Some(folder) => {
            println!("venue: {}", folder.display());
            Some(files_in(&folder))
        }
        None => {
            println!("venue: {name} is not here (SEATPILOT_VENUES names no folder with it); not looked at");
            None
        }
    }
}

/// A real venue, where there is one.
pub(crate) fn real(name: &str) -> Option<(Import, Venue)> {
    let import = import_mlit(&real_files(name)?);
    let venue = import.venue.as_ref().expect("a map").clone();
    Some((import, venue))
}

/// Every venue that there is; the built-in one always.
pub(crate) fn all() -> Vec<Venue> {
    println!("venue: built-in");
    let real = ["nissan-stadium", "tokyo-international-forum"].into_iter().filter_map(real);
    std::iter::once(Venue::demo()).chain(real.map(|(_, venue)| venue)).collect()
}
