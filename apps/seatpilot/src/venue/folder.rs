//! A venue's files on disk.

use std::{
    fs::File,
    io::Read,
    path::{Path, PathBuf},
};

use seatpilot_domain_model::{SLUG_MAX, VenueId};
use seatpilot_venue_graph::{Import, VenueFiles, import_mlit};

use crate::failure::Failure;

/// Largest file of a venue that is read, in bytes; the stadium's largest has 1.3 MB.
const FILE_BYTES_MAX: u64 = 256 << 20;
/// Most files of a folder that are looked at.
const FILES_MAX: usize = 1_000;

/// Reads a folder, or a single file, as a venue.
///
/// # Errors
/// Where the path cannot be read, or is no venue: a sentence that names the formats that are read. What is
/// broken inside a venue is in [`Import::refused`].
pub fn read(path: &Path) -> Result<Import, Failure> {
    let named = files(path).map_err(|failure| failure.while_doing(path.display()))?;
    let files = VenueFiles::gather(named).map_err(|error| Failure::new(error).while_doing(path.display()))?;
    Ok(import_mlit(&files))
}

fn files(path: &Path) -> Result<Vec<(String, Vec<u8>)>, Failure> {
    if path.is_file() {
        return Ok(vec![(file_name(path), bytes(path)?)]);
    }
    let mut named = Vec::new();
    for entry in std::fs::read_dir(path)?.take(FILES_MAX) {
        let path: PathBuf = entry?.path();
        let name = file_name(&path);
        if path.is_file() {
            // Only the name of another file matters: to say what was found instead of a venue.
            let known = VenueFiles::NAMES.contains(&name.as_str());
            named.push((name, if known { bytes(&path)? } else { Vec::new() }));
        }
    }
    Ok(named)
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn bytes(path: &Path) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(Failure::new(format!("{} has over {} MiB", file_name(path), FILE_BYTES_MAX >> 20)));
    }
    Ok(bytes)
}

/// The folder's or file's name made an identifier: what an identifier cannot hold becomes `-`.
///
/// # Errors
/// Where nothing of the name is left.
pub fn slug_of(path: &Path) -> Result<VenueId, Failure> {
    // `.` and `..` have no name of their own.
    let whole = path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
    let name = if whole.is_file() { whole.file_stem() } else { whole.file_name() };
    let name = name.unwrap_or_default().to_string_lossy();
    let mut slug = String::new();
    for character in name.chars() {
        match character {
            'A'..='Z' | 'a'..='z' | '0'..='9' | '.' | '_' | '-' => slug.push(character),
            _ if slug.ends_with('-') => {}
            _ => slug.push('-'),
        }
    }
    let begin = slug.trim_start_matches(|character: char| !character.is_ascii_alphanumeric());
    let slug = begin[..begin.len().min(SLUG_MAX)].trim_end_matches('-');
    slug.parse()
        .map_err(|_| Failure::new(format!("{}: its name makes no id; give one with --id", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_becomes_an_identifier() {
        let slug = |name: &str| slug_of(Path::new(name)).map(|slug| slug.to_string());
        assert_eq!(slug("/venues/nissan-stadium/").expect("a slug"), "nissan-stadium");
        assert_eq!(slug("/x/São Paulo  (2026)").expect("a slug"), "S-o-Paulo-2026");
        assert_eq!(slug(&format!("/x/{}", "a".repeat(90))).expect("a slug"), "a".repeat(64));
        assert!(slug("/x/東京").is_err());
    }

    #[test]
    fn what_is_no_venue_says_what_one_is() {
        let dir = tempfile::tempdir().expect("a folder");
        std::fs::write(dir.path().join("plan.json"), "{}").expect("written");
        let why = read(dir.path()).expect_err("no venue").to_string();
        assert!(why.contains("plan.json") && why.contains("nodes.geojson"), "{why}");
        assert!(read(&dir.path().join("nothing")).is_err());
    }
}
