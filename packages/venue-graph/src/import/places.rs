//! `places.csv`: doors, sections, tables, seats and signs by the ids that tickets and devices use.
//!
//! Columns in any order, `kind` and `id` required: `kind,id,name,level,lon,lat,node_id,table_id,section`.
//! A row stands at its node, else at the nearest node of its position, else where its table or section stands.

use std::collections::{HashMap, HashSet};

use csv::{ByteRecord, ReaderBuilder};

use super::{
    Ground, Refused,
    document::{legible, name_in, number_in},
};
use crate::{
    kind::PlaceKind,
    venue::{PLACES_MAX, Place, Survey, is_position, is_slug},
};

const FILE: &str = "places.csv";

/// A row that is right by itself.
struct Row {
    line: u64,
    kind: PlaceKind,
    id: String,
    name: Option<String>,
    position: Option<(f64, f64, f64)>,
    level: Option<f64>,
    node_id: String,
    table: Option<String>,
    section: Option<String>,
}

/// Which column is where.
struct Columns(HashMap<String, usize>);

impl Columns {
    fn of(header: &ByteRecord) -> Self {
        let named = header.iter().enumerate().map(|(at, name)| {
            (String::from_utf8_lossy(name).trim().trim_start_matches('\u{feff}').to_ascii_lowercase(), at)
        });
        Self(named.collect())
    }

    /// A field's text, empty where the row or the table has none.
    ///
    /// # Errors
    /// The reason, where it is not UTF-8.
    fn text<'r>(&self, row: &'r ByteRecord, column: &str) -> Result<&'r str, String> {
        let bytes = self.0.get(column).and_then(|at| row.get(*at)).unwrap_or_default();
        std::str::from_utf8(bytes).map(str::trim).map_err(|_| format!("{column} is not UTF-8"))
    }
}

/// Reads the places into a survey.
pub(super) fn read(bytes: Option<&[u8]>, ground: &Ground, survey: &mut Survey, refused: &mut Vec<Refused>) {
    let Some(bytes) = bytes else { return };
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    // Spreadsheets of half of Europe separate by semicolons.
    let first_line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let delimiter = if first_line.contains(&b';') && !first_line.contains(&b',') { b';' } else { b',' };
    let mut reader = ReaderBuilder::new().flexible(true).delimiter(delimiter).from_reader(bytes);
    let columns = match reader.byte_headers() {
        Ok(header) => Columns::of(header),
        Err(error) => {
            refused.push(Refused { file: FILE, feature: String::new(), reason: error.to_string() });
            return;
        }
    };
    if !columns.0.contains_key("kind") || !columns.0.contains_key("id") {
        let reason = "its first line names no columns kind and id".to_owned();
        refused.push(Refused { file: FILE, feature: String::new(), reason });
        return;
    }
    let mut rows = Vec::new();
    let mut seen = HashSet::new();
    let mut record = ByteRecord::new();
    loop {
        let line = reader.position().line();
        match reader.read_byte_record(&mut record) {
            Ok(false) => break,
            Ok(true) => {}
            Err(error) => {
                refused.push(Refused {
                    file: FILE,
                    feature: format!("line {line}"),
                    reason: error.to_string(),
                });
                break;
            }
        }
        let line = record.position().map_or(line, csv::Position::line);
        match row(&columns, &record, line) {
            Ok(row) if !seen.insert((row.kind, row.id.clone())) => {
                let reason = format!("{} {} is there twice: the first is kept", row.kind.as_str(), row.id);
                refused.push(Refused { file: FILE, feature: format!("line {line}"), reason });
            }
            Ok(_) if rows.len() >= PLACES_MAX => {
                let reason = format!("over {PLACES_MAX} places");
                refused.push(Refused { file: FILE, feature: format!("line {line}"), reason });
            }
            Ok(row) => rows.push(row),
            Err(reason) => refused.push(Refused { file: FILE, feature: format!("line {line}"), reason }),
        }
    }
    stand(rows, ground, survey, refused);
}

fn row(columns: &Columns, record: &ByteRecord, line: u64) -> Result<Row, String> {
    let word = columns.text(record, "kind")?;
    let kind = PlaceKind::from_word(&word.to_ascii_lowercase())
        .ok_or_else(|| format!("kind {:?} is not door, section, table, seat or sign", legible(word)))?;
    let slug = |column: &str, required: bool| match columns.text(record, column)? {
        "" if !required => Ok(None),
        id if is_slug(id) => Ok(Some(id.to_owned())),
        id => Err(format!("{column} {:?} is no identifier", legible(id))),
    };
    let id = slug("id", true)?.unwrap_or_default();
    let number = |column: &str| number_in(column, columns.text(record, column)?);
    let (lon, lat, level) = (number("lon")?, number("lat")?, number("level")?);
    let position = match (lon, lat, level) {
        (Some(lon), Some(lat), Some(level)) => Some((lon, lat, level)),
        _ => None,
    };
    if !is_position(lon.unwrap_or(0.0), lat.unwrap_or(0.0), level.unwrap_or(0.0)) {
        return Err("its position is out of range".to_owned());
    }
    Ok(Row {
        line,
        kind,
        id,
        name: name_in(columns.text(record, "name")?),
        position,
        level,
        node_id: columns.text(record, "node_id")?.to_owned(),
        table: slug("table_id", false)?,
        section: slug("section", false)?,
    })
}

/// Puts rows on the ground: tables and sections first, for the seats that have only them.
fn stand(mut rows: Vec<Row>, ground: &Ground, survey: &mut Survey, refused: &mut Vec<Refused>) {
    rows.sort_by_key(|row| (row.kind == PlaceKind::Seat, row.kind == PlaceKind::Table, row.line));
    let mut stood: HashMap<(PlaceKind, String), usize> = HashMap::new();
    let mut late = Vec::new();
    for row in rows {
        let kin = |kind, id: &Option<String>| {
            id.as_ref().and_then(|id| stood.get(&(kind, id.clone()))).map(|at| &survey.places[*at])
        };
        let kin = kin(PlaceKind::Table, &row.table).or_else(|| kin(PlaceKind::Section, &row.section));
        let node = match (ground.at.get(&row.node_id), row.position, kin) {
            (Some(node), _, _) => Ok(*node),
            (None, Some((lon, lat, level)), kin) => match (ground.snap(lon, lat, level), kin) {
                (Err(_), Some(kin)) => Ok(kin.node),
                (snapped, _) => snapped,
            },
            (None, None, Some(kin)) => Ok(kin.node),
            (None, None, None) if row.node_id.is_empty() => {
                Err("it has neither node_id nor lon, lat and level".to_owned())
            }
            (None, None, None) => {
                Err("that node does not exist, and it has no lon, lat and level".to_owned())
            }
        };
        let node = node.map_err(|reason| match row.node_id.as_str() {
            "" => reason,
            id => format!("node_id {}: {reason}", legible(id)),
        });
        match node {
            Ok(node) => {
                let at = &survey.nodes[node as usize];
                let (lon, lat, level) =
                    row.position.unwrap_or((at.lon, at.lat, row.level.unwrap_or(at.level)));
                stood.insert((row.kind, row.id.clone()), survey.places.len());
                survey.places.push(Place {
                    kind: row.kind,
                    id: row.id,
                    name: row.name,
                    level: level + 0.0,
                    lon,
                    lat,
                    node,
                    table: row.table,
                    section: row.section,
                });
            }
            Err(reason) => late.push((row.line, reason)),
        }
    }
    late.sort();
    let refusals = late.into_iter().map(|(line, reason)| Refused {
        file: FILE,
        feature: format!("line {line}"),
        reason,
    });
    refused.extend(refusals);
}
