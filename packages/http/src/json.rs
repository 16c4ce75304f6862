//! JSON bodies into types, and every way in which they fail told with a pointer.
//!
//! Two kinds of fault: `bad_json` (not JSON at all, with line and column) and `schema_violation` (JSON, but
//! not what is expected, with the JSON pointer of the member). Neither quotes the body.

use seatpilot_domain_model::{Fault, FaultCode};
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::value::RawValue;
use serde_path_to_error::Segment;

/// Longest detail of a member; a message of a type of ours is one sentence.
const DETAIL_CHARACTERS_MAX: usize = 300;
/// Longest pointer: the name of an unknown member is the sender's, and may be as long as the body.
const POINTER_CHARACTERS_MAX: usize = 200;

/// Reads one JSON object. A struct is never read from an array, as serde alone would do.
///
/// # Errors
/// `bad_json` where the bytes are not JSON, wherever that is; else `schema_violation`.
pub fn parse_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Fault> {
    object(utf8(bytes)?, "")
}

/// Reads one JSON object, or an array of at most `items_max` of them.
///
/// # Errors
/// As [`parse_json`]; pointers begin with the item's index where it was an array.
pub fn parse_json_items<T: DeserializeOwned>(bytes: &[u8], items_max: usize) -> Result<Vec<T>, Fault> {
    let text = utf8(bytes)?;
    if !begins_with(text, '[') {
        return object(text, "").map(|item| vec![item]);
    }
    // Syntax first, of the whole: an array that breaks off at its end has no first item.
    let items: Vec<&RawValue> = serde_json::from_str(text).map_err(|error| bad_json(&error))?;
    if items.len() > items_max {
        return Err(Fault::schema("", format!("must have at most {items_max} items")));
    }
    items.iter().enumerate().map(|(index, item)| object(item.get(), &format!("/{index}"))).collect()
}

fn utf8(bytes: &[u8]) -> Result<&str, Fault> {
    std::str::from_utf8(bytes).map_err(|error| {
        let at = error.valid_up_to();
        Fault::new(FaultCode::BadJson, format!("The body is not UTF-8 at byte {at}."))
    })
}

fn begins_with(text: &str, first: char) -> bool {
    text.trim_start_matches([' ', '\t', '\n', '\r']).starts_with(first)
}

fn object<T: DeserializeOwned>(text: &str, prefix: &str) -> Result<T, Fault> {
    if begins_with(text, '{')
        && let Ok(value) = serde_json::from_str(text)
    {
        return Ok(value);
    }
    Err(why_not::<T>(text, prefix))
}

/// The slow path, once something is wrong: which fault it is, and where.
fn why_not<T: DeserializeOwned>(text: &str, prefix: &str) -> Fault {
    if let Err(error) = serde_json::from_str::<IgnoredAny>(text) {
        return bad_json(&error);
    }
    if !begins_with(text, '{') {
        return Fault::schema(prefix, "must be a JSON object");
    }
    let mut reader = serde_json::Deserializer::from_str(text);
    match serde_path_to_error::deserialize::<_, T>(&mut reader) {
        Ok(_) => Fault::schema(prefix, "does not match its schema"),
        // Syntax that only a typed reader sees: a lone surrogate, a number beyond every type, too deep.
        Err(error) if !error.inner().is_data() => bad_json(error.inner()),
        Err(error) => violation(prefix, error.path(), &error.inner().to_string()),
    }
}

fn bad_json(error: &serde_json::Error) -> Fault {
    let (line, column) = (error.line(), error.column());
    Fault::new(FaultCode::BadJson, format!("The body is not JSON: line {line}, column {column}."))
}

/// A `schema_violation` from serde's words and the path that was being read.
pub(crate) fn violation(prefix: &str, path: &serde_path_to_error::Path, message: &str) -> Fault {
    let mut pointer = prefix.to_owned();
    for segment in path {
        match segment {
            Segment::Seq { index } => push(&mut pointer, &index.to_string()),
            Segment::Map { key } => push(&mut pointer, key),
            Segment::Enum { variant } => push(&mut pointer, variant),
            Segment::Unknown => {}
        }
    }
    let (member, detail) = in_words(message);
    if let Some(member) = member {
        push(&mut pointer, member);
    }
    let pointer: String = pointer.chars().take(POINTER_CHARACTERS_MAX).collect();
    let detail: String = detail.chars().take(DETAIL_CHARACTERS_MAX).collect();
    Fault::schema(pointer, detail)
}

/// RFC 6901: `~` and `/` inside a name are written `~0` and `~1`.
fn push(pointer: &mut String, name: &str) {
    pointer.push('/');
    pointer.push_str(&name.replace('~', "~0").replace('/', "~1"));
}

/// serde's message for the sender: the member that the path does not name yet, and what is wrong, without
/// the value. A message of a type of ours is taken as it is.
fn in_words(message: &str) -> (Option<&str>, String) {
    let message = message.rsplit_once(" at line ").map_or(message, |(words, _)| words);
    let quoted = |rest: &'static str| message.strip_prefix(rest).and_then(|rest| rest.split('`').next());
    if let Some(member) = quoted("missing field `") {
        return (Some(member), "is required".to_owned());
    }
    if let Some(member) = quoted("duplicate field `") {
        return (Some(member), "stands there more than once".to_owned());
    }
    if message.starts_with("unknown field `") {
        // The path names it already.
        return (None, "is no member of this object".to_owned());
    }
    let serdes_own = ["invalid type: ", "invalid value: ", "invalid length ", "unknown variant `"];
    if serdes_own.iter().any(|start| message.starts_with(start)) {
        // From the right: what stands before it quotes the value.
        let expected = message.rsplit_once(", expected ").map_or("of another type", |(_, expected)| expected);
        return (None, format!("must be {}", plain(expected)));
    }
    (None, message.to_owned())
}

/// serde names Rust's number types; a sender knows JSON's.
fn plain(expected: &str) -> &str {
    match expected {
        "u8" | "u16" | "u32" | "u64" | "usize" | "i8" | "i16" | "i32" | "i64" | "isize" => {
            "a whole number in range"
        }
        "f32" | "f64" => "a number",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use seatpilot_domain_model::Channel;
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Scan {
        door: String,
        party: u8,
        channel: Option<Channel>,
        #[serde(default)]
        tags: Vec<Tag>,
    }

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Tag {
        tag: String,
    }

    fn refused(body: &str) -> (FaultCode, String, String) {
        let fault = parse_json::<Scan>(body.as_bytes()).unwrap_err();
        match fault.errors() {
            [] => (fault.code(), String::new(), fault.detail().to_owned()),
            [error] => (fault.code(), error.pointer.clone(), error.detail.clone()),
            more => panic!("{more:?}"),
        }
    }

    #[test]
    fn what_is_no_json_is_told_by_line_and_column_only() {
        for body in [
            "",
            " ",
            "{",
            "nul",
            "{\"door\":\"canary\",}",
            "{\"door\":1} canary",
            "\u{feff}{}",
            "{\"door\":\"a\nb\"}",
            "{'door':1}",
            "{\"party\":01}",
            "{\"party\":NaN}",
            "[1,2",
            // Wrong in its types too: syntax wins.
            "{\"door\":1,\"party\":",
        ] {
            let (code, _, detail) = refused(body);
            assert_eq!(code, FaultCode::BadJson, "{body}");
            assert!(detail.contains("line ") && !detail.contains("canary"), "{body}: {detail}");
        }
        let fault = parse_json::<Scan>(b"{\"door\":\"\xff\"}").unwrap_err();
        assert_eq!((fault.code(), fault.detail()), (FaultCode::BadJson, "The body is not UTF-8 at byte 9."));
        let lone = refused(r#"{"door":"\ud800","party":1}"#);
        assert_eq!(lone.0, FaultCode::BadJson);
        let deep = refused(&format!("{{\"tags\":{}1{}}}", "[".repeat(4_000), "]".repeat(4_000)));
        assert_ne!(deep.0, FaultCode::Internal);
    }

    #[test]
    fn a_member_that_does_not_fit_is_named_by_its_pointer() {
        for (body, pointer, detail) in [
            ("[]", "", "must be a JSON object"),
            ("[\"north\",1,null,[]]", "", "must be a JSON object"),
            ("\"x\"", "", "must be a JSON object"),
            ("null", "", "must be a JSON object"),
            ("{}", "/door", "is required"),
            ("{\"door\":\"n\"}", "/party", "is required"),
            (
                "{\"door\":\"n\",\"party\":\"canary, expected x\"}",
                "/party",
                "must be a whole number in range",
            ),
            ("{\"door\":\"n\",\"party\":256}", "/party", "must be a whole number in range"),
            ("{\"door\":null,\"party\":1}", "/door", "must be a string"),
            ("{\"door\":\"n\",\"party\":1,\"x/y~z\":1}", "/x~1y~0z", "is no member of this object"),
            ("{\"door\":\"n\",\"door\":\"n\",\"party\":1}", "/door", "stands there more than once"),
            ("{\"door\":\"n\",\"party\":1,\"tags\":[{\"tag\":\"a\"},{}]}", "/tags/1/tag", "is required"),
            (
                "{\"door\":\"n\",\"party\":1,\"tags\":[{\"tag\":\"a\",\"tag\":\"b\"}]}",
                "/tags/0/tag",
                "stands there more than once",
            ),
            (
                "{\"door\":\"n\",\"party\":1,\"tags\":[{\"tag\":\"a\",\"b\":1}]}",
                "/tags/0/b",
                "is no member of this object",
            ),
        ] {
            assert_eq!(
                refused(body),
                (FaultCode::SchemaViolation, pointer.to_owned(), detail.to_owned()),
                "{body}"
            );
        }
        let (_, pointer, detail) = refused("{\"door\":\"n\",\"party\":1,\"channel\":\"canary\"}");
        assert_eq!(pointer, "/channel");
        assert!(detail.starts_with("must be one of mobile") && !detail.ends_with(' '), "{detail}");
        assert!(!detail.contains("canary"), "{detail}");
    }

    #[test]
    fn a_name_from_outside_is_cut_before_it_is_answered() {
        let (_, pointer, _) =
            refused(&format!("{{\"door\":\"n\",\"party\":1,\"{}\":1}}", "é".repeat(10_000)));
        assert_eq!(pointer.chars().count(), POINTER_CHARACTERS_MAX);
    }

    #[test]
    fn items_are_read_all_or_none_with_their_index() {
        let read = |body: &str| parse_json_items::<Tag>(body.as_bytes(), 2);
        assert_eq!(read("{\"tag\":\"a\"}").unwrap().len(), 1);
        assert_eq!(read(" [ {\"tag\":\"a\"} , {\"tag\":\"b\"} ] ").unwrap().len(), 2);
        assert!(read("[]").unwrap().is_empty());
        let pointer = |body: &str| read(body).unwrap_err().errors()[0].pointer.clone();
        assert_eq!(pointer("[{\"tag\":\"a\"},{\"tag\":1}]"), "/1/tag");
        assert_eq!(pointer("[{\"tag\":\"a\"},[\"a\"]]"), "/1");
        assert_eq!(pointer("[{\"tag\":\"a\"},{\"tag\":\"b\"},{\"tag\":\"c\"}]"), "");
        assert_eq!(read("[{\"tag\":1},").unwrap_err().code(), FaultCode::BadJson);
        assert_eq!(read("[{\"tag\":1}").unwrap_err().code(), FaultCode::BadJson);
    }
}
