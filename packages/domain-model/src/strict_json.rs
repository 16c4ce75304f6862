//! Strict JSON: one pass over raw bytes that finds what a lenient reader would let through or choke on.
//!
//! RFC 8259 leaves open what happens to a key that occurs twice, to a lone surrogate and to `1e400`; Postgres
//! refuses NUL and prints `1e100000` as 100,001 digits; a recursive reader dies of 100,000 brackets. Here each
//! is a [`Flaw`] with the contract's reason. Flaws come in two kinds:
//!
//! - The text cannot be taken apart (not UTF-8, a bracket missing): [`scan`] fails as a whole.
//! - A value can be taken apart but not kept: it carries the flaw, and its neighbours in an array do not.
//!
//! Two decisions, both for the sake of the neighbours: a lone surrogate is `json_syntax` (its escape stands
//! for no character) of its own value only; and the bare words `NaN`, `Infinity` and `-Infinity`, which are
//! not JSON but what several languages print, are read as numbers that are `json_number_range`.
//!
//! It does not know what an event is.

mod scanner;

use std::borrow::Cow;

use crate::RejectReason;

pub use scanner::scan;

/// Deepest nesting of one value; the value's own braces are the first level.
pub const DEPTH_MAX: usize = 32;
/// Most keys in one object.
pub const KEYS_MAX: usize = 64;
/// Largest power of ten that a number may be written with, either way: a double has no use for more, and
/// Postgres would write the zeros out.
pub const EXPONENT_MAX: i64 = 308;

/// Why a value, or a whole text, cannot be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flaw {
    /// The closed reason.
    pub reason: RejectReason,
    /// The rule in words, without the text's own.
    pub rule: &'static str,
    /// Where: the byte's offset from the begin of the value or, where the text cannot be taken apart, of the text.
    pub at: usize,
}

impl std::fmt::Display for Flaw {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{} (at byte {})", self.rule, self.at)
    }
}

/// What a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `{…}`
    Object,
    /// `[…]`
    Array,
    /// A string, number, boolean or null.
    Scalar,
}

/// A member of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member<'a> {
    /// Its key, escapes resolved.
    pub key: Cow<'a, str>,
    /// Its value as sent.
    pub raw: &'a str,
}

/// A value that could be taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Value<'a> {
    /// The value as sent, without the white space around it.
    pub raw: &'a str,
    /// What it is.
    pub kind: Kind,
    /// The first reason why it cannot be kept.
    pub flaw: Option<Flaw>,
    /// The members of an object, in the order sent, at most [`KEYS_MAX`]; not those of objects inside it.
    pub members: Vec<Member<'a>>,
}

/// A text that could be taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Document<'a> {
    /// Anything but an array.
    One(Value<'a>),
    /// An array.
    Many {
        /// The first so many elements as the caller asked for.
        elements: Vec<Value<'a>>,
        /// How many there are.
        count: usize,
    },
}

/// The text of a string value as it stands in a scanned text, escapes resolved; `None` where it is no string.
pub fn string(raw: &str) -> Option<Cow<'_, str>> {
    let inside = raw.strip_prefix('"')?.strip_suffix('"')?;
    if inside.contains('\\') {
        serde_json::from_str(raw).ok().map(Cow::Owned)
    } else {
        Some(Cow::Borrowed(inside))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> Value<'_> {
        match scan(text.as_bytes(), 500) {
            Ok(Document::One(value)) => value,
            other => panic!("{text}: {other:?}"),
        }
    }

    fn reason(text: &str) -> Option<&'static str> {
        match scan(text.as_bytes(), 500) {
            Ok(Document::One(value)) => value.flaw.map(|flaw| flaw.reason.as_str()),
            Ok(Document::Many { elements, .. }) => {
                elements.iter().find_map(|value| value.flaw).map(|flaw| flaw.reason.as_str())
            }
            Err(_) => Some("whole"),
        }
    }

    fn nested(depth: usize) -> String {
        format!("{}1{}", r#"{"a":"#.repeat(depth), "}".repeat(depth))
    }

    fn wide(keys: usize) -> String {
        let members: Vec<String> = (0..keys).map(|key| format!(r#""k{key}":1"#)).collect();
        format!("{{{}}}", members.join(","))
    }

    #[test]
    fn what_is_not_json_fails_as_a_whole() {
        for text in [
            "",
            " ",
            "{",
            "[",
            "[1",
            "[1,",
            "[1,]",
            "[,1]",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1,}",
            "{,}",
            "{a:1}",
            "{'a':1}",
            "{\"a\":1}x",
            "{} {}",
            "[] []",
            "01",
            "1.",
            ".5",
            "1e",
            "1e+",
            "+1",
            "-",
            "--1",
            "tru",
            "nul",
            "True",
            "\"",
            "\"\\x\"",
            "\"\\u12\"",
            "\"\\u12g4\"",
            "\"\\",
            "\"a\nb\"",
            "\u{feff}{}",
            "{}\0",
            "\0",
            "NaN1",
            "Inf",
            "-NaN",
            "[1 2]",
            "{\"a\" 1}",
            "{\"a\":1 \"b\":2}",
            "// x\n{}",
            "]",
            "}",
            "[}",
            "{]",
        ] {
            assert_eq!(reason(text), Some("whole"), "{text:?}");
        }
    }

    #[test]
    fn what_serde_json_reads_is_taken_apart() {
        for text in [
            "{}",
            "[]",
            " [ ] ",
            "\t{\r\n}\n",
            "null",
            "true",
            "-0",
            "0",
            "1.5E+3",
            "\"\\u00e9\\n\\/\"",
            "\"\\ud83c\\udf9f\"",
            r#"{"a":{"b":[1,2,{"c":null}]},"d":"é日🎟"}"#,
        ] {
            assert_eq!(reason(text), None, "{text:?}");
            assert!(serde_json::from_str::<serde_json::Value>(text).is_ok(), "{text:?}");
        }
    }

    #[test]
    fn bytes_that_are_not_utf_8_fail_as_a_whole() {
        for bytes in [&b"\"\xff\""[..], b"\"\xc0\xaf\"", b"\"\xed\xa0\x80\"", b"{\"a\":\"\xf4\x90\x80\x80\"}"]
        {
            assert_eq!(scan(bytes, 1).map_err(|flaw| flaw.reason), Err(RejectReason::InvalidUtf8));
        }
    }

    #[test]
    fn a_key_twice_at_any_level_and_in_any_spelling_is_a_flaw() {
        for text in [
            r#"{"a":1,"a":2}"#,
            r#"{"x":{"a":1,"b":2,"a":3}}"#,
            r#"[{"x":[0,{"a":1,"\u0061":2}]}]"#,
            r#"{"\u00e9":1,"é":2}"#,
        ] {
            assert_eq!(reason(text), Some("json_duplicate_key"), "{text}");
        }
        for text in [
            r#"{"a":{"a":{"a":1}}}"#,
            r#"[{"a":1},{"a":2}]"#,
            r#"{"a":[{"b":1},{"b":2}],"b":3}"#,
            r#"{"a":1,"A":2}"#,
        ] {
            assert_eq!(reason(text), None, "{text}");
        }
    }

    #[test]
    fn depth_32_and_64_keys_pass_and_one_more_is_a_flaw() {
        assert_eq!(reason(&nested(32)), None);
        assert_eq!(reason(&nested(33)), Some("json_too_deep"));
        assert_eq!(reason(&format!("[{}]", nested(32))), None);
        assert_eq!(reason(&format!("[{}]", nested(33))), Some("json_too_deep"));
        assert_eq!(reason(&wide(64)), None);
        assert_eq!(reason(&wide(65)), Some("json_too_deep"));
        assert_eq!(one(&wide(200)).members.len(), 64);
    }

    #[test]
    fn a_hundred_thousand_brackets_are_one_flaw() {
        let (open, close) = ("[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(reason(&format!("{open}{close}")), Some("json_too_deep"));
        assert_eq!(reason(&open), Some("whole"));
        assert_eq!(reason(&nested(40_000)), Some("json_too_deep"));
    }

    #[test]
    fn numbers_are_finite_doubles_with_an_exponent_of_at_most_308() {
        for text in [
            "1e400",
            "-1e309",
            "1e100000",
            "1e-309",
            "0e99999999999999999999",
            "179769313486231590e292",
            "NaN",
            "-Infinity",
        ] {
            assert_eq!(reason(&format!(r#"{{"a":{text}}}"#)), Some("json_number_range"), "{text}");
        }
        assert_eq!(reason(&format!(r#"{{"a":{}}}"#, "9".repeat(310))), Some("json_number_range"));
        for text in [
            "1e308",
            "-1e308",
            "1e-308",
            "1.7976931348623157e308",
            "0.1e308",
            "0.0000001e308",
            "0e308",
            "1E+2",
        ] {
            assert_eq!(reason(&format!(r#"{{"a":{text}}}"#)), None, "{text}");
        }
        assert_eq!(reason(&format!(r#"{{"a":0.{}1}}"#, "0".repeat(400))), None);
    }

    #[test]
    fn nul_and_lone_surrogates_are_flaws_in_strings_and_keys() {
        for text in [r#"{"a":"\u0000"}"#, r#"{"\u0000":1}"#, "{\"a\":\"x\0y\"}"] {
            assert_eq!(reason(text), Some("nul_char"), "{text:?}");
        }
        for text in [
            r#"{"a":"\ud800"}"#,
            r#"{"a":"\udc00"}"#,
            r#"{"a":"\ud800\ud800\udc00"}"#,
            r#"{"a":"\udc00\ud800"}"#,
            r#"{"\udfff":1}"#,
            r#"{"a":"\ud800x"}"#,
            r#"{"a":"\ud800\n"}"#,
        ] {
            assert_eq!(reason(text), Some("json_syntax"), "{text}");
        }
    }

    #[test]
    fn a_flaw_stays_with_its_own_element() {
        let text = r#"[{"a":1}, {"a":"\u0000"} ,{"b":[1e999,{"c":1,"c":2}]},7]"#;
        let Ok(Document::Many { elements, count }) = scan(text.as_bytes(), 500) else { panic!("an array") };
        assert_eq!(count, 4);
        let reasons: Vec<_> = elements.iter().map(|value| value.flaw.map(|flaw| flaw.reason)).collect();
        assert_eq!(reasons, [None, Some(RejectReason::NulChar), Some(RejectReason::JsonNumberRange), None]);
        assert_eq!(elements[1].raw, r#"{"a":"\u0000"}"#);
        assert_eq!(elements[1].flaw.map(|flaw| flaw.at), Some(5));
        assert_eq!(elements[3].kind, Kind::Scalar);
    }

    #[test]
    fn members_are_those_of_the_outermost_object_as_sent() {
        let value = one(r#" { "a" : {"x":1 , "y":[2]} , "\u0062":"t\n","c":-1.5e3 } "#);
        let members: Vec<_> = value.members.iter().map(|member| (&*member.key, member.raw)).collect();
        assert_eq!(members, [("a", r#"{"x":1 , "y":[2]}"#), ("b", r#""t\n""#), ("c", "-1.5e3")]);
        assert_eq!(string(value.members[1].raw).as_deref(), Some("t\n"));
        assert_eq!(string(value.members[2].raw), None);
    }

    #[test]
    fn elements_beyond_those_asked_for_are_counted_and_not_kept() {
        let text = format!("[{}1]", "1,".repeat(99_999));
        let Ok(Document::Many { elements, count }) = scan(text.as_bytes(), 501) else { panic!("an array") };
        assert_eq!((elements.len(), count), (501, 100_000));
    }
}
