//! The pass itself: a cursor over bytes with a stack of its own, so that depth costs a byte and no call.

use std::borrow::Cow;

use super::{DEPTH_MAX, Document, EXPONENT_MAX, Flaw, KEYS_MAX, Kind, Member, Value};
use crate::RejectReason;

/// Takes a text apart and looks at every byte of it once. Elements of an array beyond `elements_max` are
/// counted, not kept.
///
/// # Errors
/// The [`Flaw`] of a text that is not UTF-8 or not JSON. Flaws of single values are inside the document.
pub fn scan(body: &[u8], elements_max: usize) -> Result<Document<'_>, Flaw> {
    let text = std::str::from_utf8(body).map_err(|error| Flaw {
        reason: RejectReason::InvalidUtf8,
        rule: "must be UTF-8",
        at: error.valid_up_to(),
    })?;
    let mut scanner = Scanner {
        text,
        bytes: body,
        at: 0,
        begin: 0,
        member: 0,
        flaw: None,
        objects: Vec::with_capacity(DEPTH_MAX),
        marks: Vec::with_capacity(DEPTH_MAX),
        keys: Vec::with_capacity(KEYS_MAX),
    };
    scanner.space();
    let document =
        if scanner.eat(b'[') { scanner.elements(elements_max)? } else { Document::One(scanner.value()?) };
    scanner.space();
    if scanner.at == body.len() { Ok(document) } else { Err(scanner.syntax("must end after its one value")) }
}

struct Scanner<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    /// Where the value at hand begins.
    begin: usize,
    /// Where the value of its latest member begins.
    member: usize,
    flaw: Option<Flaw>,
    /// The open containers of the value at hand: whether each is an object.
    objects: Vec<bool>,
    /// For each of the first [`DEPTH_MAX`] open containers: where its keys begin in `keys`.
    marks: Vec<usize>,
    /// The keys of all open objects, the outermost first.
    keys: Vec<Cow<'a, str>>,
}

impl<'a> Scanner<'a> {
    fn elements(&mut self, elements_max: usize) -> Result<Document<'a>, Flaw> {
        let mut elements = Vec::new();
        let mut count = 0;
        self.space();
        if self.eat(b']') {
            return Ok(Document::Many { elements, count });
        }
        loop {
            self.space();
            let element = self.value()?;
            if count < elements_max {
                elements.push(element);
            }
            count += 1;
            self.space();
            if self.eat(b']') {
                return Ok(Document::Many { elements, count });
            }
            self.expect(b',', "elements of an array must be separated by commas")?;
        }
    }

    /// One value with all that is in it.
    fn value(&mut self) -> Result<Value<'a>, Flaw> {
        self.begin = self.at;
        self.flaw = None;
        self.objects.clear();
        self.marks.clear();
        self.keys.clear();
        let mut members: Vec<Member<'a>> = Vec::new();
        let kind = match self.peek() {
            Some(b'{') => Kind::Object,
            Some(b'[') => Kind::Array,
            _ => Kind::Scalar,
        };
        'value: loop {
            match self.peek() {
                Some(b'{') => {
                    self.open(true);
                    if self.eat(b'}') {
                        self.close();
                    } else {
                        self.key(&mut members)?;
                        continue 'value;
                    }
                }
                Some(b'[') => {
                    self.open(false);
                    if self.eat(b']') {
                        self.close();
                    } else {
                        continue 'value;
                    }
                }
                Some(b'"') => _ = self.string()?,
                Some(b'-' | b'0'..=b'9' | b'N' | b'I') => self.number()?,
                Some(b't') => self.word("true")?,
                Some(b'f') => self.word("false")?,
                Some(b'n') => self.word("null")?,
                _ => return Err(self.syntax("must have a value here")),
            }
            // A value ended: of the innermost container, which may end with it.
            loop {
                if self.objects.len() == 1
                    && let Some(member) = members.last_mut()
                    && member.raw.is_empty()
                {
                    member.raw = &self.text[self.member..self.at];
                }
                let Some(&object) = self.objects.last() else {
                    let raw = &self.text[self.begin..self.at];
                    return Ok(Value { raw, kind, flaw: self.flaw, members });
                };
                self.space();
                if self.eat(b',') {
                    self.space();
                    if object {
                        self.key(&mut members)?;
                    }
                    continue 'value;
                }
                self.expect(if object { b'}' } else { b']' }, "must be closed or go on after a comma")?;
                self.close();
            }
        }
    }

    fn open(&mut self, object: bool) {
        if self.objects.len() < DEPTH_MAX {
            self.marks.push(self.keys.len());
        } else {
            self.mark(RejectReason::JsonTooDeep, "must not be nested deeper than 32", self.at);
        }
        self.objects.push(object);
        self.at += 1;
        self.space();
    }

    fn close(&mut self) {
        if self.objects.len() <= DEPTH_MAX
            && let Some(mark) = self.marks.pop()
        {
            self.keys.truncate(mark);
        }
        self.objects.pop();
    }

    /// A key and its colon.
    fn key(&mut self, members: &mut Vec<Member<'a>>) -> Result<(), Flaw> {
        let begin = self.at;
        if self.peek() != Some(b'"') {
            return Err(self.syntax("must have a key here"));
        }
        let flawless = self.flaw.is_none();
        let escaped = self.string()?;
        let raw = &self.text[begin..self.at];
        self.space();
        self.expect(b':', "must have a colon after its key")?;
        self.space();
        if self.objects.len() > DEPTH_MAX {
            return Ok(());
        }
        let key = if escaped {
            // A key with a flaw of its own has no text to compare; its value is refused anyway.
            serde_json::from_str(raw).map_or(Cow::Borrowed(raw), Cow::Owned)
        } else {
            Cow::Borrowed(&raw[1..raw.len() - 1])
        };
        let siblings = &self.keys[self.marks.last().copied().unwrap_or(0)..];
        if siblings.len() == KEYS_MAX {
            self.mark(RejectReason::JsonTooDeep, "must not have more than 64 keys in an object", begin);
            return Ok(());
        }
        if flawless && siblings.contains(&key) {
            self.mark(RejectReason::JsonDuplicateKey, "must not have the same key twice in an object", begin);
        }
        if self.objects.len() == 1 {
            members.push(Member { key: key.clone(), raw: "" });
            self.member = self.at;
        }
        self.keys.push(key);
        Ok(())
    }

    /// A string; says whether it has escapes.
    fn string(&mut self) -> Result<bool, Flaw> {
        let begin = self.at;
        let mut escaped = false;
        self.at += 1;
        loop {
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(escaped);
                }
                Some(b'\\') => {
                    escaped = true;
                    self.escape(begin)?;
                }
                Some(0) => {
                    self.mark(RejectReason::NulChar, "must not have U+0000 in a string", begin);
                    self.at += 1;
                }
                Some(1..=0x1f) => return Err(self.syntax("must escape control characters")),
                Some(_) => self.at += 1,
                None => return Err(self.syntax("must end its string")),
            }
        }
    }

    fn escape(&mut self, begin: usize) -> Result<(), Flaw> {
        const LONE: &str = "must not have half of a surrogate pair in a string";
        match self.bytes.get(self.at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 2,
            Some(b'u') => match self.hex()? {
                0 => self.mark(RejectReason::NulChar, "must not have U+0000 in a string", begin),
                0xd800..=0xdbff => {
                    let here = self.at;
                    let low = self.bytes.get(here..here + 2) == Some(b"\\u")
                        && matches!(self.hex()?, 0xdc00..=0xdfff);
                    if !low {
                        // What follows stands for itself: it may be the first half of a pair.
                        self.at = here;
                        self.mark(RejectReason::JsonSyntax, LONE, begin);
                    }
                }
                0xdc00..=0xdfff => self.mark(RejectReason::JsonSyntax, LONE, begin),
                _ => {}
            },
            _ => return Err(self.syntax("must not have an escape that JSON does not know")),
        }
        Ok(())
    }

    /// The code unit of the `\uXXXX` at hand.
    fn hex(&mut self) -> Result<u32, Flaw> {
        let mut unit = 0;
        for offset in 2..6 {
            let digit = self.bytes.get(self.at + offset).and_then(|byte| char::from(*byte).to_digit(16));
            unit = unit * 16
                + digit.ok_or_else(|| self.syntax("must have four hexadecimal digits after \\u"))?;
        }
        self.at += 6;
        Ok(unit)
    }

    fn number(&mut self) -> Result<(), Flaw> {
        const RANGE: &str = "must be a finite double, its exponent within 308";
        let begin = self.at;
        if !self.eat(b'-') && self.peek() == Some(b'N') {
            self.word("NaN")?;
            self.mark(RejectReason::JsonNumberRange, RANGE, begin);
            return Ok(());
        }
        if self.peek() == Some(b'I') {
            self.word("Infinity")?;
            self.mark(RejectReason::JsonNumberRange, RANGE, begin);
            return Ok(());
        }
        let leading_zero = self.peek() == Some(b'0');
        let whole = self.digits()?;
        if leading_zero && whole > 1 {
            return Err(self.syntax("must not begin a number with 0"));
        }
        if self.eat(b'.') {
            self.digits()?;
        }
        let mut exponent = 0;
        if self.eat(b'e') || self.eat(b'E') {
            if !self.eat(b'-') {
                self.eat(b'+');
            }
            let from = self.at;
            self.digits()?;
            exponent = self.bytes[from..self.at]
                .iter()
                .fold(0_i64, |sum, digit| sum.saturating_mul(10).saturating_add(i64::from(digit - b'0')));
            if exponent > EXPONENT_MAX {
                self.mark(RejectReason::JsonNumberRange, RANGE, begin);
                return Ok(());
            }
            if self.bytes[from - 1] == b'-' {
                exponent = -exponent;
            }
        }
        // So many digits before the point cannot reach the largest double: no need to work it out.
        let magnitude = i64::try_from(whole).unwrap_or(i64::MAX).saturating_add(exponent);
        if magnitude > EXPONENT_MAX && !self.text[begin..self.at].parse().is_ok_and(f64::is_finite) {
            self.mark(RejectReason::JsonNumberRange, RANGE, begin);
        }
        Ok(())
    }

    /// At least one digit; says how many.
    fn digits(&mut self) -> Result<usize, Flaw> {
        let count = self.bytes[self.at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        if count == 0 {
            return Err(self.syntax("must have a digit here"));
        }
        self.at += count;
        Ok(count)
    }

    fn word(&mut self, word: &str) -> Result<(), Flaw> {
        if self.bytes[self.at..].starts_with(word.as_bytes()) {
            self.at += word.len();
            Ok(())
        } else {
            Err(self.syntax("must have a value here"))
        }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn eat(&mut self, byte: u8) -> bool {
        let there = self.peek() == Some(byte);
        self.at += usize::from(there);
        there
    }

    fn expect(&mut self, byte: u8, rule: &'static str) -> Result<(), Flaw> {
        if self.eat(byte) { Ok(()) } else { Err(self.syntax(rule)) }
    }

    fn space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    /// Notes why the value at hand cannot be kept; the first reason stays.
    fn mark(&mut self, reason: RejectReason, rule: &'static str, at: usize) {
        if self.flaw.is_none() {
            self.flaw = Some(Flaw { reason, rule, at: at - self.begin });
        }
    }

    fn syntax(&self, rule: &'static str) -> Flaw {
        Flaw { reason: RejectReason::JsonSyntax, rule, at: self.at }
    }
}
