//! `seatpilot venue`: maps, from a folder on disk to every running instance.

mod folder;

use std::path::PathBuf;

use clap::Subcommand;
use seatpilot_domain_model::VenueId;
use serde::Serialize;

use crate::{
    failure::Failure,
    global::Global,
    output::{Output, Style},
    running::Running,
};
pub use folder::{read, slug_of};

/// What to do with venues.
#[derive(Debug, Clone, Subcommand)]
pub enum Command {
    /// Read a map, name what is broken in it, and publish the rest: every instance serves it within 2 seconds.
    #[command(after_help = "Examples:\n  seatpilot venue import venues/nissan-stadium --tz Asia/Tokyo\n  \
        seatpilot venue import venues/hall --id hall-2 --strict --json | tail -n 1")]
    Import(Import),
}

/// Which map, as what.
#[derive(Debug, Clone, clap::Args)]
pub struct Import {
    /// A folder with nodes.geojson and links.geojson (MLIT indoor network), and places.csv where there is one; or one
    /// GeoJSON file with the features of all layers.
    path: PathBuf,
    /// The venue's id [default: the folder's or file's name].
    #[arg(long, value_name = "ID")]
    id: Option<VenueId>,
    /// Its time zone, which decides the day that an event belongs to [default: the one it has, else UTC].
    #[arg(long, value_name = "AREA/CITY", value_parser = time_zone)]
    tz: Option<String>,
    /// Publish nothing if anything is broken.
    #[arg(long)]
    strict: bool,
}

/// The last line with `--json` (contract section 7).
#[derive(Serialize)]
struct Published<'a> {
    venue_id: &'a VenueId,
    nodes: usize,
    links: usize,
    places: usize,
    refused: usize,
}

/// An IANA name.
fn time_zone(text: &str) -> Result<String, String> {
    let database = jiff::tz::db();
    if !database.is_definitively_empty() {
        return match database.get(text) {
            Ok(zone) => Ok(zone.iana_name().unwrap_or(text).to_owned()),
            Err(_) => Err("is no time zone such as Europe/Madrid".to_owned()),
        };
    }
    // A machine without a list of zones: the database has its own and refuses what it does not know.
    let word = |part: &str| {
        !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_+-".contains(&byte))
    };
    if text.split('/').all(word) {
        Ok(text.to_owned())
    } else {
        Err("is no time zone such as Europe/Madrid".to_owned())
    }
}

/// Does it.
///
/// # Errors
/// Where there is no map to publish, `--strict` finds something broken, or the database does not answer.
pub async fn run(command: &Command, global: &Global) -> Result<(), Failure> {
    match command {
        Command::Import(import) => publish(import, global).await,
    }
}

async fn publish(import: &Import, global: &Global) -> Result<(), Failure> {
    let (running, mut admin) = Running::connect(global).await?;
    let output = global.output();
    let id = match &import.id {
        Some(id) => id.clone(),
        None => slug_of(&import.path)?,
    };
    let read = read(&import.path)?;
    say_refused(output, &read.refused)?;
    let lint = read.lint();
    let venue = read.venue.map_err(Failure::new)?;
    let refused = read.refused.len();
    if import.strict && refused > 0 {
        return Err(Failure::new(format!("--strict: {refused} features are broken; nothing was published")));
    }
    admin.ensure_tenant(&running.tenant, running.tenant.as_str()).await?;
    let name =
        import.path.file_name().map_or_else(|| id.to_string(), |name| name.to_string_lossy().into_owned());
    let revision = admin.publish_venue(&running.tenant, &id, &name, import.tz.as_deref(), &venue).await?;
    if let (Some(lint), Style::Terminal | Style::Plain) = (lint, output.style()) {
        output.line(lint.to_string())?;
    }
    let published = Published {
        venue_id: &id,
        nodes: venue.nodes().len(),
        links: venue.links().len(),
        places: venue.places().len(),
        refused,
    };
    let Published { nodes, links, places, .. } = published;
    let sentence = format!(
        "venue {id} is published (revision {revision}): {nodes} nodes, {links} links, {places} places, \
         {refused} features left out"
    );
    output.result(&sentence, &published)
}

/// One line a feature: text for a person, JSON for a script.
fn say_refused(output: Output, refused: &[seatpilot_venue_graph::Refused]) -> Result<(), Failure> {
    refused.iter().try_for_each(|feature| output.result(&format!("left out: {feature}"), feature))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_zone_is_a_name_of_the_iana_list() {
        assert_eq!(time_zone("Asia/Tokyo").as_deref(), Ok("Asia/Tokyo"));
        for bad in ["", "Mars/Olympus", "../etc/passwd", "Tokyo time"] {
            assert!(time_zone(bad).is_err(), "{bad}");
        }
    }
}
