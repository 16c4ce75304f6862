//! JSON as Postgres' `jsonb` prints it, byte for byte, straight from the text as it was sent.
//!
//! No tree is built and no number becomes a double: jsonb keeps every digit, and so does this. What is read here passed the
//! strict parser; should it be something else, or something that jsonb refuses, there is no text of it.

mod scalar;

use std::{borrow::Cow, ops::Range};

pub(super) use scalar::quote;
use scalar::{print_numeric, print_string};
use seatpilot_domain_model::strict_json;

/// Deepest nesting that is printed; the strict parser takes less.
const DEPTH_MAX: usize = 64;
/// Largest exponent that is written out, either way; the strict parser takes less.
const EXPONENT_MAX: i32 = 400;

/// A cursor over a text, and what was printed of it.
pub(super) struct Printer<'a, 'o> {
    text: &'a str,
    at: usize,
    out: &'o mut Vec<u8>,
}

/// A member of an object: its key, and where both were printed.
struct Printed<'a> {
    key: Cow<'a, str>,
    begin: usize,
    end: usize,
}

impl<'a, 'o> Printer<'a, 'o> {
    /// Reads `text` from its begin and prints behind what `out` has.
    pub(super) fn new(text: &'a str, out: &'o mut Vec<u8>) -> Self {
        Self { text, at: 0, out }
    }

    /// Prints the member `key` of the object at hand, and says where in the text its value is. The rest of the object is
    /// passed over.
    pub(super) fn member(&mut self, key: &str) -> Option<Range<usize>> {
        self.space();
        self.expect(b'{')?;
        loop {
            self.space();
            let found = strict_json::string(self.raw_string()?)? == key;
            self.colon()?;
            if found {
                let begin = self.at;
                self.value(0)?;
                return Some(begin..self.at);
            }
            self.pass()?;
            self.space();
            self.expect(b',')?;
        }
    }

    /// Prints the value at hand.
    fn value(&mut self, depth: usize) -> Option<()> {
        if depth == DEPTH_MAX {
            return None;
        }
        match self.peek()? {
            b'{' => self.object(depth),
            b'[' => self.array(depth),
            b'"' => {
                let raw = self.raw_string()?;
                print_string(raw, self.out)
            }
            b't' => self.word("true"),
            b'f' => self.word("false"),
            b'n' => self.word("null"),
            _ => self.number(),
        }
    }

    fn array(&mut self, depth: usize) -> Option<()> {
        self.expect(b'[')?;
        self.out.push(b'[');
        self.space();
        if !self.eat(b']') {
            loop {
                self.space();
                self.value(depth + 1)?;
                self.space();
                if self.eat(b']') {
                    break;
                }
                self.expect(b',')?;
                self.out.extend_from_slice(b", ");
            }
        }
        self.out.push(b']');
        Some(())
    }

    fn object(&mut self, depth: usize) -> Option<()> {
        self.expect(b'{')?;
        self.out.push(b'{');
        self.space();
        if !self.eat(b'}') {
            let from = self.out.len();
            let mut members: Vec<Printed<'a>> = Vec::with_capacity(8);
            loop {
                self.space();
                let begin = self.out.len();
                let raw = self.raw_string()?;
                print_string(raw, self.out)?;
                self.colon()?;
                self.out.extend_from_slice(b": ");
                self.value(depth + 1)?;
                members.push(Printed { key: strict_json::string(raw)?, begin, end: self.out.len() });
                self.space();
                if self.eat(b'}') {
                    break;
                }
                self.expect(b',')?;
                self.out.extend_from_slice(b", ");
            }
            self.order(from, members)?;
        }
        self.out.push(b'}');
        Some(())
    }

    /// Puts members that were printed from `from` on into jsonb's order: short keys first, then by their bytes.
    fn order(&mut self, from: usize, mut members: Vec<Printed<'a>>) -> Option<()> {
        let before = |one: &Printed<'a>, other: &Printed<'a>| {
            one.key.len().cmp(&other.key.len()).then_with(|| one.key.as_bytes().cmp(other.key.as_bytes()))
        };
        if members.is_sorted_by(|one, other| before(one, other).is_lt()) {
            return Some(());
        }
        members.sort_unstable_by(before);
        if members.windows(2).any(|pair| matches!(pair, [one, other] if one.key == other.key)) {
            return None;
        }
        let printed = self.out.split_off(from);
        for (place, member) in members.iter().enumerate() {
            if place > 0 {
                self.out.extend_from_slice(b", ");
            }
            self.out.extend_from_slice(printed.get(member.begin - from..member.end - from)?);
        }
        Some(())
    }

    fn number(&mut self) -> Option<()> {
        let negative = self.eat(b'-');
        let whole = self.digits()?;
        let fraction = if self.eat(b'.') { self.digits()? } else { "" };
        let mut exponent = 0;
        if self.eat(b'e') || self.eat(b'E') {
            let minus = self.eat(b'-');
            if !minus {
                self.eat(b'+');
            }
            exponent = self.digits()?.parse::<i32>().ok().filter(|exponent| *exponent <= EXPONENT_MAX)?;
            if minus {
                exponent = -exponent;
            }
        }
        // Numeric knows no negative zero.
        if negative && whole.bytes().chain(fraction.bytes()).any(|digit| digit != b'0') {
            self.out.push(b'-');
        }
        print_numeric(whole, fraction, exponent, self.out)
    }

    fn digits(&mut self) -> Option<&'a str> {
        let rest = self.text.get(self.at..)?;
        let length = rest.bytes().take_while(u8::is_ascii_digit).count();
        self.at += length;
        rest.get(..length).filter(|digits| !digits.is_empty())
    }

    fn word(&mut self, word: &str) -> Option<()> {
        self.text.get(self.at..)?.starts_with(word).then(|| {
            self.at += word.len();
            self.out.extend_from_slice(word.as_bytes());
        })
    }

    /// A string as it stands there, quotes included.
    fn raw_string(&mut self) -> Option<&'a str> {
        let begin = self.at;
        self.expect(b'"')?;
        loop {
            match self.peek()? {
                b'"' => {
                    self.at += 1;
                    return self.text.get(begin..self.at);
                }
                b'\\' => self.at += 2,
                0..=0x1f => return None,
                _ => self.at += 1,
            }
        }
    }

    /// Passes over a value without a look into it.
    fn pass(&mut self) -> Option<()> {
        let mut open = 0_usize;
        loop {
            match self.peek()? {
                b'"' => _ = self.raw_string()?,
                b'{' | b'[' => {
                    open += 1;
                    self.at += 1;
                }
                b'}' | b']' => {
                    open = open.checked_sub(1)?;
                    self.at += 1;
                }
                _ => self.at += 1,
            }
            if open == 0 && matches!(self.peek()?, b',' | b'}' | b' ' | b'\t' | b'\n' | b'\r') {
                return Some(());
            }
        }
    }

    fn colon(&mut self) -> Option<()> {
        self.space();
        self.expect(b':')?;
        self.space();
        Some(())
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn eat(&mut self, byte: u8) -> bool {
        let there = self.peek() == Some(byte);
        self.at += usize::from(there);
        there
    }

    fn expect(&mut self, byte: u8) -> Option<()> {
        self.eat(byte).then_some(())
    }

    fn space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }
}
