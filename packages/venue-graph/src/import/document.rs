//! GeoJSON from strangers: a file is taken apart feature by feature, so that one bad feature costs only itself.

use std::borrow::Cow;

use geojson::{Feature, GeometryValue, Position};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::Refused;
use crate::venue::{NAME_CHARS_MAX, is_position};

/// Longest id or excerpt that is repeated in a reason, in characters.
const EXCERPT_CHARS_MAX: usize = 64;

#[derive(Deserialize)]
struct Collection<'a> {
    #[serde(borrow)]
    features: Vec<&'a RawValue>,
}

/// One readable feature with what is needed to refuse it.
pub(super) struct Entry {
    pub(super) feature: Feature,
    /// Its id property if that is legible, else `#n`.
    pub(super) name: String,
    /// Counting from 1.
    pub(super) nth: usize,
}

/// Reads a file's features; what is no feature is refused here.
pub(super) fn entries(
    file: &'static str,
    id_key: &str,
    bytes: Option<&[u8]>,
    refused: &mut Vec<Refused>,
) -> Vec<Entry> {
    let Some(bytes) = bytes else { return Vec::new() };
    let text = String::from_utf8_lossy(bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes));
    let damaged = matches!(text, Cow::Owned(_));
    let quoted;
    let collection = match serde_json::from_str::<Collection<'_>>(&text) {
        Ok(collection) => Ok(collection),
        Err(error) => {
            quoted = quote_bare_words(&text);
            serde_json::from_str::<Collection<'_>>(&quoted).map_err(|_| error)
        }
    };
    let collection = match collection {
        Ok(collection) => collection,
        Err(error) => {
            let reason = format!("not a GeoJSON feature collection: {error}");
            refused.push(Refused { file, feature: String::new(), reason });
            return Vec::new();
        }
    };
    let mut entries = Vec::with_capacity(collection.features.len());
    for (nth, raw) in (1..).zip(collection.features) {
        let parsed = if damaged && raw.get().contains('\u{fffd}') {
            Err("not UTF-8".to_owned())
        } else {
            serde_json::from_str::<Feature>(raw.get())
                .map_err(|error| format!("not a GeoJSON feature: {error}"))
        };
        match parsed {
            Ok(feature) => {
                let id = text_of(&feature, id_key).filter(|id| !id.is_empty());
                let name = id.map_or_else(|| format!("#{nth}"), |id| legible(&id));
                entries.push(Entry { feature, name, nth });
            }
            Err(reason) => {
                // Its id, if only the rest of it is broken.
                let name = serde_json::from_str::<serde_json::Value>(raw.get()).ok().and_then(|value| {
                    value.get("properties")?.get(id_key)?.as_str().filter(|id| !id.is_empty()).map(legible)
                });
                let feature = name.unwrap_or_else(|| format!("#{nth}"));
                refused.push(Refused { file, feature, reason });
            }
        }
    }
    entries
}

/// JSON has no NaN and no Infinity, but some writers do. As strings they cost only their own feature.
pub(super) fn quote_bare_words(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let (mut in_string, mut escaped, mut rest) = (false, false, text);
    while let Some(letter) = rest.chars().next() {
        let word = ["NaN", "-Infinity", "Infinity"].into_iter().find(|word| rest.starts_with(word));
        if let (false, Some(word)) = (in_string, word) {
            out.push('"');
            out.push_str(word);
            out.push('"');
            rest = &rest[word.len()..];
            continue;
        }
        if in_string {
            in_string = escaped || letter != '"';
            escaped = !escaped && letter == '\\';
        } else {
            in_string = letter == '"';
        }
        out.push(letter);
        rest = &rest[letter.len_utf8()..];
    }
    out
}

/// A property as text: maps write numbers and strings as they like.
pub(super) fn text_of(feature: &Feature, key: &str) -> Option<String> {
    match feature.property(key)? {
        serde_json::Value::String(text) => Some(text.trim().to_owned()),
        serde_json::Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// A property as a finite number; none where it is missing, null or empty.
///
/// # Errors
/// The reason, where it is something else.
pub(super) fn number_of(feature: &Feature, key: &str) -> Result<Option<f64>, String> {
    match feature.property(key) {
        None | Some(serde_json::Value::Null) => Ok(None),
        Some(serde_json::Value::Number(number)) => number
            .as_f64()
            .filter(|number| number.is_finite())
            .map(Some)
            .ok_or_else(|| format!("{key} is no finite number")),
        Some(serde_json::Value::String(text)) => number_in(key, text),
        Some(_) => Err(format!("{key} is no number")),
    }
}

/// A number in a text, with a point or a comma; none where it is empty.
///
/// # Errors
/// The reason, where it is something else.
pub(super) fn number_in(key: &str, text: &str) -> Result<Option<f64>, String> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    let number = text.replacen(',', ".", 1).parse::<f64>();
    match number {
        Ok(number) if number.is_finite() => Ok(Some(number)),
        Ok(_) | Err(_) => Err(format!("{key} is {}, not a finite number", legible(text))),
    }
}

/// A property as a code; `missing` where there is none.
///
/// # Errors
/// The reason, where it is no small whole number.
pub(super) fn code_of(feature: &Feature, key: &str, missing: u8) -> Result<u8, String> {
    match number_of(feature, key)? {
        None => Ok(missing),
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a whole number of 0 to 255"
        )]
        Some(code) if code.fract() == 0.0 && (0.0..=255.0).contains(&code) => Ok(code as u8),
        Some(code) => Err(format!("{key} is {code}, which is no code")),
    }
}

/// A position's longitude and latitude.
///
/// # Errors
/// The reason, where it is not on this planet.
pub(super) fn lon_lat(position: &Position) -> Result<[f64; 2], String> {
    match position.as_slice() {
        [lon, lat, ..] if is_position(*lon, *lat, 0.0) => Ok([*lon, *lat]),
        _ => Err("coordinates are out of range".to_owned()),
    }
}

/// The middle of whatever a feature is drawn as.
///
/// # Errors
/// The reason, where it is drawn as nothing.
pub(super) fn middle(feature: &Feature) -> Result<[f64; 2], String> {
    let geometry = feature.geometry.as_ref().ok_or("it has no geometry")?;
    let points: &[Position] = match &geometry.value {
        GeometryValue::Point { coordinates } => return lon_lat(coordinates),
        GeometryValue::LineString { coordinates } | GeometryValue::MultiPoint { coordinates } => coordinates,
        GeometryValue::Polygon { coordinates } => coordinates.first().map_or(&[], Vec::as_slice),
        GeometryValue::MultiLineString { coordinates } => coordinates.first().map_or(&[], Vec::as_slice),
        GeometryValue::MultiPolygon { coordinates } => {
            coordinates.first().and_then(|rings| rings.first()).map_or(&[], Vec::as_slice)
        }
        GeometryValue::GeometryCollection { .. } => return Err("a collection has no middle".to_owned()),
    };
    let (mut low, mut high) = ([f64::MAX; 2], [f64::MIN; 2]);
    for point in points {
        let [lon, lat] = lon_lat(point)?;
        low = [low[0].min(lon), low[1].min(lat)];
        high = [high[0].max(lon), high[1].max(lat)];
    }
    if points.is_empty() {
        return Err("it is drawn as nothing".to_owned());
    }
    Ok([f64::midpoint(low[0], high[0]), f64::midpoint(low[1], high[1])])
}

/// A text as it may be printed: no control characters, not too long.
pub(super) fn legible(text: &str) -> String {
    text.chars().filter(|letter| !letter.is_control()).take(EXCERPT_CHARS_MAX).collect()
}

/// A name as it is published; none where nothing of it is left.
pub(super) fn name_in(text: &str) -> Option<String> {
    let name: String =
        text.trim().chars().filter(|letter| !letter.is_control()).take(NAME_CHARS_MAX).collect();
    (!name.is_empty()).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bare_words_of_other_writers_become_strings() {
        assert_eq!(
            quote_bare_words(r#"[NaN,-Infinity,"NaN \" Infinity",1]"#),
            r#"["NaN","-Infinity","NaN \" Infinity",1]"#
        );
    }

    #[test]
    fn half_storeys_are_read_with_a_point_or_a_comma() {
        assert_eq!(number_in("level", "0,5"), Ok(Some(0.5)));
        assert_eq!(number_in("level", " -1.5 "), Ok(Some(-1.5)));
        assert_eq!(number_in("level", ""), Ok(None));
        for bad in ["0-3", "NaN", "inf", "1,2,3", "ground"] {
            assert!(number_in("level", bad).is_err(), "{bad}");
        }
    }
}
