//! Every way to change one thing about a signed request (G17): each of them must be refused.
//!
//! What the server is expected to say is part of the forgery: `malformed` where the grammar is hurt, `unauthorized` where
//! only the tag can tell. A change that HTTP undoes (white space around a value, the case of a header's name) is none.

use crate::Effort;

/// One thing of a signed request that was changed.
#[derive(Debug, Clone)]
pub struct Forgery {
    /// What was changed, for whoever reads that it got through.
    pub what: String,
    /// The headers to send, in this order; a name may stand there twice.
    pub headers: Vec<(String, String)>,
    /// The body to send.
    pub body: Vec<u8>,
    /// Whether the grammar of the headers already refuses it (400). Otherwise the tag does (401), or either, where a
    /// changed character may or may not leave the grammar.
    pub refused: Refused,
}

/// Who refuses a forgery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// The grammar of the headers: 400 `malformed_header`.
    ByGrammar,
    /// The tag: 401 `unauthorized`.
    ByTag,
    /// One of the two.
    ByEither,
}

impl Refused {
    /// Whether that is how it was refused.
    pub fn fits(self, status: u16, code: &str) -> bool {
        let grammar = (status, code) == (400, "malformed_header");
        let tag = (status, code) == (401, "unauthorized");
        match self {
            Self::ByGrammar => grammar,
            Self::ByTag => tag,
            Self::ByEither => grammar || tag,
        }
    }
}

/// All forgeries of a signed request, and of a body with each byte changed: in one bit, at full effort in each.
/// `foreign_key` is the id of another tenant's key.
pub fn forgeries(
    headers: &[(String, String)],
    body: &[u8],
    foreign_key: &str,
    effort: Effort,
) -> Vec<Forgery> {
    let mut all = Vec::new();
    let mut add = |what: String, refused: Refused, headers: Vec<(String, String)>| {
        all.push(Forgery { what, headers, body: body.to_vec(), refused });
    };
    for (at, (name, value)) in headers.iter().enumerate() {
        let with = |value: String| {
            let mut changed = headers.to_vec();
            changed[at].1 = value;
            changed
        };
        let plus = |name: &str, value: &str| {
            let mut longer = headers.to_vec();
            longer.push((name.to_owned(), value.to_owned()));
            longer
        };
        let mut without = headers.to_vec();
        without.remove(at);
        add(format!("{name} removed"), Refused::ByGrammar, without);
        add(format!("{name} empty"), Refused::ByGrammar, with(String::new()));
        add(format!("{name} doubled"), Refused::ByGrammar, plus(name, value));
        add(format!("{name} doubled by another value"), Refused::ByGrammar, plus(name, &other(value)));
        add(format!("{name} doubled, its name in capitals"), Refused::ByGrammar, {
            plus(&name.to_ascii_uppercase(), value)
        });
        let mut first = plus(name, value);
        first[at].1 = other(value);
        add(format!("{name} doubled behind another value"), Refused::ByGrammar, first);
        for glue in [",", ", ", ";", " "] {
            let twice = format!("{value}{glue}{value}");
            // The lists of tags have room for two.
            let list = name.ends_with("sig") && glue == "," || name.ends_with("signature") && glue == " ";
            if !list {
                add(format!("{name} twice in one, by {glue:?}"), Refused::ByGrammar, with(twice));
            }
        }
        for (index, byte) in value.bytes().enumerate() {
            let (before, after) = (&value[..index], &value[index + 1..]);
            let byte = char::from(byte);
            let cased =
                if byte.is_ascii_lowercase() { byte.to_ascii_uppercase() } else { byte.to_ascii_lowercase() };
            if cased != byte {
                let changed = format!("{before}{cased}{after}");
                add(format!("{name}[{index}] in the other case"), Refused::ByEither, with(changed));
            }
            let changed = format!("{before}{}{after}", other(&byte.to_string()));
            add(format!("{name}[{index}] another character"), Refused::ByEither, with(changed));
            add(format!("{name}[{index}] removed"), Refused::ByEither, with(format!("{before}{after}")));
            add(format!("{name} cut to {index}"), Refused::ByEither, with(before.to_owned()));
            if index > 0 {
                let spaced = format!("{before} {byte}{after}");
                add(format!("{name}: a space before [{index}]"), Refused::ByGrammar, with(spaced));
                let tabbed = format!("{before}\t{byte}{after}");
                add(format!("{name}: a tab before [{index}]"), Refused::ByGrammar, with(tabbed));
            }
        }
        add(format!("{name}: a character more"), Refused::ByEither, with(format!("{value}0")));
        add(format!("{name}: a character before"), Refused::ByEither, with(format!("0{value}")));
        // Not one of a tag's lengths but its own.
        let prefix = ["v1=", "v1,"].into_iter().find(|prefix| value.starts_with(prefix));
        if let Some((prefix, digits)) = prefix.map(|prefix| (prefix, &value[prefix.len()..])) {
            for kept in 0..digits.len() {
                let cut = format!("{prefix}{}", &digits[..kept]);
                add(format!("{name}: {kept} digits"), Refused::ByGrammar, with(cut.clone()));
                let glue = if prefix == "v1=" { "," } else { " " };
                add(
                    format!("{name}: {kept} digits, twice"),
                    Refused::ByGrammar,
                    with(format!("{cut}{glue}{cut}")),
                );
            }
        }
        if name == "x-key" {
            add("another tenant's key".to_owned(), Refused::ByTag, with(foreign_key.to_owned()));
        }
    }
    for name in ["x-ts", "x-nonce", "x-sig", "webhook-id", "webhook-timestamp", "webhook-signature"] {
        if headers.iter().all(|(other, _)| other != name) {
            let mut both = headers.to_vec();
            both.push((name.to_owned(), "1795305600".to_owned()));
            add(format!("{name} of the other scheme too"), Refused::ByGrammar, both);
        }
    }
    let bits: &[u8] = match effort {
        Effort::Quick => &[0],
        Effort::Full => &[0, 1, 2, 3, 4, 5, 6, 7],
    };
    let mut add = |what: String, body: Vec<u8>| {
        all.push(Forgery { what, headers: headers.to_vec(), body, refused: Refused::ByTag });
    };
    for at in 0..body.len() {
        for bit in bits {
            let mut flipped = body.to_vec();
            flipped[at] ^= 1 << bit;
            add(format!("body[{at}], bit {bit}"), flipped);
        }
        let mut shorter = body.to_vec();
        shorter.remove(at);
        add(format!("body[{at}] removed"), shorter);
        let mut longer = body.to_vec();
        longer.insert(at, b' ');
        add(format!("body: a space before [{at}]"), longer);
    }
    add("no body".to_owned(), Vec::new());
    add("body: a line feed more".to_owned(), [body, b"\n"].concat());
    add("body: a NUL more".to_owned(), [body, b"\0"].concat());
    add("body: a byte order mark before".to_owned(), [b"\xef\xbb\xbf", body].concat());
    add("body: twice".to_owned(), [body, body].concat());
    all
}

/// The same text with another first character, of the same set.
fn other(text: &str) -> String {
    let first = if text.starts_with('1') { '2' } else { '1' };
    format!("{first}{}", text.get(1..).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_forgery_is_the_request_itself() {
        let tag = "ab".repeat(32);
        let headers = [("x-key", "acme_gate_01".to_owned()), ("x-sig", format!("v1={tag}"))]
            .map(|(name, value)| (name.to_owned(), value));
        let all = forgeries(&headers, b"{\"a\":1}", "rival_key_01", Effort::Full);
        assert!(all.len() > 500, "{}", all.len());
        for forgery in &all {
            assert!(forgery.headers != headers || forgery.body != b"{\"a\":1}", "{}", forgery.what);
        }
    }
}
